package replica

import (
	"fmt"

	"github.com/quorate/quorate/raft"
)

// slowDisk is what a server does about its own disk. Writes that wait for it hold up a leader's clients, and leave
// each new entry to a majority of the others; but heartbeats need no disk, so that nobody would ever miss that leader.
// So it hands over, once a write has been under way for as long as it would itself wait for a leader: silent for so long,
// it would be missed. A write that is never done ends the process: what waits for it waits for nothing.
type slowDisk struct {
	now int // ticks that were taken in: time that this server has not slept through
	// writes are under way, in the order of their tickets. What a peer sends is bounded by its window, and what a leader
	// proposes by Options.MaxWritesInFlight.
	writes     []writeUnderWay
	handedOver Slow // how often, and for how long the write had lasted
}

type writeUnderWay struct {
	ticket raft.Ticket
	since  int // ticks
}

// slowDiskPatience is how many times longer than otherwise a server waits for a leader while its disk is slow: twice, for
// timeouts are drawn from one to two delays, so that anybody who is well comes first. If nobody is, it still stands.
const slowDiskPatience = 2

// HandsOver tells that this leader's disk is slow, and another takes over.
type HandsOver struct {
	To     raft.ServerID
	Lasted uint64 // nanoseconds
}

func (e HandsOver) String() string {
	return fmt.Sprintf("the disk is slow: a write has been under way for %d ms, so leadership is handed over to %x", e.Lasted/1e6, e.To)
}

// StuckError says that a write to the log is not done after so long that it will never be.
type StuckError struct{ Lasted uint64 } // nanoseconds

func (e *StuckError) Error() string {
	return fmt.Sprintf("the disk hangs: a write to the log has been under way for %.1f s", float64(e.Lasted)/1e9)
}

// wrote notes that a write was handed out.
func (d *slowDisk) wrote(ticket raft.Ticket) {
	d.writes = append(d.writes, writeUnderWay{ticket, d.now})
}

// persisted notes that everything up to a ticket is durable.
func (d *slowDisk) persisted(ticket raft.Ticket) {
	done := 0
	for done < len(d.writes) && d.writes[done].ticket <= ticket {
		done++
	}
	d.writes = append(d.writes[:0], d.writes[done:]...)
}

// lasted returns for how long the oldest write has been under way, in nanoseconds; 0: there is none.
func (d *slowDisk) lasted(r *Replica) uint64 {
	if len(d.writes) == 0 {
		return 0
	}
	return uint64(d.now-d.writes[0].since) * r.options.TickNanoseconds
}

// isSlow reports whether a write has been under way for as long as this server would wait for a leader.
func (d *slowDisk) isSlow(r *Replica) bool { return d.lasted(r) >= r.pace.withoutDisk(&r.options) }

// tick lets time pass, and hands over if it is time.
func (d *slowDisk) tick(r *Replica) {
	d.now++
	if len(d.writes) > 0 && d.now-d.writes[0].since >= r.options.StuckTicks {
		r.work.Fatal = &StuckError{d.lasted(r)}
		return
	}
	if !r.leads() || !d.isSlow(r) || !r.handover.mayTry(r) {
		return
	}
	to := r.bestSuccessor(r.isVoter)
	if to != 0 && d.canBeElected(r) {
		r.handover.begin(r, to)
		d.handedOver.add(d.lasted(r))
		r.work.Events = append(r.work.Events, HandsOver{To: to, Lasted: d.lasted(r)})
	}
}

// canBeElected reports whether another could, without this server's disk: votes are written before they count. While too
// few are well, a leader with a slow disk is better than none.
func (d *slowDisk) canBeElected(r *Replica) bool {
	return r.core.Configuration().Configuration.HasQuorum(func(id raft.ServerID) bool {
		return id != r.options.Member.ID && r.isWellPeer(id)
	})
}

// delay returns how long this server waits for a leader: longer while its disk is slow, for it could not write its vote
// for itself, let alone lead.
func (d *slowDisk) delay(r *Replica, delay int) int {
	if r.leads() || !d.isSlow(r) {
		return delay
	}
	return slowDiskPatience * delay
}

// isWellPeer is isWell by id.
func (r *Replica) isWellPeer(id raft.ServerID) bool {
	for _, p := range r.core.AppendPeers(nil) {
		if p.ID == id {
			return r.isWell(&p)
		}
	}
	return false
}
