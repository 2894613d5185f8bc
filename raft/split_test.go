package raft_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// contest is a group without a leader, whose servers' disks are never late and whose messages all take as
// long. What arrives in one tick arrives in an order of chance.
type contest struct {
	random *rand.Rand
	delay  int  // of a message, in ticks
	ranked bool // timeouts are not random, but go by the servers' ids
	cores  []*raft.Core
	now    int
	flying []flight
}

type flight struct {
	raft.Envelope
	at int
}

// newContest returns a group of voters of which only some are up: the others, the old leader among them, have
// just crashed.
func newContest(seed uint64, voters, up, delay int) *contest {
	c := &contest{random: rand.New(rand.NewPCG(seed, 4)), delay: delay}
	for id := range up {
		core, err := raft.New(raft.Options{ID: raft.ServerID(id + 1), ElectionTicks: electionTicks},
			raft.State{Configurations: []raft.ConfigurationAt{{Configuration: rafttest.Voters(voters)}}})
		if err != nil {
			panic(err)
		}
		c.cores = append(c.cores, core)
	}
	return c
}

const electionTicks = 10

// step hands a core an input, writes at once, and sends.
func (c *contest) step(core *raft.Core, in raft.Input) {
	out := core.Step([]raft.Input{in})
	for _, e := range out.Send {
		c.flying = append(c.flying, flight{e, c.now + c.delay})
	}
	if out.Persist.Ticket != 0 {
		c.step(core, raft.Persisted{Ticket: out.Persist.Ticket})
	}
}

// run lets time pass until somebody leads, and returns how many terms that took; false if nobody leads
// after a thousand ticks.
func (c *contest) run() (terms int, elected bool) {
	for c.now = 1; c.now <= 1000; c.now++ {
		flying := c.flying
		c.flying = nil
		c.random.Shuffle(len(flying), func(i, j int) { flying[i], flying[j] = flying[j], flying[i] })
		for _, f := range flying {
			switch to := int(f.To); {
			case f.at > c.now:
				c.flying = append(c.flying, f)
			case to <= len(c.cores):
				c.step(c.cores[to-1], raft.Receive{Envelope: f.Envelope})
			}
		}
		for i, core := range c.cores {
			if core.Role() == raft.Leader {
				return int(core.CurrentTerm()), true
			}
			chance := c.random.Uint64()
			if c.ranked {
				chance = uint64(i)
			}
			c.step(core, raft.Tick{Random: chance})
		}
	}
	return 0, false
}

// Split votes die out: each attempt draws its timeout anew, so that those who have split the vote once are
// no more likely to do so again than anybody was at first. The worst usual case is the death of the leader
// of five: two candidates of the other four can each get half of their votes.
//
// Ranked candidates, which the authors of the paper tried as well, wait each for a time of its own, always
// the same: one tick apart here. While the network is fast no vote is split; when it is slow all are, the first
// time, where chance spares two of three.
func TestSplitVotesDieOut(t *testing.T) {
	t.Parallel()
	seeds := 10_000
	if raft.RaceEnabled {
		seeds /= 10
	}
	for _, test := range []struct {
		voters, up, delay int
		ranked            bool
		most              float64 // of all elections, those that may need more than one term
	}{
		{voters: 3, up: 2, delay: 1, most: 0.18},
		{voters: 3, up: 3, delay: 1, most: 0.03},
		{voters: 5, up: 4, delay: 1, most: 0.14},
		{voters: 5, up: 5, delay: 1, most: 0.05},
		{voters: 9, up: 8, delay: 1, most: 0.20},
		{voters: 5, up: 4, delay: 3, most: 0.41}, // the network is slow beside the timeout
		{voters: 5, up: 4, delay: 1, ranked: true},
		{voters: 5, up: 4, delay: 3, ranked: true, most: 1},
	} {
		terms, ticks := make([]int, 100), 0
		for seed := range uint64(seeds) {
			c := newContest(seed, test.voters, test.up, test.delay)
			c.ranked = test.ranked
			took, elected := c.run()
			if !elected || took >= len(terms) {
				t.Fatalf("%+v: no leader after %d ticks (seed %d)", test, c.now, seed)
			}
			terms[took]++
			ticks += c.now
		}
		t.Logf("%d of %d servers, %d of %d ticks for a message, ranked %t: a leader after %.1f ticks on average; terms: %s",
			test.up, test.voters, test.delay, electionTicks, test.ranked, float64(ticks)/float64(seeds), shares(terms, seeds))
		split, again := float64(seeds-terms[1]), float64(seeds-terms[1]-terms[2])
		first := split / float64(seeds)
		if first > test.most {
			t.Errorf("%+v: %.3f of the elections need more than one term", test, first)
		}
		// Four standard deviations are room enough for chance, and too little for a timeout that stays.
		if !test.ranked && again > split*first+4*math.Sqrt(split*first*(1-first)) {
			t.Errorf("%+v: %.0f of %.0f split votes are followed by another, %.3f are split at first", test, again, split, first)
		}
	}
}

// shares says in per cent how many elections took one term, two, and so on.
func shares(terms []int, all int) string {
	var words []string
	for n, count := range terms {
		if count > 0 {
			words = append(words, fmt.Sprintf("%d: %.2f %%", n, 100*float64(count)/float64(all)))
		}
	}
	return strings.Join(words, ", ")
}
