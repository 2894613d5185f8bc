package spec

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
)

// Shadow runs beside one real server and explains its steps. It keeps every state in which the server
// may be as far as has been seen: mostly one, but nobody sees whether a timeout made a pre-candidate
// ask again.
type Shadow struct {
	group    *Group
	id       raft.ServerID
	messages *Messages
	disk     Disk

	states []State // after the last step; all with the same log
	before []State // those before it: what it lets leave may be of then

	next, spare []State // during a step; next are those after the inputs so far
	wanted      View    // what the server has asked to be written
	log         Log     // its log by its writes
	installed   []Entry // the log as a write of this step begins with it, if that takes over a state
	bound       bool    // it may have promised to vote for nobody
	needs       string  // why there is no state left
}

// View is what is seen of a server after a step, besides its writes.
type View struct {
	Role        raft.Role
	CurrentTerm raft.Term
	VotedFor    raft.ServerID // that of the last write
	CommitIndex raft.Index
}

// Write is one write that a server asks for.
type Write struct {
	Ticket raft.Ticket
	// HardTerm and HardVote are to be written if HardState is set.
	HardState bool
	HardTerm  raft.Term
	HardVote  raft.ServerID
	// Prefix are the entries up to the state after which the log is to begin, if it is not nil. It comes first.
	Prefix []Entry
	// TruncateFrom is the first entry to drop; 0 for none. Then Entries are appended.
	TruncateFrom raft.Index
	Entries      []Entry
}

// NewShadow returns the shadow of a server with an empty disk that was not started yet.
func NewShadow(group *Group, id raft.ServerID, messages *Messages) *Shadow {
	return &Shadow{group: group, id: id, messages: messages, states: []State{{group: group, id: id}}}
}

// Restarted explains a start, from what was found on the disk. prefix are the entries up to a state that was found
// beside the log, and is taken up; nil if there is none.
func (sh *Shadow) Restarted(found Found, prefix []Entry, view View) error {
	if needs := sh.disk.Crash(found); needs != "" {
		return fmt.Errorf("server %d found term %d, vote %d and a log to %d, after no crash of the model. %s",
			sh.id, found.CurrentTerm, found.VotedFor, found.Last, needs)
	}
	view.VotedFor = found.VotedFor
	if prefix != nil {
		sh.takeUp(prefix)
		view.VotedFor = sh.disk.Durable.VotedFor
	}
	s := sh.states[0] // the commit index and the log are the same in all of them
	if needs := s.Restart(&sh.disk.Durable, view.CommitIndex); needs != "" {
		return sh.unexplained(sh.states, view, needs)
	}
	if s.Role != view.Role || s.CurrentTerm != view.CurrentTerm {
		return sh.unexplained(sh.states, view, "Restart: a follower in the term on its disk")
	}
	sh.states, sh.before = append(sh.states[:0], s), sh.before[:0]
	sh.wanted, sh.log = view, s.Log
	return nil
}

// takeUp lets the log on the disk begin after a state, as Install does.
func (sh *Shadow) takeUp(prefix []Entry) {
	d := &sh.disk.Durable
	last := prefix[len(prefix)-1]
	if !d.has(raft.Index(len(prefix)), last) {
		d.log = prefix
	}
	if last.Term > d.CurrentTerm {
		d.CurrentTerm, d.VotedFor = last.Term, 0
	}
	s := &sh.states[0]
	s.Install(prefix)
}

// Install takes over a state; Write comes with the same prefix.
func (sh *Shadow) Install(prefix []Entry) {
	kept := sh.next[:0]
	for i := range sh.next {
		s := &sh.next[i]
		if needs := s.Install(prefix); needs != "" {
			sh.needs = needs
			continue
		}
		kept = append(kept, *s)
	}
	sh.next = kept
}

// Begin begins a step. Then come the inputs in their order, the writes, and End. bound: the server may have
// promised its leader, or whoever it had before it started, that it votes for nobody; the model has no clock.
func (sh *Shadow) Begin(bound bool) {
	sh.next = append(sh.next[:0], sh.states...)
	sh.needs, sh.bound, sh.installed = "", bound, nil
}

// Tick lets time pass: anybody's patience may have ended.
func (sh *Shadow) Tick() {
	for i := range len(sh.next) {
		s := sh.next[i]
		if s.Role == raft.Leader {
			s.StepDown()
		} else {
			s.Timeout()
			s.elections(&sh.disk.Durable)
		}
		sh.next = withState(sh.next, &s)
	}
}

