package replica

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// intake is what other servers have forwarded to this one while it leads, in its present term.
type intake struct {
	// waiting are commands taken and not proposed yet; bytes is their size.
	waiting [][]byte
	bytes   int
	// offered are those in the proposal that the core is stepping now.
	offered [][]byte
	// refused: the core was too busy for the last proposal; wait for the next step.
	refused bool
	// senders says how far each server's batches have been taken, in this term.
	senders []sender
}

type sender struct {
	id    raft.ServerID
	boot  uint64
	taken uint64
}

// forwarded takes a batch, if it is the next of its sender in this very term. A repeated one is
// acknowledged and not taken; one that would leave a gap comes again.
func (in *intake) forwarded(r *Replica, from raft.ServerID, term raft.Term, m *wire.Forward) {
	if !r.leads() || term != r.term {
		return
	}
	s := in.sender(from, m.Boot)
	if s.boot != m.Boot {
		return // an older life of that server
	}
	if m.Batch == s.taken+1 && in.bytes < r.options.MaxIntakeBytes {
		s.taken = m.Batch
		for _, command := range m.Commands {
			if isOf(command, from, m.Boot) {
				in.waiting = append(in.waiting, command)
				in.bytes += len(command)
			}
		}
	}
	r.send(from, r.term, &wire.ForwardReply{Boot: m.Boot, Batch: s.taken})
}

// isOf reports whether a forwarded command is its sender's own, and one that every server can apply.
// Nobody speaks for another, and nobody can put into the log what stops those who read it.
func isOf(command []byte, from raft.ServerID, boot uint64) bool {
	c, err := wire.DecodeCommand(command)
	return err == nil && c.Origin.Server == from && c.Origin.Boot == boot && c.Level <= FeatureLevel && c.Kind != 0
}

// sender returns the record of a server, reset if this is a younger life of it.
func (in *intake) sender(id raft.ServerID, boot uint64) *sender {
	for i := range in.senders {
		s := &in.senders[i]
		if s.id == id {
			if boot > s.boot {
				s.boot, s.taken = boot, 0
			}
			return s
		}
	}
	in.senders = append(in.senders, sender{id: id, boot: boot})
	return &in.senders[len(in.senders)-1]
}

// take returns the forwarded commands that go into one batch.
func (in *intake) take(o *Options) [][]byte {
	bytes, n := 0, 0
	for n < len(in.waiting) && n < o.MaxBatchCommands {
		bytes += len(in.waiting[n])
		if n > 0 && bytes > o.MaxBatchBytes {
			break
		}
		n++
	}
	batch := in.waiting[:n:n]
	in.waiting = in.waiting[n:]
	for _, command := range batch {
		in.bytes -= len(command)
	}
	return batch
}

// leadershipChanged drops what was not proposed: its senders will learn that it never will be.
func (in *intake) leadershipChanged() { *in = intake{} }
