package sim

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/replica"
)

// In some endings, when all servers agree and nobody asks for anything, a byte of one server's state changes, and no
// checksum shows it. The servers hash what they have, and tell each other: the one that differs must find out, end, lose
// its state, and get that of the others; and nobody else must.

// sumsPatience is how many times longer than it takes until everybody has told its sums an ending waits.
const sumsPatience = 3

// rotting is how many of a million endings have it, of those that can.
const rotting = 500_000

// canRot tells whether there is a majority to say who is right.
func (w *world) canRot() bool {
	leader := w.theLeader()
	if leader == nil || w.plan.calm || w.plan.ending != everythingHeals {
		return false
	}
	c := leader.replica.Core().Configuration().Configuration
	return len(c.OldVoters) == 0 && len(c.Voters) >= 3
}

// beginRot lets a state rot, and all servers hash what they have.
func (w *world) beginRot() {
	w.end.rotten = nil
	if !w.canRot() || !w.dice.chance("rot.happens", rotting) {
		return
	}
	voters := w.theLeader().replica.Core().Configuration().Configuration.Voters
	victim := w.servers[voters[w.dice.below("rot.victim", len(voters))]-1]
	lo, hi := kv.VersionsSpan()
	before, _, _ := victim.machine.store.HashKV(0)
	if !victim.machine.engine.Rot(lo, hi, func(keys int) int { return w.dice.below("rot.key", keys) }) {
		return
	}
	if after, _, err := victim.machine.store.HashKV(0); err == nil && after == before {
		return // what is compacted, and not removed yet, is as good as gone
	}
	w.end.rotten = victim
	w.counts.Rotten++
	w.tell(victim, "a byte of its state changes")
	for _, id := range voters {
		w.servers[id-1].scrub()
	}
}

// scrub hashes all that a server has. What is no record at all is damage that its own reading has found.
func (s *server) scrub() {
	hash, code, err := s.machine.store.HashKV(0)
	switch {
	case errors.Is(err, kv.ErrCorrupt) && s.world.end.rotten == s:
		s.loseState(err)
		return
	case err != nil || code != kv.CodeOK:
		s.world.check.Fail("K3", "store of server %d cannot be read: %v %v", s.id, code, err)
		return
	}
	s.hashed = &hash
	s.putSums()
	s.mayTurn()
}

// loseState ends a server whose state must not be used any more; it starts without one.
func (s *server) loseState(why error) {
	w := s.world
	if w.end.rotten != s {
		w.check.Fail("K4", "server %d is to give up its state, with which nothing is wrong: %v", s.id, why)
		return
	}
	w.tell(s, "gives up its state: %v", why)
	w.counts.StatesGivenUp++
	s.crash(true)
	s.machine.start()
	s.checks.Lost()
	w.end.gaveUp = true
}

// wantingRot says what is lacking until the state is that of the others again.
func (w *world) wantingRot() string {
	s := w.end.rotten
	if s == nil {
		return ""
	}
	if !w.end.gaveUp {
		return fmt.Sprintf("server %d goes on with a state that has rotted", s.id)
	}
	if !s.up {
		return fmt.Sprintf("server %d has not come back", s.id)
	}
	return w.wantingAgree()
}

// endRot compares everything.
func (w *world) endRot() {
	if w.end.rotten != nil {
		w.compareStores()
	}
	w.end.rotten, w.end.gaveUp = nil, false
}

// differs tells whether an error of a replica is that the state here differs from the others'.
func differs(err error) bool {
	var d *replica.DiffersError
	return errors.As(err, &d)
}
