package replica

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// membership is how a leader changes who belongs to the group. A change is what it comes to in the log: a
// configuration without a change of voters, or a joint one, which says all that is to be done, so that
// whoever leads next can complete it. What is not in the log yet is forgotten with leadership.
type membership struct {
	// wanted is the change that somebody waits for; nil: none.
	wanted *change
	// begun: its first step is in the log, and it may happen whoever leads.
	begun bool
	// completedAt is the index of the configuration that completes it; 0: not in the log yet.
	completedAt raft.Index
	// asked: the core was given a configuration in this step, and gets no other.
	asked bool

	// remote are the latest changes that other servers have asked for in this reign, one of each.
	remote []remoteChange

	// ticks of this reign; older and newer are commit indexes of it, taken an election timeout apart.
	ticks        int
	older, newer raft.Index
}

// canBecome reports whether a member can be asked to have these roles.
func canBecome(roles wire.Roles) bool {
	return slices.Contains([]wire.Roles{0, wire.RoleVoter, wire.RoleLearner, wire.RoleLearner | wire.RoleJoining}, roles)
}

// leadershipChanged ends the change that somebody waits for: whoever leads now completes it, if it has
// begun, and if that is not lost. If it has not, they are asked.
func (m *membership) leadershipChanged(r *Replica) {
	m.answerIfDone(r) // a leader that is removed leads until then
	if c := m.wanted; c != nil && m.begun {
		m.answer(r, c, Unknown, 0)
	} else if c != nil && c.from == 0 {
		r.asking.ask(r, c)
	}
	*m = membership{}
}

func (m *membership) cancel(r *Replica, handle uint64) {
	if m.wanted == nil || m.wanted.from != 0 || m.wanted.handle != handle {
		return
	}
	outcome := Canceled
	if m.begun {
		outcome = Unknown
	}
	r.answer(Answer{Handle: handle, Outcome: outcome})
	m.wanted = nil
}

func (m *membership) tick(r *Replica) {
	if !r.leads() {
		return
	}
	if m.ticks++; m.ticks%max(r.options.Raft.ElectionTicks, 10) == 0 {
		m.older, m.newer = m.newer, r.core.CommitIndex()
	}
}

// hasCaughtUp reports whether a peer answers, and has what was committed some time ago: what it lacks is
// on its way to it.
func (m *membership) hasCaughtUp(r *Replica, id raft.ServerID, peers []raft.PeerStatus) bool {
	if id == r.options.Member.ID {
		return true
	}
	i := slices.IndexFunc(peers, func(p raft.PeerStatus) bool { return p.ID == id })
	return i >= 0 && m.older > 0 && !peers[i].Probing && peers[i].MatchIndex >= m.older && r.answers(&peers[i])
}

// answers reports whether a peer has answered lately: for no longer than this leader goes on without answers.
func (r *Replica) answers(p *raft.PeerStatus) bool {
	return p.SilentTicks < max(r.options.Raft.ElectionTicks, r.pace.found.Delay, 10)
}

// appended notes that a configuration stands in the log. While somebody waits for a change, nothing else is
// proposed.
func (m *membership) appended(r *Replica, index raft.Index) {
	if m.wanted != nil {
		m.begun = true
		if !r.core.Configuration().Configuration.Joint() {
			m.completedAt = index
		}
	}
}

// handBack gives a change that has not begun back to the server that has asked for it: this leader hands over, and
// will never begin it. Whoever leads next can be asked, which a change that is only not answered cannot.
func (m *membership) handBack(r *Replica) {
	m.answerIfDone(r)
	if c := m.wanted; c != nil && !m.begun && c.from != 0 {
		m.answer(r, c, handedBack, 0)
		m.wanted = nil
	}
}

// isSettled reports whether no change of members is wanted or under way.
func (m *membership) isSettled(r *Replica) bool {
	return m.wanted == nil && !r.core.Configuration().Configuration.Joint() && r.configurationIndex <= r.core.CommitIndex()
}

