package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

var (
	stateFlips    = flag.Int("process.stateflips", 12, "how many bytes of states are flipped")
	stateFlipSeed = flag.Uint64("process.stateflips.seed", 1, "which")
)

// stateFlipsEntry is a line of the ledger.
type stateFlipsEntry struct {
	When      string         `json:"when"`
	Commit    string         `json:"commit"`
	Test      string         `json:"test"`
	Seed      uint64         `json:"seed"`
	Flips     int            `json:"flips"`
	Kinds     map[string]int `json:"flipsByFile"`
	Inspected map[string]int `json:"ofTheseInspectFound"`
	Noticed   map[string]int `json:"ofTheseTheServerNoticedAtOnce"`
	Scrubbed  map[string]int `json:"ofTheseTheScrubberFound"`
	Unread    map[string]int `json:"ofTheseNobodyReads"`
	Seconds   float64        `json:"seconds"`
	Passed    bool           `json:"passed"`
}

// TestProcessDamagedStateIsHealedByTheOthers flips bytes of the states of three servers in turn, whose logs no longer have
// what their states have. Each time the server serves again what the others serve, without a hand but one that starts it.
// What neither inspect finds nor the server, is in a place that nobody reads, and so it is well that all is as it was.
func TestProcessDamagedStateIsHealedByTheOthers(t *testing.T) {
	began := time.Now()
	entry := stateFlipsEntry{When: began.UTC().Format(time.RFC3339), Commit: presentCommit(t), Test: "flipped bytes of states", Seed: *stateFlipSeed,
		Kinds: map[string]int{}, Inspected: map[string]int{}, Noticed: map[string]int{}, Scrubbed: map[string]int{}, Unread: map[string]int{}}
	defer func() {
		entry.Seconds, entry.Passed = time.Since(began).Seconds(), !t.Failed()
		addToLedger(t, &entry)
	}()
	servers := startServers(t, 3, append([]string{"--scrub-bytes-per-second", "100000000"}, soon...)...)
	fill(t, servers[0], 0, 2000)
	for _, s := range servers {
		waitCaughtUp(t, s, servers[0])
		waitLogDropped(t, s)
	}
	said, places := "", []string{}
	chance := rand.New(rand.NewPCG(*stateFlipSeed, 2))
	for entry.Flips < *stateFlips {
		hurt, other := servers[entry.Flips%3], servers[(entry.Flips+1)%3]
		hurt.terminate(t) // in good order: what is damaged is not in the log any more
		file, at := anyByte(t, hurt.dir, chance)
		before := flip(t, file, at)
		kind := kindOfFile(file)
		entry.Kinds[kind]++
		what := fmt.Sprintf("flip %d, at %d of %d of %s of %s", entry.Flips, at, len(before), filepath.Base(file), hurt.name)
		looked := runOf("inspect", "--verify", hurt.dir)
		inspected := looked.status == exitFailed
		if inspected {
			what += ", of which inspect says " + looked.out
			entry.Inspected[kind]++
		}
		hurt.start(t)
		last := healAndCompare(t, what, hurt, other) + hurt.log.String()
		switch {
		case strings.Contains(last, "set aside"):
			entry.Noticed[kind]++
		case inspected: // what a start and a comparison do not read, the scrubber does
			t.Log(what)
			status, before := hurt.waitEnd(t)
			if status != exitFatal {
				t.Fatalf("%s: it ended with status %d: %s", what, status, tail(before, 2000))
			}
			hurt.start(t)
			last = before + healAndCompare(t, what, hurt, other) + hurt.log.String()
			if !strings.Contains(last, "set aside") {
				t.Errorf("%s: it goes on with a state in which inspect finds damage: %s", what, tail(last, 2000))
			}
			entry.Scrubbed[kind]++
		default:
			entry.Unread[kind]++
			places = append(places, what)
		}
		said += last
		fill(t, other, 10_000+100*entry.Flips, 100)
		waitCaughtUp(t, hurt, other)
		entry.Flips++
	}
	expectSameHashes(t, servers)
	t.Logf("%d flips, %v: inspect found %v, the servers noticed %v at once, their scrubbers %v; nobody reads %v: %q", entry.Flips, entry.Kinds, entry.Inspected, entry.Noticed,
		entry.Scrubbed, entry.Unread, places)
	if entry.Inspected["table"] < entry.Kinds["table"]/2 || entry.Noticed["table"]+entry.Scrubbed["table"] < entry.Kinds["table"]/2 || entry.Kinds["table"] == 0 ||
		!strings.Contains(said, "where the state is that another server sent") {
		t.Errorf("hardly anything was noticed:\n%s", tail(said, 3000))
	}
}

// anyByte returns the place of a byte of a state, each as likely as the other.
func anyByte(t *testing.T, dir string, chance *rand.Rand) (file string, at int) {
	t.Helper()
	files, sizes, sum := stateFiles(t, dir), []int{}, 0
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, int(info.Size()))
		sum += sizes[len(sizes)-1]
	}
	at = chance.IntN(sum)
	for i, size := range sizes {
		if at < size {
			return files[i], at
		}
		at -= size
	}
	panic("more bytes than there are")
}

// kindOfFile says what a file of a state is.
func kindOfFile(file string) string {
	switch name := filepath.Base(file); {
	case strings.HasSuffix(name, ".sst"):
		return "table"
	case strings.HasPrefix(name, "MANIFEST"):
		return "manifest"
	default:
		return "other"
	}
}

// healAndCompare waits until a server serves what another does, all of it. If it ends because its state is damaged, it
// is started again. It returns what the server has said in lives that have ended.
func healAndCompare(t *testing.T, what string, hurt, other *serverProcess) (said string) {
	t.Helper()
	for range 4 {
		conn, ok := hurt.waitServingOrGone(t)
		if ok {
			hurt.open(conn, false)
			same := false
			eventually(t, what+": it holds what the others do", func() error {
				select {
				case <-hurt.gone:
					return nil
				default:
				}
				err := sameHash(t, hurt, other)
				same = err == nil
				return err
			})
			if same {
				return said
			}
		}
		status, last := hurt.waitEnd(t)
		if status != exitFatal {
			t.Fatalf("%s: it ended with status %d: %s", what, status, tail(last, 2000))
		}
		said += last
		hurt.start(t)
	}
	t.Fatalf("%s: it ends again and again: %s", what, tail(said, 3000))
	return said
}

// sameHash compares everything that two servers hold.
func sameHash(t *testing.T, a, b *serverProcess) error {
	var hashes [2]*pb.HashKVResponse
	for i, s := range []*serverProcess{b, a} {
		conn, _, up := s.present()
		if !up {
			return fmt.Errorf("%s is not up", s.name)
		}
		request := &pb.HashKVRequest{}
		if i > 0 {
			request.Revision = hashes[0].HashRevision
		}
		var err error
		if hashes[i], err = pb.NewMaintenanceClient(conn).HashKV(t.Context(), request); err != nil {
			return err
		}
	}
	if hashes[0].Hash != hashes[1].Hash {
		return fmt.Errorf("hashes %v and %v", hashes[0], hashes[1])
	}
	return nil
}

// stateFiles are the files of a server's state that have something in them.
func stateFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "state", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			files = append(files, name)
		}
	}
	return files
}
