package sim

import (
	"fmt"
	"strings"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// turn runs the replica once, and carries out the work as the host's worker does.
func (s *server) turn() {
	w := s.world
	inputs := s.inbox
	s.inbox, s.spare = s.spare[:0], inputs
	s.hasTick = false
	now, reads := s.ticksNow(), s.readsByLease()
	s.promise.beginTurn(now, inputs)
	bound := s.isBound(now)
	s.countAge(inputs)
	work := s.replica.Step(s.clockNow(), inputs) // decide: memory only
	core := s.replica.Core()
	view := check.ViewOf(core)
	view.Bound = s.mayBeBound(now)
	s.checks.Stepped(inputs, work.Writes, view)
	if bound {
		s.checkPromise(inputs, &work)
	}
	s.notePromise(now, inputs)
	if s.gotReply && core.Role() == raft.Leader {
		s.peers = core.AppendPeers(s.peers[:0])
		s.checks.Believes(s.peers)
	}
	s.gotReply = false
	s.witnessTurn(inputs, &work)
	s.pieceArrives(inputs, &work)
	s.checkVotes(inputs, &work)
	s.note(&work)
	if s.readsByLease() > reads {
		w.counts.LeaseReads++
	}
	w.checkLeases()
	clear(inputs)
	if differs(work.Fatal) {
		s.loseState(work.Fatal)
		return
	}
	s.checkStuck(&work)
	if work.Fatal != nil {
		s.fail(work.Fatal)
		return
	}
	if len(work.Writes) > 0 {
		s.write(work.Writes)
	}
	if !s.up { // the disk has failed
		return
	}
	for i := range work.Send {
		s.checkSent(&work.Send[i])
		w.send(s.index, work.Send[i])
	}
	if work.Apply != nil {
		s.apply(work.Apply)
	}
	s.snapshotWork(&work)
	for _, f := range work.Fetch {
		s.fetch(f)
	}
	for i := range work.Answers {
		w.answer(s, &work.Answers[i])
	}
	s.moment()
}

// seen is what the world has noticed of a server in this life.
type seen struct {
	role   raft.Role
	term   raft.Term
	commit raft.Index
	// interesting: something has just happened after which a crash is worth its while.
	interesting bool
	// reconfigured: as the leader, it has just put another configuration in force.
	reconfigured bool
	// slower: it is about to hand over because its disk is slower than others'.
	slower bool
	// handedOver is when it began to, last; 0: never.
	handedOver int64
	// forwarded is the highest batch sent to the leader of forwardTerm.
	forwardTerm raft.Term
	forwarded   uint64
}

// note counts and tells what a turn has brought, and adds it to the trace.
func (s *server) note(work *replica.Work) {
	w := s.world
	core := s.replica.Core()
	role, term, commit := core.Role(), core.CurrentTerm(), core.CommitIndex()
	w.trace.add(uint64(role)<<56 ^ uint64(term)<<40 ^ uint64(core.LastIndex())<<20 ^ uint64(commit))
	s.seen.interesting = role != s.seen.role || term != s.seen.term || commit != s.seen.commit || len(work.Writes) > 0
	w.wedges.progress(w.now, term, s.seen.interesting)
	if role == raft.Leader && (s.seen.role != raft.Leader || s.seen.term != term) {
		w.elected(s, term)
	}
	s.seen.role, s.seen.term, s.seen.commit = role, term, commit
	s.seen.reconfigured = false
	for i := range work.Writes {
		for _, record := range work.Writes[i].Records {
			w.trace.addBytes(record[:8])
		}
	}
	for _, e := range work.Events {
		switch e := e.(type) {
		case raft.RoleChanged:
			if e.Role == raft.Candidate {
				w.counts.Elections++
			}
		case raft.Truncated:
			w.counts.Truncations++
		case raft.Stranded:
			w.counts.Stranded++
		case raft.Installed:
			w.counts.LogsBegunAnew++
			if e.Kept {
				w.mark(stateKeepsLog)
			}
		case raft.Reconciled:
			w.counts.Reconciled++
		case raft.Committed:
			w.counts.Commits++
		case raft.ConfigurationChanged:
			w.counts.Configurations++
			s.seen.reconfigured = role == raft.Leader
			s.checkFarewell()
		case replica.HandsOver:
			s.seen.slower = e.Slower
		case raft.Transferring:
			s.checkHandover(e.To)
			s.seen.slower, s.seen.handedOver = false, w.now
		case replica.Diverged:
			w.check.Fail("C4", "server %d: %v", s.id, e)
		}
		if w.story != nil {
			w.tell(s, "%s", e)
		}
	}
}

// elected notes a new leader.
func (w *world) elected(s *server, term raft.Term) {
	if w.leader != none && w.leader != s.index {
		w.counts.LeaderChanges++
	}
	if w.plan.calm && w.leader != none && w.now-w.ledSince > 4*w.plan.electionTimeout() {
		w.check.Fail("B1", "server %d was elected in term %d, though nothing had happened to the leader, server %d", s.id, term, w.leader+1)
	}
	w.leader, w.leaderTerm, w.ledSince = s.index, term, w.now
	w.highestTerm = max(w.highestTerm, term)
}

// moment lets a server crash, or be cut off, just when something has happened.
func (s *server) moment() {
	w := s.world
	if !s.up || !s.seen.interesting || w.ending {
		return
	}
	s.moments++
	if w.dice.chance(s.labels.cutNow, w.plan.cutAtEvent) {
		leave := w.within(fmt.Sprintf(" of moment %d.%d", s.id, s.moments))
		w.strikeCut(s)
		leave()
	}
	if s.seen.reconfigured && w.plan.churn.spares > 0 && w.dice.chance(s.labels.tear, w.plan.churn.tear) {
		leave := w.within(fmt.Sprintf(" of moment %d.%d", s.id, s.moments))
		w.strikeTear(s)
		leave()
	}
	if w.dice.chance(s.labels.crashNow, w.plan.crashAtEvent) {
		defer w.within(fmt.Sprintf(" of moment %d.%d", s.id, s.moments))()
		w.tell(s, "crashes at this very moment")
		s.crash(w.dice.chance(s.labels.kill, w.plan.killShare))
	}
}

// tell adds a line to the story.
func (w *world) tell(s *server, format string, args ...any) {
	if w.story == nil {
		return
	}
	who := "          "
	if s != nil {
		who = fmt.Sprintf("server %-3d", s.id)
	}
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(w.story, "%11.6fs  %s %s\n", float64(w.now)/1e9, who, strings.TrimSpace(line))
}
