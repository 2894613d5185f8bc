package check

import (
	"github.com/quorate/quorate/check/spec"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// shadow runs the model of package spec beside a server: it translates, and reports as M1 what the
// model does not explain. It knows nothing of the other checks, and shares no state with them.
type shadow struct {
	*spec.Shadow
	// Room for what is translated, used again and again.
	envelope spec.Envelope
	appends  spec.AppendEntries
	entries  []spec.Entry
	written  []spec.Entry
}

// shadowed makes the shadow of a server, if the options want one.
func (c *Checker) shadowed(id raft.ServerID) *shadow {
	if !c.options.Model {
		return nil
	}
	if c.group == nil {
		c.group, c.messages = spec.NewGroup(c.options.Voters), spec.NewMessages()
	}
	return &shadow{Shadow: spec.NewShadow(c.group, id, c.messages)}
}

// explained keeps it as a violation if the model does not explain something.
func (c *Checker) explained(err error) {
	if err != nil {
		c.fail("M1", "%v", err)
	}
}

// shadowRestarted hands a start to the model.
func (s *Server) shadowRestarted(found *Image, view View) {
	if s.shadow == nil {
		return
	}
	var prefix []spec.Entry
	if found.TakenUp != 0 {
		prefix = s.checker.prefix(found.TakenUp)
	}
	s.checker.explained(s.shadow.Restarted(spec.Found{
		CurrentTerm: found.HardState.CurrentTerm,
		VotedFor:    found.HardState.VotedFor,
		Last:        found.Last,
		End:         spec.Entry{Term: found.LastTerm, Hash: spec.Hash(found.LastHash)},
	}, prefix, viewOf(view)))
}

// prefix returns the committed entries up to an index, which the model takes as given: that they are, others check.
func (c *Checker) prefix(index raft.Index) []spec.Entry {
	entries := make([]spec.Entry, min(index, c.Committed()))
	for i := range entries {
		entries[i] = spec.Entry{Term: c.committed[i].term, Hash: spec.Hash(c.committed[i].hash)}
	}
	return entries
}

// shadowStepped hands a step to the model.
func (s *Server) shadowStepped(inputs []replica.Input, writes []replica.Write, view View) {
	sh := s.shadow
	if sh == nil {
		return
	}
	sh.Begin(view.Bound)
	var prefix []spec.Entry // of the state that is taken over in this step, if there is one
	for i := range writes {
		if at := writes[i].Base; at != nil {
			prefix = s.checker.prefix(at.Index)
		}
	}
	for _, input := range inputs {
		switch in := input.(type) {
		case replica.SnapshotWorked:
			if prefix != nil {
				sh.Install(prefix)
			}
		case replica.Tick:
			sh.Tick()
		case replica.Campaign:
			sh.Campaign()
		case replica.Receive:
			if e := sh.translate(in.From, s.id, &in.Message); e != nil {
				sh.Receive(e)
			}
		}
	}
	ticket := raft.Ticket(0)
	for i := range writes {
		w := &writes[i]
		ticket = w.Ticket
		sh.write(w, prefix)
	}
	s.checker.explained(sh.End(viewOf(view), ticket))
}

// shadowSent hands a message that leaves to the model.
func (s *Server) shadowSent(to raft.ServerID, m *wire.Message) {
	if s.shadow == nil {
		return
	}
	if e := s.shadow.translate(s.id, to, m); e != nil {
		s.checker.explained(s.shadow.Sent(e))
	}
}

// shadowAppended tells the model that writes went to the disk.
func (s *Server) shadowAppended(writes []replica.Write) {
	if s.shadow != nil && len(writes) > 0 {
		s.shadow.Started(writes[len(writes)-1].Ticket)
	}
}

// shadowSynced tells the model that they are durable.
func (s *Server) shadowSynced() {
	if s.shadow != nil {
		s.shadow.Synced()
	}
}

func viewOf(v View) spec.View {
	return spec.View{Role: v.Role, CurrentTerm: v.Term, CommitIndex: v.Commit}
}

func (sh *shadow) write(w *replica.Write, prefix []spec.Entry) {
	written := spec.Write{TruncateFrom: w.TruncateFrom}
	if w.Base != nil {
		written.Prefix = prefix
	}
	if h := w.HardState; h != nil {
		written.HardState, written.HardTerm, written.HardVote = true, h.CurrentTerm, h.VotedFor
	}
	sh.written = sh.written[:0]
	for _, b := range w.Records {
		sh.written = append(sh.written, entryOf(b))
	}
	written.Entries = sh.written
	sh.Write(&written)
}

func entryOf(record []byte) spec.Entry {
	r := wire.Raw(record)
	return spec.Entry{Term: r.Term(), Hash: spec.Hash(r.Hash())}
}

// translate says a message in the words of the model; nil if the model has none for it. What it
// returns is valid until the next call.
func (sh *shadow) translate(from, to raft.ServerID, m *wire.Message) *spec.Envelope {
	sh.envelope = spec.Envelope{From: from, To: to, Term: m.Term}
	switch body := m.Body.(type) {
	case *raft.RequestVote:
		sh.envelope.Body = spec.RequestVote{Last: raft.EntryID{Index: body.LastLogIndex, Term: body.LastLogTerm}, Transfer: body.Transfer}
	case *raft.TimeoutNow:
		sh.envelope.Body = spec.TimeoutNow{}
	case *raft.RequestVoteReply:
		sh.envelope.Body = spec.Vote{Granted: body.Granted}
	case *raft.RequestPreVote:
		sh.envelope.Body = spec.RequestPreVote{Last: raft.EntryID{Index: body.LastLogIndex, Term: body.LastLogTerm}}
	case *raft.RequestPreVoteReply:
		sh.envelope.Body = spec.PreVote{Granted: body.Granted}
	case *raft.AppendEntries:
		sh.entries = sh.entries[:0]
		for i := range body.Entries {
			sh.entries = append(sh.entries, entryOf(body.Entries[i].Data))
		}
		sh.appends = spec.AppendEntries{
			Prev:    raft.EntryID{Index: body.PrevLogIndex, Term: body.PrevLogTerm},
			Entries: sh.entries, LeaderCommit: body.LeaderCommit, Round: body.Round,
		}
		sh.envelope.Body = &sh.appends
	case *raft.AppendEntriesReply:
		sh.envelope.Body = spec.Match{Round: body.Round, Verified: body.Verified}
	case *raft.AppendEntriesRefusal:
		sh.envelope.Body = spec.Conflict{Round: body.Round, Commit: body.Commit}
	default:
		return nil
	}
	return &sh.envelope
}
