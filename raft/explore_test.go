package raft_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

var (
	exploreDeep   = flag.Int("explore.deep", 0, "explore within larger bounds too, at most this many states of each (0: only what every change must pass)")
	exploreLedger = flag.String("explore.ledger", "", "append a line of JSON about each story to this file")
)

// bounds limit what may go wrong in an exploration, and what is asked of the group. Within them,
// everything that can happen does, in every order.
type bounds struct {
	servers    int
	campaigns  int // some server believes that the leader is gone
	heartbeats int
	proposals  int
	reads      int
	crashes    int // a server loses what it has not written, and restarts at once
	duplicates int // a message is delivered and yet stays on its way
	slowWrites int // a write that is not durable at once
	merges     int // a server takes two messages in one step
	losses     int // the first message of a link is lost
	overtakes  int // a message overtakes others of its link; unlimited: no link has an order
	// logs are the terms of the entries that the servers' disks have at first.
	logs [][]raft.Term
	// led: server 1 has been elected already, and nothing is on its way.
	led bool
	// shortProbes: a request that probes carries one entry, if there are any.
	shortProbes bool
	// preVotes: campaigns begin with them. Otherwise with the candidacy: pre-votes only ever prevent one.
	preVotes bool
	// inFlight: a step after which more messages than this are on their way is not taken; 0: no bound. What
	// is left out are busier networks; a message can still wait as long as nothing else needs its place.
	inFlight int
	// cut are the links that carry nothing, in either direction.
	cut [][2]raft.ServerID
}

// There is no bound for lost messages: a message that stays on its way for ever is one.

// story is one exploration.
type story struct {
	name string
	bounds
}

// stories are small enough to be told to the end with every change.
var stories = []story{
	{"two elections, a slow disk", bounds{servers: 3, campaigns: 2, slowWrites: 1}},
	{"two elections with pre-votes", bounds{servers: 3, campaigns: 2, preVotes: true}},
	{"three elections of two", bounds{servers: 2, campaigns: 3, proposals: 1, slowWrites: 1, crashes: 1}},
	{"small probes", bounds{servers: 3, campaigns: 2, shortProbes: true}},
	{"a proposal, disorder", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, overtakes: 1}},
	{"proposals, disorder", bounds{led: true, servers: 3, proposals: 2, overtakes: 1, slowWrites: 1}},
	{"proposals, repetitions", bounds{led: true, servers: 3, proposals: 2, duplicates: 2}},
	{"a proposal, two messages at once", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, merges: 1}},
	{"proposals, a crash", bounds{led: true, servers: 3, proposals: 2, slowWrites: 1, crashes: 1}},
	{"one has more", bounds{servers: 3, logs: [][]raft.Term{{1, 1, 1}, {1}, {1}}, campaigns: 2}},
	{"one has other entries", bounds{servers: 3, logs: [][]raft.Term{{1, 1, 1}, {1, 2}, {1}}, campaigns: 1, overtakes: 1, slowWrites: 2}},
	{"all have other entries", bounds{servers: 3, logs: [][]raft.Term{{1, 1, 1}, {1, 2}, {1, 3}}, campaigns: 1, slowWrites: 2, duplicates: 1}},
	{"a read across an election", bounds{led: true, servers: 3, campaigns: 1, heartbeats: 1, reads: 1}},
}

