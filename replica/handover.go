package replica

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// handover is a transfer of leadership: that somebody has asked this leader for, or that it does by itself, because
// it is to lose its vote or because another is preferred. Commands wait meanwhile, and are forwarded to whoever
// leads next.
type handover struct {
	underWay bool
	handle   uint64
	waits    bool // somebody waits for the answer

	// now counts ticks of this reign. failures are how many came to nothing in it, and failedAt is when the last did: for
	// a preference, it is not tried again soon.
	now, failures, failedAt int
	// leaving: it is under way because this leader is to lose its vote. stays is until when such a change is made
	// without another try, because the last has come to nothing.
	leaving bool
	stays   int
}

func (h *handover) transfer(r *Replica, in *Transfer) {
	to := in.To
	if to == 0 {
		to = r.bestSuccessor(r.isVoter)
	}
	switch {
	case !r.leads():
		r.answer(Answer{Handle: in.Handle, Outcome: NotLeader})
	case h.underWay:
		r.answer(Answer{Handle: in.Handle, Outcome: Busy})
	case to == 0:
		r.answer(Answer{Handle: in.Handle, Outcome: NotReady})
	default:
		h.begin(r, to)
		h.handle, h.waits = in.Handle, true
	}
}

// begin begins to hand over. A change that another server has asked for goes back to it first, so that it knows when it
// hears of the next leader.
func (h *handover) begin(r *Replica, to raft.ServerID) {
	r.membership.handBack(r)
	h.underWay = true
	r.batch = append(r.batch, raft.TransferLeadership{ID: proposalOfTransfer, To: to})
}

func (h *handover) tick() { h.now++ }

// mayTry reports whether the last handover that came to nothing was long enough ago for another to whom is preferred:
// the longer, the more of them there were.
func (h *handover) mayTry(r *Replica) bool {
	return !h.underWay && (h.failures == 0 || h.now-h.failedAt >= r.options.PreferTicks<<min(h.failures-1, maxDoublings))
}

// beforeLeaving begins to hand over if the target leaves this leader no vote: to one who stays, so that the group is
// never without a leader. Whoever leads next makes the change. It reports whether it has begun; if nobody can
// take over, this leader completes the change itself, and somebody is elected then.
func (h *handover) beforeLeaving(r *Replica, target *wire.Configuration) bool {
	voters := target.Raft().Voters
	if slices.Contains(voters, r.options.Member.ID) || !r.isVoter(r.options.Member.ID) || h.underWay || h.now < h.stays {
		return false
	}
	to := r.bestSuccessor(func(id raft.ServerID) bool { return r.isVoter(id) && slices.Contains(voters, id) })
	if to == 0 {
		return false
	}
	h.begin(r, to)
	h.leaving = true
	return true
}

func (r *Replica) isVoter(id raft.ServerID) bool {
	return slices.Contains(r.core.Configuration().Configuration.Voters, id)
}

// bestSuccessor returns who can take over soonest, of those who may and answer; 0 if there is none. Those to whom all that
// they lack is on its way come first; of them, those who do not take much longer than the fastest to make
// entries durable; of them, those who are preferred; and then who has most of the log.
func (r *Replica) bestSuccessor(may func(raft.ServerID) bool) raft.ServerID {
	peers := slices.DeleteFunc(r.core.AppendPeers(nil), func(p raft.PeerStatus) bool { return !may(p.ID) || !r.answers(&p) })
	peers = onlyIfAny(peers, func(p *raft.PeerStatus) bool { return r.isClose(p) })
	if len(peers) == 0 {
		return 0
	}
	fastest := r.promptness.takes(peers[0].ID)
	for i := range peers {
		fastest = min(fastest, r.promptness.takes(peers[i].ID))
	}
	peers = onlyIfAny(peers, func(p *raft.PeerStatus) bool { return !r.isSlower(p.ID, fastest) })
	peers = onlyIfAny(peers, func(p *raft.PeerStatus) bool { return r.isPreferred(p.ID) })
	return slices.MaxFunc(peers, func(a, b raft.PeerStatus) int { return cmp.Compare(a.MatchIndex, b.MatchIndex) }).ID
}

// onlyIfAny keeps those for whom a condition holds, if it holds for any.
func onlyIfAny(peers []raft.PeerStatus, holds func(*raft.PeerStatus) bool) []raft.PeerStatus {
	if !slices.ContainsFunc(peers, func(p raft.PeerStatus) bool { return holds(&p) }) {
		return peers
	}
	return slices.DeleteFunc(peers, func(p raft.PeerStatus) bool { return !holds(&p) })
}

// isClose reports whether all that a peer lacks is on its way to it, and not much.
func (r *Replica) isClose(p *raft.PeerStatus) bool {
	return !p.Probing && p.NextIndex > r.core.LastIndex() && p.InflightBytes <= r.options.MaxBatchBytes
}

// refused ends a handover that the core has refused, or given up.
func (h *handover) refused(r *Replica, why raft.Reason) {
	outcome := NotAllowed
	switch why {
	case raft.NotLeader:
		outcome = NotLeader
	case raft.Busy:
		outcome = Busy
	case raft.TransferTimedOut:
		outcome = Unknown
	}
	h.failures, h.failedAt = h.failures+1, h.now
	if h.leaving { // whoever has asked for the change asks again within that
		h.stays = h.now + 2*r.options.ResendTicks
	}
	h.end(r, outcome)
}

func (h *handover) end(r *Replica, outcome Outcome) {
	if h.waits {
		r.answer(Answer{Handle: h.handle, Outcome: outcome})
	}
	h.underWay, h.waits, h.leaving, h.handle = false, false, false, 0
}

// leadershipChanged ends a handover: the reign in which it began is over, which is what was asked for.
func (h *handover) leadershipChanged(r *Replica) {
	if h.underWay {
		h.end(r, Done)
	}
	*h = handover{}
}

// cancel lets a handover go on for which nobody waits.
func (h *handover) cancel(r *Replica, handle uint64) {
	if h.waits && h.handle == handle {
		h.waits = false
		r.answer(Answer{Handle: handle, Outcome: Unknown})
	}
}
