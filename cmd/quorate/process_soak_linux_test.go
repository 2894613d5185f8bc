package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

var processSoak = flag.Duration("process.soak", 0, "for how long healthy servers are kept busy; with a slow disk for half as long; 0: some seconds")

// Three servers as they are by default, with clients that write as fast as they can, while other programs want every
// processor; and then while the disk of one is a hundred times slower than it was. Nothing has failed, so nobody is to
// be elected: unless some server stood still, or waited for its disk, for longer than somebody waits for a leader.
func TestProcessHealthyServersElectNobodyWithoutACause(t *testing.T) {
	length := 3 * time.Second
	if askedForByName() {
		length = 6 * time.Second
	}
	length = cmp.Or(*processSoak, length)
	t.Run("busy processors", func(t *testing.T) {
		w := startWatch(t, newServers(t, 3))
		burn(t, runtime.GOMAXPROCS(0)+1)
		w.watch(t, length)
		w.judge(t, "busy processors", length)
	})
	t.Run("slow disk", func(t *testing.T) {
		servers := newServers(t, 3)
		slow := servers[0]
		if err := slow.slowDisk(t, 100); err != nil {
			lacking(t, "strace", err, "nothing stands in for a slow disk, so this is not shown")
			return
		}
		w := startWatch(t, servers)
		w.lead(t, servers[1])
		w.watch(t, length/4)
		w.lead(t, slow)
		w.watch(t, length/4)
		w.judge(t, "slow disk", length/2)
	})
}

// burn starts so many programs that want a processor each, until the test ends.
func burn(t *testing.T, count int) {
	t.Helper()
	for range count {
		command := exec.Command("sh", "-c", "while :; do :; done")
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = command.Process.Kill()
			_ = command.Wait() // killed
		})
	}
}

// slowDisk makes the syncs of a server that has not been started so many times slower than its disk's are now.
func (s *serverProcess) slowDisk(t *testing.T, times int) error {
	t.Helper()
	if out, err := exec.Command("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, out)
	}
	took := syncTime(t, s.dir)
	delay := time.Duration(times-1) * took
	t.Logf("a sync takes %v, and on %s %v", took.Round(time.Microsecond), s.name, (delay + took).Round(time.Microsecond))
	s.wrapper = []string{"strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", os.DevNull, "-e", "trace=fdatasync,fsync",
		"-e", fmt.Sprintf("inject=fdatasync,fsync:delay_enter=%d", delay.Microseconds())}
	return nil
}

