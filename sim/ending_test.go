package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/choice"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// quietPlan is that of a world without clients, in which nothing goes wrong before the ending.
func quietPlan(servers int, ending endingKind) plan {
	const us, ms = int64(time.Microsecond), int64(time.Millisecond)
	return plan{
		servers: servers, tick: 10 * ms, ending: ending, ordered: true,
		replica: replica.Options{Group: group, TickNanoseconds: uint64(10 * ms), Raft: raft.Options{ElectionTicks: 10, HeartbeatTicks: 3}, SumTicks: 300},
		disk:    crashdisk.Options{SectorBytes: 512, KeepOperations: 16}, segmentBytes: 16 * 4096,
		minDelay: 100 * us, meanDelay: 200 * us, syncTime: 200 * us, applyTime: 50 * us, readTime: 50 * us,
		flushEvery: 1000 * ms, removeEvery: 1000 * ms, down: 100 * ms, sums: sumsPlan{every: 64},
	}
}

// newQuietWorld returns a world of that plan, whose ending begins after two seconds.
func newQuietWorld(p plan) *world {
	w := newPlannedWorld(Options{Simulated: 2 * time.Second}, dice{source: choice.FromSeed(1)}, p)
	w.begin()
	return w
}

// runUntil lets everything happen up to then.
func (w *world) runUntil(at int64) {
	for !w.over && w.check.Violation() == nil && w.queue.heap[0].at <= at {
		e, _ := w.queue.next()
		w.now = e.at
		w.happen(&e)
	}
}

// staleWorld returns a quiet world in which all logs are the same, but for that of one server that does
// not lead and lacks what was written last. Its links are up again, and the ending is about to begin. If
// nobody leads any more, because all have been killed, nobody can tell it what it lacks.
func staleWorld(t *testing.T, p plan, killed bool) (w *world, leader, stale int) {
	t.Helper()
	w = newQuietWorld(p)
	w.runUntil(second)
	leader = w.leader
	stale = (leader + 1) % p.servers
	isolated := w.linksWhere(func(from, to int) bool { return from == stale || to == stale })
	for _, l := range isolated {
		l.cuts++
	}
	w.freshAt(w.servers[leader], &request{Op: check.Op{Request: check.Put{Key: "late", Value: "1"}}})
	w.runUntil(int64(w.options.Simulated) - 1)
	for _, l := range isolated {
		l.cuts--
	}
	for i, s := range w.servers {
		if got, want := s.replica.Core().LastIndex() == w.servers[leader].replica.Core().LastIndex(), i != stale; got != want {
			t.Fatalf("server %d has the last entry: %v, want %v: %s", s.id, got, want, w.describeServers())
		}
	}
	if killed {
		for _, s := range w.servers {
			s.crash(true)
		}
	}
	return w, leader, stale
}

// hubs returns who is linked both ways with a majority.
func (g graph) hubs() (hubs []int) {
	for a := range g {
		count := 1
		for b := range g {
			if a != b && g[a][b] && g[b][a] {
				count++
			}
		}
		if count > len(g)/2 {
			hubs = append(hubs, a)
		}
	}
	return hubs
}

// endsOver lets a world with a stale server end with only these links, of which the leader is vertex 0
// and the stale server vertex 1, and reports whether the ending was excused.
func endsOver(t *testing.T, g graph, leader, stale int, killed bool) (excused bool) {
	t.Helper()
	names := []int{leader, stale}
	for i := range g {
		if i != leader && i != stale {
			names = append(names, i)
		}
	}
	p := quietPlan(len(g), someLinksRemain)
	p.links = newGraph(len(g))
	for a := range g {
		for b := range g {
			p.links[names[a]][names[b]] = g[a][b]
		}
	}
	w, _, _ := staleWorld(t, p, killed)
	w.runUntil(int64(w.options.Simulated) + 60*second)
	if v := w.check.Violation(); v != nil || !w.over {
		t.Errorf("leader %d, stale %d, links %v: %v", leader+1, stale+1, p.links, v)
	}
	return w.counts.Constrained == 1
}

