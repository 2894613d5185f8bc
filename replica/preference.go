package replica

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// preference brings leadership to whom the operator prefers. It is a wish, and elections know nothing of it: a
// leader who is not preferred hands over to a voter who is, once that one has been well for some time. So a wish
// costs no availability: who lags, does not answer, or is slow is not handed to, and who has not been able to keep
// leadership has to be well for longer.
type preference struct {
	now int // ticks
	// well says for how many ticks in a row those who are preferred have been well, in this reign.
	well []wellFor
	// reigns are those of other servers, as far as this server has seen.
	reigns []reigns
	leader raft.ServerID // that was known last; 0: none
	// tried is whom this server has handed over to last, until somebody leads; 0: nobody.
	tried raft.ServerID
}

type wellFor struct {
	id    raft.ServerID
	ticks int
}

// reigns are what has come of a server's leadership: those that have ended, and those that did not begin though this
// server has handed over to it.
type reigns struct {
	id      raft.ServerID
	ended   int // how many, not too long ago
	endedAt int // the last, in ticks
}

const (
	// maxDoublings is how often the time to wait is doubled at most, whatever has failed.
	maxDoublings = 6
	// forgetAfter is how many times Options.PreferTicks must lie between two reigns that end for the first to be forgotten.
	forgetAfter = 2 << maxDoublings
)

// isPreferred reports whether a member is to lead rather than others.
func (r *Replica) isPreferred(id raft.ServerID) bool {
	m := r.configuration.Member(id)
	return m != nil && m.Traits&wire.TraitPreferred != 0
}

// tick looks at those who are preferred, and hands over if it is time.
func (p *preference) tick(r *Replica) {
	p.now++
	somebody := slices.ContainsFunc(r.configuration.Members, func(m wire.Member) bool { return m.Traits&wire.TraitPreferred != 0 })
	if !somebody || !r.leads() || r.isPreferred(r.options.Member.ID) {
		p.well = nil
		return
	}
	peers := r.core.AppendPeers(nil)
	was := p.well
	p.well = nil
	for i := range peers {
		if id := peers[i].ID; r.isPreferred(id) && r.isVoter(id) && r.isWell(&peers[i]) {
			p.well = append(p.well, wellFor{id, 1 + ticksOf(was, id)})
		}
	}
	if len(p.well) > 0 && r.handover.mayTry(r) && r.membership.isSettled(r) {
		if to := r.bestSuccessor(func(id raft.ServerID) bool { return ticksOf(p.well, id) >= p.needed(r, id) }); to != 0 {
			r.handover.begin(r, to)
			p.tried = to
		}
	}
}

// ticksOf returns for how long a server has been well.
func ticksOf(list []wellFor, id raft.ServerID) int {
	if i := slices.IndexFunc(list, func(w wellFor) bool { return w.id == id }); i >= 0 {
		return list[i].ticks
	}
	return 0
}

// isWell reports whether a peer has caught up, answers, and makes entries durable so soon that nobody would miss it
// if it led: twice what it takes must fit into the shortest time that anybody waits for a leader.
func (r *Replica) isWell(p *raft.PeerStatus) bool {
	silent := max(2*r.options.Raft.HeartbeatTicks+1, r.options.shortestTicks()/2)
	return r.isClose(p) && p.SilentTicks <= silent && 2*r.promptness.takes(p.ID) <= r.options.shortestDelay()
}

// needed returns for how many ticks a server must have been well. That is never 0.
func (p *preference) needed(r *Replica, id raft.ServerID) int {
	n := 0
	if i := slices.IndexFunc(p.reigns, func(o reigns) bool { return o.id == id }); i >= 0 {
		n = p.reigns[i].ended
	}
	return r.options.PreferTicks << min(n, maxDoublings)
}

// leadershipChanged notes whose reign is over, and who was handed to in vain: it may be that others do not
// hear that one, which only an election shows.
func (p *preference) leadershipChanged(r *Replica) {
	before := p.leader
	p.well, p.leader = nil, r.leader
	if before != 0 && before != r.options.Member.ID && before != r.leader {
		p.ended(r, before)
	}
	if r.leader != 0 {
		if p.tried != 0 && p.tried != r.leader {
			p.ended(r, p.tried)
		}
		p.tried = 0
	}
}

func (p *preference) ended(r *Replica, before raft.ServerID) {
	p.reigns = slices.DeleteFunc(p.reigns, func(o reigns) bool { return p.now-o.endedAt >= forgetAfter*r.options.PreferTicks })
	i := slices.IndexFunc(p.reigns, func(o reigns) bool { return o.id == before })
	if i < 0 {
		i = len(p.reigns)
		p.reigns = append(p.reigns, reigns{id: before})
	}
	p.reigns[i].ended, p.reigns[i].endedAt = p.reigns[i].ended+1, p.now
}
