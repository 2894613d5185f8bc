package raft

import "testing"

// followerOf returns a follower that has just heard its leader, server 2. Its window is 6 ticks.
func followerOf(t *testing.T) *Core {
	t.Helper()
	core := newCore(t, 1, votersOf(3), HardState{}, 1)
	core.options.WindowTicks = 6
	step(core, from(2, 1, &AppendEntries{Round: 1}))
	return core
}

// waits returns after how many ticks the server campaigns, each as next says.
func waits(core *Core, next func(tick int) Tick) int {
	for tick := 1; tick <= 200; tick++ {
		if step(core, next(tick)); core.Role() != Follower {
			return tick
		}
	}
	return -1
}

func TestCampaignDelayIsTheTicks(t *testing.T) {
	for _, test := range []struct {
		delay, want int
	}{
		{0, 10 + 3}, // the option's
		{20, 20 + 3}, {10, 10 + 3}, {7, 7 + 3}, {6, 6 + 3},
		{5, 6 + 3}, {1, 6 + 3}, {-1, 6 + 3}, // below the window, the others would refuse
	} {
		got := waits(followerOf(t), func(int) Tick { return Tick{Random: 3, Delay: test.delay} })
		if got != test.want {
			t.Errorf("with a delay of %d it campaigns after %d ticks, want %d", test.delay, got, test.want)
		}
	}
}

func TestDelayThatGrowsCountsAtOnceAndOneThatShrinksFromTheNextAttemptOn(t *testing.T) {
	for _, test := range []struct {
		name                string
		before, after, want int
	}{
		{"grows", 10, 30, 30 + 3},
		{"shrinks", 30, 10, 30 + 3},
		{"grows and shrinks", 10, 0, 30 + 3},
	} {
		got := waits(followerOf(t), func(tick int) Tick {
			switch {
			case tick == 6 && test.after == 0:
				return Tick{Random: 3, Delay: 30}
			case tick > 5:
				return Tick{Random: 3, Delay: max(test.after, 10)}
			}
			return Tick{Random: 3, Delay: test.before}
		})
		if got != test.want {
			t.Errorf("%s: it campaigns after %d ticks, want %d", test.name, got, test.want)
		}
	}
}

// A change of the delay must not end an attempt that is under way: its votes would be lost.
func TestCandidateIsNotCutShort(t *testing.T) {
	core := followerOf(t)
	step(core, Campaign{})
	stepDurably(core, from(3, 1, &RequestPreVoteReply{Granted: true}))
	for tick := 1; tick < 20+3; tick++ {
		delay := 20
		if tick > 1 {
			delay = 6
		}
		if step(core, Tick{Random: 3, Delay: delay}); core.Role() != Candidate || core.CurrentTerm() != 2 {
			t.Fatalf("after %d ticks it is %s of term %d", tick, core.Role(), core.CurrentTerm())
		}
	}
	if step(core, Tick{Delay: 6}); core.Role() != PreCandidate {
		t.Errorf("after its timeout it is %s", core.Role())
	}
}

// What a voter refuses rests on the window alone: however long it would wait itself, the others must be
// able to elect somebody; however short, it must not let them.
func TestVoterRefusesForTheWindowWhateverItsDelay(t *testing.T) {
	for _, delay := range []int{1, 6, 10, 50} {
		core := followerOf(t)
		for tick := 0; tick <= 6; tick++ {
			if tick > 0 {
				step(core, Tick{Random: 40, Delay: delay})
			}
			out := step(core, from(3, 1, &RequestPreVote{LastLogIndex: 1, LastLogTerm: 1}))
			if granted := out.Send[0].Message.(*RequestPreVoteReply).Granted; granted != (tick == 6) {
				t.Errorf("with a delay of %d, %d ticks after a word from the leader: granted %t", delay, tick, granted)
			}
		}
	}
}