// TestEveryGraphOfThreeServersComesRight goes through all links that may remain among three servers, in
// all their directions. Nobody needs an excuse: of two who are linked, one has the log that the other
// votes for.
func TestEveryGraphOfThreeServersComesRight(t *testing.T) {
	_, leader, stale := staleWorld(t, quietPlan(3, someLinksRemain), false)
	count := 0
	for mask := range 1 << 6 {
		g := newGraph(3)
		for i, way := range [6][2]int{{0, 1}, {1, 0}, {0, 2}, {2, 0}, {1, 2}, {2, 1}} {
			g[way[0]][way[1]] = mask>>i&1 == 1
		}
		if !g.hub() {
			continue
		}
		count++
		for _, killed := range []bool{false, true} {
			if endsOver(t, g, leader, stale, killed) {
				t.Errorf("links %v were excused", g)
			}
		}
	}
	if count != 64-27 { // without a hub each of three pairs has no link, or one of two
		t.Errorf("%d graphs", count)
	}
}

// TestEveryGraphOfFiveServersComesRight goes through all links both ways that may remain among five
// servers, up to the names of those that are alike. The other pairs have no link, or one in one direction.
// Excused are exactly those in which only the stale server reaches a majority, and no leader is left that
// could bring its log up to date while it still believes that it leads.
func TestEveryGraphOfFiveServersComesRight(t *testing.T) {
	_, leader, stale := staleWorld(t, quietPlan(5, someLinksRemain), false)
	d := dice{source: choice.FromSeed(1)}
	seen := map[uint]bool{}
	excused := 0
	for mask := range uint(1 << 10) {
		g := newGraph(5)
		eachPair(5, func(i, a, b int) {
			if mask>>i&1 == 1 {
				g.both(a, b)
			}
		})
		if !g.hub() || seen[canonical(g)] {
			continue
		}
		seen[canonical(g)] = true
		eachPair(5, func(i, a, b int) {
			if mask>>i&1 == 0 {
				g[a][b], g[b][a] = [...]bool{false, true, false}[d.below("a", 3)], false
				g[b][a] = !g[a][b] && d.either("b")
			}
		})
		hubs := g.hubs()
		want := len(hubs) == 1 && hubs[0] == 1
		if got := endsOver(t, g, leader, stale, true); got != want {
			t.Errorf("links %v: excused is %v, want %v", g, got, want)
		}
		if want {
			excused++
		}
		if endsOver(t, g, leader, stale, false) && (!want || g[0][1] && g[1][0]) {
			t.Errorf("links %v: excused, though not all were killed", g)
		}
	}
	t.Logf("%d graphs, %d of them excused", len(seen), excused)
	if len(seen) < 150 || excused == 0 {
		t.Errorf("%d graphs, %d of them excused", len(seen), excused)
	}
}

// eachPair calls visit for all pairs of n.
func eachPair(n int, visit func(i, a, b int)) {
	i := 0
	for b := range n {
		for a := range b {
			visit(i, a, b)
			i++
		}
	}
}

// canonical returns the same number for graphs that differ in the names of vertices 2 to 4 only.
func canonical(g graph) uint {
	least := ^uint(0)
	for _, to := range [][]int{{0, 1, 2, 3, 4}, {0, 1, 2, 4, 3}, {0, 1, 3, 2, 4}, {0, 1, 3, 4, 2}, {0, 1, 4, 2, 3}, {0, 1, 4, 3, 2}} {
		mask := uint(0)
		eachPair(5, func(i, a, b int) {
			if g[to[a]][to[b]] {
				mask |= 1 << i
			}
		})
		least = min(least, mask)
	}
	return least
}

