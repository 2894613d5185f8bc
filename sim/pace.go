package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// In half of the worlds all servers wait equally long for their leader, as they do where an operator has said
// how long. In the others the campaign delay is each server's own, and changes all the time: by chance, so that
// no combination is left out; or by the rule that ships, which follows what the replica measures. The window in
// which votes are refused is the same everywhere, and shorter than they are.

// paceKind is what the servers' campaign delays follow.
type paceKind uint8

const (
	// paceFixed: the option.
	paceFixed paceKind = iota
	// paceDrawn: chance.
	paceDrawn
	// paceTuned: what is measured.
	paceTuned
)

// pacePlan says so.
type pacePlan struct {
	kind  paceKind
	every int64 // how long a drawn delay stays what it is
	// unlinked: servers are told when the links of one break that dies. lies is how often, per million ticks,
	// they are told so of one that does not.
	unlinked bool
	lies     int
}

// drawPace draws how long servers wait for a leader, and how often it is heard.
func (p *plan) drawPace(d dice) {
	r := &p.replica.Raft
	r.ElectionTicks = int(d.scale("plan.election", 5, 50))
	r.WindowTicks = r.ElectionTicks
	beats := d.between("plan.heartbeat", 3, 10)
	p.pace.kind = [...]paceKind{paceFixed, paceFixed, paceDrawn, paceTuned}[d.below("plan.pace", 4)]
	if p.pace.kind != paceFixed {
		r.WindowTicks = max(3, r.ElectionTicks*d.between("plan.window", 30, 100)/100)
		p.pace.every = d.scale("plan.pace.every", p.tick, int64(5*time.Second))
		p.pace.unlinked = d.either("plan.unlinked")
		p.pace.lies = rarely(d, "unlinked.lies", 200, 20_000)
	}
	r.HeartbeatTicks = max(1, r.WindowTicks/beats)
	if p.pace.kind == paceTuned {
		least := r.WindowTicks + r.HeartbeatTicks
		p.replica.Pace = replica.PaceOptions{MinTicks: least, MaxTicks: max(least, r.ElectionTicks+d.below("plan.pace.most", r.ElectionTicks))}
	}
}

// shortestDelay is the least that anybody waits for a leader, and longestDelay the most, but for what chance adds.
func (p *plan) shortestDelay() int64 { return int64(p.replica.Raft.WindowTicks) * p.tick }

func (p *plan) longestDelay() int64 {
	return int64(max(p.replica.Raft.ElectionTicks, p.replica.Pace.MaxTicks)) * p.tick
}

func (p *plan) paceText() string {
	span := fmt.Sprintf("from %v to %v", time.Duration(p.shortestDelay()), time.Duration(p.longestDelay()))
	switch p.pace.kind {
	case paceDrawn:
		return "delays by chance " + span
	case paceTuned:
		return "delays by measurement " + span
	}
	return fmt.Sprintf("election timeout %v", time.Duration(p.longestDelay()))
}

// nextTick makes the next tick of a server, with the delay that goes with it.
func (s *server) nextTick() replica.Tick {
	w := s.world
	p := &w.plan
	t := replica.Tick{Random: uint64(w.dice.below(s.labels.tick, 1<<62))}
	t.Passed, t.Elapsed = s.leapt()
	switch p.pace.kind {
	case paceDrawn:
		if w.now >= s.delayUntil { // some are below the window, which then counts
			s.delay = w.dice.between(s.labels.delay, 1, p.replica.Raft.ElectionTicks)
			s.delayUntil = w.now + w.dice.spread(s.labels.delayFor, p.pace.every)
		}
		t.Delay = s.delay
	case paceTuned:
		t.RoundTrip = uint64(2 * (p.minDelay + p.meanDelay))
	}
	if w.dice.chance(s.labels.lie, p.pace.lies) {
		s.unlinked(uint64(w.servers[w.dice.below(s.labels.lie, len(w.servers))].id))
	}
	return t
}

// unlink lets the others learn that the links with a server have broken, because it has died.
func (w *world) unlink(dead *server) {
	if !w.plan.pace.unlinked {
		return
	}
	for _, s := range w.servers {
		if s != dead && s.up {
			w.queue.add(event{at: w.now + 1 + w.dice.spread(s.labels.unlinked, w.plan.meanDelay), kind: evUnlinked, server: s.index, life: s.life,
				number: uint64(dead.id)})
		}
	}
}

func (s *server) unlinked(peer uint64) {
	s.world.counts.Unlinked++
	s.put(replica.Unlinked{Peer: raft.ServerID(peer)})
}
