package raft

import (
	"fmt"
	"slices"
	"testing"
)

// eachConfiguration calls f with all configurations of servers 1 to n, joint or not, learners left out.
func eachConfiguration(n int, f func(*Configuration)) {
	for voters := 1; voters < 1<<n; voters++ {
		for old := range 1 << n {
			f(&Configuration{Voters: setOf(voters), OldVoters: setOf(old)})
		}
	}
}

func quorumsOf(c *Configuration, n int) []int {
	var quorums []int
	for yes := range 1 << n {
		if c.HasQuorum(func(id ServerID) bool { return yes>>(id-1)&1 == 1 }) {
			quorums = append(quorums, yes)
		}
	}
	return quorums
}

// Two servers may act on a configuration and on the one before it at the same time. So whatever is decided
// in one must be known to whoever decides in the other: any quorum of the one and any of the other have a
// server in common. For all configurations of up to four servers.
func TestAConfigurationSharesAServerOfEveryQuorumWithTheNext(t *testing.T) {
	const n = 4
	pairs := 0
	eachConfiguration(n, func(now *Configuration) {
		quorums := quorumsOf(now, n)
		eachConfiguration(n, func(next *Configuration) {
			if !next.follows(now) {
				return
			}
			pairs++
			for _, x := range quorums {
				for _, y := range quorumsOf(next, n) {
					if x&y == 0 {
						t.Fatalf("%v follows %v, but %b and %b are quorums", next, now, y, x)
					}
				}
			}
		})
	})
	if pairs < 1000 {
		t.Errorf("only %d pairs", pairs)
	}
}

// From any configuration to any other there is a way, of two steps at most.
func TestEveryConfigurationCanBeReached(t *testing.T) {
	const n = 4
	for old := 1; old < 1<<n; old++ {
		for aim := 1; aim < 1<<n; aim++ {
			now, next := &Configuration{Voters: setOf(old)}, &Configuration{Voters: setOf(aim)}
			joint := &Configuration{Voters: setOf(aim), OldVoters: setOf(old)}
			if !joint.follows(now) || !next.follows(joint) || next.follows(now) != (old == aim) {
				t.Errorf("from %v by %v to %v", now, joint, next)
			}
		}
	}
}

func TestConfigurationsAreWellFormed(t *testing.T) {
	for _, test := range []struct {
		configuration Configuration
		want          bool
	}{
		{Configuration{Voters: []ServerID{1}}, true},
		{Configuration{Voters: []ServerID{1, 2}, OldVoters: []ServerID{2, 3}, Learners: []ServerID{3, 4}}, true},
		{Configuration{OldVoters: []ServerID{1}}, false},
		{Configuration{Learners: []ServerID{1}}, false},
		{Configuration{Voters: []ServerID{2, 1}}, false},
		{Configuration{Voters: []ServerID{1, 1}}, false},
		{Configuration{Voters: []ServerID{0, 1}}, false},
		{Configuration{Voters: []ServerID{1}, OldVoters: []ServerID{3, 2}}, false},
		{Configuration{Voters: []ServerID{1}, Learners: []ServerID{3, 3}}, false},
		{Configuration{Voters: []ServerID{1, 2}, Learners: []ServerID{2}}, false},
	} {
		if got := test.configuration.wellFormed(); got != test.want {
			t.Errorf("%+v: %t", test.configuration, got)
		}
	}
}

// changer is a leader of servers 1 to 3 in term 2, which finds some configurations in its log.
type changer struct {
	*Core
	t *testing.T
}

func newChanger(t *testing.T, found ...*Configuration) *changer {
	state := State{HardState: HardState{CurrentTerm: 1}, Configurations: []ConfigurationAt{{0, votersOf(3)}}}
	for _, configuration := range found {
		state.Last++
		state.Runs = []TermRun{{Term: 1, First: 1}}
		state.Configurations = append(state.Configurations, ConfigurationAt{state.Last, configuration})
	}
	core, err := New(Options{ID: 1}, state)
	if err != nil {
		t.Fatal(err)
	}
	core.setTermAndVote(2, 1)
	core.becomeLeader()
	core.Step([]Input{Persisted{core.takeOutput().Persist.Ticket}})
	return &changer{core, t}
}

// hear lets servers confirm the whole log.
func (c *changer) hear(ids ...ServerID) {
	c.Step([]Input{Persisted{c.nextTicket - 1}})
	for _, id := range ids {
		step(c.Core, from(id, c.currentTerm, &AppendEntriesReply{Round: c.leadState.round, Verified: c.LastIndex()}))
	}
}

// want proposes a configuration, and compares what becomes of it: a Reason, 0 if it is appended.
func (c *changer) want(want Reason, configuration *Configuration) {
	c.t.Helper()
	var got Reason
	if out := step(c.Core, ProposeConfiguration{ID: 1, Entry: Entry{Kind: KindConfiguration, Configuration: configuration}}); len(out.Refused) > 0 {
		got = out.Refused[0].Reason
	}
	if got != want {
		c.t.Errorf("%+v after %+v: %q, want %q", configuration, c.Configuration(), got, want)
	}
}

func joint(old, voters []ServerID) *Configuration {
	return &Configuration{Voters: voters, OldVoters: old}
}

var (
	threes    = []ServerID{1, 2, 3}
	newThrees = []ServerID{1, 4, 5}
)

