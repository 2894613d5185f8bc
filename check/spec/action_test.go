package spec

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
)

// at makes the state of server 1 of three.
func at(role raft.Role, term raft.Term, terms ...raft.Term) State {
	s := State{group: NewGroup([]raft.ServerID{1, 2, 3}), id: 1, Role: role, CurrentTerm: term}
	for i, t := range terms {
		s.Log.append(Entry{Term: t, Hash: Hash{byte(i + 1), byte(t)}})
	}
	if role == raft.Leader {
		s.led, s.Leader, s.VotedFor = true, 1, 1
	}
	return s
}

// disk is what is on the disk if all of the state is.
func disk(s *State) *Persistent {
	p := &Persistent{CurrentTerm: s.CurrentTerm, VotedFor: s.VotedFor}
	for i := raft.Index(1); i <= s.Log.Last(); i++ {
		p.log = append(p.log, s.Log.At(i))
	}
	return p
}

// with changes a state.
func with(s State, change func(*State)) State {
	change(&s)
	return s
}

func id(index raft.Index, term raft.Term) raft.EntryID { return raft.EntryID{Index: index, Term: term} }

// TestActionsNeedTheirPreconditions has each action once where it may happen, and once for each of its
// preconditions where only that one does not hold.
func TestActionsNeedTheirPreconditions(t *testing.T) {
	preCandidate := with(at(raft.PreCandidate, 1, 1), func(s *State) { s.preVotes = 0b011 })
	candidate := with(at(raft.Candidate, 2, 1), func(s *State) { s.VotedFor, s.votes = 1, 0b011 })
	leader := with(at(raft.Leader, 2, 1, 2), func(s *State) { s.match[1] = 2 })
	follower := at(raft.Follower, 2, 1, 1)

	timeout := func(s *State) string { return s.Timeout() }
	stand := func(s *State) string { return s.BecomeCandidate() }
	lead := func(s *State) string { return s.BecomeLeader(&Persistent{CurrentTerm: 2, VotedFor: 1}) }
	update := func(s *State) string { return s.UpdateTerm(3) }
	stepDown := func(s *State) string { return s.StepDown() }
	ignore := func(s *State) string { return s.IgnoreCandidate() }
	vote := func(s *State) string { return s.Vote(2, id(2, 1)) }
	preVote := func(s *State) string { return s.PreVote(2, id(2, 1)) }
	takeVote := func(s *State) string { return s.TakeVote(2) }
	takePreVote := func(s *State) string { return s.TakePreVote(2) }
	request := func(s *State) string { return s.ClientRequest(Entry{Term: 2}) }
	follow := func(s *State) string { return s.FollowLeader(2) }
	appends := func(s *State) string { return s.Append(id(1, 1), []Entry{{Term: 2}}, 2) }
	match := func(s *State) string { return s.TakeMatch(2, 2) }
	commit := func(s *State) string { return s.AdvanceCommit(2, disk(s)) }

	for _, c := range []struct {
		name   string
		state  State
		action func(*State) string
		needs  string
	}{
		{"follower", follower, timeout, ""},
		{"leader", leader, timeout, "Timeout: a server that does not lead"},

		{"majority", preCandidate, stand, ""},
		{"follower", with(preCandidate, func(s *State) { s.Role = raft.Follower }), stand, "BecomeCandidate: a pre-candidate"},
		{"one of three", with(preCandidate, func(s *State) { s.preVotes = 1 }), stand, "BecomeCandidate: pre-votes of a majority"},

		{"majority", candidate, lead, ""},
		{"follower", with(candidate, func(s *State) { s.Role = raft.Follower }), lead, "BecomeLeader: a candidate"},
		{"one of three", with(candidate, func(s *State) { s.votes = 1 }), lead, "BecomeLeader: votes of a majority"},
		{"its vote not on disk", candidate, func(s *State) string { return s.BecomeLeader(&Persistent{CurrentTerm: 2}) }, "BecomeLeader: its vote for itself on disk"},
		{"half of four", with(candidate, func(s *State) { s.group = NewGroup([]raft.ServerID{1, 2, 3, 4}) }), lead, "BecomeLeader: votes of a majority"},

		{"higher", leader, update, ""},
		{"the same", with(leader, func(s *State) { s.CurrentTerm = 3 }), update, "UpdateTerm: a higher term"},

		{"leader", leader, stepDown, ""},
		{"follower", follower, stepDown, "StepDown: a leader"},

		{"hears a leader", with(follower, func(s *State) { s.Leader = 3 }), ignore, ""},
		{"hears nobody", follower, ignore, "IgnoreCandidate: a leader in its term"},

		{"first", follower, vote, ""},
		{"again", with(follower, func(s *State) { s.VotedFor = 2 }), vote, ""},
		{"second", with(follower, func(s *State) { s.VotedFor = 3 }), vote, "Vote: no vote for another"},
		{"shorter log", at(raft.Follower, 2, 1, 1, 1), vote, "Vote: a log that is as up to date"},
		{"older log", at(raft.Follower, 2, 2), vote, "Vote: a log that is as up to date"},
		{"longer log of an older term", at(raft.Follower, 2, 0, 0, 0), vote, ""},

		{"follower", follower, preVote, ""},
		{"leader", at(raft.Leader, 2, 1), preVote, "PreVote: a server that does not lead"},
		{"shorter log", at(raft.Follower, 2, 1, 1, 1), preVote, "PreVote: a log that is as up to date"},

		{"candidate", candidate, takeVote, ""},
		{"follower", follower, takeVote, "TakeVote: a candidate"},
		{"pre-candidate", preCandidate, takePreVote, ""},
		{"candidate", candidate, takePreVote, "TakePreVote: a pre-candidate"},

		{"leader", leader, request, ""},
		{"follower", follower, request, "ClientRequest: a leader"},
		{"another term", with(leader, func(s *State) { s.CurrentTerm = 3 }), request, "ClientRequest: an entry of the leader's term"},

		{"follower", follower, follow, ""},
		{"candidate", candidate, follow, ""},
		{"leader", leader, follow, "FollowLeader: one leader in a term"},
		{"who led", with(leader, func(s *State) { s.StepDown() }), follow, "FollowLeader: one leader in a term"},
		{"another", with(follower, func(s *State) { s.Leader = 3 }), follow, "FollowLeader: one leader in a term"},

		{"follower", follower, appends, ""},
		{"candidate", candidate, appends, "Append: a follower"},
		{"gap", at(raft.Follower, 2), appends, "Append: the entry before"},
		{"other entry before", at(raft.Follower, 2, 0, 1), appends, "Append: the entry before"},
		{"committed", with(follower, func(s *State) { s.CommitIndex = 2 }), appends, "Append: no entry in conflict"},

		{"leader", leader, match, ""},
		{"follower", follower, match, "TakeMatch: a leader"},

		{"majority", leader, commit, ""},
		{"follower", follower, commit, "AdvanceCommit: a leader"},
		{"committed", with(leader, func(s *State) { s.CommitIndex = 2 }), commit, "AdvanceCommit: an entry of the log"},
		{"no such entry", with(leader, func(s *State) { s.Log.truncate(2) }), commit, "AdvanceCommit: an entry of the log"},
		{"older term", with(leader, func(s *State) { s.CurrentTerm = 3 }), commit, "AdvanceCommit: an entry of the leader's own term"},
		{"nobody else", with(leader, func(s *State) { s.match[1] = 1 }), commit, "AdvanceCommit: a majority"},
		{"not on its own disk", leader, func(s *State) string { return s.AdvanceCommit(2, &Persistent{}) }, "AdvanceCommit: a majority"},
	} {
		s := c.state
		needs := c.action(&s)
		if (needs == "") != (c.needs == "") || !strings.HasPrefix(needs, c.needs) {
			t.Errorf("%s: got %q, want %q", c.name, needs, c.needs)
		}
	}
}

