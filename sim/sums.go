package sim

import "github.com/quorate/quorate/replica"

// Servers tell each other what their states have become in every world: in none must anybody differ.

// sumsPlan says how often.
type sumsPlan struct {
	// every is at multiples of which index there is a sum.
	every uint64
}

func (p *plan) drawSums(d dice) {
	p.sums.every = uint64(d.scale("plan.sums.every", 1, 64))
	p.replica.SumTicks = int(d.scale("plan.sums.ticks", 5, 300))
}

// tellSums tells the replica what the state has become, if there is something new to tell.
func (s *server) tellSums() {
	at := uint64(s.lastApplied()) / s.world.plan.sums.every
	if at == s.sumsAt {
		return
	}
	s.sumsAt = at
	s.putSums()
}

func (s *server) putSums() {
	sums := s.machine.store.Sums()
	if s.hashed != nil {
		sums = append(sums, s.hashed.Sum())
	}
	s.put(replica.Sums{Sums: sums})
}

// countSums counts what a server has compared, when its life ends.
func (s *server) countSums() {
	if s.replica != nil {
		s.world.counts.SumsCompared += int(s.replica.Status().Sums.Compared)
	}
}