// syncTime is how long it takes to make a few bytes durable: the median of many tries.
func syncTime(t *testing.T, dir string) time.Duration {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var took []time.Duration
	for i := range 101 {
		began := time.Now()
		if _, err := file.WriteAt(make([]byte, 512), int64(512*i)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Fdatasync(int(file.Fd())); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// watch looks at servers that serve clients.
type soakWatch struct {
	servers []*serverProcess
	running sync.WaitGroup
	stop    func()
	done    atomic.Int64
	late    atomic.Int64 // writes without an answer

	quiet  []span        // while nobody is to be elected
	delays []delaySample // in the order of time
}

type span struct{ from, to time.Time }

// delaySample is how long the most impatient server waited for its leader at a moment.
type delaySample struct {
	at    time.Time
	delay time.Duration
}

// soakWriters is how many clients write at each server.
const soakWriters = 8

// startWatch starts servers, and clients that write until the test ends.
func startWatch(t *testing.T, servers []*serverProcess) *soakWatch {
	t.Helper()
	began := time.Now()
	startAll(t, servers)
	waitLeader(t, servers)
	t.Logf("they serve after %v", time.Since(began).Round(time.Millisecond))
	w := &soakWatch{servers: servers}
	ctx, cancel := context.WithCancel(t.Context())
	for i := range soakWriters * len(servers) {
		conn, _, _ := servers[i%len(servers)].present()
		w.running.Go(func() {
			put := &pb.PutRequest{Key: []byte(fmt.Sprint("soak/", i)), Value: make([]byte, 256)}
			for ctx.Err() == nil {
				if _, err := pb.NewKVClient(conn).Put(ctx, put); err == nil {
					w.done.Add(1)
				} else if ctx.Err() == nil {
					w.late.Add(1)
				}
			}
		})
	}
	w.stop = func() { cancel(); w.running.Wait() }
	t.Cleanup(w.stop)
	return w
}

// lead asks for a server to lead, once: one with a slow disk may be too late. Then it waits until somebody leads.
func (w *soakWatch) lead(t *testing.T, s *serverProcess) {
	t.Helper()
	leader := waitLeader(t, w.servers)
	if leader != s {
		state, err := s.status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn, _, _ := leader.present()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: state.GetHeader().GetMemberId()}); err != nil {
			t.Logf("%s is asked to lead: %v", s.name, err)
		}
	}
	t.Logf("%s was asked to lead, and %s does", s.name, waitLeader(t, w.servers).name)
}

// watch lets some time pass in which nobody is to be elected, and notes how long servers wait for their leader.
func (w *soakWatch) watch(t *testing.T, length time.Duration) {
	t.Helper()
	began, before := time.Now(), w.done.Load()
	turns := time.NewTicker(200 * time.Millisecond)
	defer turns.Stop()
	for time.Since(began) < length {
		<-turns.C
		shortest := time.Duration(0)
		for _, s := range w.servers {
			delay := time.Duration(s.metrics(t)["quorate_campaign_delay_seconds"] * float64(time.Second))
			if shortest == 0 || delay < shortest {
				shortest = delay
			}
		}
		w.delays = append(w.delays, delaySample{time.Now(), shortest})
	}
	w.quiet = append(w.quiet, span{began, time.Now()})
	t.Logf("%d writes in %v, and then %s leads", w.done.Load()-before, time.Since(began).Round(time.Millisecond), waitLeader(t, w.servers).name)
}

// judge ends the servers, reads what they have logged, and expects a cause of every election.
func (w *soakWatch) judge(t *testing.T, what string, length time.Duration) {
	t.Helper()
	w.stop()
	var told soakLog
	for _, s := range w.servers {
		s.kill(t) // To end in good order takes a slow disk long.
		told.add(t, s.name, s.log.String())
	}
	slices.SortFunc(told.elections, func(a, b soakElection) int { return a.at.Compare(b.at) })
	entry := soakEntry{When: time.Now().UTC().Format(time.RFC3339), Commit: presentCommit(t), Test: "soak, " + what, Seconds: length.Seconds(),
		Operations: w.done.Load(), Unanswered: w.late.Load(), Stalls: len(told.stalls)}
	for _, s := range told.stalls {
		entry.LongestStall = max(entry.LongestStall, s.lasted.Seconds())
	}
	for _, d := range w.delays {
		entry.ShortestDelay, entry.LongestDelay = cmp.Or(min(entry.ShortestDelay, d.delay.Seconds()), d.delay.Seconds()), max(entry.LongestDelay, d.delay.Seconds())
	}
	for _, e := range told.elections {
		if !slices.ContainsFunc(w.quiet, func(q span) bool { return !e.at.Before(q.from) && !e.at.After(q.to) }) {
			continue // when the servers started, or leadership was transferred
		}
		entry.Elections++
		cause, delay, found := told.causeOf(e, w.delays)
		if !found {
			t.Errorf("%s stood in term %d at %v, when the shortest delay in force was %v; of the stalls of that time none was as long:\n%s",
				e.server, e.term, e.at.Format(stampFormat), delay, told.around(e.at))
			continue
		}
		t.Logf("%s stood in term %d at %v, when the shortest delay in force was %v: %v", e.server, e.term, e.at.Format(stampFormat), delay, cause)
	}
	t.Logf("%v: %d writes, %d without an answer; %d elections, %d stalls, the longest %.3f s; the shortest delay in force was from %.3f to %.3f s",
		length, entry.Operations, entry.Unanswered, entry.Elections, entry.Stalls, entry.LongestStall, entry.ShortestDelay, entry.LongestDelay)
	if entry.Operations == 0 {
		t.Error("nothing was written")
	}
	entry.Passed = !t.Failed()
	addToLedger(t, &entry)
}

// soakEntry is a line of the ledger. Spans are seconds.
type soakEntry struct {
	When          string  `json:"when"`
	Commit        string  `json:"commit"`
	Test          string  `json:"test"`
	Seconds       float64 `json:"seconds"`
	Operations    int64   `json:"operations"`
	Unanswered    int64   `json:"unanswered"`
	Elections     int     `json:"elections"`
	Stalls        int     `json:"stalls"`
	LongestStall  float64 `json:"longest_stall"`
	ShortestDelay float64 `json:"shortest_delay"` // the least that anybody waited for a leader, over time
	LongestDelay  float64 `json:"longest_delay"`  // and the most that the most impatient did
	Passed        bool    `json:"passed"`
}

// soakLog is what servers have logged that bears on elections.
type soakLog struct {
	elections []soakElection
	stalls    []soakStall
}

type soakElection struct {
	server string
	term   uint64
	at     time.Time
}

// soakStall is what the watchdog has recorded: it says so at the end.
type soakStall struct {
	server string
	end    time.Time
	lasted time.Duration
	text   string
}

func (s soakStall) String() string {
	return fmt.Sprintf("at %s, %s: %s", s.end.Format(stampFormat), s.server, s.text)
}

const stampFormat = "15:04:05.000"

var (
	soakLine = regexp.MustCompile(`^time=(\S+) level=\S+ msg="([^"]*)"`)
	// A leader that hands over is missed by nobody, and says why it does: it is no election that needs a cause.
	soakCandidate = regexp.MustCompile(`^candidate in term (\d+): an election can be won`)
	soakStalled   = regexp.MustCompile(`^(?:this server did nothing for|a write took) (\d+) ms`)
)

// add reads the log of a server.
func (l *soakLog) add(t *testing.T, server, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		parts := soakLine.FindStringSubmatch(line)
		if parts == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, parts[1])
		if err != nil {
			t.Fatal(err)
		}
		if found := soakCandidate.FindStringSubmatch(parts[2]); found != nil {
			l.elections = append(l.elections, soakElection{server, numberIn(t, found[1]), at})
		}
		if found := soakStalled.FindStringSubmatch(parts[2]); found != nil {
			lasted := time.Duration(numberIn(t, found[1])) * time.Millisecond
			l.stalls = append(l.stalls, soakStall{server, at, lasted, parts[2]})
		}
	}
}

