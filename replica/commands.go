package replica

import (
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// commands are those that this server's own clients brought and that are not answered yet.
type commands struct {
	// list holds them by sequence number, the first being that of number first; nil where answered.
	list  []*command
	first uint64
	count int
	// byHandle finds those that still have a caller.
	byHandle map[uint64]*command
	// waiting are those to be handed to a leader, ascending.
	waiting []*command

	// offered are those in the proposal that the core is stepping now.
	offered []*command

	// What has been forwarded in forwardTerm, to its one leader. Batches are numbered on for as long as
	// the term lasts, also if that leader was out of reach for a while: it takes each number once.
	forwardTerm raft.Term
	nextBatch   uint64
	unacked     []forwardedBatch
	now         int // ticks
}

// command is one of them.
type command struct {
	handle   uint64
	sequence uint64
	bytes    []byte // encoded, its time to be set by the leader
	// sent is set while a leader may have it; in term only.
	sent      bool
	term      raft.Term
	abandoned bool // its caller is gone
}

type forwardedBatch struct {
	number uint64
	bytes  [][]byte
	at     int // when it was sent last
}

// maxForwardWindow is how many forwarded batches may be on their way. While they are, the next gathers.
const maxForwardWindow = 2

// propose takes a client's command in and gives it its number.
func (c *commands) propose(r *Replica, in *Propose) {
	if c.count >= r.options.MaxPending || len(c.list) >= 4*r.options.MaxPending {
		r.answer(Answer{Handle: in.Handle, Outcome: Busy})
		return
	}
	in.Command.Level = min(in.Command.Level, FeatureLevel)
	if c.byHandle == nil {
		c.byHandle = make(map[uint64]*command)
		c.first = 1
	}
	sequence := c.first + uint64(len(c.list))
	in.Command.Time = 0
	in.Command.Origin = wire.Origin{Server: r.options.Member.ID, Boot: r.options.Boot, Sequence: sequence}
	p := &command{handle: in.Handle, sequence: sequence, bytes: wire.AppendCommand(nil, &in.Command)}
	if len(p.bytes) > wire.MaxPayloadBytes || len(in.Command.User) > wire.MaxUserBytes {
		r.answer(Answer{Handle: in.Handle, Outcome: TooLarge}) // nobody could read the entry
		return
	}
	c.list = append(c.list, p)
	c.waiting = append(c.waiting, p)
	c.byHandle[in.Handle] = p
	c.count++
}

// take returns the waiting commands that go into one batch.
func (c *commands) take(o *Options) []*command {
	bytes, n := 0, 0
	for n < len(c.waiting) && n < o.MaxBatchCommands {
		bytes += len(c.waiting[n].bytes)
		if n > 0 && bytes > o.MaxBatchBytes {
			break
		}
		n++
	}
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return batch
}

// forward sends waiting commands to the leader.
func (c *commands) forward(r *Replica) {
	for len(c.waiting) > 0 && len(c.unacked) < maxForwardWindow {
		batch := forwardedBatch{number: c.nextBatch, at: c.now}
		for _, p := range c.take(&r.options) {
			p.sent, p.term = true, r.term
			batch.bytes = append(batch.bytes, p.bytes)
		}
		c.nextBatch++
		c.unacked = append(c.unacked, batch)
		c.sendBatch(r, &batch)
	}
}

func (c *commands) sendBatch(r *Replica, b *forwardedBatch) {
	r.send(r.leader, r.term, &wire.Forward{Boot: r.options.Boot, Batch: b.number, Commands: b.bytes})
}

// forwardTaken notes which batches the leader has taken.
func (c *commands) forwardTaken(r *Replica, from raft.ServerID, term raft.Term, m *wire.ForwardReply) {
	if from != r.leader || term != r.term || m.Boot != r.options.Boot {
		return
	}
	n := 0
	for n < len(c.unacked) && c.unacked[n].number <= m.Batch {
		n++
	}
	c.unacked = slices.Delete(c.unacked, 0, n)
}

// tick sends batches again that have not been taken for a while, to the same leader in the same term:
// it takes each number once.
func (c *commands) tick(r *Replica) {
	c.now++
	if len(c.unacked) == 0 || r.leader == 0 || c.now-c.unacked[0].at < r.options.ResendTicks {
		return
	}
	for i := range c.unacked {
		c.unacked[i].at = c.now
		c.sendBatch(r, &c.unacked[i])
	}
}

// leadershipChanged forgets what is on its way to the leader of an earlier term. Those commands may be
// in its log: they wait until an entry of a later term tells.
func (c *commands) leadershipChanged(term raft.Term) {
	if term != c.forwardTerm {
		c.forwardTerm, c.unacked, c.nextBatch = term, nil, 1
	}
}

// applied answers the command with that sequence number, if it is one of ours.
func (c *commands) applied(r *Replica, sequence uint64, index raft.Index, answer []byte) {
	p := c.find(sequence)
	if p == nil {
		return
	}
	if !p.abandoned {
		r.answer(Answer{Handle: p.handle, Outcome: Done, Value: answer, Index: index})
	}
	c.forget(p)
}

// termApplied takes back every command that was handed over in an earlier term than that of an entry
// which is now applied. The terms of a log only grow, and a leader takes a command in the term it was
// handed over in: those not applied by now never will be, and can be handed to the next leader.
func (c *commands) termApplied(term raft.Term) {
	var back []*command
	for _, p := range c.list {
		if p != nil && p.sent && p.term < term {
			p.sent = false
			if p.abandoned {
				c.forget(p)
			} else {
				back = append(back, p)
			}
		}
	}
	if len(back) > 0 {
		c.waiting = append(back, c.waiting...)
		slices.SortFunc(c.waiting, func(a, b *command) int { return int(int64(a.sequence - b.sequence)) })
	}
}

// skipped answers the commands that a leader may have when this server's state comes from another: if they are among
// the entries that are in the state, nobody here knows what became of them.
func (c *commands) skipped(r *Replica) {
	for _, p := range slices.Clone(c.list) {
		if p == nil || !p.sent {
			continue
		}
		if !p.abandoned {
			r.answer(Answer{Handle: p.handle, Outcome: Unknown})
		}
		c.forget(p)
	}
}

// cancel answers a command whose caller waits no longer; false if there is none with that handle.
func (c *commands) cancel(r *Replica, handle uint64) bool {
	p := c.byHandle[handle]
	if p == nil {
		return false
	}
	if p.sent {
		p.abandoned = true
		delete(c.byHandle, handle)
		r.answer(Answer{Handle: handle, Outcome: Unknown})
		return true
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(q *command) bool { return q == p })
	c.forget(p)
	r.answer(Answer{Handle: handle, Outcome: Canceled})
	return true
}

func (c *commands) find(sequence uint64) *command {
	if sequence < c.first || sequence-c.first >= uint64(len(c.list)) {
		return nil
	}
	return c.list[sequence-c.first]
}

// forget drops an answered command.
func (c *commands) forget(p *command) {
	delete(c.byHandle, p.handle)
	c.list[p.sequence-c.first] = nil
	c.count--
	n := 0
	for n < len(c.list) && c.list[n] == nil {
		n++
	}
	c.list, c.first = c.list[n:], c.first+uint64(n)
}

// proposeWaiting hands the leader's core a batch: its own clients' commands, then forwarded ones. Not
// while enough writes are under way; then the next batch gathers.
func (r *Replica) proposeWaiting() {
	c, in := &r.commands, &r.intake
	if r.writesInFlight >= r.options.MaxWritesInFlight || in.refused || len(c.waiting)+len(in.waiting) == 0 ||
		len(c.offered)+len(in.offered) > 0 {
		return
	}
	c.offered = c.take(&r.options)
	in.offered = in.take(&r.options)
	bytes := 0
	for _, p := range c.offered {
		bytes += wire.Size(len(p.bytes))
	}
	for _, b := range in.offered {
		bytes += wire.Size(len(b))
	}
	buffer := make([]byte, 0, bytes)
	entries := make([]raft.Entry, 0, len(c.offered)+len(in.offered))
	add := func(command []byte) {
		start := len(buffer)
		buffer = appendLaidOut(buffer, func(b []byte) []byte { return append(b, command...) })
		entries = append(entries, raft.Entry{Kind: raft.KindCommand, Data: buffer[start:len(buffer):len(buffer)]})
	}
	for _, p := range c.offered {
		add(p.bytes)
	}
	for _, b := range in.offered {
		add(b)
	}
	r.batch = append(r.batch, raft.Propose{ID: proposalOfCommands, Entries: entries})
}

// The ids of what is proposed to the core: one of each kind at a time.
const (
	proposalOfCommands      = 1
	proposalOfConfiguration = 2
	proposalOfTransfer      = 3
)

// acceptedOrRefused notes what the core did with the proposals and reads that it was offered.
func (r *Replica) acceptedOrRefused(out *raft.Output) {
	for _, a := range out.Accepted {
		if a.ID == proposalOfConfiguration {
			r.membership.appended(r, a.First)
		}
		if a.ID == proposalOfCommands {
			// Those who forwarded rely on it that their commands are taken in the term they named, or never.
			invariant.Check(len(r.intake.offered) == 0 || a.Term == r.term,
				"commands forwarded in term %d are proposed in term %d", r.term, a.Term)
			for _, p := range r.commands.offered {
				p.sent, p.term = true, a.Term
			}
			r.commands.offered, r.intake.offered = nil, nil
		}
	}
	for _, refusal := range out.Refused {
		switch refusal.ID {
		case proposalOfCommands:
			r.commands.waiting = append(r.commands.offered, r.commands.waiting...)
			r.intake.waiting = append(r.intake.offered, r.intake.waiting...)
			r.commands.offered, r.intake.offered = nil, nil
			r.intake.refused = true
		case proposalOfConfiguration:
		case proposalOfTransfer:
			r.handover.refused(r, refusal.Reason)
		default:
			r.reads.refused(refusal)
		}
	}
}
