package raft

import "fmt"

// Event tells what the core did and why. Logs, metrics, transcripts and views are all made from
// events, so they cannot disagree. Each is one of the structs below. Ids of servers are in hexadecimal.
type Event interface {
	isEvent()
	String() string
}

// RoleChanged: the server took another role or another term.
type RoleChanged struct {
	Role Role
	Term Term
	// Leader is the leader of Term, as far as known.
	Leader ServerID
	Why    string
}

// VoteGranted: the server gave its vote, or said that it would (Pre).
type VoteGranted struct {
	To   ServerID
	Term Term
	Pre  bool
}

// VoteRefused: the server refused its vote.
type VoteRefused struct {
	To   ServerID
	Term Term
	Pre  bool
	Why  string
}

// AppendRefused: the log does not have the entry before the request's.
type AppendRefused struct {
	From         ServerID
	PrevLogIndex Index
	PrevLogTerm  Term
}

// Truncated: entries that conflict with the leader's were dropped.
type Truncated struct {
	// From is the first index dropped; Last was the end of the log.
	From, Last Index
}

// Reconciled: the leader learned where a peer's log agrees with its own.
type Reconciled struct {
	Peer ServerID
	// Next is the index of the entry to send next.
	Next Index
}

// Committed: the leader advanced its commit index.
type Committed struct{ Index Index }

// Stranded: the leader no longer has the entries that a peer needs.
type Stranded struct {
	Peer ServerID
	Next Index
}

// Installed: the log begins after the state that another server has sent. Kept: it had that entry, and keeps
// what follows.
type Installed struct {
	Base EntryID
	Kept bool
}

// ConfigurationChanged: another configuration is in force, from the entry at Index.
type ConfigurationChanged struct {
	Index Index
	// Voters, OldVoters and Learners are those of the Configuration.
	Voters, OldVoters, Learners []ServerID
}

// Transferring: the leader hands over.
type Transferring struct{ To ServerID }

func (Transferring) isEvent()         {}
func (RoleChanged) isEvent()          {}
func (VoteGranted) isEvent()          {}
func (VoteRefused) isEvent()          {}
func (AppendRefused) isEvent()        {}
func (Truncated) isEvent()            {}
func (Reconciled) isEvent()           {}
func (Committed) isEvent()            {}
func (Stranded) isEvent()             {}
func (Installed) isEvent()            {}
func (ConfigurationChanged) isEvent() {}

func (e RoleChanged) String() string {
	s := fmt.Sprintf("%s in term %d", e.Role, e.Term)
	if e.Leader != 0 && e.Role == Follower {
		s += fmt.Sprintf(" of %x", e.Leader)
	}
	return s + ": " + e.Why
}

func (e VoteGranted) String() string {
	return fmt.Sprintf("%s granted to %x for term %d", voteName(e.Pre), e.To, e.Term)
}

func (e VoteRefused) String() string {
	return fmt.Sprintf("%s refused to %x for term %d: %s", voteName(e.Pre), e.To, e.Term, e.Why)
}

func (e AppendRefused) String() string {
	return fmt.Sprintf("append refused from %x: no entry %d of term %d", e.From, e.PrevLogIndex, e.PrevLogTerm)
}

func (e Truncated) String() string {
	return fmt.Sprintf("dropped entries %d to %d", e.From, e.Last)
}

func (e Reconciled) String() string {
	return fmt.Sprintf("log of %x agrees before %d", e.Peer, e.Next)
}

func (e Committed) String() string { return fmt.Sprintf("committed up to %d", e.Index) }

func (e Stranded) String() string {
	return fmt.Sprintf("peer %x needs entry %d, which the log no longer has", e.Peer, e.Next)
}

func (e Installed) String() string {
	kept := "nothing of it is kept"
	if e.Kept {
		kept = "what follows is kept"
	}
	return fmt.Sprintf("the log begins after %d/%d, where the state is that another server sent; %s", e.Base.Index, e.Base.Term, kept)
}

func (e ConfigurationChanged) String() string {
	s := fmt.Sprintf("configuration of entry %d in force: voters %x", e.Index, e.Voters)
	if len(e.OldVoters) > 0 {
		s = fmt.Sprintf("joint configuration of entry %d in force: voters %x and %x", e.Index, e.OldVoters, e.Voters)
	}
	if len(e.Learners) > 0 {
		s += fmt.Sprintf(", learners %x", e.Learners)
	}
	return s
}

func (e Transferring) String() string { return fmt.Sprintf("hands over to %x", e.To) }

func voteName(pre bool) string {
	if pre {
		return "pre-vote"
	}
	return "vote"
}
