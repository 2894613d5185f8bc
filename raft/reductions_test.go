package raft_test

import (
	"testing"

	"github.com/quorate/quorate/raft"
)

// TestReductionsLoseNoState explores stories with all reductions, and with none at all: then every
// difference is one, and every message stays. For every state of the plain exploration the reduced one
// must have met one that it takes for the same, with no less left of the bounds; and it must make up
// none. With a bound on the messages on their way it may know more, because there messages that are
// dead take nobody's place.
func TestReductionsLoseNoState(t *testing.T) {
	t.Parallel()
	for _, story := range []story{
		{"elections", bounds{servers: 3, campaigns: 2, inFlight: 5}},
		{"an election, a slow disk and a crash", bounds{servers: 3, campaigns: 1, slowWrites: 1, crashes: 1}},
		{"elections of two, a crash", bounds{servers: 2, campaigns: 2, proposals: 1, slowWrites: 1, crashes: 1}},
		{"pre-votes", bounds{servers: 2, campaigns: 2, proposals: 1, preVotes: true}},
		{"proposals, repetitions", bounds{led: true, servers: 3, proposals: 2, duplicates: 2}},
		{"proposals, a crash", bounds{led: true, servers: 3, proposals: 2, slowWrites: 1, crashes: 1}},
		{"a proposal, a loss", bounds{led: true, servers: 3, campaigns: 1, proposals: 1, losses: 1}},
		{"proposals, disorder", bounds{led: true, servers: 3, proposals: 2, overtakes: 1, merges: 1}},
		{"heartbeats", bounds{led: true, servers: 3, proposals: 1, heartbeats: 2}},
		{"a read", bounds{led: true, servers: 3, campaigns: 1, reads: 1}},
		{"one has other entries", bounds{servers: 3, logs: [][]raft.Term{{1, 1, 1}, {1, 2}, {1}}, campaigns: 1, overtakes: 1, slowWrites: 2}},
		{"a chain of four", bounds{servers: 4, campaigns: 1, proposals: 1, cut: [][2]raft.ServerID{{1, 3}, {1, 4}, {2, 4}}}},
		{"one becomes two, or not", bounds{led: true, servers: 2, spares: 1, campaigns: 1, changes: 2, aims: [][]raft.ServerID{{1}, {1, 2}}}},
		{"a transfer", bounds{led: true, servers: 3, campaigns: 1, transfers: 1, inFlight: 3}},
		{"one leaves and comes back", bounds{led: true, servers: 2, changes: 3, proposals: 1, overtakes: 1, aims: [][]raft.ServerID{{1}, {1, 2}}}},
		{"one of three is removed", bounds{servers: 3, changes: 1, campaigns: 1, aims: [][]raft.ServerID{{2, 3}}}},
		{"one of two may learn", bounds{led: true, servers: 3, spares: 2, changes: 2, learner: 3, aims: [][]raft.ServerID{{1, 3}, {1, 2}}}},
		{"a learner is promoted", bounds{led: true, servers: 2, spares: 1, changes: 2, campaigns: 1, learner: 2, aims: [][]raft.ServerID{{1, 2}}}},
		{"any of three is replaced", b2(bounds{led: true})},
		{"two of three", bounds{led: true, servers: 3, changes: 1, aims: [][]raft.ServerID{{2, 3}}}},
		{"a lease", bounds{led: true, servers: 2, campaigns: 1, proposals: 1, reads: 1, crashes: 1, ticks: 3, promise: 2}},
		{"a lease as leadership is handed over", bounds{led: true, servers: 3, campaigns: 1, reads: 1, transfers: 1, ticks: 3, promise: 2, inFlight: 2}},
		{"a state", bounds{led: true, servers: 3, proposals: 1, compactions: 1, installs: 1}},
		{"a state of two, a crash", bounds{led: true, servers: 2, campaigns: 1, proposals: 1, compactions: 2, installs: 1, crashes: 1, slowWrites: 1}},
		{"few in flight", bounds{servers: 3, campaigns: 2, slowWrites: 1, inFlight: 2}},
		{"few in flight, a crash", bounds{servers: 3, campaigns: 2, crashes: 1, slowWrites: 1, inFlight: 2}},
	} {
		if raft.RaceEnabled && story.servers > 2 {
			continue
		}
		t.Run(story.name, func(t *testing.T) {
			reduced, plain := newExplorer(story.bounds), newExplorer(story.bounds)
			plain.printer, plain.plain = reduced.printer, true
			found, covered, reached := newVisited(story.bounds), newVisited(story.bounds), newVisited(story.bounds)
			reduced.each = func(w *worker, p *place) {
				for _, left := range p.left.noMore() {
					c := p.cluster.Fork()
					w.printer.forgetTheDead(c, &left)
					print := mix(w.eye.print(c, &left), uint64(w.visited.code(&left)))
					covered.add(print, 0)
					if left.counted() == p.left.counted() {
						found.add(print, 0)
					}
				}
			}
			plain.each = func(w *worker, p *place) {
				c := p.cluster.Fork()
				w.printer.forgetTheDead(c, &p.left)
				reached.add(mix(w.eye.print(c, &p.left), uint64(w.visited.code(&p.left))), 0)
			}
			reduced.run()
			plain.run()
			if plain.broken != "" || reduced.broken != "" {
				t.Fatalf("broken: %q without reductions, %q with them", plain.broken, reduced.broken)
			}
			t.Logf("%d states are %d, visited %d times", plain.visited.states(), reduced.visited.states(), reduced.visited.visits())
			if lost := reached.without(covered); lost > 0 {
				t.Errorf("%d of %d states are lost", lost, reached.states())
			}
			if made := found.without(reached); made > 0 && story.inFlight == 0 {
				t.Errorf("%d of %d states are made up", made, found.states())
			}
		})
	}
}

// counted returns what is left of each bound.
func (b bounds) counted() (all [15]int) {
	for k, n := range b.counts() {
		all[k] = *n
	}
	return all
}

// noMore returns all bounds that leave no more of anything.
func (b bounds) noMore() []bounds {
	all := []bounds{b}
	for k := range b.counts() {
		for _, c := range all {
			for n := *c.counts()[k]; n > 0; n-- {
				*c.counts()[k] = n - 1
				all = append(all, c)
			}
		}
	}
	return all
}

// without counts the states that the other does not have.
func (v *visited) without(other *visited) int {
	count := 0
	for i := range v.shards {
		for _, print := range v.shards[i].prints {
			if print == 0 {
				continue
			}
			if _, isNew := other.add(print, 0); isNew {
				count++
			}
		}
	}
	return count
}
