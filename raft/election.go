package raft

import (
	"fmt"
	"slices"
)

// vote is one server's answer to a candidate.
type vote struct {
	from    ServerID
	granted bool
}

// tick lets one tick of time pass.
func (c *Core) tick(in *Tick) {
	c.sinceLeader = min(c.sinceLeader+1, c.options.WindowTicks)
	delay := c.delay(in)
	if c.role == Leader {
		c.leaderTick(delay)
		return
	}
	c.drawTimeout(delay, in.Random)
	c.electionElapsed++
	if c.electionElapsed >= c.electionTimeout-c.needlessWait() {
		c.electionTimedOut()
	}
}

// delay returns the campaign delay that a tick brings. Below the window a campaign would be in vain, for
// the others would refuse their votes.
func (c *Core) delay(in *Tick) int {
	if in.Delay == 0 {
		return c.options.ElectionTicks
	}
	return max(in.Delay, c.options.WindowTicks)
}

// drawTimeout draws a timeout for this attempt, if there is none: a new one each time, so that candidates
// which split the vote once do not go on splitting it. (Paper §5.2.)
//
// While it runs, a delay that grows makes it longer at once, for whatever made it grow may have held up the
// leader too. One that shrinks counts from the next attempt on: nobody's turn is cut short.
func (c *Core) drawTimeout(delay int, random uint64) {
	if c.electionTimeout == 0 {
		c.electionTimeout, c.electionDelay = delay+int(random%uint64(delay)), delay
	}
	if delay > c.electionDelay {
		c.electionTimeout += delay - c.electionDelay
		c.electionDelay = delay
	}
}

// unlinked notes that a link has broken.
func (c *Core) unlinked(peer ServerID) {
	if c.role == Follower && c.leader == peer && peer != 0 {
		c.leaderMissed = true
	}
}

// needlessWait returns which part of the timeout a leader need not be granted of which there is a sign that it
// is gone, such as a broken link: that beyond the window, which is there for one who is slow. The window itself
// stays, for a broken link proves nothing: the others may hear that leader well. So does what chance has added,
// which keeps servers that have lost it in the same moment from splitting the vote.
func (c *Core) needlessWait() int {
	if !c.leaderMissed {
		return 0
	}
	return c.electionDelay - c.options.WindowTicks
}

// resetElectionTimer starts the wait for a leader anew, with a timeout still to be drawn.
func (c *Core) resetElectionTimer() {
	c.electionElapsed, c.electionTimeout, c.electionDelay, c.leaderMissed = 0, 0, 0, false
}

// electionTimedOut starts an election, unless this server has no vote or leads already.
//
// Figure 2, Followers 2. No AppendEntries from the current leader, no vote granted: try to lead.
// Figure 2, Candidates 4. The election took too long: try again.
func (c *Core) electionTimedOut() {
	if c.isBound() {
		return // its own vote is promised away, too: when it has it back, the timeout is over still
	}
	c.resetElectionTimer()
	if c.role == Leader || !c.mayLead() {
		return
	}
	c.becomePreCandidate()
}

// mayLead reports whether this server has a vote, or had one before a configuration that is not known to be
// committed. In that case it may be the only one with that configuration, and nobody else can win: it must
// lead, without counting itself, until it is committed. (Thesis §4.2.2.)
func (c *Core) mayLead() bool {
	for _, at := range slices.Backward(c.log.configurations) {
		if at.Configuration.IsVoter(c.id) {
			return true
		}
		if at.Index <= c.commitIndex {
			return false
		}
	}
	return false
}

// holdsOnToLeader reports whether this server has reason to believe that the leader of its term is
// alive. A leader that lost its majority steps down by itself, so a leader always does.
//
// What counts is the window, which all servers have in common, and not how long this one would wait
// itself: its own delay is tuned, and may be so long that nobody could be elected for seconds.
func (c *Core) holdsOnToLeader() bool {
	return c.role == Leader || (c.leader != 0 && c.sinceLeader < c.options.WindowTicks)
}

// whyWithheld says why this server votes for nobody, whoever asks; "" if it does: it believes in its leader, or
// it may have promised that. A promise holds whatever becomes of the leader, and of the term.
func (c *Core) whyWithheld() string {
	switch {
	case c.holdsOnToLeader():
		return "the leader is alive"
	case c.isBound():
		return "the vote is promised to nobody"
	}
	return ""
}

// becomeFollower follows the leader of term, or nobody known if leader is 0.
//
// Figure 2, Followers 1. From here on it only answers.
func (c *Core) becomeFollower(term Term, leader ServerID, why string) {
	if term > c.currentTerm {
		c.setTermAndVote(term, 0)
	}
	if c.role == Leader {
		c.refuseReads(NotLeader)
	}
	c.role, c.leader = Follower, leader
	c.votes, c.leadState = nil, nil
	c.resetElectionTimer()
	c.tell(RoleChanged{Role: Follower, Term: term, Leader: leader, Why: why})
}

// becomePreCandidate asks whether an election could be won, before a new term disturbs anybody.
// (Thesis §9.6.)
func (c *Core) becomePreCandidate() {
	c.role, c.leader = PreCandidate, 0
	c.votes = []vote{{c.id, true}}
	c.tell(RoleChanged{Role: PreCandidate, Term: c.currentTerm, Why: "no word from a leader"})
	if c.hasVotes() {
		c.becomeCandidate(false)
		return
	}
	c.askAllVoters(&RequestPreVote{LastLogIndex: c.log.last, LastLogTerm: c.log.lastTerm()})
}

