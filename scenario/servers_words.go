package scenario

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// sayEntry names an entry by index, content and term, as rafttest does.
func sayEntry(index raft.Index, text string, term raft.Term) string {
	return fmt.Sprintf("%d:%s/%d", index, text, term)
}

// sayCommand returns what the script calls a command. An entry without one is a no-op: no configuration is changed here.
func (c *servers) sayCommand(command *wire.Command) string {
	if id := check.IDOf(command.User); id >= 1 && id <= uint64(len(c.requests)) {
		return c.requests[id-1].text
	}
	return "no-op"
}

// sayRecords names entries by their records.
func (c *servers) sayRecords(records [][]byte) string {
	var words []string
	for _, b := range records {
		record := wire.Raw(b)
		text := "no-op"
		if record.Kind() == wire.RecordCommand {
			command, err := wire.DecodeCommand(record.Payload())
			if err != nil {
				c.check.Fail("N2", "entry %d is no command: %v", record.Index(), err)
			}
			text = c.sayCommand(&command)
		}
		words = append(words, sayEntry(record.Index(), text, record.Term()))
	}
	return strings.Join(words, " ")
}

// sayMessage says what is in a message.
func (c *servers) sayMessage(m *wire.Message) string {
	return fmt.Sprintf("[term %d] %s", m.Term, c.sayBody(m.Body))
}

func (c *servers) sayBody(body any) string {
	switch m := body.(type) {
	case *raft.AppendEntries:
		var records [][]byte
		for i := range m.Entries {
			records = append(records, m.Entries[i].Data)
		}
		if len(records) > 0 {
			return m.StringOf(c.sayRecords(records))
		}
		return m.String()
	case raft.Message:
		return fmt.Sprint(m)
	case *wire.EntryRequest:
		var words []string
		for i := range m.Wanted {
			w := &m.Wanted[i]
			words = append(words, fmt.Sprintf("%d/%d with hash %x", w.Index, w.Term, w.Hash[:4]))
		}
		return "EntryRequest: has lost " + strings.Join(words, ", ")
	case *wire.EntryReply:
		var words []string
		for i := range m.Found {
			words = append(words, c.sayFound(&m.Found[i]))
		}
		return "EntryReply: " + strings.Join(words, ", ")
	case *wire.EntryDoubts:
		return fmt.Sprintf("EntryDoubts: %d entries that may have been there", len(m.Records))
	case *wire.Forward:
		return fmt.Sprintf("Forward: %d commands for the leader", len(m.Commands))
	case *wire.ReadRequest:
		return "ReadRequest: from where on may be read?"
	case *wire.ReadReply:
		return fmt.Sprintf("ReadReply: from %d on", m.Index)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", body), "*wire.")
}

func (c *servers) sayFound(f *wire.FoundEntry) string {
	switch f.State {
	case wire.EntryThere:
		return "here is " + c.sayRecords([][]byte{f.Record})
	case wire.EntryLost:
		return fmt.Sprintf("%d/%d is lost here, too", f.Index, f.Term)
	case wire.EntryCompacted:
		return fmt.Sprintf("%d/%d is compacted here", f.Index, f.Term)
	}
	return fmt.Sprintf("%d/%d is not here", f.Index, f.Term)
}

// tellWrites tells what writes change.
func (s *server) tellWrites(writes []replica.Write) {
	for i := range writes {
		w := &writes[i]
		var parts []string
		if h := w.HardState; h != nil {
			if h.CurrentTerm != s.hard.CurrentTerm || h.VotedFor != s.hard.VotedFor {
				vote := "no vote"
				if h.VotedFor != 0 {
					vote = fmt.Sprintf("vote for %d", h.VotedFor)
				}
				parts = append(parts, fmt.Sprintf("term %d and %s", h.CurrentTerm, vote))
			}
			s.hard = *h
		}
		if w.TruncateFrom != 0 {
			parts = append(parts, fmt.Sprintf("nothing from %d on", w.TruncateFrom))
		}
		if len(w.Records) > 0 {
			parts = append(parts, s.servers.sayRecords(w.Records))
		}
		if len(parts) == 0 {
			parts = append(parts, "nothing new")
		}
		s.servers.tell("%d: write %d: %s", s.id, w.Ticket, strings.Join(parts, ", "))
	}
}

// manyApplied is how many entries are named that are applied at once; of more, the first and the last are.
const manyApplied = 12

// tellApplied tells what was applied, and what of that was refused.
func (c *servers) tellApplied(id raft.ServerID, applied, refused []string) {
	if n := len(applied); n > manyApplied {
		c.tell("%d: applies %d entries, from %s to %s", id, n, applied[0], applied[n-1])
	} else {
		c.tell("%d: applies %s", id, strings.Join(applied, " "))
	}
	c.lines = append(c.lines, refused...)
}

// answered notes and tells what a server says to its client.
func (s *server) answered(a *replica.Answer) {
	c := s.servers
	r := c.requests[a.Handle-1]
	switch {
	case a.Outcome != replica.Done:
		r.answer = a.Outcome.String()
	case r.read:
		r.answer = s.serve(r)
	case len(a.Value) == 0: // a transfer
		r.answer = "done"
	default:
		c.check.Wrote(&r.Op, a.Index, a.Value)
		r.answer = sayAnswer(a.Value)
	}
	c.tell("%d: answers %s: %s", s.id, r.text, r.answer)
}

// serve reads what a read asked for, once the store may be read.
func (s *server) serve(r *request) string {
	key := r.Request.(check.Range).Key
	a, err := s.store.Range(appendText(nil, 1, key))
	if err != nil {
		s.end(err)
		return "none"
	}
	if a.Err != kv.CodeOK {
		return a.Err.Error()
	}
	if value, found := valueIn(a.Body); found {
		return value
	}
	return "nothing"
}

// sayAnswer says what the store has answered to a command.
func sayAnswer(value []byte) string {
	a, err := kv.ParseAnswer(value)
	switch {
	case err != nil:
		return err.Error()
	case a.Err != kv.CodeOK:
		return a.Err.Error()
	}
	return fmt.Sprintf("done, at revision %d", a.Revision)
}

// logs shows what servers have: their role, how far they have committed, and what is in their logs.
func (c *servers) logs(named []*server) {
	if len(named) == 0 {
		named = c.all
	}
	for _, s := range named {
		if !s.isUp() {
			c.tell("%d: down", s.id)
			continue
		}
		found, _ := s.log.State(group)
		who := "heals"
		if s.replica != nil {
			core := s.replica.Core()
			if who = core.Role().String(); core.Role() == raft.Follower && core.Leader() != 0 {
				who += fmt.Sprintf(" of %d", core.Leader())
			}
		}
		entries := s.sayLog(found.Last)
		c.tell("%d: %s, term %d, log %s", s.id, who, found.HardState.CurrentTerm, entries)
	}
}

// sayLog names the entries of a log, as far as they can be read.
func (s *server) sayLog(last raft.Index) string {
	var words []string
	for i := raft.Index(1); i <= last; i++ {
		records, err := s.log.Read(group, i, i, 1)
		if err != nil {
			words = append(words, fmt.Sprintf("%d:lost", i))
			continue
		}
		words = append(words, s.servers.sayRecords(records))
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}
