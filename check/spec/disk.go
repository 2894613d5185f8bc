package spec

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
)

// Persistent is what Figure 2 wants on stable storage.
type Persistent struct {
	CurrentTerm raft.Term
	VotedFor    raft.ServerID
	log         []Entry
}

// has reports whether the disk has this very entry.
func (p *Persistent) has(i raft.Index, e Entry) bool {
	return i == 0 || (i <= raft.Index(len(p.log)) && p.log[i-1] == e)
}

// Disk is a server's disk: what is durable, and the writes that may be there after a crash or not. A
// write is the whole persistent state as it is with it.
type Disk struct {
	Durable Persistent
	writes  []write
}

type write struct {
	ticket  raft.Ticket
	started bool // it may be on the disk
	after   Persistent
}

// Write asks for the persistent state of a server, as it is now, to be written.
func (d *Disk) Write(ticket raft.Ticket, p Persistent) {
	d.writes = append(d.writes, write{ticket: ticket, after: p})
}

// Install asks for a log that begins after a state; term and vote stay what they are until the rest of the write.
func (d *Disk) Install(ticket raft.Ticket, log []Entry) {
	before := d.Durable
	if n := len(d.writes); n > 0 {
		before = d.writes[n-1].after
	}
	d.Write(ticket, Persistent{before.CurrentTerm, before.VotedFor, log})
}

// Start says that the writes up to a ticket are on their way.
func (d *Disk) Start(ticket raft.Ticket) {
	for i := range d.writes {
		if w := &d.writes[i]; w.ticket <= ticket {
			w.started = true
		}
	}
}

// Persist makes all writes durable that are on their way.
func (d *Disk) Persist() {
	done := 0
	for done < len(d.writes) && d.writes[done].started {
		d.Durable = d.writes[done].after
		done++
	}
	d.writes = slices.Delete(d.writes, 0, done)
}

// Found is what a server finds on its disk when it starts.
type Found struct {
	CurrentTerm raft.Term
	VotedFor    raft.ServerID
	Last        raft.Index
	End         Entry // the last entry; of an empty log it does not matter
}

// Crash leaves what is durable, and any part of the writes on their way, in their order. It needs
// that this is what was found.
func (d *Disk) Crash(found Found) (needs string) {
	before := d.Durable
	if before.leaves(&before, &found) {
		d.writes = nil
		return ""
	}
	for i := range d.writes {
		w := &d.writes[i]
		if !w.started {
			break
		}
		if log, ok := w.after.isPartly(&before, &found); ok {
			d.Durable, d.writes = Persistent{found.CurrentTerm, found.VotedFor, log}, nil
			return ""
		}
		before = w.after
	}
	return fmt.Sprintf("Crash: what is durable (term %d, vote %d, log to %d), and a part of the writes in their order",
		d.Durable.CurrentTerm, d.Durable.VotedFor, len(d.Durable.log))
}

// leaves reports whether the disk, with the hard state of another, is what was found.
func (p *Persistent) leaves(hard *Persistent, found *Found) bool {
	return found.CurrentTerm == hard.CurrentTerm && found.VotedFor == hard.VotedFor && found.Last == raft.Index(len(p.log)) &&
		(found.Last == 0 || p.log[found.Last-1] == found.End)
}

// isPartly reports whether a write that takes the disk from one state to this one may have left what
// was found, and which log that is. A write has term and vote, then drops entries, then adds entries.
func (p *Persistent) isPartly(before *Persistent, found *Found) ([]Entry, bool) {
	if before.leaves(p, found) {
		return before.log, true
	}
	common := 0
	for common < min(len(before.log), len(p.log)) && before.log[common] == p.log[common] {
		common++
	}
	if found.Last < raft.Index(common) || found.Last > raft.Index(len(p.log)) {
		return nil, false
	}
	part := Persistent{log: slices.Clip(p.log[:found.Last])}
	return part.log, part.leaves(p, found)
}

// Restart makes what a server is after a start from its disk: a follower that knows nothing but what
// was durable. The commit index is volatile in Figure 2; here a lower bound of it may come back, so the
// state before the crash has to say that it is one.
func (s *State) Restart(disk *Persistent, commit raft.Index) (needs string) {
	if commit > s.CommitIndex {
		return "Restart: a commit index that was reached before"
	}
	if commit > raft.Index(len(disk.log)) || (commit > 0 && disk.log[commit-1] != s.Log.At(commit)) {
		return "Restart: the committed entries"
	}
	log := Log{settled: slices.Clip(disk.log), kept: raft.Index(len(disk.log))}
	*s = State{group: s.group, id: s.id, CurrentTerm: disk.CurrentTerm, VotedFor: disk.VotedFor, Log: log, CommitIndex: commit}
	return ""
}