// deepStories go further than every change can wait for; the last ones do not end in a night.
var deepStories = []story{
	{"two elections, a crash", bounds{servers: 3, campaigns: 2, crashes: 1}},
	{"two reigns over other entries", bounds{servers: 3, logs: [][]raft.Term{{1, 1, 1}, {1, 2}, {1}}, campaigns: 2, slowWrites: 1}},
	{"a proposal, a repetition", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, duplicates: 1}},
	{"proposals, a loss", bounds{led: true, servers: 3, proposals: 2, heartbeats: 2, losses: 1}},
	{"a proposal, a slow disk and a crash", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, slowWrites: 2, crashes: 1}},
	{"two elections without any order", bounds{servers: 3, campaigns: 2, overtakes: unlimited}},
	{"two elections of four", bounds{servers: 4, campaigns: 2}},
	{"three elections", bounds{servers: 3, campaigns: 3, shortProbes: true}},
	{"reads across two elections", bounds{led: true, servers: 3, campaigns: 2, reads: 2, overtakes: 1}},
	{"a proposal across two elections", bounds{servers: 3, campaigns: 3, proposals: 1, slowWrites: 1, crashes: 1, duplicates: 1}},
	{"B1", bounds{servers: 3, campaigns: 3, proposals: 2, slowWrites: 1, crashes: 1, losses: 1, duplicates: 1, inFlight: 4}},
	{"B5, every link", b5()},
	{"B5, a star", b5(2, 3, 2, 4, 2, 5, 3, 4, 3, 5, 4, 5)},
	{"B5, a chain", b5(1, 3, 1, 4, 1, 5, 2, 4, 2, 5, 3, 5)},
	{"B5, a ring", b5(1, 3, 1, 4, 2, 4, 2, 5, 3, 5)},
	{"B5, two threes that share one", b5(1, 4, 1, 5, 2, 4, 2, 5)},
	{"B5, three and two apart", b5(1, 4, 1, 5, 2, 4, 2, 5, 3, 4, 3, 5)},
	{"everything", bounds{servers: 3, campaigns: 3, proposals: 2, heartbeats: 1, reads: 1, slowWrites: 2, crashes: 1,
		duplicates: 1, overtakes: 1, losses: 1, merges: 1}},
}

// b5 is five servers, two terms and a proposal, with the links between these pairs of servers cut.
func b5(pairs ...raft.ServerID) bounds {
	b := bounds{servers: 5, campaigns: 2, proposals: 1}
	for pair := range slices.Chunk(pairs, 2) {
		b.cut = append(b.cut, [2]raft.ServerID(pair))
	}
	return b
}

// TestExplore visits every state that a small group can reach within bounds, runs the real core
// in each, and looks for a broken invariant.
func TestExplore(t *testing.T) {
	t.Parallel()
	tell, limit := stories, 1<<30
	if *exploreDeep > 0 {
		tell, limit = slices.Concat(stories, deepStories), *exploreDeep
	}
	for _, story := range tell {
		if raft.RaceEnabled && story.servers > 2 && story.logs == nil {
			continue
		}
		t.Run(story.name, func(t *testing.T) {
			x := explore(t, story.bounds, limit)
			t.Log(x)
			x.keep(t, story.name)
			if x.broken != "" {
				t.Errorf("%s\nafter\n%s", x.broken, strings.Join(x.path, "\n"))
			}
			if x.cut && *exploreDeep == 0 {
				t.Error("the exploration was cut short")
			}
		})
	}
}

// explorer is a depth-first search through the states of a group.
type explorer struct {
	bounds      bounds
	seed        maphash.Seed
	names       []func(raft.ServerID) raft.ServerID // all ways to rename the servers
	visited     fingerprints
	buffer      []byte
	limit       int
	transitions int
	cut         bool // there were more states than the limit
	depth       int
	tell        func(format string, args ...any) // how far it is
	toldAt      time.Time
	cpuSeconds  float64

	// path is how the broken state was reached, broken what is wrong with it.
	path   []string
	broken string
}

func (x *explorer) String() string {
	rate := float64(x.visited.count) / max(x.cpuSeconds, 0.001)
	more := ""
	if x.cut {
		more = ", and there are more"
	}
	return fmt.Sprintf("%d states, %d steps, %.0f states per second of CPU, at most %d steps deep%s", x.visited.count, x.transitions, rate, x.depth, more)
}

func explore(t *testing.T, b bounds, limit int) *explorer {
	x := &explorer{seed: maphash.MakeSeed(), limit: limit, names: b.symmetries(), bounds: b, tell: t.Logf, toldAt: time.Now()}
	began := cpuSeconds()
	x.visit(x.start(b), b, nil)
	x.cpuSeconds = cpuSeconds() - began // of the whole process: stories are told one after the other
	return x
}

// tellEvery is how many states lie between two looks at the clock, and tellAfter how long it is silent.
const (
	tellEvery = 100_000
	tellAfter = 10 * time.Second
)

// progress tells now and then how far a long exploration is.
func (x *explorer) progress() {
	if x.visited.count%tellEvery == 0 && time.Since(x.toldAt) > tellAfter {
		x.toldAt = time.Now()
		x.tell("%d states so far", x.visited.count)
	}
}

