package replica

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/raft"
)

// handover is a transfer of leadership that somebody has asked this leader for. Commands wait meanwhile, and
// are forwarded to whoever leads next.
type handover struct {
	underWay bool
	handle   uint64
	waits    bool // somebody waits for the answer
}

func (h *handover) transfer(r *Replica, in *Transfer) {
	to := in.To
	if to == 0 {
		to = r.bestSuccessor()
	}
	switch {
	case !r.leads():
		r.answer(Answer{Handle: in.Handle, Outcome: NotLeader})
	case h.underWay:
		r.answer(Answer{Handle: in.Handle, Outcome: Busy})
	case to == 0:
		r.answer(Answer{Handle: in.Handle, Outcome: NotReady})
	default:
		*h = handover{underWay: true, handle: in.Handle, waits: true}
		r.batch = append(r.batch, raft.TransferLeadership{ID: proposalOfTransfer, To: to})
	}
}

// bestSuccessor returns who can take over soonest: of the voters that answer, the one that has most of the log;
// 0 if none answers.
func (r *Replica) bestSuccessor() raft.ServerID {
	configuration := r.core.Configuration().Configuration
	peers := slices.DeleteFunc(r.core.AppendPeers(nil), func(p raft.PeerStatus) bool {
		return !slices.Contains(configuration.Voters, p.ID) || !r.answers(&p)
	})
	if len(peers) == 0 {
		return 0
	}
	return slices.MaxFunc(peers, func(a, b raft.PeerStatus) int { return cmp.Compare(a.MatchIndex, b.MatchIndex) }).ID
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
	h.end(r, outcome)
}

func (h *handover) end(r *Replica, outcome Outcome) {
	if h.waits {
		r.answer(Answer{Handle: h.handle, Outcome: outcome})
	}
	*h = handover{}
}

// leadershipChanged ends a handover: the reign in which it began is over, which is what was asked for.
func (h *handover) leadershipChanged(r *Replica) {
	if h.underWay {
		h.end(r, Done)
	}
}

// cancel lets a handover go on for which nobody waits.
func (h *handover) cancel(r *Replica, handle uint64) {
	if h.waits && h.handle == handle {
		h.waits = false
		r.answer(Answer{Handle: handle, Outcome: Unknown})
	}
}