// Campaign is a timeout that is certain, unless the server may have promised its own vote away.
func (sh *Shadow) Campaign() {
	if sh.bound {
		defer func(unmoved []State) {
			for i := range unmoved {
				sh.next = withState(sh.next, &unmoved[i])
			}
		}(slices.Clone(sh.next))
	}
	for i := range sh.next {
		if s := &sh.next[i]; s.Role != raft.Leader {
			s.Timeout()
			s.elections(&sh.disk.Durable)
		}
	}
}

// elections lets a server become what its votes make it.
//
// Votes of a majority decide at once: Figure 2, Candidates 2.
func (s *State) elections(durable *Persistent) {
	if s.Role == raft.PreCandidate {
		s.BecomeCandidate()
	}
	if s.Role == raft.Candidate {
		s.BecomeLeader(durable)
	}
}

// withState adds a state in which the server may be, unless that is known.
func withState(states []State, s *State) []State {
	for i := range states {
		if states[i].absorbs(s) {
			return states
		}
	}
	return append(states, *s)
}

// Receive hands in a message. Its entries are borrowed.
func (sh *Shadow) Receive(e *Envelope) {
	if !sh.messages.wasSent(e) {
		sh.next, sh.needs = sh.next[:0], fmt.Sprintf("Receive: %T of term %d from %d, as it was sent", e.Body, e.Term, e.From)
		return
	}
	var unmoved []State // by a candidate, for a promise
	if sh.bound && wantsVote(e) {
		unmoved = slices.Clone(sh.next)
	}
	known := len(sh.next)
	for i := range known {
		s := &sh.next[i]
		if e.Term <= s.CurrentTerm {
			continue
		}
		if wantsVote(e) && s.IgnoreCandidate() == "" {
			if s.Role == raft.Leader {
				continue // it hears itself
			}
			ignored := *s
			sh.next = append(sh.next, ignored)
			s = &sh.next[i]
		}
		s.UpdateTerm(e.Term)
	}
	kept := sh.next[:0]
	for i := range sh.next {
		s := &sh.next[i]
		if e.Term == s.CurrentTerm {
			if needs := s.receive(e, &sh.disk.Durable); needs != "" {
				sh.needs = needs
				continue
			}
		}
		kept = append(kept, *s)
	}
	sh.next = kept
	for i := range unmoved {
		sh.next = withState(sh.next, &unmoved[i])
	}
}

// wantsVote reports whether a message asks for what a server may refuse that hears its leader. If the leader itself wants
// it, nobody may.
func wantsVote(e *Envelope) bool {
	switch m := e.Body.(type) {
	case RequestVote:
		return !m.Transfer
	case RequestPreVote:
		return true
	}
	return false
}

// receive does what a message of the current term asks for. What does not apply to a server as it is
// has no effect; what no server can get in its state needs something.
func (s *State) receive(e *Envelope, durable *Persistent) (needs string) {
	switch m := e.Body.(type) {
	case RequestVote:
		s.Vote(e.From, m.Last)
	case Vote:
		if m.Granted {
			s.TakeVote(e.From)
			s.elections(durable)
		}
	case RequestPreVote:
		s.PreVote(e.From, m.Last)
	case PreVote:
		if m.Granted {
			s.TakePreVote(e.From)
			s.elections(durable)
		}
	case TimeoutNow:
		s.TakeOver(e.From)
		s.elections(durable)
	case *AppendEntries:
		if needs := s.FollowLeader(e.From); needs != "" {
			return needs
		}
		if s.Log.has(m.Prev) {
			return s.Append(m.Prev, m.Entries, m.LeaderCommit)
		}
	case Match:
		s.TakeMatch(e.From, m.Verified)
	}
	return ""
}

// Write notes a write that the step asks for.
func (sh *Shadow) Write(w *Write) {
	if w.HardState {
		sh.wanted.CurrentTerm, sh.wanted.VotedFor = w.HardTerm, w.HardVote
	}
	if n := len(w.Prefix); n > 0 {
		if !sh.log.has(raft.EntryID{Index: raft.Index(n), Term: w.Prefix[n-1].Term}) {
			sh.log = Log{added: w.Prefix}
		}
		sh.installed = make([]Entry, sh.log.Last())
		for i := range sh.installed {
			sh.installed[i] = sh.log.At(raft.Index(i + 1))
		}
	}
	if w.TruncateFrom != 0 {
		sh.log.truncate(min(w.TruncateFrom, sh.log.Last()+1))
	}
	sh.log.append(w.Entries...)
}

