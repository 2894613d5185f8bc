package sim

import "github.com/quorate/quorate/check"

// In some endings clients read without a pause until all servers agree. Whatever a leader does now and then
// must be done though there is always something else to do: a round of reads is a heartbeat, too, and may
// hide that one is due. And the last writes are lost on their way to one server, so that there is something
// to be done.

// stormBound is how many reads of a storm wait at most. Further ones are left out.
const stormBound = 8

// stormEvery is how far apart the reads of a storm are: five for each heartbeat.
func (p *plan) stormEvery() int64 {
	return max(1, int64(p.replica.Raft.HeartbeatTicks)*p.tick/5)
}

func (w *world) beginStorm() {
	if w.plan.storm {
		w.end.storm.blows = true
		w.counts.Storms++
		w.stormLater()
	}
}

// storm counts the reads that wait.
type storm struct {
	blows   bool
	waiting int
}

func (w *world) stormLater() {
	w.queue.add(event{at: w.now + w.plan.stormEvery(), kind: evStorm, server: none, life: anyLife})
}

// stormNext asks one server for a read, the leader mostly.
func (w *world) stormNext() {
	if !w.end.storm.blows {
		return
	}
	w.stormLater()
	s := w.theLeader()
	if s == nil || w.dice.below("end.storm.elsewhere", 10) == 0 {
		s = w.servers[w.dice.below("end.storm.server", len(w.servers))]
	}
	if !s.up || s.paused || w.end.storm.waiting >= stormBound {
		return
	}
	w.end.storm.waiting++
	w.freshAt(s, &request{storm: true, read: true, Op: check.Op{Request: check.Range{Key: "k"}}})
}

// loseLastWrites lets nothing through from the leader to another server for one heartbeat.
func (w *world) loseLastWrites() {
	leader := w.theLeader()
	if !w.end.storm.blows || leader == nil || len(w.servers) == 1 {
		return
	}
	to := w.servers[w.dice.below("end.storm.loses", len(w.servers))]
	if to == leader || !w.mustComeRight(to) || !w.linked(leader, to) {
		return
	}
	l := w.link(leader.index, to.index)
	l.loss = million
	w.tell(to, "loses what the leader sends, for a moment")
	w.queue.add(event{at: w.now + int64(w.plan.replica.Raft.HeartbeatTicks)*w.plan.tick, kind: evLossEnds, server: none, life: anyLife, number: uint64(leader.index*len(w.servers) + to.index)})
}

// stormEnded counts a read that waits no more.
func (w *world) stormEnded(r *request) {
	if r.storm {
		w.end.storm.waiting--
	}
}
