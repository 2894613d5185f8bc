package replica

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
)

// slowDisk is what a server does about its own disk. Writes that wait for it hold up a leader's clients, and leave
// each new entry to a majority of the others; but heartbeats need no disk, so that nobody would ever miss that leader.
// So it hands over, once a write has been under way for as long as it would itself wait for a leader: silent for so long,
// it would be missed. A write that is never done ends the process: what waits for it waits for nothing.
//
// A disk that is only slower than the others' costs much as well: only so many writes are under way at a time, so that a
// leader proposes at the pace of its own disk. For that it hands over too, if it has been so for a while.
type slowDisk struct {
	now int // ticks that were taken in: time that this server has not slept through
	// writes are under way, in the order of their tickets. What a peer sends is bounded by its window, and what a leader
	// proposes by Options.MaxWritesInFlight.
	writes     []writeUnderWay
	handedOver Slow // how often, and for how long the write had lasted
	// mean is how long writes take of late, as promptness has it of peers. slower is for how many ticks in a row that has been
	// clearly longer than it takes others, the way to them included.
	mean   uint64
	idle   bool // nothing was written since the last look
	slower int
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
	Lasted uint64 // nanoseconds, of the write under way; or, if Slower, of those of late
	// Slower: no write is slow by itself, but all take clearly longer than elsewhere.
	Slower bool
}

func (e HandsOver) String() string {
	if e.Slower {
		return fmt.Sprintf("the disk is slower than those of others: a write takes %d ms, so leadership is handed over to %x", e.Lasted/1e6, e.To)
	}
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
func (d *slowDisk) persisted(r *Replica, ticket raft.Ticket) {
	if len(d.writes) > 0 && d.writes[0].ticket <= ticket {
		d.mean, d.idle = closer(d.mean, min(d.lasted(r), maxAppendNanoseconds)), false
	}
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
	if d.now%max(r.options.Raft.ElectionTicks, 10) == 0 {
		if d.idle && len(d.writes) == 0 {
			d.mean = closer(d.mean, 0)
		}
		d.idle = true
	}
	switch {
	case !r.leads():
		d.slower = 0
	case d.isSlow(r):
		d.handOver(r, HandsOver{Lasted: d.lasted(r)}, r.isWell)
	case r.isPreferred(r.options.Member.ID) || !d.othersCanLead(r, d.isFaster(r)): // what the operator prefers comes first
		d.slower = 0
	default:
		if d.slower++; d.slower >= r.options.PreferTicks && r.membership.isSettled(r) {
			d.handOver(r, HandsOver{Lasted: d.mean, Slower: true}, d.isFaster(r))
		}
	}
}

// isFaster says of which peers it is certain that a write takes clearly less time there: the way to them and back is
// counted as well.
func (d *slowDisk) isFaster(r *Replica) func(*raft.PeerStatus) bool {
	return func(p *raft.PeerStatus) bool {
		takes := r.promptness.takes(p.ID)
		return r.isWell(p) && d.mean >= max(slowFactor*takes, takes+r.options.TickNanoseconds)
	}
}

// handOver begins to hand over to one of those who may lead, if there is any use in it.
func (d *slowDisk) handOver(r *Replica, e HandsOver, may func(*raft.PeerStatus) bool) {
	if !r.handover.mayTry(r) || !d.othersCanLead(r, may) {
		return
	}
	if e.To = r.bestSuccessor(r.isVoter); e.To != 0 {
		r.handover.begin(r, e.To)
		d.handedOver.add(e.Lasted)
		d.slower = 0
		r.work.Events = append(r.work.Events, e)
	}
}

// othersCanLead reports whether those who may lead are a majority without this server: votes are written before they count.
// While too few may, a leader with a slow disk is better than none.
func (d *slowDisk) othersCanLead(r *Replica, may func(*raft.PeerStatus) bool) bool {
	peers := r.core.AppendPeers(nil)
	return r.core.Configuration().Configuration.HasQuorum(func(id raft.ServerID) bool {
		i := slices.IndexFunc(peers, func(p raft.PeerStatus) bool { return p.ID == id })
		return i >= 0 && may(&peers[i])
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