// End explains the step: one of the states must be what is seen. ticket is that of the last write of
// the step; 0 if there was none.
func (sh *Shadow) End(view View, ticket raft.Ticket) error {
	seen := view
	seen.VotedFor = sh.wanted.VotedFor
	if ticket != 0 && sh.wanted.CurrentTerm != view.CurrentTerm {
		return sh.unexplained(sh.states, seen, fmt.Sprintf("Write: its term, and not %d", sh.wanted.CurrentTerm))
	}
	settled := sh.log
	settled.settle()
	nearest, needs, farthest := State{}, sh.needs, -1
	explained := sh.spare[:0]
	for i := range sh.next {
		s := &sh.next[i]
		far, why := s.become(&seen, &sh.log, &settled, &sh.disk.Durable)
		switch {
		case why == "":
			explained = withState(explained, s)
		case far > farthest:
			nearest, needs, farthest = *s, why, far
		}
	}
	if len(explained) == 0 {
		if farthest >= 0 {
			needs += "; the nearest state is " + nearest.String()
		}
		return sh.unexplained(sh.states, seen, needs)
	}
	sh.log = settled
	sh.before, sh.states, sh.spare = sh.states, explained, sh.before
	if ticket != 0 {
		if sh.installed != nil {
			sh.disk.Install(ticket, sh.installed)
		}
		sh.disk.Write(ticket, Persistent{sh.wanted.CurrentTerm, sh.wanted.VotedFor, settled.settled})
	}
	return nil
}

// become lets a state become what is seen, by the actions whose moment the server chooses: requests of
// clients, commits of the leader, and, when it learns that its own vote is on disk, the end of an election. It returns how far that went, and what the rest needs.
func (s *State) become(seen *View, log, settled *Log, durable *Persistent) (far int, needs string) {
	if s.Role == raft.Candidate && seen.Role == raft.Leader {
		s.BecomeLeader(durable)
	}
	if s.Role != seen.Role || s.CurrentTerm != seen.CurrentTerm {
		return 0, "an election or its end" // which one the view says; and this is asked too often to spell it out
	}
	if s.VotedFor != seen.VotedFor {
		return 1, fmt.Sprintf("Vote: for %d", seen.VotedFor)
	}
	for i := s.Log.Last() + 1; i <= log.Last(); i++ {
		if needs := s.ClientRequest(log.At(i)); needs != "" {
			return 2, needs
		}
	}
	if at := s.Log.differs(log); at != 0 {
		return 3, fmt.Sprintf("Append: entry %d as it is in the log, which ends at %d", at, log.Last())
	}
	s.Log = *settled
	if seen.CommitIndex > s.CommitIndex {
		if needs := s.AdvanceCommit(seen.CommitIndex, durable); needs != "" {
			return 4, needs
		}
	}
	if seen.CommitIndex != s.CommitIndex {
		return 4, "a commit index that never goes down"
	}
	return 5, ""
}

// Sent explains that a message leaves, now or by what the server was before its last step.
func (sh *Shadow) Sent(e *Envelope) error {
	needs := ""
	for _, states := range [][]State{sh.states, sh.before} {
		for i := range states {
			why := states[i].Send(e, &sh.disk.Durable, sh.messages)
			if why == "" {
				return nil
			}
			if needs == "" || e.Term == states[i].CurrentTerm {
				needs = why
			}
		}
	}
	return fmt.Errorf("server %d sends %d %T%v of term %d: no state of the model allows it. %s. It is %v",
		sh.id, e.To, e.Body, e.Body, e.Term, needs, &sh.states[0])
}

// Started says that the writes up to a ticket went to the disk; Synced, that they are durable.
func (sh *Shadow) Started(ticket raft.Ticket) { sh.disk.Start(ticket) }

// Synced makes durable what went to the disk.
func (sh *Shadow) Synced() { sh.disk.Persist() }

// unexplained says what was seen that no action explains.
func (sh *Shadow) unexplained(before []State, seen View, needs string) error {
	return fmt.Errorf("server %d: no action of the model explains this step. Before: %v. Seen: %v of term %d, vote %d, commit %d, log to %d. Nearest action, and what it lacks: %s",
		sh.id, &before[0], seen.Role, seen.CurrentTerm, seen.VotedFor, seen.CommitIndex, sh.log.Last(), needs)
}