func numberIn(t *testing.T, digits string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	// soakHeartbeat is how often a leader is heard: who stands still was last heard that long before.
	soakHeartbeat = 50 * time.Millisecond
	// soakDelay is the least that anybody waits by default.
	soakDelay = 150 * time.Millisecond
	// soakReach is how long after the end of a stall somebody may stand because of it: chance makes the longest
	// delay twice as long.
	soakReach = 4 * time.Second
)

// causeOf finds a stall that began before an election, and was long enough, with a heartbeat, for the most impatient
// server of that time.
func (l *soakLog) causeOf(e soakElection, delays []delaySample) (cause soakStall, delay time.Duration, found bool) {
	delay = shortestDelayAt(e.at, delays)
	for _, s := range l.stalls {
		if !s.end.Add(-s.lasted).After(e.at) && !s.end.Add(soakReach).Before(e.at) && s.lasted+soakHeartbeat >= delay {
			return s, delay, true
		}
	}
	return soakStall{}, delay, false
}

// shortestDelayAt is that of the seconds before a moment, or the last that is known.
func shortestDelayAt(at time.Time, delays []delaySample) time.Duration {
	shortest := soakDelay
	known := false
	for _, d := range delays {
		switch {
		case d.at.After(at):
		case !known || at.Sub(d.at) > time.Second:
			shortest, known = d.delay, true
		default:
			shortest = min(shortest, d.delay)
		}
	}
	return shortest
}

// around lists the stalls about a moment.
func (l *soakLog) around(at time.Time) string {
	text := ""
	for _, s := range l.stalls {
		if d := s.end.Sub(at).Abs(); d < 2*soakReach {
			text += fmt.Sprintln(s)
		}
	}
	return cmp.Or(text, "none was recorded\n")
}

func TestCausesOfElectionsAreFoundInLogs(t *testing.T) {
	const start = "2026-11-28T05:00:00.000Z"
	began, err := time.Parse(time.RFC3339Nano, start)
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(after time.Duration) string { return began.Add(after).Format(time.RFC3339Nano) }
	line := func(after time.Duration, text string) string {
		return fmt.Sprintf("time=%s level=INFO msg=%q group=1\n", stamp(after), text)
	}
	stood := line(10*time.Second, "candidate in term 7: an election can be won")
	for _, test := range []struct {
		name  string
		stall string
		delay time.Duration
		right bool
	}{
		{"nothing stood still", "", soakDelay, false},
		{"a server did", line(9*time.Second, "this server did nothing for 120 ms: it had no processor, or was stopped"), soakDelay, true},
		{"a disk did", line(9*time.Second, "a write took 160 ms to be durable"), soakDelay, true},
		{"it did long ago", line(5*time.Second, "a write took 160 ms to be durable"), soakDelay, false},
		{"it did afterwards", line(11*time.Second, "a write took 160 ms to be durable"), soakDelay, false},
		{"it did meanwhile", line(11*time.Second, "a write took 1500 ms to be durable"), soakDelay, true},
		{"it did, but everybody waits longer", line(9*time.Second, "a write took 160 ms to be durable"), 400 * time.Millisecond, false},
	} {
		var l soakLog
		l.add(t, "s1", line(0, "listening")+test.stall)
		l.add(t, "s2", stood)
		if len(l.elections) != 1 || l.elections[0].term != 7 {
			t.Fatalf("%s: got elections %+v, want that of term 7", test.name, l.elections)
		}
		delays := []delaySample{{began.Add(time.Second), 2 * time.Second}, {began.Add(9500 * time.Millisecond), test.delay}, {began.Add(10500 * time.Millisecond), time.Millisecond}}
		if cause, delay, found := l.causeOf(l.elections[0], delays); found != test.right || delay != test.delay {
			t.Errorf("%s: got cause %v (%v) and delay %v, want %v and %v", test.name, cause, found, delay, test.right, test.delay)
		}
	}
}
