package raft

import (
	"fmt"
	"strings"
)

// tellOutput says in words what a step has brought about.
func (c *cluster) tellOutput(s *server, out *Output) {
	for _, event := range out.Events {
		c.tell("%d: %s", s.id, event)
	}
	for _, a := range out.Accepted {
		c.tell("%d: proposal %d stands at %d in term %d", s.id, a.ID, a.First, a.Term)
	}
	if p := &out.Persist; p.Ticket != 0 {
		c.tell("%d: %s", s.id, sayWrite(p, s.hard))
	}
	for i := range out.Send {
		e := &out.Send[i]
		after := ""
		if e.After > s.durable {
			after = fmt.Sprintf(" (after write %d)", e.After)
		}
		c.tell("%d -> %d: %s%s", e.From, e.To, sayMessage(e), after)
	}
	if a := out.Apply; int(a.Last) > len(s.view) {
		c.tell("%d: applies %d to %d, which it is only about to append", s.id, a.First, a.Last)
	} else if a.Last != 0 {
		c.tell("%d: applies %s", s.id, sayEntries(a.First, s.view[a.First-1:a.Last]))
	}
	for _, r := range out.Reads {
		c.tell("%d: read %d may be served at %d", s.id, r.ID, r.Index)
	}
	for _, r := range out.Refused {
		c.tell("%d: refuses %d: %s", s.id, r.ID, r.Reason)
	}
}

// sayWrite names what a write changes; before is the hard state of the write before it.
func sayWrite(p *Persist, before HardState) string {
	var parts []string
	if h := p.HardState; h.CurrentTerm != before.CurrentTerm || h.VotedFor != before.VotedFor {
		vote := "no vote"
		if h.VotedFor != 0 {
			vote = fmt.Sprintf("vote for %d", h.VotedFor)
		}
		parts = append(parts, fmt.Sprintf("term %d and %s", h.CurrentTerm, vote))
	}
	if p.TruncateFrom != 0 {
		parts = append(parts, fmt.Sprintf("nothing from %d on", p.TruncateFrom))
	}
	if len(p.Entries) > 0 {
		parts = append(parts, sayEntries(p.First, p.Entries))
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing new")
	}
	return fmt.Sprintf("write %d: %s", p.Ticket, strings.Join(parts, ", "))
}

// sayEntries names entries by index, term and content: 4:x/2 is x, of term 2, at 4.
func sayEntries(first Index, entries []Entry) string {
	if len(entries) == 0 {
		return "nothing"
	}
	var words []string
	for i := range entries {
		words = append(words, fmt.Sprintf("%d:%s/%d", first+Index(i), sayData(&entries[i]), entries[i].Term))
	}
	return strings.Join(words, " ")
}

func sayData(e *Entry) string {
	switch {
	case e.Kind == KindNoOp:
		return "no-op"
	case e.Kind == KindConfiguration:
		return fmt.Sprintf("configuration(%s)", e.Configuration.Data)
	case len(e.Data) == 0:
		return "-"
	}
	return string(e.Data)
}

// sayMessage says what is in a message. A request that has not left yet names its entries only by
// the last.
func sayMessage(e *Envelope) string {
	return fmt.Sprintf("[term %d] ", e.Term) + sayContent(e.Message)
}

func sayContent(message Message) string {
	granted := map[bool]string{true: "granted", false: "refused"}
	switch m := message.(type) {
	case *RequestVote:
		return fmt.Sprintf("RequestVote, log ends %d/%d", m.LastLogIndex, m.LastLogTerm)
	case *RequestVoteReply:
		return "RequestVoteReply " + granted[m.Granted]
	case *RequestPreVote:
		return fmt.Sprintf("RequestPreVote, log ends %d/%d", m.LastLogIndex, m.LastLogTerm)
	case *RequestPreVoteReply:
		return "RequestPreVoteReply " + granted[m.Granted]
	case *AppendEntries:
		what := "heartbeat"
		switch {
		case len(m.Entries) > 0:
			what = sayEntries(m.PrevLogIndex+1, m.Entries)
		case m.Last > m.PrevLogIndex+1:
			what = fmt.Sprintf("entries %d to %d", m.PrevLogIndex+1, m.Last)
		case m.Last == m.PrevLogIndex+1:
			what = fmt.Sprintf("entry %d", m.Last)
		}
		return fmt.Sprintf("AppendEntries #%d after %d/%d: %s; commit %d", m.Round, m.PrevLogIndex, m.PrevLogTerm, what, m.LeaderCommit)
	case *AppendEntriesReply:
		return fmt.Sprintf("AppendEntriesReply #%d: verified up to %d", m.Round, m.Verified)
	case *AppendEntriesRefusal:
		if m.Round == 0 {
			return "AppendEntriesRefusal: your term is over"
		}
		return fmt.Sprintf("AppendEntriesRefusal #%d: log ends at %d, terms%s, commit %d", m.Round, m.LastLogIndex, sayRuns(m.Runs), m.Commit)
	}
	return fmt.Sprintf("%T", message)
}

// sayRuns names runs of terms: 3@7 is term 3 from index 7 on.
func sayRuns(runs []TermRun) string {
	if len(runs) == 0 {
		return " none"
	}
	var b strings.Builder
	for _, r := range runs {
		fmt.Fprintf(&b, " %d@%d", r.Term, r.First)
	}
	return b.String()
}
