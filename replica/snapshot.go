package replica

import (
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// SnapshotWork is one step of bringing the state machine to another server's state: exactly one of its fields is set.
// One is under way at a time; it is answered by SnapshotWorked.
type SnapshotWork struct {
	// Begin: ask the state machine what it lacks; Drop: after forgetting what is staged.
	Begin, Drop bool
	// Chunk is a piece of a state, to be staged beside the one in use.
	Chunk []byte
	// Install is where the state is that is staged completely: it is to become the state, durably, and Install is to
	// be stored with it. No Apply is under way, and none begins before this is answered.
	Install *wire.Position
}

// SnapshotWorked says what became of the SnapshotWork under way.
type SnapshotWorked struct {
	// Request is what to ask another server for next.
	Request []byte
	// Complete: what is staged is a whole state.
	Complete bool
	// Time is the log time of a state that was installed.
	Time uint64
	// Err: what was staged is of no use, begin again. With an Install this server must not go on.
	Err error
}

func (SnapshotWorked) isInput() {}

// snapshot brings this server's state machine up to date by another server's state, where the log cannot. Until that is
// installed, this server's log, its votes and its acknowledgements are what they were, and if the log catches up
// meanwhile, the better.
type snapshot struct {
	dialogue
	// wanted: a state above needed is needed. mustHave: the state machine has none that the log follows from, and
	// must not be given entries before.
	wanted, mustHave bool
	needed           raft.Index
}

// again forgets what is being fetched.
func (s *snapshot) again() { *s = snapshot{dialogue: s.anew()} }

// offered takes the leader's word that its log no longer has what this server needs.
func (s *snapshot) offered(r *Replica, from raft.ServerID, term raft.Term, m *wire.SnapshotOffer) {
	if term != r.term || from != r.leader || m.Base <= r.core.CommitIndex() {
		return
	}
	if !s.wanted {
		s.source = from
	}
	s.wanted, s.needed = true, max(s.needed, m.Base)
}

// others are the servers that may be asked: the members, as far as they are known here, and the leader, who may be none of them, for this
// server lacks what has happened since.
func (r *Replica) others() []raft.ServerID {
	var others []raft.ServerID
	if r.leader != 0 && r.leader != r.options.Member.ID && r.configuration.Member(r.leader) == nil {
		others = append(others, r.leader)
	}
	for i := range r.configuration.Members {
		if id := r.configuration.Members[i].ID; id != r.options.Member.ID {
			others = append(others, id)
		}
	}
	return others
}

func (s *snapshot) tick(r *Replica) { s.dialogue.tick(r.others) }

// advance does what can be done now.
func (s *snapshot) advance(r *Replica) {
	if s.wanted && !s.mustHave && r.core.CommitIndex() >= s.needed && !s.working {
		s.again() // the log has caught up
	}
	switch {
	case !s.wanted || s.working:
	case s.complete:
		s.install(r)
	default:
		work, ask := s.next(r.options.Boot, r.others)
		if work != nil {
			r.work.Snapshot = work
		}
		if ask != nil {
			r.send(s.source, r.core.CurrentTerm(), ask)
		}
	}
}

// answered takes the piece that was asked for.
func (s *snapshot) answered(r *Replica, from raft.ServerID, m *wire.SnapshotChunk) {
	if work := s.dialogue.answered(from, r.options.Boot, m, r.others); work != nil {
		r.work.Snapshot = work
	}
}

// install makes the staged state the state, once nothing is being applied, if it is ahead.
func (s *snapshot) install(r *Replica) {
	if len(r.apply.underWay) > 0 || r.apply.fetching {
		return
	}
	at := s.position.EntryID
	if why := s.unfit(r, at); why != "" {
		r.work.Events = append(r.work.Events, SnapshotUnfit{At: at, Why: why})
		s.reject()
		return
	}
	r.work.Snapshot = s.work(&SnapshotWork{Install: s.position})
}

// unfit says why a state is not to be installed; "" if it is.
func (s *snapshot) unfit(r *Replica, at raft.EntryID) string {
	switch term, ok := r.core.TermAt(at.Index); {
	case at.Index <= r.apply.applied:
		return "the state here is as far"
	case s.mustHave && at.Index < s.needed:
		return "the log here begins later"
	case at.Index <= r.core.CommitIndex() && ok && term != at.Term:
		return "what is committed here is another entry"
	case at.Term > r.core.CurrentTerm()+maxTermAhead:
		return "its term cannot be"
	}
	return ""
}

// maxTermAhead bounds how far a term may be ahead that comes with a state, and not by way of the algorithm.
const maxTermAhead = 1 << 32

// worked takes the state machine's word.
func (s *snapshot) worked(r *Replica, in *SnapshotWorked) {
	s.working = false
	switch {
	case in.Err != nil && s.complete:
		r.work.Fatal = fmt.Errorf("install the state at entry %d: %w", s.position.Index, in.Err)
	case s.complete:
		s.installed(r, in)
	default:
		if in.Err != nil {
			r.work.Events = append(r.work.Events, SnapshotUnfit{Why: in.Err.Error()})
		}
		s.dialogue.worked(in, r.others)
	}
}

// installed lets log and applying go on after the state. What comes into the core before this is stepped first: a
// state is installed between two writes.
func (s *snapshot) installed(r *Replica, in *SnapshotWorked) {
	r.stepCore()
	position := s.position
	s.again()
	s.counts.installed++
	configuration, err := wire.DecodeConfiguration(position.Configuration)
	if err != nil {
		r.work.Fatal = err // it was decoded before
		return
	}
	r.apply.installed(position.EntryID)
	if position.Index > r.core.Base().Index {
		r.installing = position
		r.batch = append(r.batch, raft.Install{Base: position.EntryID, Configuration: configuration.Raft()})
		r.stepCore()
		r.installing = nil
	}
	if r.core.LastIndex() == position.Index {
		r.logTime = in.Time // as if its last entry had come: see noteTime
	}
	r.commands.skipped(r)
	r.reads.applied(r)
}

// blocks reports whether no entries may be given to the state machine now.
func (s *snapshot) blocks() bool {
	return s.mustHave || s.complete && s.working
}

// installed lets applying go on after the state that was installed. The entries up to there are in it.
func (a *applying) installed(at raft.EntryID) {
	a.applied, a.next, a.end = at.Index, at.Index+1, max(a.end, at.Index)
	a.fetchedRecords = nil
	a.term = max(a.term, at.Term)
}

// SnapshotUnfit: a state that another server sent is not used, or its pieces do not fit together. It is asked for again.
type SnapshotUnfit struct {
	At  raft.EntryID
	Why string
}

func (e SnapshotUnfit) String() string {
	if e.At.Index == 0 {
		return "a piece of another server's state is not used: " + e.Why
	}
	return fmt.Sprintf("another server's state at %d/%d is not used: %s", e.At.Index, e.At.Term, e.Why)
}