// TestConstrainedElectionIsThePublishedException shows the one case that is given up (docs/adr/0008): the
// only server that hears a majority lacks entries that all others have. Nobody votes for it, and nobody
// else reaches a majority.
func TestConstrainedElectionIsThePublishedException(t *testing.T) {
	_, leader, stale := staleWorld(t, quietPlan(5, someLinksRemain), false)
	star := func(hub int) graph {
		g := newGraph(5)
		for other := range g {
			if other != hub {
				g.both(hub, other)
			}
		}
		return g
	}
	p := quietPlan(5, someLinksRemain)
	p.links = star(stale)
	w, _, _ := staleWorld(t, p, true)
	before := w.counts.LeaderChanges
	w.runUntil(int64(w.options.Simulated) + 60*second)
	if w.check.Violation() != nil || !w.over || w.counts.Constrained != 1 || w.counts.LeaderChanges != before {
		t.Errorf("got %v, over %v, %d excused, want nobody to lead: %s", w.check.Violation(), w.over, w.counts.Constrained, w.describeServers())
	}
	if !w.nobodyCanBeElected() || w.theLeader() != nil {
		t.Errorf("somebody leads or could: %s", w.describeServers())
	}

	// Around anybody else it comes right, and that server leads in the end.
	p.links = star((stale + 1) % 5)
	w, _, _ = staleWorld(t, p, true)
	w.runUntil(int64(w.options.Simulated) + 60*second)
	if v := w.check.Violation(); v != nil || !w.over || w.counts.Constrained != 0 || w.leader != (stale+1)%5 {
		t.Errorf("around server %d (server %d led): %v", (stale+1)%5+1, leader+1, v)
	}
}

func TestEndingsAreToldAndCounted(t *testing.T) {
	for kind, want := range map[endingKind]string{
		everythingHeals: "everything heals", coreRemains: "a core of servers", someLinksRemain: "for ever only these links", oneStaysGray: "everything has healed, but server",
	} {
		var story strings.Builder
		w := newQuietWorld(quietPlan(5, kind))
		w.story = &story
		w.runUntil(60 * second)
		c := &w.counts
		got := [...]int{1 - c.Cores - c.SomeLinks - c.Grays, c.Cores, c.SomeLinks, c.Grays}[kind]
		if v := w.check.Violation(); v != nil || !w.over || got != 1 || !strings.Contains(story.String(), want) {
			t.Errorf("ending %d: %v, counted %d times, over %v; does the story say %q?", kind, v, got, w.over, want)
		}
	}
}

// TestFrozenServersStayAsTheyAre looks at the rest of cores: nobody relieves them.
func TestFrozenServersStayAsTheyAre(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(40) {
		w := newPlannedWorld(Options{Simulated: 2 * time.Second}, dice{source: choice.FromSeed(seed)}, quietPlan(5, coreRemains))
		w.begin()
		w.runUntil(60 * second)
		if v := w.check.Violation(); v != nil || !w.over {
			t.Errorf("seed %d: %v", seed, v)
		}
		for _, s := range w.servers {
			in := w.linksWhere(func(from, to int) bool { return to == s.index && w.link(from, to).cuts > 0 })
			switch what := w.end.staying; {
			case !w.end.excused[s.index]:
				continue
			case strings.Contains(what, fmt.Sprintf("server %d is down", s.id)) && s.up,
				strings.Contains(what, fmt.Sprintf("server %d is paused", s.id)) && !s.paused,
				strings.Contains(what, fmt.Sprintf("server %d cannot receive", s.id)) && len(in) != 4,
				strings.Contains(what, fmt.Sprintf("server %d has a slow disk", s.id)) && s.slow != graySlow:
				t.Errorf("seed %d: %s, but %s", seed, what, w.describeServers())
			default:
				_, after, _ := strings.Cut(what, fmt.Sprintf("server %d ", s.id))
				fault, _, _ := strings.Cut(after, ",")
				seen[fault] = true
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("frozen servers had these faults: %v", seen)
	}
}

// TestTermsThatGrowAreAWedge holds the watch of terms against terms that grow.
func TestTermsThatGrowAreAWedge(t *testing.T) {
	for _, grows := range []bool{false, true} {
		w := newPlannedWorld(Options{Simulated: 20 * time.Second}, dice{source: choice.FromSeed(1)}, quietPlan(3, everythingHeals))
		w.begin()
		for at := second; at < 15*second && w.check.Violation() == nil; at += second / 4 {
			w.runUntil(at)
			if grows {
				w.wedges.highestTerm++
			}
		}
		if got := w.check.Violation() != nil && w.check.Violation().Check == "W1"; got != grows {
			t.Errorf("terms grow: %v, found %v", grows, w.check.Violation())
		}
	}
}