// TestSendingNeedsWhatItPromises is the same for messages that leave.
func TestSendingNeedsWhatItPromises(t *testing.T) {
	candidate := with(at(raft.Candidate, 2, 1), func(s *State) { s.VotedFor, s.stood = 1, id(1, 1) })
	asking := with(at(raft.PreCandidate, 2, 1), func(s *State) { s.asked = []raft.EntryID{id(1, 1)} })
	voter := with(at(raft.Follower, 2, 1), func(s *State) { s.VotedFor, s.preVoted = 2, 0b010 })
	leader := with(at(raft.Leader, 2, 1, 2), func(s *State) { s.CommitIndex = 1 })
	other := with(at(raft.Leader, 2, 1, 2), func(s *State) { s.id = 2 })
	follower := with(at(raft.Follower, 2, 1, 2), func(s *State) { s.Leader, s.CommitIndex = 2, 1 })

	forgetful := func(s *State) *Persistent { p := disk(s); p.VotedFor = 0; return p }
	behind := func(s *State) *Persistent { p := disk(s); p.CurrentTerm--; return p }
	empty := func(s *State) *Persistent { p := disk(s); p.log = nil; return p }
	appends := func(prev, commit raft.Index, entries ...Entry) Message {
		return &AppendEntries{Prev: id(prev, other.Log.At(prev).Term), Entries: entries, LeaderCommit: commit, Round: 2}
	}
	second := other.Log.At(2)

	for _, c := range []struct {
		name  string
		state State
		disk  func(*State) *Persistent
		to    raft.ServerID
		term  raft.Term
		body  Message
		needs string
	}{
		{"ask", candidate, disk, 2, 2, RequestVote{Last: id(1, 1)}, ""},
		{"ask with another log", candidate, disk, 2, 2, RequestVote{Last: id(2, 1)}, "RequestVote: the log"},
		{"ask before the own vote is durable", candidate, forgetful, 2, 2, RequestVote{Last: id(1, 1)}, "RequestVote: its vote for itself"},
		{"ask before the term is durable", candidate, behind, 2, 2, RequestVote{Last: id(1, 1)}, "Send: a term that is durable"},
		{"ask in another term", candidate, disk, 2, 1, RequestVote{Last: id(1, 1)}, "Send: a message of its current term"},

		{"ask because the leader says so", with(candidate, func(s *State) { s.takesOver = true }), disk, 2, 2, RequestVote{id(1, 1), true}, ""},
		{"ask as if the leader said so", candidate, disk, 2, 2, RequestVote{id(1, 1), true}, "RequestVote: the leader's word"},
		{"hand over", with(leader, func(s *State) { s.led, s.match[1] = true, 2 }), disk, 2, 2, TimeoutNow{}, ""},
		{"hand over to who lacks something", with(leader, func(s *State) { s.led, s.match[1] = true, 1 }), disk, 2, 2, TimeoutNow{}, "TimeoutNow: a follower"},
		{"hand over to nobody of the group", with(leader, func(s *State) { s.led = true }), disk, 9, 2, TimeoutNow{}, "TimeoutNow: the leader"},
		{"hand over without having led", follower, disk, 3, 2, TimeoutNow{}, "TimeoutNow: the leader"},

		{"ask for a pre-vote", asking, disk, 2, 2, RequestPreVote{id(1, 1)}, ""},
		{"ask for a pre-vote with another log", asking, disk, 2, 2, RequestPreVote{id(2, 1)}, "RequestPreVote: the log"},
		{"ask for a pre-vote before the term is durable", asking, behind, 2, 2, RequestPreVote{id(1, 1)}, "Send: a term that is durable"},

		{"vote", voter, disk, 2, 2, Vote{true}, ""},
		{"vote for another", voter, disk, 3, 2, Vote{true}, "Vote: the vote on disk"},
		{"vote before it is durable", voter, forgetful, 2, 2, Vote{true}, "Vote: the vote on disk"},
		{"refuse a vote", voter, forgetful, 3, 2, Vote{false}, ""},
		{"pre-vote", voter, disk, 2, 2, PreVote{true}, ""},
		{"pre-vote for nobody", voter, disk, 3, 2, PreVote{true}, "PreVote: a candidate"},
		{"refuse a pre-vote", voter, disk, 3, 2, PreVote{false}, ""},

		{"replicate", leader, disk, 2, 2, appends(1, 1, second), ""},
		{"heartbeat", leader, disk, 2, 2, appends(2, 1), ""},
		{"replicate before its own disk has it", leader, empty, 2, 2, appends(1, 1, second), ""},
		{"replicate after stepping down", with(leader, func(s *State) { s.StepDown() }), disk, 2, 2, appends(1, 1, second), ""},
		{"replicate without having led", follower, disk, 2, 2, appends(1, 1, second), "AppendEntries: the leader"},
		{"replicate another entry", leader, disk, 2, 2, appends(1, 1, Entry{2, Hash{9}}), "AppendEntries: entries of its log"},
		{"replicate more than there is", leader, disk, 2, 2, appends(2, 1, second), "AppendEntries: an entry of its log before"},
		{"replicate after another entry", leader, disk, 2, 2, &AppendEntries{Prev: id(1, 2), Round: 2}, "AppendEntries: an entry of its log before"},
		{"tell of commits too soon", leader, disk, 2, 2, appends(2, 2), "AppendEntries: no more commits"},
		{"use a round again", with(leader, func(s *State) { s.id = 2 }), disk, 1, 2, &AppendEntries{Round: 1}, "AppendEntries: a round"},
		{"use round 0", leader, disk, 2, 2, &AppendEntries{}, "AppendEntries: a round"},

		{"match", follower, disk, 2, 2, Match{1, 2}, ""},
		{"match before it is durable", follower, empty, 2, 2, Match{1, 2}, "Match: the leader's entries on disk"},
		{"match less", follower, disk, 2, 2, Match{1, 1}, "Match: what this message has shown"},
		{"match what did not come", follower, disk, 2, 2, Match{2, 2}, "Match: a message of the leader"},
		{"match what came to another", with(follower, func(s *State) { s.id = 3 }), disk, 2, 2, Match{1, 2}, "Match: a message of the leader"},
		{"match another entry", at(raft.Follower, 2, 1, 1), disk, 2, 2, Match{1, 2}, "Match: the leader's entries on disk"},

		{"refuse", follower, disk, 2, 2, Conflict{1, 1}, ""},
		{"refuse an old leader", follower, disk, 3, 2, Conflict{}, ""},
		{"refuse and call too much committed", follower, disk, 2, 2, Conflict{1, 2}, "Conflict: no more commits"},
		{"refuse what did not come", follower, disk, 2, 2, Conflict{3, 1}, "Conflict: a message of the leader"},
	} {
		m := NewMessages()
		arrived := Envelope{From: 2, To: 1, Term: 2, Body: &AppendEntries{Prev: id(1, 1), Entries: []Entry{second}, Round: 1}}
		if needs := other.Send(&arrived, disk(&other), m); needs != "" || !m.wasSent(&arrived) {
			t.Fatal(needs)
		}
		needs := c.state.Send(&Envelope{From: c.state.id, To: c.to, Term: c.term, Body: c.body}, c.disk(&c.state), m)
		if (needs == "") != (c.needs == "") || !strings.HasPrefix(needs, c.needs) {
			t.Errorf("%s: got %q, want %q", c.name, needs, c.needs)
		}
	}
}

