package replica

import "github.com/quorate/quorate/raft"

// Flushed says how far the state machine's state is durable: up to there the log is not needed in order to start again.
// Keep and Compel say what else it is kept for: both are indexes that some number of bytes of the log's end are behind.
type Flushed struct {
	Index raft.Index
	// Keep: entries after it are kept for those who lag a little.
	Keep raft.Index
	// Compel: entries up to it go whoever lacks them; so nobody who is away makes the log grow without bound.
	Compel raft.Index
}

func (Flushed) isInput() {}

// livePeerTicks is for how long after its last answer a peer counts as alive: the log is kept for it.
const livePeerTicks = 1000

// flushed compacts the log: it drops what the state has, but for what is kept for others. The leader knows how far
// they are. A follower does not; should it lead one day, whoever needs more than it has kept gets a state.
func (r *Replica) flushed(in *Flushed) {
	to := r.serving.holds(in.Keep)
	for _, p := range r.core.AppendPeers(nil) {
		if !p.Stranded && p.SilentTicks < livePeerTicks {
			to = min(to, p.MatchIndex)
		}
	}
	to = min(max(to, in.Compel), in.Index)
	if to > r.core.Base().Index {
		r.batch = append(r.batch, raft.Compact{Index: to})
	}
}
