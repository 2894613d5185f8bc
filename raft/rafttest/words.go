package rafttest

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/raft"
)

// tellOutput says in words what a step has brought about.
func (c *Cluster) tellOutput(s *Server, out *raft.Output) {
	for _, event := range out.Events {
		c.Tell("%d: %s", s.ID, event)
	}
	for _, a := range out.Accepted {
		c.Tell("%d: proposal %d stands at %d in term %d", s.ID, a.ID, a.First, a.Term)
	}
	if p := &out.Persist; p.Ticket != 0 {
		c.Tell("%d: %s", s.ID, sayWrite(p, s.hard))
	}
	for i := range out.Send {
		e := &out.Send[i]
		after := ""
		if e.After > s.durable {
			after = fmt.Sprintf(" (after write %d)", e.After)
		}
		c.Tell("%d -> %d: %s%s", e.From, e.To, SayMessage(e), after)
	}
	if a := out.Apply; int(a.Last) > len(s.View) {
		c.Tell("%d: applies %d to %d, which it is only about to append", s.ID, a.First, a.Last)
	} else if a.Last != 0 {
		c.Tell("%d: applies %s", s.ID, SayEntries(a.First, s.View[a.First-1:a.Last]))
	}
	for _, r := range out.Reads {
		c.Tell("%d: read %d may be served at %d", s.ID, r.ID, r.Index)
	}
	for _, r := range out.Refused {
		c.Tell("%d: refuses %d: %s", s.ID, r.ID, r.Reason)
	}
}

// sayWrite names what a write changes; before is the hard state of the write before it.
func sayWrite(p *raft.Persist, before raft.HardState) string {
	var parts []string
	if h := p.HardState; h.CurrentTerm != before.CurrentTerm || h.VotedFor != before.VotedFor {
		vote := "no vote"
		if h.VotedFor != 0 {
			vote = fmt.Sprintf("vote for %d", h.VotedFor)
		}
		parts = append(parts, fmt.Sprintf("term %d and %s", h.CurrentTerm, vote))
	}
	if p.CompactTo != 0 {
		parts = append(parts, fmt.Sprintf("the log begins after %d", p.CompactTo))
	}
	if p.Install != nil {
		parts = append(parts, fmt.Sprintf("the log begins after %d/%d", p.Install.Base.Index, p.Install.Base.Term))
	}
	if p.TruncateFrom != 0 {
		parts = append(parts, fmt.Sprintf("nothing from %d on", p.TruncateFrom))
	}
	if len(p.Entries) > 0 {
		parts = append(parts, SayEntries(p.First, p.Entries))
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing new")
	}
	return fmt.Sprintf("write %d: %s", p.Ticket, strings.Join(parts, ", "))
}

// SayEntries names entries by index, term and content: 4:x/2 is x, of term 2, at 4.
func SayEntries(first raft.Index, entries []raft.Entry) string {
	if len(entries) == 0 {
		return "nothing"
	}
	var words []string
	for i := range entries {
		words = append(words, fmt.Sprintf("%d:%s/%d", first+raft.Index(i), sayData(&entries[i]), entries[i].Term))
	}
	return strings.Join(words, " ")
}

func sayData(e *raft.Entry) string {
	switch {
	case e.Kind == raft.KindNoOp:
		return "no-op"
	case e.Kind == raft.KindConfiguration:
		return fmt.Sprintf("configuration(%s)", sayConfiguration(e.Configuration))
	case len(e.Data) == 0:
		return "-"
	}
	return string(e.Data)
}

// sayConfiguration names who votes, and what the members' addresses are: C_old > C_new while it is joint.
func sayConfiguration(c *raft.Configuration) string {
	say := func(ids []raft.ServerID) string { return strings.Trim(fmt.Sprint(ids), "[]") }
	words := say(c.Voters)
	if c.Joint() {
		words = say(c.OldVoters) + " > " + words
	}
	if len(c.Learners) > 0 {
		words += ", learning " + say(c.Learners)
	}
	if len(c.Data) > 0 {
		words += ", " + string(c.Data)
	}
	return words
}

// SayMessage says what is in a message, with the entries that it carries. A request that has not left
// yet names them only by their indexes.
func SayMessage(e *raft.Envelope) string {
	content := e.Message.String()
	if m, is := e.Message.(*raft.AppendEntries); is && len(m.Entries) > 0 {
		content = m.StringOf(SayEntries(m.PrevLogIndex+1, m.Entries))
	}
	return fmt.Sprintf("[term %d] %s", e.Term, content)
}
