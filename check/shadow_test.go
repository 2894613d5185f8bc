package check

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// shadowedPair is two servers with the model beside them: 1 has the pre-vote of 2, and stands in term 1.
func shadowedPair(t *testing.T) (c *Checker, one, two *Server) {
	c = New(Options{Group: benchGroup, Genesis: wire.GenesisHash(1, benchGroup), Voters: []raft.ServerID{1, 2}, Model: true})
	one, two = c.Server(1), c.Server(2)
	one.Restored(Image{}, View{}, 0)
	two.Restored(Image{}, View{}, 0)
	one.Stepped([]replica.Input{replica.Campaign{}}, nil, View{Role: raft.PreCandidate})
	ask := wire.Message{Group: benchGroup, Body: &raft.RequestPreVote{}}
	one.Sent(2, &ask)
	two.Stepped([]replica.Input{replica.Tick{}, replica.Receive{From: 1, Message: ask}}, nil, View{})
	yes := wire.Message{Group: benchGroup, Body: &raft.RequestPreVoteReply{Granted: true}}
	two.Sent(1, &yes)
	hard := []replica.Write{{Ticket: 1, HardState: &raft.HardState{CurrentTerm: 1, VotedFor: 1}}}
	one.Stepped([]replica.Input{replica.Receive{From: 2, Message: yes}}, hard, View{Role: raft.Candidate, Term: 1})
	one.Appended(hard)
	if v := c.Violation(); v != nil {
		t.Fatalf("found wrong what is right: %v", v)
	}
	return c, one, two
}

func TestModelExplainsWhatServersDo(t *testing.T) {
	for name, wrong := range map[string]struct {
		step func(one, two *Server)
		text string // of the violation; "" for none
	}{
		"a request for a vote that is durable": {func(one, _ *Server) {
			one.Synced()
			one.Sent(2, &wire.Message{Term: 1, Body: &raft.RequestVote{}})
		}, ""},
		"a question nobody asked": {func(_, two *Server) {
			m := wire.Message{Term: 1, Body: &raft.RequestVote{LastLogIndex: 1, LastLogTerm: 1}}
			two.Stepped([]replica.Input{replica.Receive{From: 1, Message: m}}, nil, View{})
		}, "Receive: spec.RequestVote of term 1 from 1"},
		"a pre-vote for nobody": {func(one, _ *Server) {
			one.Synced()
			one.Sent(2, &wire.Message{Term: 1, Body: &raft.RequestPreVoteReply{Granted: true}})
		}, "PreVote: a candidate"},
		"a refusal of nothing": {func(one, _ *Server) {
			one.Synced()
			one.Sent(2, &wire.Message{Term: 1, Body: &raft.AppendEntriesRefusal{Round: 1}})
		}, "Conflict: a message"},
		"a leader by no vote": {func(_, two *Server) {
			two.Stepped([]replica.Input{replica.Tick{}}, nil, View{Role: raft.Candidate})
		}, "no action of the model explains"},
		"a start that has forgotten": {func(one, _ *Server) {
			one.Synced()
			one.Stopped()
			one.shadowRestarted(&Image{}, View{})
		}, "no crash of the model"},
	} {
		c, one, two := shadowedPair(t)
		wrong.step(one, two)
		v := c.Violation()
		switch {
		case wrong.text == "" && v != nil:
			t.Errorf("%s: found wrong: %v", name, v)
		case wrong.text != "" && (v == nil || v.Check != "M1" || !strings.Contains(v.Text, wrong.text)):
			t.Errorf("%s: found %v, want M1: %s", name, v, wrong.text)
		}
	}
}
