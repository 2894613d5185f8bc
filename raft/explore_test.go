package raft_test

import (
	"flag"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/ledger"
	"github.com/quorate/quorate/raft"
)

var (
	exploreDeep   = flag.Int("explore.deep", 0, "explore within larger bounds too, at most this many visits of states in each (0: only what every change must pass)")
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
	// spares are how many of the servers, the last, belong to no configuration at first. changes are how often
	// a leader may begin to make one of the aims the voters, or give a change another aim. A change that is
	// committed may be completed at any time.
	spares, changes int
	aims            [][]raft.ServerID
	// learner is who a leader may make one that learns; that is one of the changes. 0: nobody.
	learner raft.ServerID
	// transfers are how often a leader may be asked to hand over, to anybody.
	transfers int
	// compactions are how often a server's state becomes durable, and its log is compacted as far as that goes; installs,
	// how often a server is given the state of another that is ahead.
	compactions, installs int
	// halfWay: server 1 was to become the group of 1, 2 and 3. The joint configuration is committed, as 1 knows,
	// and what completes the change has reached 3 alone.
	halfWay bool
	// promise is for how many ticks of one clock voters keep what they promise, and leaders answer reads by leases; 0:
	// there is no clock. ticks are how often it may go on.
	promise, ticks int
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
	{"a transfer", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, transfers: 1, inFlight: 4}},
	{"a transfer as a server is removed", bounds{led: true, servers: 3, changes: 1, transfers: 1, aims: [][]raft.ServerID{{2, 3}}}},
	{"a lease across an election", bounds{led: true, servers: 3, campaigns: 1, heartbeats: 1, reads: 1, ticks: 3, promise: 2, inFlight: 4}},
	{"a lease and a crash", bounds{led: true, servers: 3, campaigns: 1, reads: 1, crashes: 1, ticks: 3, promise: 2, inFlight: 3}},
	{"a lease as leadership is handed over", bounds{led: true, servers: 3, campaigns: 1, reads: 1, transfers: 1, ticks: 3, promise: 2, inFlight: 3}},
	{"a lease of the first term", bounds{servers: 3, campaigns: 1, reads: 1, slowWrites: 1, ticks: 1, promise: 2, inFlight: 3}},
	{"a lease, and pre-votes", bounds{led: true, servers: 3, campaigns: 1, heartbeats: 1, reads: 1, ticks: 3, promise: 2, preVotes: true, inFlight: 3}},
	{"a lease before its time", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, heartbeats: 1, reads: 1, slowWrites: 1, ticks: 3, promise: 2, inFlight: 3}},
	{"a lease of one of three candidates", bounds{servers: 3, campaigns: 3, reads: 1, promise: 2, inFlight: 6}},
	{"a lease of five", bounds{led: true, servers: 5, campaigns: 1, heartbeats: 1, reads: 1, ticks: 3, promise: 2, inFlight: 6}},
	{"a lease as two of three leave", bounds{led: true, servers: 3, campaigns: 1, changes: 1, reads: 1, ticks: 3, promise: 2, inFlight: 3, aims: [][]raft.ServerID{{1}}}},
	{"a lease as two join", bounds{led: true, servers: 3, spares: 2, campaigns: 1, changes: 1, reads: 1, ticks: 3, promise: 2, inFlight: 3, aims: [][]raft.ServerID{{1, 2, 3}}}},
	{"one becomes another", bounds{led: true, servers: 2, spares: 1, campaigns: 2, changes: 1, slowWrites: 2, crashes: 1, aims: [][]raft.ServerID{{2}}}},
	{"one becomes two, or not", bounds{led: true, servers: 2, spares: 1, campaigns: 2, changes: 2, slowWrites: 1, aims: [][]raft.ServerID{{1}, {1, 2}}}},
	{"half way, and back", bounds{halfWay: true, servers: 3, spares: 2, campaigns: 2, changes: 1, inFlight: 4, aims: [][]raft.ServerID{{1}, {1, 2, 3}}}},
	{"any of three is replaced", b2(bounds{led: true, campaigns: 1, inFlight: 4})},
	{"any of three is replaced, a proposal", b2(bounds{campaigns: 1, proposals: 1, inFlight: 4})},
	{"a learner is promoted", b3(bounds{led: true, campaigns: 1, inFlight: 4})},
	{"a log is compacted", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, compactions: 2, inFlight: 4}},
	{"a log is compacted, a crash", bounds{led: true, servers: 3, campaigns: 1, compactions: 2, crashes: 1, slowWrites: 1, inFlight: 3}},
	{"states instead of entries", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, compactions: 2, installs: 1, inFlight: 3}},
	{"a state, and a crash", bounds{led: true, servers: 3, campaigns: 1, compactions: 1, installs: 1, crashes: 1, slowWrites: 1, inFlight: 3}},
	{"a state over other entries", bounds{servers: 3, logs: [][]raft.Term{{1, 1, 1}, {1, 2}, {1, 2}}, campaigns: 2, compactions: 1, installs: 1, slowWrites: 1, inFlight: 3}},
	{"two of three are replaced", bounds{led: true, servers: 3, spares: 1, campaigns: 1, changes: 1, inFlight: 3, aims: [][]raft.ServerID{{2, 3}}}},
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
	{"one becomes three, or not", bounds{led: true, servers: 3, spares: 2, campaigns: 2, changes: 2, slowWrites: 1, crashes: 1, inFlight: 2,
		aims: [][]raft.ServerID{{1, 2, 3}, {1}}}},
	{"a third is replaced", bounds{led: true, servers: 4, spares: 1, campaigns: 1, changes: 1, inFlight: 4, aims: [][]raft.ServerID{{1, 2, 4}}}},
	{"a third is replaced, or not", bounds{led: true, servers: 4, spares: 1, campaigns: 1, changes: 2, inFlight: 3, aims: [][]raft.ServerID{{1, 2, 4}, {1, 2, 3}}}},
	{"a third is replaced across elections", bounds{led: true, servers: 4, spares: 1, campaigns: 2, changes: 1, inFlight: 4, aims: [][]raft.ServerID{{1, 2, 4}}}},
	{"two changes across elections", bounds{led: true, servers: 3, spares: 1, campaigns: 2, changes: 2, crashes: 1, inFlight: 3, aims: [][]raft.ServerID{{2, 3}, {1, 2}}}},
	{"B2", b2(bounds{campaigns: 3, proposals: 2, slowWrites: 1, crashes: 1, losses: 1, duplicates: 1, inFlight: 4})},
	{"B2, two terms", b2(bounds{campaigns: 2, proposals: 1, inFlight: 4})},
	{"B2, two terms, a crash", b2(bounds{campaigns: 2, slowWrites: 1, crashes: 1, inFlight: 4})},
	{"B3", b3(bounds{campaigns: 3, proposals: 2, slowWrites: 1, crashes: 1, losses: 1, duplicates: 1, inFlight: 4})},
	{"B3, two terms", b3(bounds{campaigns: 2, proposals: 1, inFlight: 4})},
	{"B3, two terms, a crash", b3(bounds{campaigns: 2, slowWrites: 1, crashes: 1, inFlight: 4})},
	{"a lease across an election and a crash", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, reads: 1, crashes: 1, ticks: 3, promise: 2}},
	{"leases of two terms", bounds{led: true, servers: 3, campaigns: 2, reads: 1, crashes: 1, transfers: 1, ticks: 3, promise: 2, inFlight: 3}},
	{"a lease as one is replaced", bounds{led: true, servers: 3, spares: 1, campaigns: 1, changes: 1, ticks: 3, reads: 1, promise: 2, aims: [][]raft.ServerID{{2, 3}}}},
	{"a lease of the winner of three candidates", bounds{servers: 3, campaigns: 3, heartbeats: 1, reads: 1, ticks: 3, promise: 2, inFlight: 4}},
	{"B4", bounds{led: true, servers: 3, campaigns: 2, proposals: 1, reads: 2, crashes: 1, transfers: 1, duplicates: 1, ticks: 4, promise: 2, inFlight: 3}},
	{"B4, longer leases", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, reads: 1, crashes: 1, ticks: 5, promise: 3, inFlight: 3}},
	{"B6", bounds{servers: 3, campaigns: 3, proposals: 2, compactions: 2, installs: 2, slowWrites: 1, crashes: 1, inFlight: 4}},
	{"B6, two terms", bounds{led: true, servers: 3, campaigns: 1, proposals: 2, compactions: 2, installs: 1, slowWrites: 1, crashes: 1, losses: 1, inFlight: 4}},
	{"B6, a third joins", bounds{led: true, servers: 3, spares: 1, campaigns: 1, changes: 1, proposals: 1, compactions: 1, installs: 1, inFlight: 3,
		aims: [][]raft.ServerID{{1, 2, 3}}}},
	{"B5, every link", b5()},
	{"B5, a star", b5(2, 3, 2, 4, 2, 5, 3, 4, 3, 5, 4, 5)},
	{"B5, a chain", b5(1, 3, 1, 4, 1, 5, 2, 4, 2, 5, 3, 5)},
	{"B5, a ring", b5(1, 3, 1, 4, 2, 4, 2, 5, 3, 5)},
	{"B5, two threes that share one", b5(1, 4, 1, 5, 2, 4, 2, 5)},
	{"B5, three and two apart", b5(1, 4, 1, 5, 2, 4, 2, 5, 3, 4, 3, 5)},
	{"everything", bounds{servers: 3, campaigns: 3, proposals: 2, heartbeats: 1, reads: 1, slowWrites: 2, crashes: 1,
		duplicates: 1, overtakes: 1, losses: 1, merges: 1}},
}