// keep appends what came of a story to the ledger, if there is one.
func (x *explorer) keep(t *testing.T, story string) {
	t.Helper()
	if *exploreLedger == "" {
		return
	}
	commit, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	line, err := json.Marshal(map[string]any{
		"commit": strings.TrimSpace(string(commit)), "ended": time.Now().UTC().Format(time.RFC3339), "story": story,
		"states": x.visited.count, "steps": x.transitions, "deepest": x.depth, "cpuSeconds": x.cpuSeconds,
		"complete": !x.cut && x.broken == "", "broken": x.broken,
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(*exploreLedger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Write(append(line, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// cpuSeconds returns how much CPU this process has used.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func (x *explorer) start(b bounds) *rafttest.Cluster {
	c := rafttest.New(raft.Options{ElectionTicks: 2, HeartbeatTicks: 1}, rafttest.Voters(b.servers))
	for i, terms := range b.logs {
		c.Install(c.Servers[i], 0, terms...)
	}
	if b.shortProbes {
		c.Fewer = func(int) int { return 1 }
	}
	if b.led {
		campaign(c, c.Server(1), b.preVotes)
		c.Settle()
	}
	return c
}

// visit looks at everything that can happen next. Forks share what did not change.
func (x *explorer) visit(c *rafttest.Cluster, b bounds, path []choice) {
	x.depth = max(x.depth, len(path))
	for _, next := range x.choices(c, &b) {
		x.transitions++
		d, left := next.take(c, b)
		if b.inFlight > 0 && len(d.Network) > b.inFlight && d.Broken == "" {
			continue
		}
		steps := append(path, next)
		if d.Broken != "" {
			x.broken = d.Broken
			x.path = x.tellPath(x.bounds, steps)
			return
		}
		if !x.visited.add(x.fingerprint(d, &left)) {
			continue
		}
		x.progress()
		if x.visited.count >= x.limit {
			x.cut = true
			return
		}
		x.visit(d, left, steps)
		if x.broken != "" || x.cut {
			return
		}
	}
}

// choice is one thing that can happen.
type choice struct {
	what    happening
	server  raft.ServerID
	message int // index in the network
	second  int // another, delivered in the same step
	slow    bool
}

type happening uint8

const (
	arrives happening = iota
	overtakes
	arrivesAndStays
	arriveTogether
	isLost
	campaigns
	heartbeats
	proposes
	reads
	persists
	crashes
)

func (h happening) String() string {
	return [...]string{"arrives", "overtakes", "arrives and stays", "arrive together", "is lost", "campaigns", "heartbeats", "proposes", "reads", "persists", "crashes"}[h]
}

// choices lists what can happen, the undisturbed course first.
func (x *explorer) choices(c *rafttest.Cluster, b *bounds) []choice {
	var list []choice
	add := func(next choice) {
		list = append(list, next)
		if b.slowWrites > 0 && next.what != persists && next.what != crashes {
			next.slow = true
			list = append(list, next)
		}
	}
	for i := range c.Network {
		if x.sameBefore(c.Network, i) {
			continue
		}
		to := c.Network[i].To
		switch inOrder := placeInLink(c.Network, i) == 0; {
		case inOrder || b.overtakes == unlimited:
			add(choice{what: arrives, server: to, message: i})
			if b.losses > 0 {
				list = append(list, choice{what: isLost, message: i})
			}
		case b.overtakes > 0:
			add(choice{what: overtakes, server: to, message: i})
		default:
			continue
		}
		if b.duplicates > 0 {
			add(choice{what: arrivesAndStays, server: to, message: i})
		}
		for j := range c.Network {
			if b.merges > 0 && j != i && c.Network[j].To == to {
				add(choice{what: arriveTogether, server: to, message: i, second: j})
			}
		}
	}
	for _, s := range c.Servers {
		if len(s.Writes) > 0 {
			add(choice{what: persists, server: s.ID})
		}
		if b.campaigns > 0 {
			add(choice{what: campaigns, server: s.ID})
		}
		if b.crashes > 0 {
			add(choice{what: crashes, server: s.ID})
		}
		if s.Core.Role() != raft.Leader {
			continue
		}
		if b.heartbeats > 0 {
			add(choice{what: heartbeats, server: s.ID})
		}
		if b.proposals > 0 {
			add(choice{what: proposes, server: s.ID})
		}
		if b.reads > 0 {
			add(choice{what: reads, server: s.ID})
		}
	}
	return list
}

// unlimited says that there is no bound.
const unlimited = -1

// take returns the state after the choice, and the bounds that are left.
func (next choice) take(c *rafttest.Cluster, b bounds) (*rafttest.Cluster, bounds) {
	d, left := next.happen(c, b)
	forgetTheDead(d)
	b.forgetTheCut(d)
	return d, left
}

func (next choice) happen(c *rafttest.Cluster, b bounds) (*rafttest.Cluster, bounds) {
	touched := []raft.ServerID{next.server}
	if next.what == isLost {
		touched = nil
	}
	if next.what == campaigns {
		touched = everybody(c)
	}
	d := c.Fork(touched...)
	s := d.Server(next.server)
	switch next.what {
	case arrives, overtakes:
		if next.what == overtakes {
			b.overtakes--
		}
		d.Deliver(d.Take(next.message))
	case isLost:
		b.losses--
		d.Take(next.message)
		return d, b
	case arrivesAndStays:
		b.duplicates--
		d.Deliver(d.Network[next.message].Envelope)
	case arriveTogether:
		b.merges--
		first, second := d.Network[next.message].Envelope, d.Network[next.second].Envelope
		d.Network = slices.Delete(d.Network, max(next.message, next.second), max(next.message, next.second)+1)
		d.Network = slices.Delete(d.Network, min(next.message, next.second), min(next.message, next.second)+1)
		d.Deliver(first, second)
	case campaigns:
		b.campaigns--
		campaign(d, s, b.preVotes)
	case heartbeats:
		b.heartbeats--
		d.Step(s, raft.Tick{})
	case proposes:
		b.proposals--
		d.Step(s, raft.Propose{ID: uint64(1 + b.proposals), Entries: []raft.Entry{rafttest.Command(string(rune('a' + b.proposals)))}})
	case reads:
		b.reads--
		d.Step(s, raft.ReadIndex{ID: uint64(100 + b.reads)})
	case persists:
		d.Persist(s, s.Writes[0].Ticket)
		return d, b
	case crashes:
		b.crashes--
		d.Crash(s, 0)
		d.Restart(s)
		return d, b
	}
	if next.slow {
		b.slowWrites--
	} else if d.Broken == "" {
		d.PersistAll(s)
	}
	return d, b
}

func everybody(c *rafttest.Cluster) []raft.ServerID {
	var ids []raft.ServerID
	for _, s := range c.Servers {
		ids = append(ids, s.ID)
	}
	return ids
}

// forgetTheDead removes messages that can no longer change anything.
func forgetTheDead(c *rafttest.Cluster) {
	c.Network = slices.DeleteFunc(c.Network, func(e rafttest.Letter) bool {
		switch e.Message.(type) {
		case *raft.RequestVoteReply, *raft.RequestPreVoteReply, *raft.AppendEntriesReply, *raft.AppendEntriesRefusal:
			// Compared with the term on disk, for a crash may bring that back.
			return e.Term < c.Server(e.To).Disk.Hard.CurrentTerm
		}
		return false
	})
}

// forgetTheCut removes what was sent over links that are cut.
func (b *bounds) forgetTheCut(c *rafttest.Cluster) {
	if len(b.cut) > 0 {
		c.Network = slices.DeleteFunc(c.Network, func(e rafttest.Letter) bool { return b.isCut(e.From, e.To) })
	}
}

func (b *bounds) isCut(x, y raft.ServerID) bool {
	return slices.Contains(b.cut, [2]raft.ServerID{x, y}) || slices.Contains(b.cut, [2]raft.ServerID{y, x})
}

// symmetries are the ways to rename the servers that leave everything as it is.
func (b *bounds) symmetries() []func(raft.ServerID) raft.ServerID {
	return slices.DeleteFunc(renamings(b.servers), func(rename func(raft.ServerID) raft.ServerID) bool {
		for _, link := range b.cut {
			if !b.isCut(rename(link[0]), rename(link[1])) {
				return true
			}
		}
		return false
	})
}

// sameBefore reports whether the message at i is on its way a second time.
func (x *explorer) sameBefore(network []rafttest.Letter, i int) bool {
	for j := range i {
		if x.printsOf(&network[j])[0] == x.printsOf(&network[i])[0] {
			return true
		}
	}
	return false
}

// tellPath goes the path once more and says what happens on it.
func (x *explorer) tellPath(b bounds, path []choice) []string {
	var lines []string
	tell := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	c := x.start(b)
	for _, next := range path {
		line := fmt.Sprintf("-- %d %s", next.server, next.what)
		if next.what <= isLost {
			m := &c.Network[next.message].Envelope
			line = fmt.Sprintf("-- %s: %d -> %d: %s", next.what, m.From, m.To, rafttest.SayMessage(m))
		}
		if next.slow {
			line += ", and the disk is slow"
		}
		lines = append(lines, line)
		c.Tell = tell
		c, b = next.take(c, b)
	}
	return lines
}

// fingerprint is the same for states that differ only in who is who. It is made of those of the
// servers and messages, which are kept with them: only one server changes at a time.
func (x *explorer) fingerprint(c *rafttest.Cluster, left *bounds) uint64 {
	least := ^uint64(0)
	for k, rename := range x.names {
		var servers [8]uint64
		for _, s := range c.Servers {
			servers[rename(s.ID)-1] = x.printsOfServer(s)[k]
		}
		network := uint64(0)
		for i := range c.Network {
			print := x.printsOf(&c.Network[i])[k]
			if left.overtakes != unlimited {
				print *= uint64(2*placeInLink(c.Network, i) + 1)
			}
			network += print // the order of links does not matter
		}
		b := x.buffer[:0]
		for _, print := range servers[:len(c.Servers)] {
			b = binary.LittleEndian.AppendUint64(b, print)
		}
		b = binary.LittleEndian.AppendUint64(b, network)
		b = appendHistory(b, &c.History, rename)
		b = left.appendState(b)
		least = min(least, maphash.Bytes(x.seed, b))
		x.buffer = b
	}
	return least
}

// placeInLink counts the messages on the same link before that at i.
func placeInLink(network []rafttest.Letter, i int) int {
	place := 0
	for j := range i {
		if network[j].From == network[i].From && network[j].To == network[i].To {
			place++
		}
	}
	return place
}

// printsOf returns the fingerprints of a message, one per renaming.
func (x *explorer) printsOf(m *rafttest.Letter) []uint64 {
	if m.Prints == nil {
		for _, rename := range x.names {
			x.buffer = appendMessage(x.buffer[:0], &m.Envelope, rename)
			m.Prints = append(m.Prints, maphash.Bytes(x.seed, x.buffer))
		}
	}
	return m.Prints
}

func (x *explorer) printsOfServer(s *rafttest.Server) []uint64 {
	if s.Prints == nil {
		s.Prints = make([]uint64, 0, len(x.names))
		for _, rename := range x.names {
			x.buffer = appendServer(x.buffer[:0], s, rename)
			s.Prints = append(s.Prints, maphash.Bytes(x.seed, x.buffer))
		}
	}
	return s.Prints
}

// appendServer encodes the core, the disk and what is between them.
func appendServer(b []byte, s *rafttest.Server, rename func(raft.ServerID) raft.ServerID) []byte {
	b = s.Core.AppendState(b, rename)
	b = appendHardState(b, &s.Disk.Hard, rename)
	b = appendEntries(b, s.Disk.Log)
	b = binary.AppendUvarint(b, uint64(len(s.Writes)))
	for i := range s.Writes {
		w := &s.Writes[i]
		b = appendHardState(b, w.HardState, rename)
		b = binary.AppendUvarint(b, uint64(w.TruncateFrom))
		b = appendEntries(b, w.Entries)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Held)))
	for i := range s.Held {
		b = binary.AppendUvarint(b, uint64(s.Asked-s.Held[i].After))
		b = appendMessage(b, &s.Held[i], rename)
	}
	return b
}

func appendHardState(b []byte, h *raft.HardState, rename func(raft.ServerID) raft.ServerID) []byte {
	return appendNumbers(b, uint64(h.CurrentTerm), named(h.VotedFor, rename), uint64(h.Commit))
}

// appendHistory encodes what the checks know.
func appendHistory(b []byte, h *rafttest.History, rename func(raft.ServerID) raft.ServerID) []byte {
	for _, id := range h.Leaders {
		b = binary.AppendUvarint(b, named(id, rename))
	}
	b = appendEntries(b, h.Committed)
	for _, term := range h.CommittedIn {
		b = binary.AppendUvarint(b, uint64(term))
	}
	for _, q := range h.Questions {
		b = appendNumbers(b, named(q.Server, rename), q.ID, uint64(q.Least))
	}
	return b
}

func (b *bounds) appendState(to []byte) []byte {
	for _, n := range []int{b.campaigns, b.heartbeats, b.proposals, b.reads, b.crashes, b.duplicates, b.slowWrites, b.merges, b.losses, b.overtakes} {
		to = append(to, byte(n))
	}
	return to
}

func appendNumbers(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func named(id raft.ServerID, rename func(raft.ServerID) raft.ServerID) uint64 {
	if id == 0 || rename == nil {
		return uint64(id)
	}
	return uint64(rename(id))
}

func appendEntries(b []byte, entries []raft.Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for i := range entries {
		b = binary.AppendUvarint(b, uint64(entries[i].Term))
		b = append(b, byte(entries[i].Kind))
		b = append(b, entries[i].Data...)
	}
	return b
}

func appendMessage(b []byte, e *raft.Envelope, rename func(raft.ServerID) raft.ServerID) []byte {
	b = appendNumbers(b, named(e.From, rename), named(e.To, rename), uint64(e.Term))
	switch m := e.Message.(type) {
	case *raft.RequestVote:
		return appendNumbers(b, 1, uint64(m.LastLogIndex), uint64(m.LastLogTerm))
	case *raft.RequestVoteReply:
		return appendNumbers(b, 2, uint64(countIf(m.Granted)))
	case *raft.RequestPreVote:
		return appendNumbers(b, 3, uint64(m.LastLogIndex), uint64(m.LastLogTerm))
	case *raft.RequestPreVoteReply:
		return appendNumbers(b, 4, uint64(countIf(m.Granted)))
	case *raft.AppendEntries:
		b = appendNumbers(b, 5, uint64(m.PrevLogIndex), uint64(m.PrevLogTerm), uint64(m.LeaderCommit), uint64(m.Round))
		return appendEntries(b, m.Entries)
	case *raft.AppendEntriesReply:
		return appendNumbers(b, 6, uint64(m.Round), uint64(m.Verified))
	case *raft.AppendEntriesRefusal:
		b = appendNumbers(b, 7, uint64(m.Round), uint64(m.Commit), uint64(m.LastLogIndex), uint64(len(m.Runs)))
		for _, r := range m.Runs {
			b = appendNumbers(b, uint64(r.Term), uint64(r.First))
		}
		return b
	}
	panic(fmt.Sprintf("no encoding for %T", e.Message))
}

// countIf returns 1 or 0.
func countIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// renamings returns all permutations of the ids 1 to n.
func renamings(n int) []func(raft.ServerID) raft.ServerID {
	var all []func(raft.ServerID) raft.ServerID
	var extend func(taken []raft.ServerID)
	extend = func(taken []raft.ServerID) {
		if len(taken) == n {
			to := slices.Clone(taken)
			all = append(all, func(id raft.ServerID) raft.ServerID { return to[id-1] })
			return
		}
		for id := range raft.ServerID(n) {
			if !slices.Contains(taken, id+1) {
				extend(append(taken, id+1))
			}
		}
	}
	extend(nil)
	return all
}

// fingerprints is a set of numbers other than 0, 8 bytes each: open addressing, at most half full.
type fingerprints struct {
	slots []uint64
	count int
}

// add reports whether f was not there yet.
func (s *fingerprints) add(f uint64) bool {
	if 2*(s.count+1) > len(s.slots) {
		old := s.slots
		s.slots = make([]uint64, max(1<<16, 2*len(old)))
		for _, f := range old {
			if f != 0 {
				s.slots[s.slot(f)] = f
			}
		}
	}
	f = max(f, 1)
	at := s.slot(f)
	if s.slots[at] == f {
		return false
	}
	s.slots[at] = f
	s.count++
	return true
}

// slot returns where f is, or where it belongs.
func (s *fingerprints) slot(f uint64) int {
	mask := len(s.slots) - 1
	at := int(f) & mask
	for s.slots[at] != 0 && s.slots[at] != f {
		at = (at + 1) & mask
	}
	return at
}
