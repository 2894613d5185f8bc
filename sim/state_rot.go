package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/replica"
)

// In some endings, when all servers agree and nobody asks for anything, a bit of one server's state changes. Either a
// checksum shows it, to whoever comes upon it; or none does, and the servers hash what they have, and tell each other: the
// one that differs must find out. It must end, lose its state, and get that of the others; and nobody else must.

// sumsPatience is how many times longer than it takes until everybody has told its sums an ending waits.
const sumsPatience = 3

// scrubbing is the check that breaks if a server cannot read all of its state.
const scrubbing = "K3"

// scrubWithin is how long it takes at most until a server reads what has rotted by itself.
const scrubWithin = int64(20 * time.Millisecond)

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

// rotAgain lets a state rot as often as the plan says. Between, all serve, and agree.
func (w *world) rotAgain() {
	at := slices.Index(w.end.phases, rot)
	for range w.plan.stateRots - 1 {
		w.end.phases = slices.Insert(w.end.phases, at, rot, serve, agree)
	}
}

// silently tells whether no checksum shows a rot. Until it is found, its server answers from what it has, which is outside
// of the model: so nobody may ask. Watchers read of their own accord.
func (w *world) silently() bool {
	return w.plan.watch.clients == 0 && w.dice.chance("rot.silent", million/2)
}

// beginRot lets a state rot, and all servers read what they have.
func (w *world) beginRot() {
	w.end.rotten, w.end.found = nil, false
	if !w.canRot() || w.plan.stateRots == 0 && !w.dice.chance("rot.happens", rotting) {
		return
	}
	voters := w.theLeader().replica.Core().Configuration().Configuration.Voters
	victim := w.servers[voters[w.dice.below("rot.victim", len(voters))]-1]
	lo, hi := kv.VersionsSpan()
	pick := func(of int) int { return w.dice.below("rot.key", of) }
	silent := w.silently()
	if silent {
		before, _, _ := victim.machine.store.HashKV(0)
		if !victim.machine.engine.Rot(lo, hi, pick) {
			return
		}
		if after, _, err := victim.machine.store.HashKV(0); err == nil && after == before {
			return // what is compacted, and not removed yet, is as good as gone
		}
		w.counts.Rotten++
		w.tell(victim, "a bit of its state changes silently")
	} else {
		if !victim.machine.engine.Damage(lo, nil, pick) {
			return
		}
		w.counts.Damaged++
		w.tell(victim, "something in its state cannot be read any more")
		w.end.rotten = victim
		for range w.dice.below("rot.reads", 3) {
			w.beginReads()
		}
	}
	w.end.rotten = victim
	for _, id := range voters {
		s := w.servers[id-1]
		if silent {
			s.scrub() // before what has rotted is removed
			continue
		}
		s.after(evScrub, int64(1+w.dice.below("rot.scrub", int(scrubWithin))))
	}
}

// scrub reads and hashes all that a server has.
func (s *server) scrub() {
	hash, err := s.machine.readAll()
	if err != nil {
		s.stateFails(scrubbing, err, "its state cannot be read")
		return
	}
	s.hashed = &hash
	s.putSums()
	s.mayTurn()
}

// stateFails is what becomes of an error of a server's store. If it says that what is there is not what was written, the
// server gives it up; any other error breaks a check, and so does this one if nothing has rotted.
func (s *server) stateFails(check string, err error, doing string, args ...any) {
	if s.world.end.rotten == s && (errors.Is(err, kv.ErrCorrupt) || errors.Is(err, treekv.ErrDamaged)) {
		if !s.world.end.found {
			s.world.end.found = true
			if check != scrubbing {
				s.world.counts.DamageMet++
			}
			s.world.queue.add(event{at: s.world.now, kind: evStateLost, server: s.index, life: s.life, data: err})
		}
		return
	}
	s.world.check.Fail(check, "server %d: %s: %v", s.id, fmt.Sprintf(doing, args...), err)
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
	return cmp.Or(w.wantingServe(), w.wantingAgree())
}

// endRot compares everything.
func (w *world) endRot() {
	if w.end.rotten != nil {
		w.compareStores()
		w.end.rots++
	}
	w.end.rotten, w.end.gaveUp = nil, false
}

// differs tells whether an error of a replica is that the state here differs from the others'.
func differs(err error) bool {
	var d *replica.DiffersError
	return errors.As(err, &d)
}
