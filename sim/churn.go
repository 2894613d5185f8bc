package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// In half of the worlds servers come and go: there are more of them than belong to the group at first, and an
// operator asks whoever leads for other members or to hand over, again and again, whatever else goes wrong. When all has
// healed, the change that has begun must be completed, whoever was to vote must vote, and those who belong to
// the group must come right. Nobody else need, and nobody else may disturb.

// churnPlan says how.
type churnPlan struct {
	spares   int   // servers that do not belong to the group at first; 0: nobody comes or goes
	every    int64 // between a change and the next
	patience int64 // until the operator gives a change up
	tear     int   // per million of configurations that a leader puts in force
	deaf     bool  // until the ending, nobody hears that he is handed over to: leaders that are removed must do without
}

// churning is how many of a million worlds do, of those that may: half of all. In the others nobody comes or goes
// because the model of package spec knows no changes (M1), and because an ending that leaves something broken
// needs to know who the majority will be, which a change that is under way would decide (V2, V3, V4, W1).
const churning = 580_000

// mostChurned is how many servers there are at most, where they come and go.
const mostChurned = 6

// minVoters are left by every change.
const minVoters = 1

func (p *plan) drawChurn(d dice) {
	share := churning
	if p.afterLeases {
		share += share / 2
	}
	if p.calm || p.servers < 2 || !d.chance("plan.churns", share) {
		return
	}
	const ms = int64(time.Millisecond)
	p.churn = churnPlan{
		spares:   d.between("plan.churn.spares", 1, min(2, mostChurned-p.servers)),
		every:    d.scale("plan.churn.every", 50*ms, 4000*ms),
		patience: d.scale("plan.churn.patience", 300*ms, 5000*ms),
		tear:     rarely(d, "churn.tear", 50_000, 500_000),
		deaf:     d.either("plan.churn.deaf"),
	}
	if p.afterLeases {
		p.churn.tear = max(p.churn.tear, 170_000)
	}
}

func (p *churnPlan) String() string { return fmt.Sprintf("%d more come and go", p.spares) }

// operator is who asks for other members, and for other leaders.
type operator struct {
	changes uint64 // asked for so far
	server  *server
	waits   bool // for the latest of them
}

// changeHandles is above all ids of requests.
const changeHandles = 1 << 62

func (w *world) operateLater() {
	w.queue.add(event{at: w.now + w.dice.spread("operator.every", w.plan.churn.every), kind: evOperator, server: none, life: anyLife})
}

// operate asks a server for something, the leader mostly.
func (w *world) operate() {
	o := &w.operator
	if w.ending || o.waits {
		return
	}
	s := w.servers[w.dice.below("operator.server", len(w.servers))]
	if w.dice.below("operator.elsewhere", 8) > 0 {
		for _, other := range w.servers {
			if other.up && other.replica.Core().Role() == raft.Leader {
				s = other
			}
		}
	}
	in := w.drawChange(s, changeHandles+o.changes+1)
	if in == nil {
		w.operateLater()
		return
	}
	o.changes++
	o.server, o.waits = s, true
	s.put(in)
	w.queue.add(event{at: w.now + w.plan.churn.patience, kind: evDeadline, server: s.index, life: s.life, number: changeHandles + o.changes})
	s.mayTurn()
}

// drawChange makes up what a server is asked for: other members, or to hand over; nil: nothing.
func (w *world) drawChange(s *server, handle uint64) replica.Input {
	if !s.up {
		return nil
	}
	if w.dice.below("operator.what", 4) == 0 {
		w.counts.Transfers++
		to := raft.ServerID(w.dice.below("operator.to", len(w.servers)+1)) // 0: to anybody
		w.tell(s, "is asked to hand over to %d", to)
		return replica.Transfer{Handle: handle, To: to}
	}
	if w.plan.prefer.preferred != nil && w.dice.below("operator.prefers", 4) == 0 {
		w.counts.Preferences++
		edits := w.drawPreference(s.replica.Status().Configuration)
		w.tell(s, "is asked to prefer others")
		return replica.Reconfigure{Handle: handle, Edits: edits}
	}
	now := s.replica.Core().Configuration().Configuration
	edits := w.drawEdits(now)
	if w.plan.afterLeases && w.dice.either("operator.replaces") {
		edits = w.drawReplacement(s.id, now)
	}
	if len(edits) == 0 {
		return nil
	}
	w.counts.Changes++
	if w.story != nil {
		w.tell(s, "is asked for other members: %s", describeEdits(edits))
	}
	return replica.Reconfigure{Handle: handle, Edits: edits}
}

// drawEdits makes up a change.
func (w *world) drawEdits(now *raft.Configuration) []replica.Edit {
	var edits []replica.Edit
	voters := 0
	for _, s := range w.servers {
		e := replica.Edit{Member: wire.Member{ID: s.id}}
		votes, learns := slices.Contains(now.Voters, s.id), slices.Contains(now.Learners, s.id)
		switch k := w.dice.below("operator.edit", 12); {
		case !votes && !learns && k < 5:
			e.Member.Roles = wire.RoleVoter
		case !votes && !learns && k < 7, votes && k == 0:
			e.Member.Roles = wire.RoleLearner
		case learns && k < 5:
			e.Member.Roles = wire.RoleVoter
		case learns && k < 7, votes && k < 4:
			e.Remove = true
		default:
			e.Member.ID = 0
		}
		if votes && e.Member.ID == 0 || learns && e.Member.Roles == wire.RoleVoter {
			voters++
		}
		if e.Member.ID != 0 {
			edits = append(edits, e)
		}
	}
	if voters < minVoters {
		return nil
	}
	return edits
}

