package scenario

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/internal/script"
	"github.com/quorate/quorate/raft"
)

// expect fails unless the servers are as a script means them to be: -update cannot make it true.
func (c *servers) expect(cmd script.Command, named []*server, words []string) {
	switch {
	case cmd.Has("leader"):
		c.expectLeader(cmd)
	case cmd.Has("committed"):
		c.expectCommitted(cmd)
	case cmd.Has("refused"):
		c.expectEffect(cmd, cmd.String("refused"), false)
	case cmd.Has("executed"):
		c.expectEffect(cmd, cmd.String("executed"), true)
	case cmd.Has("answer"):
		c.expectAnswer(cmd)
	case slices.Contains(words, "same"):
		c.expectSame(cmd, named)
	case len(named) == 0:
		cmd.Failf("no server is named")
	case cmd.Has("lost"):
		c.expectLost(cmd, named)
	case cmd.Has("last"):
		c.expectLast(cmd, named)
	case slices.Contains(words, "down"):
		for _, s := range named {
			if s.isUp() {
				cmd.Failf("server %d is up", s.id)
			}
			c.tell("%d is down", s.id)
		}
	case slices.Contains(words, "waits"):
		c.expectWaits(cmd, named)
	default:
		cmd.Failf("what is expected?")
	}
}

// expectLeader: that server leads in the latest term of all that run; 0: nobody leads.
func (c *servers) expectLeader(cmd script.Command) {
	var leader raft.ServerID
	var term raft.Term
	for _, s := range c.all {
		if s.replica == nil || s.replica.Core().CurrentTerm() < term {
			continue
		}
		core := s.replica.Core()
		if core.CurrentTerm() > term {
			leader, term = 0, core.CurrentTerm()
		}
		if core.Role() == raft.Leader {
			leader = s.id
		}
	}
	if want := raft.ServerID(cmd.Uint("leader")); leader != want {
		cmd.Failf("server %d leads in term %d, not %d", leader, term, want)
	}
	if leader == 0 {
		c.tell("nobody leads")
		return
	}
	c.tell("%d leads in term %d", leader, term)
}

// expectCommitted: these commands are committed, in order, by all that anybody who runs knows.
func (c *servers) expectCommitted(cmd script.Command) {
	var got []string
	for _, s := range c.all {
		if s.replica == nil || s.replica.Core().CommitIndex() < c.check.Committed() {
			continue
		}
		got = nil
		for word := range strings.FieldsSeq(s.sayLog(c.check.Committed())) {
			_, text, _ := strings.Cut(word, ":")
			if text = strings.TrimSuffix(text, text[max(0, strings.LastIndex(text, "/")):]); text != "no-op" {
				got = append(got, text)
			}
		}
	}
	if want := cmd.Strings("committed"); !slices.Equal(got, want) {
		cmd.Failf("committed are %q, not %q", got, want)
	}
	c.tell("committed are %s", strings.Join(got, ", "))
}

// expectSame: these servers, or all that are up, take part, have logs with the same entries, byte by byte, and have
// applied all of them.
func (c *servers) expectSame(cmd script.Command, named []*server) {
	if len(named) == 0 {
		named = slices.DeleteFunc(slices.Clone(c.all), func(s *server) bool { return !s.isUp() })
	}
	if len(named) == 0 {
		cmd.Failf("no server is up")
	}
	var first [][]byte
	for _, s := range named {
		if s.replica == nil {
			cmd.Failf("server %d takes no part", s.id)
		}
		last := s.replica.Core().LastIndex()
		records, err := s.log.Read(group, 1, last, 1<<30)
		if err != nil {
			cmd.Failf("server %d cannot read its log: %v", s.id, err)
		}
		if raft.Index(s.store.AppliedIndex()) != last || raft.Index(len(records)) != last {
			cmd.Failf("server %d has applied %d of %d entries", s.id, s.store.AppliedIndex(), last)
		}
		if first == nil {
			first = records
		}
		if !slices.EqualFunc(records, first, bytes.Equal) {
			cmd.Failf("server %d has %s, another has %s", s.id, c.sayRecords(records), c.sayRecords(first))
		}
	}
	c.tell("%d servers have the same log, byte by byte, and have applied all of it", len(named))
}

// expectEffect: all servers that run have applied a request, and have refused it the last time; or they have executed it.
func (c *servers) expectEffect(cmd script.Command, text string, executed bool) {
	n := 0
	for _, s := range c.all {
		if s.store == nil {
			continue
		}
		applied := s.store.applied
		last := len(applied) - 1
		for last >= 0 && applied[last].text != text {
			last--
		}
		if last < 0 {
			cmd.Failf("server %d has not applied %s", s.id, text)
		}
		if applied[last].refused == executed {
			cmd.Failf("server %d has %s %s", s.id, doneOrRefused(!executed), text)
		}
		n++
	}
	if n == 0 {
		cmd.Failf("no server is up")
	}
	c.tell("%d servers have %s %s", n, doneOrRefused(executed), text)
}

func doneOrRefused(executed bool) string {
	if executed {
		return "executed"
	}
	return "refused"
}

// expectAnswer: that is what the latest client was told who asked for something.
func (c *servers) expectAnswer(cmd script.Command) {
	text, want := cmd.String("to"), cmd.String("answer")
	for _, r := range slices.Backward(c.requests) {
		if r.text == text {
			if r.answer != want {
				cmd.Failf("%s was answered with %q, not %q", text, r.answer, want)
			}
			c.tell("%s was answered: %s", text, r.answer)
			return
		}
	}
	cmd.Failf("nobody has asked for %s", text)
}

// expectLost: these servers have lost exactly those entries, know which they were, and take no part.
func (c *servers) expectLost(cmd script.Command, named []*server) {
	want := cmd.Uints("lost")
	for _, s := range named {
		var got []uint64
		if s.isUp() {
			found, _ := s.log.State(group)
			for i := range found.Holes {
				if h := &found.Holes[i]; h.Known() {
					got = append(got, uint64(h.Index))
				}
			}
		}
		if s.healing == nil || !slices.Equal(got, want) {
			cmd.Failf("server %d has lost the entries %v, not %v", s.id, got, want)
		}
		c.tell("%d has lost %s, and takes no part", s.id, sayIndexes(want))
	}
}

func sayIndexes(indexes []uint64) string {
	if len(indexes) == 1 {
		return fmt.Sprintf("entry %d", indexes[0])
	}
	return fmt.Sprintf("the entries %s", strings.Trim(fmt.Sprint(indexes), "[]"))
}

// expectLast: the logs of these servers end with that entry, have lost nothing, and the servers take part.
func (c *servers) expectLast(cmd script.Command, named []*server) {
	want := raft.Index(cmd.Uint("last"))
	for _, s := range named {
		if s.replica == nil {
			cmd.Failf("server %d takes no part", s.id)
		}
		if found, _ := s.log.State(group); found.Last != want || len(found.Holes) > 0 {
			cmd.Failf("the log of server %d ends with entry %d, not %d", s.id, found.Last, want)
		}
		c.tell("%d takes part, with a log that ends with entry %d", s.id, want)
	}
}

// expectWaits: at these servers a client waits for an answer.
func (c *servers) expectWaits(cmd script.Command, named []*server) {
	for _, s := range named {
		waits := slices.ContainsFunc(c.requests, func(r *request) bool { return r.Server == s.id && r.answer == "" })
		if !waits {
			cmd.Failf("nobody waits for an answer of server %d", s.id)
		}
		c.tell("a client waits for the answer of %d", s.id)
	}
}