// becomeCandidate opens a new term and asks for votes in it.
//
// Figure 2, Candidates 1. The vote for itself is one write with the new term, and no request leaves
// before that is durable: else a restart could give a second vote in the same term. With transfer the leader
// itself wants it.
func (c *Core) becomeCandidate(transfer bool) {
	c.setTermAndVote(c.currentTerm+1, c.id)
	c.role, c.leader = Candidate, 0
	c.votes = []vote{{c.id, true}}
	c.resetElectionTimer()
	c.tell(RoleChanged{Role: Candidate, Term: c.currentTerm, Why: whyCandidate(transfer)})
	c.askAllVoters(&RequestVote{LastLogIndex: c.log.last, LastLogTerm: c.log.lastTerm(), Transfer: transfer})
}

func whyCandidate(transfer bool) string {
	if transfer {
		return "the leader hands over"
	}
	return "an election can be won"
}

func (c *Core) askAllVoters(m Message) {
	configuration := c.configuration()
	for _, id := range configuration.Members() {
		if id != c.id && configuration.IsVoter(id) {
			c.send(id, m, 0)
		}
	}
}

// handleRequestVote gives this server's one vote of the term, or not.
func (c *Core) handleRequestVote(from ServerID, m *RequestVote) {
	why := c.objection(m.LastLogIndex, m.LastLogTerm)
	switch {
	case c.votedFor != 0 && c.votedFor != from:
		why = fmt.Sprintf("the vote went to %x", c.votedFor)
	case c.isBound() && !m.Transfer: // in a term that came by another message
		why = "the vote is promised to nobody"
	}
	if why != "" {
		c.tell(VoteRefused{To: from, Term: c.currentTerm, Why: why})
		c.send(from, &RequestVoteReply{Granted: false}, 0)
		return
	}
	// Figure 2, RequestVote 2. First come, first served, and only for a log that is at least as up
	// to date as ours, so that whoever wins has every committed entry.
	c.setTermAndVote(c.currentTerm, from)
	c.resetElectionTimer()
	c.tell(VoteGranted{To: from, Term: c.currentTerm})
	c.send(from, &RequestVoteReply{Granted: true}, 0)
}

// refuseOldVote refuses a vote in a term that is over.
//
// Figure 2, RequestVote 1.
func (c *Core) refuseOldVote(from ServerID, term Term) {
	c.tell(VoteRefused{To: from, Term: term, Why: "its term is over"})
	c.send(from, &RequestVoteReply{Granted: false}, 0)
}

// objection says what is wrong with a candidate's log; "" if it is at least as up to date as ours:
// its last term is higher, or the same and the log no shorter. (Paper §5.4.1.)
func (c *Core) objection(lastLogIndex Index, lastLogTerm Term) string {
	ours := EntryID{c.log.last, c.log.lastTerm()}
	switch {
	case lastLogTerm < ours.Term:
		return fmt.Sprintf("its log ends in term %d, ours in %d", lastLogTerm, ours.Term)
	case lastLogTerm == ours.Term && lastLogIndex < ours.Index:
		return fmt.Sprintf("its log ends at %d, ours at %d", lastLogIndex, ours.Index)
	}
	return ""
}

// handleRequestPreVote says whether this server would vote for the sender in the next term. It
// changes nothing here; above all it does not put off this server's own candidacy. It may bring that forward.
func (c *Core) handleRequestPreVote(from ServerID, m *RequestPreVote) {
	why := c.objection(m.LastLogIndex, m.LastLogTerm)
	if withheld := c.whyWithheld(); withheld != "" {
		why = withheld
	}
	if why == "" {
		c.tell(VoteGranted{To: from, Term: c.currentTerm + 1, Pre: true})
	} else {
		// Somebody else misses the leader too, whom this server must not vote for: it may have to stand itself.
		c.leaderMissed = c.leaderMissed || c.role == Follower && c.whyWithheld() == ""
		c.tell(VoteRefused{To: from, Term: c.currentTerm + 1, Pre: true, Why: why})
	}
	c.send(from, &RequestPreVoteReply{Granted: why == ""}, 0)
}

// handleRequestVoteReply counts a vote.
//
// Figure 2, Candidates 2. Votes of a majority of all voters, silent ones included.
func (c *Core) handleRequestVoteReply(from ServerID, m *RequestVoteReply) {
	if c.role != Candidate {
		return
	}
	c.countVote(from, m.Granted)
	c.leadIfElected()
}

// leadIfElected ends a candidacy that is won. The candidate's own vote counts like any other: once it is durable. A server
// that needs nobody else's could lead at once, lose all that in a crash, and lead in that term again, with other entries.
func (c *Core) leadIfElected() {
	if c.role == Candidate && c.termTicket == 0 && c.hasVotes() {
		c.becomeLeader()
	}
}

// handleRequestPreVoteReply counts a pre-vote.
func (c *Core) handleRequestPreVoteReply(from ServerID, m *RequestPreVoteReply) {
	if c.role != PreCandidate {
		return
	}
	c.countVote(from, m.Granted)
	if c.hasVotes() {
		c.becomeCandidate(false)
	}
}

// countVote notes an answer. A refusal never takes back a vote, nor hides one that comes after it: it
// may have answered an earlier candidacy, and come in between.
func (c *Core) countVote(from ServerID, granted bool) {
	for i := range c.votes {
		if c.votes[i].from == from {
			c.votes[i].granted = c.votes[i].granted || granted
			return
		}
	}
	c.votes = append(c.votes, vote{from, granted})
}

// hasVotes reports whether a majority of all voters has granted.
func (c *Core) hasVotes() bool {
	return c.configuration().HasQuorum(func(id ServerID) bool {
		for _, v := range c.votes {
			if v.from == id {
				return v.granted
			}
		}
		return false
	})
}
