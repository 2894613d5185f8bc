package raft

import "testing"

// newCore returns a core by itself, whose peers the test plays. Its log has entries of these terms, all
// durable.
func newCore(t *testing.T, id ServerID, configuration *Configuration, hard HardState, terms ...Term) *Core {
	t.Helper()
	state := State{HardState: hard, Last: Index(len(terms)), Configurations: []ConfigurationAt{{0, configuration}}}
	for i, term := range terms {
		if i == 0 || terms[i-1] != term {
			state.Runs = append(state.Runs, TermRun{Term: term, First: Index(i + 1)})
		}
		state.HardState.CurrentTerm = max(state.HardState.CurrentTerm, term)
	}
	core, err := New(Options{ID: id}, state)
	if err != nil {
		t.Fatal(err)
	}
	return core
}

// from returns the receipt of a message.
func from(id ServerID, term Term, m Message) Receive {
	return Receive{Envelope{From: id, Term: term, Message: m}}
}

// step hands a core one input after the other and returns what the last one brings about.
func step(c *Core, inputs ...Input) Output {
	var out Output
	for _, input := range inputs {
		out = c.Step([]Input{input})
	}
	return out
}

// stepDurably does the same with a disk that is never late.
func stepDurably(c *Core, inputs ...Input) Output {
	var all Output
	for _, input := range inputs {
		all = c.Step([]Input{input})
		for ticket := all.Persist.Ticket; ticket != 0; {
			more := c.Step([]Input{Persisted{ticket}})
			all.Send = append(all.Send, more.Send...)
			all.Events = append(all.Events, more.Events...)
			all.Reads = append(all.Reads, more.Reads...)
			if more.Apply.Last != 0 {
				all.Apply = more.Apply
			}
			ticket = more.Persist.Ticket
		}
	}
	return all
}

// sentTo returns the messages of a step for one server.
func sentTo(out Output, id ServerID) []Message {
	var messages []Message
	for _, e := range out.Send {
		if e.To == id {
			messages = append(messages, e.Message)
		}
	}
	return messages
}

// entriesOf returns commands with these terms.
func entriesOf(terms ...Term) []Entry {
	var entries []Entry
	for _, term := range terms {
		entries = append(entries, Entry{Term: term, Kind: KindCommand})
	}
	return entries
}

// termsOf returns the terms of a core's log.
func termsOf(c *Core) []Term {
	var terms []Term
	for i := c.log.base.Index + 1; i <= c.LastIndex(); i++ {
		term, _ := c.TermAt(i)
		terms = append(terms, term)
	}
	return terms
}

// leaderOf returns a core that leads a group of n in the term after that of its log, with the no-op
// durable and all peers asked once.
func leaderOf(t *testing.T, n int, terms ...Term) *Core {
	t.Helper()
	core := newCore(t, 1, votersOf(n), HardState{}, terms...)
	step(core, Campaign{})
	for id := ServerID(2); core.Role() == PreCandidate; id++ {
		stepDurably(core, from(id, core.CurrentTerm(), &RequestPreVoteReply{Granted: true}))
	}
	for id := ServerID(2); core.Role() == Candidate; id++ {
		stepDurably(core, from(id, core.CurrentTerm(), &RequestVoteReply{Granted: true}))
	}
	if core.Role() != Leader {
		t.Fatalf("server 1 is %s, want leader", core.Role())
	}
	return core
}

// votersOf returns a configuration of voters 1 to n.
func votersOf(n int) *Configuration {
	configuration := &Configuration{}
	for id := range n {
		configuration.Voters = append(configuration.Voters, ServerID(id+1))
	}
	return configuration
}

// command returns an entry for the state machine.
func command(text string) Entry { return Entry{Kind: KindCommand, Data: []byte(text)} }
