package spec

import "github.com/quorate/quorate/raft"

// Envelope is a message, with the term in which its sender made it.
type Envelope struct {
	From, To raft.ServerID
	Term     raft.Term
	Body     Message
}

// Message is one of the structs below.
type Message interface{ isMessage() }

// RequestVote asks for a vote. Transfer: the leader wants it.
type RequestVote struct {
	Last     raft.EntryID
	Transfer bool
}

// Vote answers RequestVote.
type Vote struct{ Granted bool }

// RequestPreVote asks whether a vote in the next term would be granted.
type RequestPreVote struct{ Last raft.EntryID }

// PreVote answers RequestPreVote.
type PreVote struct{ Granted bool }

// AppendEntries carries the entries after Prev.
type AppendEntries struct {
	Prev         raft.EntryID
	Entries      []Entry
	LeaderCommit raft.Index
	// Round names this message among those of its leader in its term.
	Round raft.Round
}

// last returns the index of the last entry that the message speaks of.
func (m *AppendEntries) last() raft.Index { return m.Prev.Index + raft.Index(len(m.Entries)) }

// Match answers AppendEntries: up to Verified the logs agree, and the follower has this on its disk.
type Match struct {
	Round    raft.Round
	Verified raft.Index
}

// Conflict answers AppendEntries of which the log does not have the entry before, or those of a term
// that is over. What else it says about the log is a hint, and not part of the model.
type Conflict struct {
	Round  raft.Round
	Commit raft.Index
}

// TimeoutNow is how a leader hands over: whoever it tells shall stand at once.
type TimeoutNow struct{}

func (RequestVote) isMessage()    {}
func (Vote) isMessage()           {}
func (RequestPreVote) isMessage() {}
func (PreVote) isMessage()        {}
func (*AppendEntries) isMessage() {}
func (Match) isMessage()          {}
func (Conflict) isMessage()       {}
func (TimeoutNow) isMessage()     {}

// Messages are all that were ever sent. The network may lose them and repeat them at any time; what it
// may not do is make one up.
type Messages struct {
	// appends has what each leader sent in each of its terms: the round is the place, from 1.
	appends map[reign][]sentAppend
	// others has the rest. A Match stands with what it answers.
	others map[Envelope]struct{}
}

type reign struct {
	leader raft.ServerID
	term   raft.Term
}

// sentAppend is an AppendEntries, without its entries: the leader's last one of them stands for all,
// for its hash covers those before it.
type sentAppend struct {
	to           raft.ServerID
	prev         raft.EntryID
	last         raft.Index
	end          Entry
	leaderCommit raft.Index
	taken        bool       // it has arrived at least once
	matched      bool       // it was answered by a Match
	verified     raft.Index // the highest that such an answer said
}

// maxRoundsAhead bounds how many rounds may be left out: they were for messages that did not leave.
const maxRoundsAhead = 1 << 16

// NewMessages returns the empty set.
func NewMessages() *Messages {
	return &Messages{appends: map[reign][]sentAppend{}, others: map[Envelope]struct{}{}}
}

// append returns the AppendEntries of a round; nil if none was sent.
func (m *Messages) append(leader raft.ServerID, term raft.Term, round raft.Round) *sentAppend {
	sent := m.appends[reign{leader, term}]
	if round == 0 || round > raft.Round(len(sent)) || sent[round-1].to == 0 {
		return nil
	}
	return &sent[round-1]
}

// add notes a message. It needs that a leader does not use a round twice.
func (m *Messages) add(e *Envelope, end Entry) (needs string) {
	switch body := e.Body.(type) {
	case *AppendEntries:
		key := reign{e.From, e.Term}
		sent := m.appends[key]
		if body.Round == 0 || body.Round > raft.Round(len(sent))+maxRoundsAhead || m.append(e.From, e.Term, body.Round) != nil {
			return "AppendEntries: a round that was not used before"
		}
		for raft.Round(len(sent)) < body.Round {
			sent = append(sent, sentAppend{})
		}
		sent[body.Round-1] = sentAppend{
			to: e.To, prev: body.Prev, last: body.last(), end: end, leaderCommit: body.LeaderCommit,
		}
		m.appends[key] = sent
	case Match:
		a := m.append(e.To, e.Term, body.Round)
		a.matched, a.verified = true, max(a.verified, body.Verified)
	default:
		m.others[*e] = struct{}{}
	}
	return ""
}

// wasSent reports whether a message is one that was sent, and notes its arrival.
func (m *Messages) wasSent(e *Envelope) bool {
	switch body := e.Body.(type) {
	case *AppendEntries:
		sent := m.append(e.From, e.Term, body.Round)
		if sent == nil || sent.to != e.To || sent.prev != body.Prev || sent.last != body.last() || sent.leaderCommit != body.LeaderCommit {
			return false
		}
		if n := len(body.Entries); n > 0 && body.Entries[n-1] != sent.end {
			return false
		}
		sent.taken = true
		return true
	case Match:
		sent := m.append(e.To, e.Term, body.Round)
		return sent != nil && sent.to == e.From && sent.matched && sent.last <= body.Verified && body.Verified <= sent.verified
	}
	_, ok := m.others[*e]
	return ok
}