func TestLeaderWithoutAMajorityStepsDownAfterItsDelay(t *testing.T) {
	for _, delay := range []int{0, 6, 30} {
		core := leaderOf(t, 3, 1)
		core.options.WindowTicks = 6
		step(core, from(2, 2, &AppendEntriesReply{Round: core.leadState.round}))
		ticks := 0
		for ; core.Role() == Leader && ticks < 100; ticks++ {
			step(core, Tick{Delay: delay})
		}
		want := delay
		if delay == 0 {
			want = core.options.ElectionTicks
		}
		if ticks != want+1 {
			t.Errorf("with a delay of %d it steps down after %d ticks, want %d", delay, ticks, want+1)
		}
	}
}

// Who hands over gives the other the time of the option at least: its disk may be slower than what is measured here.
func TestHandingOverIsGivenUpAfterTheLongerOfOptionAndDelay(t *testing.T) {
	for delay, want := range map[int]int{0: 10, 6: 10, 30: 30} {
		core := leaderOf(t, 3, 1)
		core.options.WindowTicks = 6
		step(core, TransferLeadership{ID: 7, To: 3})
		ticks := 0
		for refused := false; !refused && ticks < 100; ticks++ {
			out := step(core, from(2, 2, &AppendEntriesReply{Round: core.leadState.round}), Tick{Delay: delay})
			refused = len(out.Refused) > 0
		}
		if ticks != want || core.Role() != Leader {
			t.Errorf("with a delay of %d it is given up after %d ticks, want %d; as %s", delay, ticks, want, core.Role())
		}
	}
}

// A broken link spares the waiting for a leader that is slow. It does not spare the window, nor what chance
// has added.
func TestFollowerWhoseLeaderIsUnlinkedWaitsForTheWindow(t *testing.T) {
	next := func(int) Tick { return Tick{Random: 3, Delay: 20} }
	for _, test := range []struct {
		name  string
		after []Input
		want  int
	}{
		{"the leader", []Input{Unlinked{2}}, 6 + 3},
		{"another", []Input{Unlinked{3}}, 20 + 3},
		{"nobody", []Input{Unlinked{0}}, 20 + 3},
		{"the leader, which is then heard", []Input{Unlinked{2}, from(2, 1, &AppendEntries{Round: 2})}, 20 + 3},
		{"a leader that is followed no more", []Input{Unlinked{2}, from(3, 2, &AppendEntries{Round: 1})}, 20 + 3},
	} {
		core := followerOf(t)
		step(core, test.after...)
		if got := waits(core, next); got != test.want {
			t.Errorf("unlinked from %s it campaigns after %d ticks, want %d", test.name, got, test.want)
		}
	}
	// It counts for one attempt: the next one waits as usual.
	core := followerOf(t)
	step(core, Unlinked{2})
	waits(core, next)
	for tick := 1; tick <= 20+3; tick++ {
		out := step(core, next(tick))
		if again := len(out.Events) > 0; again != (tick == 20+3) {
			t.Fatalf("%d ticks into its attempt: %v", tick, out.Events)
		}
	}
}

// Whoever cannot win for lack of entries tells the one who could that the leader is missed: else the group would
// have to wait for the more patient of the two.
func TestVoterWithMoreEntriesStandsSoonerWhenAnotherMissesTheLeader(t *testing.T) {
	next := func(int) Tick { return Tick{Random: 3, Delay: 50} }
	behind := from(3, 1, &RequestPreVote{})
	for _, test := range []struct {
		name  string
		after int // ticks of silence
		ask   Receive
		want  int
	}{
		{"within the window", 5, behind, 50 + 3},
		{"after the window", 6, behind, 6 + 3},
		{"long after the window", 20, behind, 20 + 1},
		{"of one who can win", 20, from(3, 1, &RequestPreVote{LastLogIndex: 1, LastLogTerm: 1}), 50 + 3},
	} {
		core := followerOf(t)
		for range test.after {
			step(core, next(0))
		}
		step(core, test.ask)
		if got := test.after + waits(core, next); got != test.want {
			t.Errorf("asked %s: it campaigns after %d ticks, want %d", test.name, got, test.want)
		}
	}
}