func TestAppendKeepsWhatIsNotInConflict(t *testing.T) {
	for name, c := range map[string]struct {
		entries []Entry
		commit  raft.Index
		log     []raft.Term
		commits raft.Index
	}{
		"a late message": {[]Entry{{Term: 1}}, 1, []raft.Term{1, 1, 1}, 1},
		"a heartbeat":    {nil, 3, []raft.Term{1, 1, 1}, 1},
		"a conflict":     {[]Entry{{Term: 2}}, 3, []raft.Term{1, 2}, 2},
		"what is new":    {[]Entry{{Term: 1}, {Term: 1}, {Term: 2}}, 3, []raft.Term{1, 1, 1, 2}, 3},
	} {
		s := at(raft.Follower, 2, 1, 1, 1)
		if needs := s.Append(id(1, 1), c.entries, c.commit); needs != "" {
			t.Errorf("%s: needs %q", name, needs)
		}
		var log []raft.Term
		for i := raft.Index(1); i <= s.Log.Last(); i++ {
			log = append(log, s.Log.At(i).Term)
		}
		if len(log) != len(c.log) || s.last().Term != c.log[len(c.log)-1] || s.CommitIndex != c.commits {
			t.Errorf("%s: log %v, commit %d, want %v, %d", name, log, s.CommitIndex, c.log, c.commits)
		}
	}
}

