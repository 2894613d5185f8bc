package raft

import (
	"fmt"
	"strings"
)

// Envelope is a message on its way.
type Envelope struct {
	From, To ServerID
	// Term is the sender's current term when it made the message. It is never stamped anew: that
	// would turn an old promise into one that was never made.
	Term Term
	// After is the sender's write that must be durable before the message leaves; 0 if all that it
	// promises is durable. Not part of the message.
	After   Ticket
	Message Message
}

// Message is one of the structs below.
type Message interface {
	isMessage()
	// String says what is in the message, but for what clients have written.
	String() string
}

// RequestVote asks for a vote in the term of the envelope. (Figure 2, RequestVote RPC.)
type RequestVote struct {
	LastLogIndex Index
	LastLogTerm  Term
	// Transfer marks a candidacy that the leader itself asked for: voters then do not hold on to
	// the leader. (Thesis §4.2.3.)
	Transfer bool
}

// RequestVoteReply answers RequestVote.
type RequestVoteReply struct{ Granted bool }

// RequestPreVote asks whether a RequestVote in the term after the envelope's would be granted. It
// changes nothing at the receiver. (Thesis §9.6.)
type RequestPreVote struct {
	LastLogIndex Index
	LastLogTerm  Term
}

// RequestPreVoteReply answers RequestPreVote. It counts only if its envelope's term is still the
// asker's current one.
type RequestPreVoteReply struct{ Granted bool }

// AppendEntries replicates entries, is the heartbeat, and confirms that the leader still leads.
// (Figure 2, AppendEntries RPC.)
type AppendEntries struct {
	PrevLogIndex Index
	PrevLogTerm  Term
	// Last is the index of the last entry carried; PrevLogIndex for a heartbeat. The core names the
	// entries that it wants to send by Last alone: whoever keeps the log's bytes fills in Entries
	// before the message leaves, and may send fewer to a peer that is being probed.
	Last         Index
	Entries      []Entry
	LeaderCommit Index
	Round        Round
	// Probing tells whoever fills in Entries that fewer of them are as welcome. Not part of the
	// message.
	Probing bool
}

// AppendEntriesReply says that the sender's log agrees with the leader's up to Verified, as that
// very request has shown, and that this is durable.
type AppendEntriesReply struct {
	Round    Round
	Verified Index
	// Promise: the sender votes for nobody for Options.PromiseTicks of its clock after it took the request in.
	Promise bool
}

// AppendEntriesRefusal says that the sender's log does not have the entry before those of the
// request, and describes the log, so that the leader finds the common prefix at once.
// A refusal of a request from an older term carries nothing: its envelope's term says it all.
type AppendEntriesRefusal struct {
	Round Round
	// Commit is the sender's commit index: up to there any leader's log agrees.
	Commit Index
	// LastLogIndex is the end of the sender's log, or the entry before PrevLogIndex of the request if
	// that comes first: behind it the logs differ anyway.
	LastLogIndex Index
	// Runs are the terms of the entries up to LastLogIndex, the latest maxRunsPerReply of them.
	Runs []TermRun
}

// TimeoutNow tells the receiver to campaign at once: its leader hands over to it. (Thesis §3.10.)
type TimeoutNow struct{}

func (*RequestVote) isMessage()          {}
func (*RequestVoteReply) isMessage()     {}
func (*RequestPreVote) isMessage()       {}
func (*RequestPreVoteReply) isMessage()  {}
func (*AppendEntries) isMessage()        {}
func (*AppendEntriesReply) isMessage()   {}
func (*AppendEntriesRefusal) isMessage() {}
func (*TimeoutNow) isMessage()           {}

// maxRunsPerReply bounds a refusal. A log with more runs than that takes another round trip for
// each thousand.
const maxRunsPerReply = 1000

func (m *RequestVote) String() string {
	return fmt.Sprintf("RequestVote, log ends %d/%d", m.LastLogIndex, m.LastLogTerm)
}

func (m *RequestVoteReply) String() string { return "RequestVoteReply " + grantedOrRefused(m.Granted) }

func (m *RequestPreVote) String() string {
	return fmt.Sprintf("RequestPreVote, log ends %d/%d", m.LastLogIndex, m.LastLogTerm)
}

func (m *RequestPreVoteReply) String() string {
	return "RequestPreVoteReply " + grantedOrRefused(m.Granted)
}

func (m *AppendEntries) String() string {
	what, last := "heartbeat", max(m.Last, m.PrevLogIndex+Index(len(m.Entries)))
	switch {
	case last > m.PrevLogIndex+1:
		what = fmt.Sprintf("entries %d to %d", m.PrevLogIndex+1, last)
	case last == m.PrevLogIndex+1:
		what = fmt.Sprintf("entry %d", last)
	}
	return m.StringOf(what)
}

// StringOf is String with other words for the entries carried.
func (m *AppendEntries) StringOf(entries string) string {
	return fmt.Sprintf("AppendEntries #%d after %d/%d: %s; commit %d", m.Round, m.PrevLogIndex, m.PrevLogTerm, entries, m.LeaderCommit)
}

func (m *AppendEntriesReply) String() string {
	promise := ""
	if m.Promise {
		promise = ", promises its vote to nobody"
	}
	return fmt.Sprintf("AppendEntriesReply #%d: verified up to %d%s", m.Round, m.Verified, promise)
}

func (m *AppendEntriesRefusal) String() string {
	if m.Round == 0 {
		return "AppendEntriesRefusal: your term is over"
	}
	terms := " none"
	if len(m.Runs) > 0 {
		var b strings.Builder
		for _, r := range m.Runs {
			fmt.Fprintf(&b, " %d@%d", r.Term, r.First)
		}
		terms = b.String()
	}
	return fmt.Sprintf("AppendEntriesRefusal #%d: log ends at %d, terms%s, commit %d", m.Round, m.LastLogIndex, terms, m.Commit)
}

func (*TimeoutNow) String() string { return "TimeoutNow" }

func grantedOrRefused(granted bool) string {
	if granted {
		return "granted"
	}
	return "refused"
}