// propose takes the next step of a change, if there is one and the step before is committed: one at a time.
// It reports whether it has.
func (m *membership) propose(r *Replica) bool {
	m.answerIfDone(r)
	if m.asked {
		return false
	}
	joint := r.core.Configuration().Configuration.Joint()
	settled := r.termHasCommitted() && r.configurationIndex <= r.core.CommitIndex()
	switch {
	case m.wanted != nil && !m.begun && m.begins(r, joint, settled):
		return true
	case !settled:
		return false
	case joint:
		return r.proposeConfiguration(completed(r.configuration))
	default:
		return m.promote(r)
	}
}

// termHasCommitted reports whether an entry of the current term is committed.
func (r *Replica) termHasCommitted() bool {
	term, _ := r.core.TermAt(r.core.CommitIndex())
	return term == r.term
}

// answerIfDone answers whoever waits for a change that is complete.
func (m *membership) answerIfDone(r *Replica) {
	if m.wanted != nil && m.completedAt > 0 && r.core.CommitIndex() >= m.completedAt {
		m.answer(r, m.wanted, Done, m.completedAt)
		m.wanted = nil
	}
}

// begins takes the first step of the change that somebody waits for, or says that it is about to. While the change before is joint, and not
// committed yet, it takes that one's place.
func (m *membership) begins(r *Replica, joint, settled bool) bool {
	if !settled && !(joint && r.termHasCommitted()) {
		return false
	}
	target := applyEdits(r.configuration, m.wanted.edits)
	outcome := m.objection(r, target)
	if now := completed(r.configuration); slices.ContainsFunc(m.wanted.edits, func(e Edit) bool { return e.Existing && now.Member(e.Member.ID) == nil }) {
		outcome = NotAllowed
	}
	if outcome == NotReady && m.older == 0 {
		return true // this leader does not know yet who has caught up; nothing else is proposed meanwhile
	}
	if outcome == Done && !sameConfiguration(target, r.configuration) {
		if !joint && r.handover.beforeLeaving(r, target) {
			return true
		}
		if r.proposeConfiguration(towards(r.configuration, target)) {
			return true
		}
		outcome = NotAllowed
	}
	m.answer(r, m.wanted, outcome, r.configurationIndex)
	m.wanted = nil
	return false
}

func sameConfiguration(a, b *wire.Configuration) bool {
	return bytes.Equal(wire.AppendConfiguration(nil, a), wire.AppendConfiguration(nil, b))
}

// objection says what is wrong with a target; Done: nothing. A change that would leave the group without a
// majority that answers is refused, and so is one that gives a vote to somebody who lags: for those who do not
// answer, nothing could be decided any more, and not be taken back either.
func (m *membership) objection(r *Replica, target *wire.Configuration) Outcome {
	peers := r.core.AppendPeers(nil)
	voters := target.Raft().Voters
	if len(voters) == 0 || len(target.Members) > wire.MaxMembers || hasTwins(target) {
		return NotAllowed
	}
	answering := 0
	for _, id := range voters {
		i := slices.IndexFunc(peers, func(p raft.PeerStatus) bool { return p.ID == id })
		if id == r.options.Member.ID || i >= 0 && r.answers(&peers[i]) {
			answering++
		}
		if was := r.configuration.Member(id); (was == nil || was.Roles&(wire.RoleVoter|wire.RoleOldVoter) == 0) && !m.hasCaughtUp(r, id, peers) {
			return NotReady
		}
	}
	if answering <= len(voters)/2 {
		return NotReady
	}
	return Done
}

// hasTwins reports whether two members have a key, or an address, in common: the links could not tell them apart.
func hasTwins(c *wire.Configuration) bool {
	seen := map[string]bool{}
	twin := func(what string) bool {
		again := seen[what]
		seen[what] = true
		return again
	}
	for i := range c.Members {
		m := &c.Members[i]
		if len(m.Key) > 0 && twin("key "+string(m.Key)) {
			return true
		}
		for _, u := range m.PeerURLs {
			if twin("at " + wire.PeerAddress(u)) {
				return true
			}
		}
	}
	return false
}