// b2 is a group of three that may replace any one of them by a fourth.
func b2(b bounds) bounds {
	b.servers, b.spares, b.changes = 4, 1, 1
	b.aims = [][]raft.ServerID{{1, 2, 4}, {1, 3, 4}, {2, 3, 4}}
	return b
}

// b3 is a group of two that takes a third: as a learner first, or at once.
func b3(b bounds) bounds {
	b.servers, b.spares, b.changes = 3, 1, 2
	b.aims, b.learner = [][]raft.ServerID{{1, 2, 3}}, 3
	return b
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
		debug.SetGCPercent(400) // the set of states has no pointers, and what else lives is little
		debug.SetMemoryLimit(6 << 30)
	}
	for _, story := range tell {
		if raft.RaceEnabled && story.servers > 2 && story.logs == nil {
			continue
		}
		t.Run(story.name, func(t *testing.T) {
			x := newExplorer(story.bounds)
			x.limit, x.tell = limit, t.Logf
			x.run()
			if x.broken != "" {
				t.Errorf("%s\nafter\n%s", x.broken, strings.Join(x.path, "\n"))
			}
			t.Log(x)
			x.keep(t, story.name)
			if x.cut && *exploreDeep == 0 {
				t.Error("the exploration was cut short")
			}
		})
	}
}

// keep appends what came of a story to the ledger, if there is one.
func (x *explorer) keep(t *testing.T, story string) {
	t.Helper()
	if *exploreLedger == "" {
		return
	}
	err := ledger.Append(*exploreLedger, map[string]any{
		"commit": ledger.Commit(), "ended": time.Now().UTC().Format(time.RFC3339), "story": story,
		"states": x.visited.states(), "visits": x.visited.visits(), "steps": x.steps.Load(), "deepest": x.deepest,
		"cpuSeconds": x.cpuSeconds,
		"complete":   !x.cut && x.broken == "", "broken": x.broken,
	})
	if err != nil {
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
