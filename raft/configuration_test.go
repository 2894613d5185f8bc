package raft

import (
	"math/bits"
	"slices"
	"testing"
)

// setOf returns the servers whose bits are set, 1 being the lowest.
func setOf(members int) []ServerID {
	var ids []ServerID
	for id := range ServerID(8) {
		if members>>id&1 == 1 {
			ids = append(ids, id+1)
		}
	}
	return ids
}

// majority says what a majority is, in other words than the code: more than the others.
func majority(yes, voters int) bool {
	return bits.OnesCount(uint(yes&voters)) > bits.OnesCount(uint(voters&^yes))
}

// For every configuration of up to seven servers, joint or not, and every set of them.
func TestQuorumIsAMajorityOfEachSide(t *testing.T) {
	const all = 1 << 7
	for voters := range all {
		for old := range all {
			if raceEnabled && old%16 > 0 {
				continue
			}
			configuration := Configuration{Voters: setOf(voters), OldVoters: setOf(old)}
			for yes := range all {
				got := configuration.HasQuorum(func(id ServerID) bool { return yes>>(id-1)&1 == 1 })
				want := majority(yes, voters) && (old == 0 || majority(yes, old))
				if got != want {
					t.Fatalf("voters %b, old voters %b: quorum of %b is %t", voters, old, yes, got)
				}
			}
		}
	}
}

// Decisions cannot contradict each other because any two quorums share a server.
func TestAnyTwoQuorumsOverlap(t *testing.T) {
	const all = 1 << 7
	for voters := 1; voters < all; voters++ {
		var quorums []int
		configuration := Configuration{Voters: setOf(voters)}
		for yes := range all {
			if yes&^voters == 0 && configuration.HasQuorum(func(id ServerID) bool { return yes>>(id-1)&1 == 1 }) {
				quorums = append(quorums, yes)
			}
		}
		for _, x := range quorums {
			for _, y := range quorums {
				if x&y == 0 {
					t.Fatalf("voters %b: %b and %b are quorums", voters, x, y)
				}
			}
		}
		if len(quorums) == 0 {
			t.Fatalf("voters %b have no quorum at all", voters)
		}
	}
}

// What a quorum has reached is the largest value such that those who reached it are a quorum. For all
// configurations of up to seven voters with values 0 to 2, and all joint ones of up to four.
func TestQuorumValueIsTheLargestThatAQuorumReached(t *testing.T) {
	check := func(configuration *Configuration, values []uint64) {
		of := func(id ServerID) uint64 { return values[id-1] }
		want := uint64(0)
		for v := uint64(1); v <= 2; v++ {
			if configuration.HasQuorum(func(id ServerID) bool { return of(id) >= v }) {
				want = v
			}
		}
		if got := configuration.QuorumValue(of); got != want {
			t.Fatalf("voters %v, old voters %v, values %v: %d, want %d", configuration.Voters, configuration.OldVoters, values, got, want)
		}
	}
	for n := 1; n <= 7; n++ {
		configuration := votersOf(n)
		eachTuple(n, 3, func(values []uint64) { check(configuration, values) })
	}
	for voters := 1; voters < 1<<4; voters++ {
		for old := range 1 << 4 {
			configuration := &Configuration{Voters: setOf(voters), OldVoters: setOf(old)}
			eachTuple(4, 3, func(values []uint64) { check(configuration, values) })
		}
	}
}

// eachTuple calls f with all lists of n numbers below limit.
func eachTuple(n int, limit uint64, f func([]uint64)) {
	values := make([]uint64, n)
	for {
		f(values)
		i := 0
		for ; i < n; i++ {
			if values[i]++; values[i] < limit {
				break
			}
			values[i] = 0
		}
		if i == n {
			return
		}
	}
}

func TestGroupWithoutVotersDecidesNothing(t *testing.T) {
	empty := &Configuration{Learners: []ServerID{1}}
	if empty.HasQuorum(func(ServerID) bool { return true }) || empty.QuorumValue(func(ServerID) uint64 { return 7 }) != 0 {
		t.Error("nobody is a quorum of nobody")
	}
}

func TestMembersAreEverybodyOnce(t *testing.T) {
	c := &Configuration{Voters: []ServerID{2, 5}, OldVoters: []ServerID{1, 2}, Learners: []ServerID{4}}
	if got := c.Members(); !slices.Equal(got, []ServerID{1, 2, 4, 5}) {
		t.Errorf("members are %v", got)
	}
	for id, want := range map[ServerID][2]bool{1: {true, true}, 2: {true, true}, 3: {false, false}, 4: {false, true}, 5: {true, true}} {
		if c.IsVoter(id) != want[0] || c.IsMember(id) != want[1] {
			t.Errorf("server %d: voter %t, member %t, want %v", id, c.IsVoter(id), c.IsMember(id), want)
		}
	}
}
