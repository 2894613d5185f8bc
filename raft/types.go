package raft

// Term numbers the reigns of leaders; 0 is before the first election. (Paper §5.1.)
type Term uint64

// Index is the position of an entry in the log. The first entry has index 1; the imaginary entry
// before it has index 0 and term 0.
type Index uint64

// ServerID names a server. Ids are compared for equality only, but for keeping lists in one fixed
// order; 0 means none.
type ServerID uint64

// Ticket numbers the writes that one core asks for: from 1, ascending, no gaps. 0 means nothing to
// wait for.
type Ticket uint64

// Round numbers the AppendEntries of one leader in one term: from 1, ascending, never used twice,
// so that a reply names the very message that it answers.
type Round uint64

// EntryKind tells what an entry is for. The numbers are in the log's format: never change one.
type EntryKind uint8

const (
	// KindCommand is an entry for the state machine; the core never looks into it.
	KindCommand EntryKind = 1
	// KindNoOp is the entry with which each leader opens its term. (Paper §8, thesis §6.4.)
	KindNoOp EntryKind = 2
	// KindConfiguration carries a Configuration; it counts from the moment it is appended.
	KindConfiguration EntryKind = 3
)

// EntryID is what makes two entries the same entry: logs that agree on it agree on everything up
// to it (Log Matching, Figure 3).
type EntryID struct {
	Index Index
	Term  Term
}

// Entry is what the core sees of a log entry.
type Entry struct {
	Term Term
	Kind EntryKind
	// Configuration is set if and only if Kind is KindConfiguration.
	Configuration *Configuration
	// Data is the entry's record. The core hands it on and counts its bytes, nothing more.
	Data []byte
}

// HardState is the persistent state of Figure 2 that is not the log, and a hint.
type HardState struct {
	// CurrentTerm is the latest term this server has seen.
	CurrentTerm Term
	// VotedFor is the candidate that got this server's vote in CurrentTerm, or 0.
	VotedFor ServerID
	// Commit is a lower bound of the commit index, so that a restart need not wait for a leader to
	// apply again. It is written along with other things, never for its own sake, and may be old.
	Commit Index
}

// TermRun says that the entries from First up to the next run, or to the end of the log, are of
// Term. A log's terms are a handful of runs.
type TermRun struct {
	Term  Term
	First Index
}

// Role is what a server is in its current term.
type Role uint8

// The roles of Figure 4 and, before a candidacy, that of thesis §9.6.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}
