package replica

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Status is a copy of what an operator wants to see.
type Status struct {
	Raft          raft.Status
	Configuration *wire.Configuration
	// PendingCommands and PendingReads count the requests of this server's clients that wait.
	PendingCommands, PendingReads int
	// Reads counts the reads that this server has confirmed as a leader, since its start.
	Reads ReadCounts
	// LogTime is the group's time, in nanoseconds.
	LogTime uint64
	// Snapshots says what came of other servers' states, and went to them.
	Snapshots SnapshotStatus
	// Sums says what came of comparing states.
	Sums SumStatus
	// Pace is the campaign delay, and what it follows.
	Pace Pace
	// SlowDisk counts how often this server has handed over because of its disk; Writing is for how long its oldest write
	// has been under way, and SlowAfter how long is too long, in nanoseconds.
	SlowDisk           Slow
	Writing, SlowAfter uint64
	// Promptness is, at the leader, how long others take to make entries durable.
	Promptness []Promptness
	// Healing is not nil while this server takes no part, because its log has holes.
	Healing *HealingStatus
}

// Status describes the replica.
func (r *Replica) Status() Status {
	return Status{
		Raft:            r.core.Status(),
		Configuration:   r.configuration,
		PendingCommands: r.commands.count,
		PendingReads:    r.reads.count(),
		Reads:           r.reads.counts,
		LogTime:         r.logTime,
		Snapshots:       r.snapshotStatus(),
		Sums:            r.sums.status(),
		Pace:            r.pace.found,
		SlowDisk:        r.slowDisk.handedOver,
		Writing:         r.slowDisk.lasted(r),
		SlowAfter:       r.pace.withoutDisk(&r.options),
		Promptness:      r.promptness.status(),
	}
}

// Reads counts the reads that this server has confirmed as a leader: the part of Status that is worth asking for
// often.
func (r *Replica) Reads() ReadCounts { return r.reads.counts }

// SnapshotStatus is what an operator wants to know of states that are sent and received.
type SnapshotStatus struct {
	// Needed: this server lacks what the log cannot give it. Missing: it has no state that may be read, either.
	Needed, Missing bool
	// Above is the index that the state needs to have, if it is needed.
	Above raft.Index
	// Source is who is asked for it.
	Source raft.ServerID
	// Installed counts those that were taken over, since the start.
	Installed int
	// ReceivedBytes and SentBytes count what was transferred, since the start.
	ReceivedBytes, SentBytes uint64
}

func (r *Replica) snapshotStatus() SnapshotStatus {
	s := &r.snapshot
	return SnapshotStatus{
		Needed: s.wanted, Missing: s.mustHave, Above: s.needed, Source: s.source,
		Installed: s.counts.installed, ReceivedBytes: s.counts.received, SentBytes: r.serving.sent,
	}
}

// Core returns the core, for looking at only: the simulator checks its invariants there.
func (r *Replica) Core() *raft.Core { return r.core }
