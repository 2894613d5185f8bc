package raft

import "slices"

// Configuration says who votes. Its lists are sorted, without repetition. (Paper §6, thesis §4.)
type Configuration struct {
	// Voters are the servers whose majority decides; C_new while the configuration is joint.
	Voters []ServerID
	// OldVoters is C_old while the configuration is joint, and empty otherwise. Then every decision
	// needs both majorities.
	OldVoters []ServerID
	// Learners receive the log and count for nothing.
	Learners []ServerID
	// Data is whatever the servers' keys and addresses are; opaque to the core.
	Data []byte
}

// IsVoter reports whether id has a vote.
func (c *Configuration) IsVoter(id ServerID) bool {
	return contains(c.Voters, id) || contains(c.OldVoters, id)
}

// IsMember reports whether id belongs to the configuration at all.
func (c *Configuration) IsMember(id ServerID) bool {
	return c.IsVoter(id) || contains(c.Learners, id)
}

// Members returns all ids once, sorted.
func (c *Configuration) Members() []ServerID {
	members := slices.Concat(c.Voters, c.OldVoters, c.Learners)
	slices.Sort(members)
	return slices.Compact(members)
}

// HasQuorum reports whether the servers for which yes holds are a majority of all voters; of both
// sides while the configuration is joint. Silent voters count against.
func (c *Configuration) HasQuorum(yes func(ServerID) bool) bool {
	return hasMajority(c.Voters, yes) && (len(c.OldVoters) == 0 || hasMajority(c.OldVoters, yes))
}

// QuorumValue returns the largest value that a quorum has reached: the smaller of both sides' while
// the configuration is joint.
func (c *Configuration) QuorumValue(of func(ServerID) uint64) uint64 {
	value := majorityValue(c.Voters, of)
	if len(c.OldVoters) > 0 {
		value = min(value, majorityValue(c.OldVoters, of))
	}
	return value
}

func hasMajority(voters []ServerID, yes func(ServerID) bool) bool {
	count := 0
	for _, id := range voters {
		if yes(id) {
			count++
		}
	}
	return count > len(voters)/2
}

// majorityValue sorts what each voter has reached and takes the value that more than half of them
// have reached. No voter at all reaches nothing.
func majorityValue(voters []ServerID, of func(ServerID) uint64) uint64 {
	if len(voters) == 0 {
		return 0
	}
	var room [9]uint64
	values := room[:0]
	for _, id := range voters {
		values = append(values, of(id))
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

func contains(ids []ServerID, id ServerID) bool { return slices.Contains(ids, id) }
