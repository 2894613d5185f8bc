package sim

import "time"

// In some worlds clocks do not only drift: they leap ahead, as after a sleep that nobody noticed, or stand still for
// a while, though the server works. What a leap may do is bounded: whatever passes between two ticks, the group's time
// goes on by half a second at most, and who waits for a leader has waited for one tick. So a leap ends leases sooner
// by that at most, and elects nobody; and where a leader's clock stands still, so does the time of leases.

// leapPlan is how clocks leap.
type leapPlan struct {
	every int64 // 0: they do not
	still int64 // for how long they stand still
}

// leaping is how many of a million worlds have such clocks.
const leaping = 200_000

// maxElapsed is the most that a tick adds to the log time, as in the host.
const maxElapsed = int64(500 * time.Millisecond)

// drawLeaps draws how clocks leap; not where leaders may have leases, which rest on clocks that do not.
func (p *plan) drawLeaps(d dice) {
	if !p.replica.Raft.LeaseReads && d.chance("plan.has.leap", leaping) {
		p.leap.every = d.scale("plan.leapEvery", int64(200*time.Millisecond), int64(20*time.Second))
		p.leap.still = d.scale("plan.leap.still", int64(50*time.Millisecond), int64(4*time.Second))
	}
}

// leap is by how much the group's time may have got ahead, and when.
type leap struct{ at, ahead int64 }

// strikeLeap lets a clock leap ahead, by up to ten minutes, or stand still.
func (w *world) strikeLeap(s *server) {
	if !s.up || s.still {
		return
	}
	w.counts.Leaps++
	s.strikes++
	if w.dice.either("fault.leap.still") {
		w.tell(s, "its clock stands still")
		s.still = true
		w.reliefAfter(&fault{kind: leapFault, server: s}, w.plan.leap.still)
		return
	}
	s.ahead = w.dice.scale("fault.leap.by", int64(time.Second), int64(10*time.Minute))
	w.tell(s, "its clock leaps by %v", time.Duration(s.ahead))
}

// goOn lets a clock that stood still go on.
func (s *server) goOn() {
	s.still = false
	s.strikes++
	s.world.tell(s, "its clock goes on")
}

// leapt returns how much has passed, by its clock, at a server's next tick, and how much of that counts; 0: one tick.
func (s *server) leapt() (passed, elapsed uint64) {
	if s.ahead == 0 {
		return 0, 0
	}
	w := s.world
	all := w.plan.tick + s.ahead
	s.ahead = 0
	counts := min(all, maxElapsed)
	w.leaps = append(w.leaps, leap{w.now, counts - w.plan.tick})
	return uint64(all), uint64(counts)
}

// aheadSince is by how much the group's time may have got ahead of the clocks since a moment.
func (w *world) aheadSince(at int64) (ahead int64) {
	for _, l := range w.leaps {
		if l.at >= at {
			ahead += l.ahead
		}
	}
	return ahead
}