func TestCrashLeavesWhatIsDurableAndAPartOfTheRest(t *testing.T) {
	one, two, other := Entry{1, Hash{1}}, Entry{1, Hash{1, 2}}, Entry{2, Hash{1, 3}}
	for name, c := range map[string]struct {
		found Found
		ok    bool
	}{
		"nothing of it":             {Found{1, 0, 2, two}, true},
		"term and vote only":        {Found{2, 3, 2, two}, true},
		"without what is dropped":   {Found{2, 3, 1, one}, true},
		"all of the first":          {Found{2, 3, 2, other}, true},
		"what was not on its way":   {Found{2, 3, 3, other}, false},
		"an older term":             {Found{0, 0, 2, two}, false},
		"another vote":              {Found{2, 2, 2, two}, false},
		"a durable entry is gone":   {Found{1, 0, 1, one}, false},
		"the log before term, vote": {Found{1, 0, 2, other}, false},
		"more is dropped":           {Found{2, 3, 0, Entry{}}, false},
	} {
		d := Disk{Durable: Persistent{1, 0, []Entry{one, two}}}
		d.Write(1, Persistent{2, 3, []Entry{one, other}})
		d.Write(2, Persistent{2, 3, []Entry{one, other, other}})
		d.Start(1)
		needs := d.Crash(c.found)
		if (needs == "") != c.ok {
			t.Errorf("%s: needs %q", name, needs)
		}
		if c.ok && (d.Durable.CurrentTerm != c.found.CurrentTerm || len(d.Durable.log) != int(c.found.Last) || len(d.writes) != 0) {
			t.Errorf("%s: on the disk is %+v", name, d)
		}
	}
}

func TestRestartBringsBackWhatIsDurableOnly(t *testing.T) {
	for name, c := range map[string]struct {
		commit raft.Index
		needs  string
	}{
		"none":           {0, ""},
		"a lower bound":  {1, ""},
		"more than was":  {3, "Restart: a commit index"},
		"what is gone":   {2, "Restart: the committed entries"},
		"what was known": {1, ""},
	} {
		s := with(at(raft.Leader, 2, 1, 2), func(s *State) { s.CommitIndex, s.match[1], s.preVoted = 2, 2, 1 })
		p := Persistent{2, 1, []Entry{s.Log.At(1)}}
		needs := s.Restart(&p, c.commit)
		if (needs == "") != (c.needs == "") || !strings.HasPrefix(needs, c.needs) {
			t.Errorf("%s: got %q, want %q", name, needs, c.needs)
		}
		if needs == "" && (s.Role != raft.Follower || s.led || s.Leader != 0 || s.match[1] != 0 || s.preVoted != 0 ||
			s.VotedFor != 1 || s.CurrentTerm != 2 || s.Log.Last() != 1 || s.CommitIndex != c.commit) {
			t.Errorf("%s: came back as %+v", name, s)
		}
	}
}