// promote gives a vote to those who were to have one as soon as they have caught up.
func (m *membership) promote(r *Replica) bool {
	joins := func(m wire.Member) bool { return m.Roles&wire.RoleJoining != 0 }
	if m.older == 0 || !slices.ContainsFunc(r.configuration.Members, joins) {
		return false
	}
	peers := r.core.AppendPeers(nil)
	target := r.configuration.Clone()
	changed := false
	for i := range target.Members {
		if c := &target.Members[i]; joins(*c) && m.hasCaughtUp(r, c.ID, peers) {
			c.Roles, changed = wire.RoleVoter, true
		}
	}
	return changed && m.objection(r, target) == Done && r.proposeConfiguration(towards(r.configuration, target))
}

// applyEdits returns what the configuration is to be in the end: without anybody who votes for its past only.
// A server that is to vote and does not belong to the group yet begins as a learner.
func applyEdits(now *wire.Configuration, edits []Edit) *wire.Configuration {
	target := completed(now)
	for _, e := range edits {
		i, is := slices.BinarySearchFunc(target.Members, e.Member.ID, func(m wire.Member, id raft.ServerID) int { return cmp.Compare(m.ID, id) })
		switch {
		case e.Remove && is:
			target.Members = slices.Delete(target.Members, i, i+1)
		case e.Remove:
		case is:
			m := &target.Members[i]
			if e.Member.Roles != 0 {
				m.Roles = e.Member.Roles
			}
			if len(e.Member.PeerURLs) > 0 {
				m.PeerURLs = slices.Clone(e.Member.PeerURLs)
			}
			if e.SetTraits {
				m.Traits = m.Traits&^wire.KnownTraits | e.Member.Traits&wire.KnownTraits
			}
			if len(m.Key) == 0 {
				m.Key = slices.Clone(e.Member.Key)
			}
		default:
			m := e.Member
			if m.Roles&wire.RoleVoter != 0 || m.Roles == 0 {
				m.Roles = wire.RoleLearner | wire.RoleJoining
			}
			target.Members = slices.Insert(target.Members, i, m)
		}
	}
	return target
}

// completed returns the configuration that a joint one comes to; and any other as it is.
func completed(now *wire.Configuration) *wire.Configuration {
	next := now.Clone()
	for i := range next.Members {
		next.Members[i].Roles &^= wire.RoleOldVoter
	}
	next.Members = slices.DeleteFunc(next.Members, func(m wire.Member) bool { return m.Roles == 0 })
	return next
}

// towards returns the configuration that must be in force between now and the target; the target itself, if
// nobody gets a vote or loses one.
func towards(now, target *wire.Configuration) *wire.Configuration {
	was := now.Raft()
	old := was.Voters
	if was.Joint() {
		old = was.OldVoters
	} else if slices.Equal(old, target.Raft().Voters) {
		return target
	}
	next := target.Clone()
	for _, id := range old {
		i, is := slices.BinarySearchFunc(next.Members, id, func(m wire.Member, id raft.ServerID) int { return cmp.Compare(m.ID, id) })
		if !is {
			m := *now.Member(id)
			m.Roles = 0
			next.Members = slices.Insert(next.Members, i, m)
		}
		next.Members[i].Roles |= wire.RoleOldVoter
	}
	return next
}

// proposeConfiguration hands a configuration to the core; false if nobody could read the entry.
func (r *Replica) proposeConfiguration(next *wire.Configuration) bool {
	configuration := next.Raft()
	if _, err := wire.DecodeConfiguration(configuration.Data); err != nil {
		return false
	}
	r.membership.asked = true
	r.batch = append(r.batch, raft.ProposeConfiguration{ID: proposalOfConfiguration, Entry: raft.Entry{
		Kind:          raft.KindConfiguration,
		Configuration: configuration,
		Data:          layOut(len(configuration.Data), func(b []byte) []byte { return append(b, configuration.Data...) }),
	}})
	return true
}