func TestJointConfigurationIsLeftOnlyOnceBothMajoritiesHaveIt(t *testing.T) {
	c := newChanger(t)
	c.hear(2)
	c.want(ChangeNotAllowed, &Configuration{Voters: newThrees})
	c.want(0, joint(threes, newThrees))
	c.hear(2, 3)
	c.want(ChangeInProgress, &Configuration{Voters: newThrees}) // 4 and 5 do not have it
	if c.CommitIndex() != 1 {
		t.Errorf("without a majority of C_new, %d is committed", c.CommitIndex())
	}
	c.hear(4)
	c.want(ChangeNotAllowed, &Configuration{Voters: threes})
	c.want(ChangeNotAllowed, &Configuration{Voters: newThrees, Learners: []ServerID{2}})
	c.want(0, &Configuration{Voters: newThrees})
	c.want(ChangeInProgress, joint(newThrees, threes))
	c.hear(5)
	c.want(0, joint(newThrees, threes))
}

func TestAnotherAim(t *testing.T) {
	c := newChanger(t)
	c.hear(2)
	c.want(0, joint(threes, newThrees))
	c.want(ChangeNotAllowed, joint(newThrees, threes))
	c.want(0, joint(threes, []ServerID{1, 2, 6}))
	c.hear(2, 6)
	c.want(0, joint(threes, threes)) // also of one that is committed
	c.hear(2)
	c.want(0, votersOf(3))
}

// Somebody else's change may have been completed by somebody else again, so it must be committed first.
func TestAnEarlierLeadersChangeIsNotGivenAnotherAimBeforeItIsCommitted(t *testing.T) {
	c := newChanger(t, joint(threes, newThrees))
	c.want(ChangeInProgress, joint(threes, threes)) // nor is anything of this term
	c.hear(2, 3)
	c.want(ChangeInProgress, joint(threes, threes))
	c.hear(4)
	c.want(0, joint(threes, threes))
}

func TestLeaderWithoutAVoteLeadsUntilThatIsCommitted(t *testing.T) {
	c := newChanger(t)
	c.hear(2)
	others := []ServerID{2, 3, 4}
	c.want(0, joint(threes, others))
	c.hear(2, 3)
	c.want(0, &Configuration{Voters: others, Learners: []ServerID{}})
	c.hear(4)
	if c.Role() != Leader || c.CommitIndex() != 2 {
		t.Errorf("%v, %d committed: it counts for nothing in C_new", c.Role(), c.CommitIndex())
	}
	c.hear(3)
	if c.Role() != Follower || c.CommitIndex() != 3 {
		t.Errorf("%v, %d committed: C_new is", c.Role(), c.CommitIndex())
	}
	c.want(NotLeader, joint(others, threes))
}

// Somebody who is removed, and somebody who is made a learner, are told no more, and on.
func TestPeersAreThoseOfTheConfigurationInForce(t *testing.T) {
	c := newChanger(t)
	peers := func() (ids []ServerID) {
		for _, p := range c.AppendPeers(nil) {
			ids = append(ids, p.ID)
		}
		return ids
	}
	c.hear(2)
	next := joint(threes, newThrees)
	next.Learners = []ServerID{3, 6}
	for _, step := range []struct {
		configuration *Configuration
		want          []ServerID
	}{
		{next, []ServerID{2, 3, 4, 5, 6}},
		{&Configuration{Voters: newThrees, Learners: next.Learners}, []ServerID{3, 4, 5, 6}},
	} {
		c.want(0, step.configuration)
		if got := peers(); !slices.Equal(got, step.want) {
			t.Errorf("%+v: peers are %v", step.configuration, got)
		}
		c.hear(2, 4)
	}
}

func TestWhatAConfigurationSaysWhenItComesIntoForce(t *testing.T) {
	e := ConfigurationChanged{Index: 7, Voters: newThrees, OldVoters: threes, Learners: []ServerID{6}}
	if got, want := fmt.Sprint(e), "joint configuration of entry 7 in force: voters [1 2 3] and [1 4 5], learners [6]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A leader that is to be removed has its last configuration alone, and no longer leads. Whoever would be left
// lacks it, and so cannot win: the removed one must. (Thesis §4.2.2.)
func TestServerWithoutAVoteCampaignsUntilThatIsCommitted(t *testing.T) {
	c := newChanger(t)
	c.hear(2)
	others := []ServerID{2, 3}
	c.want(0, joint(threes, others))
	c.hear(2, 3)
	c.want(0, &Configuration{Voters: others})
	c.becomeFollower(2, 0, "test")
	step(c.Core, Campaign{})
	if c.Role() != PreCandidate {
		t.Errorf("%v", c.Role())
	}
	for _, granted := range []ServerID{2, 3} {
		if c.Role() != PreCandidate {
			t.Errorf("%v before %d has granted: its own vote counts", c.Role(), granted)
		}
		step(c.Core, from(granted, 2, &RequestPreVoteReply{Granted: true}))
	}
	for _, granted := range []ServerID{2, 3} {
		if c.Role() != Candidate {
			t.Errorf("%v before %d has granted: its own vote counts", c.Role(), granted)
		}
		step(c.Core, from(granted, 3, &RequestVoteReply{Granted: true}))
	}
	c.hear(2)
	if c.Role() != Leader {
		t.Errorf("%v", c.Role())
	}
	c.hear(3)
	if c.Role() != Follower {
		t.Errorf("%v, though C_new is committed", c.Role())
	}
	step(c.Core, Campaign{})
	if c.Role() != Follower {
		t.Errorf("%v, without a vote", c.Role())
	}
}

func TestLearnerDoesNotCampaign(t *testing.T) {
	learner := newCore(t, 4, &Configuration{Voters: threes, Learners: []ServerID{4}}, HardState{})
	step(learner, Campaign{})
	if learner.Role() != Follower {
		t.Errorf("%v", learner.Role())
	}
}
