package replica

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/raft"
)

// promptness is how long each peer takes, from when this leader sends it entries, to say that they are durable
// there: its disk, the way there and back, and what is lost on it. Heartbeats say nothing of disks, and do not count. Of
// each peer one append is followed at a time.
//
// The only clock is that of the ticks, and mostly no tick falls between an append and its answer. But how often one does is
// exactly how long that takes in ticks, so that the mean of many is finer than each.
type promptness struct {
	now   uint64 // nanoseconds of ticks
	peers []peerPromptness
}

type peerPromptness struct {
	id      raft.ServerID
	waiting bool       // for the answer to the append
	last    raft.Index // of its entries
	sentAt  uint64
	mean    uint64 // of late; of what was answered
	idle    bool   // nothing was since the last look
}

const (
	// promptnessShare is by what part of it a new measurement moves the mean.
	promptnessShare = 16
	// maxAppendNanoseconds is the longest that is reckoned with: who was away for an hour is not slow for days.
	maxAppendNanoseconds = 1_000_000_000
	// slowFactor is how many times longer than the fastest somebody must take, and by a tick at least, to be called
	// slower: chance shall decide nothing.
	slowFactor = 2
)

// Promptness is how long a peer of a leader takes of late to make entries durable, the way to it and back included.
type Promptness struct {
	ID    raft.ServerID
	Takes uint64 // nanoseconds
}

func (p *promptness) of(id raft.ServerID) *peerPromptness {
	for i := range p.peers {
		if p.peers[i].id == id {
			return &p.peers[i]
		}
	}
	return nil
}

// sent notes that entries up to last are on their way to a peer.
func (p *promptness) sent(to raft.ServerID, last raft.Index) {
	o := p.of(to)
	if o == nil {
		p.peers = append(p.peers, peerPromptness{id: to})
		o = &p.peers[len(p.peers)-1]
	}
	if !o.waiting {
		o.waiting, o.last, o.sentAt = true, last, p.now
	}
}

// answered notes that a peer has made everything durable up to verified.
func (p *promptness) answered(from raft.ServerID, verified raft.Index) {
	if o := p.of(from); o != nil && o.waiting && verified >= o.last {
		o.waiting, o.idle = false, false
		o.learn(min(p.now-o.sentAt, maxAppendNanoseconds))
	}
}

func (o *peerPromptness) learn(took uint64) {
	o.mean = closer(o.mean, took)
}

// closer moves a mean towards what was measured last.
func closer(mean, took uint64) uint64 {
	return mean - mean/promptnessShare + took/promptnessShare
}

// tick lets time pass. Now and then, what was measured of those who are sent nothing counts for less.
func (p *promptness) tick(r *Replica) {
	tick := r.options.TickNanoseconds
	p.now += tick
	if p.now/tick%uint64(max(r.options.Raft.ElectionTicks, 10)) != 0 {
		return
	}
	for i := range p.peers {
		o := &p.peers[i]
		if o.idle && !o.waiting {
			o.learn(0)
		}
		o.idle = true
	}
}

// takes returns how long a peer takes: what is not answered yet counts while it lasts.
func (p *promptness) takes(id raft.ServerID) uint64 {
	o := p.of(id)
	if o == nil {
		return 0
	}
	if o.waiting {
		return max(o.mean, min(p.now-o.sentAt, maxAppendNanoseconds))
	}
	return o.mean
}

// isSlower reports whether a peer takes clearly longer than that.
func (r *Replica) isSlower(id raft.ServerID, than uint64) bool {
	return r.promptness.takes(id) >= max(slowFactor*than, than+r.options.TickNanoseconds)
}

// leadershipChanged forgets what was measured in an earlier reign.
func (p *promptness) leadershipChanged() { p.peers = nil }

// status lists what is known, by ids.
func (p *promptness) status() []Promptness {
	var list []Promptness
	for i := range p.peers {
		list = append(list, Promptness{ID: p.peers[i].id, Takes: p.takes(p.peers[i].id)})
	}
	slices.SortFunc(list, func(a, b Promptness) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
