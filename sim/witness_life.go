package sim

import (
	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
)

// witnessStart looks at a server that has started from what a crash has left. It has not run yet.
func (s *server) witnessStart(found *wal.Group, torn bool) {
	w, v := s.world, &s.witness
	if v.voteTerm > 0 && v.voteTerm == found.HardState.CurrentTerm && !v.arrived {
		w.mark(voteOutlivesCrash)
	}
	if torn && v.last > found.Last {
		v.lostTo = v.last
	}
	switch applied := s.machine.durable(); {
	case applied < found.HardState.Commit:
		w.mark(stateBehindLog)
	case applied > found.HardState.Commit:
		w.mark(stateAheadOfHint)
	}
	v.segmentAt = found.Last
}

// witnessCrash looks at a server that is about to crash: the machine, or the process only.
func (s *server) witnessCrash(processOnly bool) {
	w, v := s.world, &s.witness
	if !s.up {
		w.mark(crashInRecovery)
		return
	}
	if len(s.storage.writing) > 0 && !processOnly {
		w.mark(crashDuringSync)
	}
	if v.voteTerm > 0 && v.voteTerm == s.seen.term && !v.sent {
		w.mark(crashBeforeVoteLeaves)
	}
	if s.machine.underWay != nil {
		w.mark(crashDuringApply)
	}
	down, ahead := 1, len(w.servers) > 1
	for _, other := range w.servers {
		if other != s && !other.up {
			down++
		}
		ahead = ahead && (other == s || other.witness.last < v.last)
	}
	if ahead && s.seen.role == raft.Leader {
		w.mark(leaderCrashesWithOwnEntries)
	}
	if 2*down > len(w.servers) && len(w.servers) > 1 {
		w.mark(majorityDown)
	}
	if down == len(w.servers) {
		w.dark = w.check.Committed()
	}
}

// witnessAnswer looks at a replica's answer to a request that has waited.
func (s *server) witnessAnswer(r *request, a *replica.Answer) {
	w := s.world
	outlived := r.leaderTerm > 0 && r.leaderTerm < w.leaderTerm
	switch {
	case a.Outcome == replica.Unknown:
		w.abandoned[r.ID] = struct{}{}
	case a.Outcome == replica.Canceled && !r.read:
		w.mark(canceledBeforeItLeft)
	case a.Outcome == replica.Busy && s.seen.role == raft.Leader:
		w.mark(busyAtLeader)
	case a.Outcome != replica.Done:
	case !r.read:
		if r.handedOn {
			w.mark(handedOnAndDone)
		}
		if outlived {
			w.mark(writeOutlivesLeader)
		}
	default:
		if outlived {
			w.mark(readOutlivesLeader)
		}
		if s.lastApplied() > a.Index {
			w.mark(readOfLaterState)
		}
		if s.seen.role == raft.Leader && !s.witness.read && s.seen.term > 1 {
			s.witness.read = true
			w.mark(firstReadOfReign)
		}
	}
}

// witnessApplied looks at entries that a store has applied.
func (s *server) witnessApplied(entries []replica.Entry) {
	w := s.world
	if len(w.abandoned) == 0 {
		return
	}
	for i := range entries {
		if entries[i].Command.Kind == 0 {
			continue
		}
		id := check.IDOf(entries[i].Command.User)
		if _, ok := w.abandoned[id]; ok {
			delete(w.abandoned, id)
			w.mark(unknownAndYetApplied)
		}
	}
}