// drawReplacement makes up a change by which the majority becomes another, or is on the way to that: whoever learns
// gets a vote, and another may go; those who do not belong to the group learn; or, if all vote, some go.
func (w *world) drawReplacement(leader raft.ServerID, now *raft.Configuration) []replica.Edit {
	var edits []replica.Edit
	voters := len(now.Voters)
	for _, s := range w.servers {
		switch {
		case slices.Contains(now.Learners, s.id):
			edits = append(edits, replica.Edit{Member: wire.Member{ID: s.id, Roles: wire.RoleVoter}})
			voters++
		case !now.IsMember(s.id) && len(now.Learners) == 0:
			edits = append(edits, replica.Edit{Member: wire.Member{ID: s.id, Roles: wire.RoleLearner}})
		}
	}
	for _, id := range now.Voters {
		if id != leader && voters > minVoters && w.dice.below("operator.goes", 3) == 0 {
			edits = append(edits, replica.Edit{Member: wire.Member{ID: id}, Remove: true})
			voters--
		}
	}
	return edits
}

func describeEdits(edits []replica.Edit) string {
	text := ""
	for _, e := range edits {
		what := "votes"
		switch {
		case e.Remove:
			what = "leaves"
		case e.Member.Roles == wire.RoleLearner:
			what = "learns"
		}
		text += fmt.Sprintf("; %d %s", e.Member.ID, what)
	}
	return text[2:]
}

// changed takes the answer to what the operator has asked for.
func (w *world) changed(s *server, a *replica.Answer) {
	o := &w.operator
	w.trace.add(a.Handle<<8 | uint64(a.Outcome))
	if !o.waits || s != o.server || a.Handle != changeHandles+o.changes {
		w.check.Fail("S2", "server %d answers change %d, which does not wait there", s.id, a.Handle-changeHandles)
		return
	}
	switch a.Outcome {
	case replica.Done:
		w.counts.ChangesDone++
		if w.check.Committed() < a.Index { // who has told it may be down
			w.check.Fail("S2", "server %d says that change %d is done, at %d, which is not committed", s.id, o.changes, a.Index)
		}
	case replica.Unknown:
		w.counts.ChangesUnknown++
	case replica.NotReady:
		w.counts.ChangesNotReady++
	}
	if w.story != nil {
		w.tell(s, "has an answer for the operator: %v", a.Outcome)
	}
	if w.ending {
		w.end.farewell.outcome = a.Outcome
	}
	o.waits = false
	w.operateLater()
}

// operatorLoses ends the change that waits at a server that has crashed.
func (w *world) operatorLoses(s *server) {
	if o := &w.operator; o.waits && o.server == s {
		o.waits = false
		w.operateLater()
	}
}

// strikeTear parts the servers just when a leader has another configuration, and some of the others may have
// it already: what one side decides by the majority of C_old, the other must not decide by that of C_new.
func (w *world) strikeTear(leader *server) {
	side := make([]bool, len(w.servers))
	now := leader.replica.Core().Configuration().Configuration
	newcomers := w.plan.afterLeases && w.dice.either("churn.newcomers")
	companion := w.dice.below("churn.companion", len(w.servers))
	for i, s := range w.servers {
		switch {
		case newcomers && now.Joint(): // they may be a majority of C_new, and the others one of C_old
			side[i] = s == leader || !slices.Contains(now.OldVoters, s.id)
		case newcomers: // two were a majority, maybe, when there were fewer
			side[i] = s == leader || i == companion
		default: // mostly those of C_new from the others; who belongs to both is on either side
			side[i] = slices.Contains(now.Voters, s.id) != (w.dice.below("churn.side", 4) == 0)
		}
	}
	links := w.linksWhere(func(from, to int) bool { return side[from] != side[to] })
	if len(links) == 0 {
		return
	}
	w.counts.Partitions++
	for _, l := range links {
		l.cuts++
		l.strikes++
	}
	w.tell(nil, "the servers part, as the members change: %s", linkNames(links))
	w.reliefAfter(&fault{kind: cutFault, links: links}, w.plan.cut)
}

// wantingMembers says what the group still lacks as it should be when all has healed: nothing half done, and
// nobody who is to vote and does not.
func (w *world) wantingMembers() string {
	leader := w.theLeader()
	if w.plan.churn.spares == 0 || leader == nil {
		return ""
	}
	at := leader.replica.Core().Configuration()
	if at.Configuration.Joint() || at.Index > leader.replica.Core().CommitIndex() {
		return fmt.Sprintf("the change at %d of leader %d is not complete: %s", at.Index, leader.id, w.describeServers())
	}
	if !at.Configuration.IsVoter(leader.id) {
		return fmt.Sprintf("server %d leads, and has no vote: %s", leader.id, w.describeServers())
	}
	for _, m := range leader.replica.Status().Configuration.Members {
		if m.Roles&wire.RoleJoining != 0 {
			return fmt.Sprintf("server %d is to vote, and does not: %s", m.ID, w.describeServers())
		}
	}
	return ""
}

// belongs reports whether a server is a member in the leader's configuration.
func (w *world) belongs(s *server) bool {
	leader := w.theLeader()
	return leader != nil && leader.replica.Core().Configuration().Configuration.IsMember(s.id)
}
