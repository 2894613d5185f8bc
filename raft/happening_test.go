package raft_test

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// choice is one thing that can happen.
type choice struct {
	what    happening
	server  raft.ServerID
	message int // index in the network
	second  int // another, delivered in the same step
	aim     int // of a change, among those of the bounds
	target  raft.ServerID
	slow    bool
}

type happening uint8

const (
	arrives happening = iota
	overtakes
	arrivesAndStays
	arriveTogether
	isLost
	campaigns
	heartbeats
	proposes
	reads
	changes
	learns
	completes
	transfers
	persists
	crashes
	passes
	compacts
	installs
)

func (h happening) String() string {
	return [...]string{"arrives", "overtakes", "arrives and stays", "arrive together", "is lost", "campaigns", "heartbeats", "proposes", "reads", "changes", "takes a learner", "completes the change", "hands over", "persists", "crashes", "and all clocks go on", "compacts its log", "is given a state"}[h]
}

// choices lists what can happen, the undisturbed course first, apart from slow disks and messages that
// stay, which outcomes adds.
func (w *worker) choices(c *rafttest.Cluster, b *bounds) []choice {
	list := make([]choice, 0, 16)
	add := func(next choice) { list = append(list, next) }
	for i := range c.Network {
		if w.eye.sameBefore(c, i) {
			continue
		}
		to := c.Network[i].To
		switch inOrder := placeInLink(c.Network, i) == 0; {
		case inOrder || b.overtakes == unlimited:
			add(choice{what: arrives, server: to, message: i})
			if b.losses > 0 {
				add(choice{what: isLost, message: i})
			}
		case b.overtakes > 0:
			add(choice{what: overtakes, server: to, message: i})
		default:
			continue
		}
		for j := range c.Network {
			if b.merges > 0 && j != i && c.Network[j].To == to && isNextWith(c.Network, i, j, b) {
				add(choice{what: arriveTogether, server: to, message: i, second: j})
			}
		}
	}
	if b.ticks > 0 {
		add(choice{what: passes})
	}
	for _, s := range c.Servers {
		if len(s.Writes) > 0 {
			add(choice{what: persists, server: s.ID})
		}
		if b.campaigns > 0 && s.Core.MayLead() && (b.preVotes || !s.Core.IsBound()) {
			add(choice{what: campaigns, server: s.ID})
		}
		if b.crashes > 0 {
			add(choice{what: crashes, server: s.ID})
		}
		if b.compactions > 0 && s.Applied > s.Core.Base().Index {
			add(choice{what: compacts, server: s.ID})
		}
		for _, other := range c.Servers {
			if b.installs > 0 && other.Applied > s.Applied {
				add(choice{what: installs, server: s.ID, target: other.ID})
			}
		}
		if s.Core.Role() != raft.Leader {
			continue
		}
		if b.heartbeats > 0 {
			add(choice{what: heartbeats, server: s.ID})
		}
		if b.proposals > 0 {
			add(choice{what: proposes, server: s.ID})
		}
		if b.reads > 0 {
			add(choice{what: reads, server: s.ID})
		}
		if b.transfers > 0 {
			for _, other := range c.Servers {
				add(choice{what: transfers, server: s.ID, target: other.ID})
			}
		}
		if b.changes > 0 {
			for i := range b.aims {
				add(choice{what: changes, server: s.ID, aim: i})
			}
			if b.learner != 0 && !s.Core.Configuration().Configuration.IsMember(b.learner) {
				add(choice{what: learns, server: s.ID})
			}
		}
		if s.Core.Configuration().Configuration.Joint() {
			add(choice{what: completes, server: s.ID})
		}
	}
	return list
}

// isNextWith reports whether the message at j may be taken in one step with that at i, which is the next
// of its link: it is the next of another, or the one after it.
func isNextWith(network []rafttest.Letter, i, j int, b *bounds) bool {
	return b.overtakes == unlimited || placeInLink(network, i) == 0 &&
		placeInLink(network, j) == countIf(network[i].From == network[j].From && network[i].To == network[j].To)
}

// unlimited says that there is no bound.
const unlimited = -1

// costs reports whether the choice takes something off the bounds.
func (next choice) costs() bool {
	return next.slow || next.what != arrives && next.what != persists && next.what != completes
}

// outcome is the state after a choice, and the bounds that are left.
type outcome struct {
	choice  choice
	cluster *rafttest.Cluster
	left    bounds
}

// outcomes returns the state after the choice and, where the bounds allow, those in which its write is
// slow, if there is one, and in which its message stays on its way. They have most of the work in common.
func (next choice) outcomes(c *rafttest.Cluster, b bounds) []outcome {
	d, left := next.begin(c, b)
	if next.isRefused(c, d) {
		return nil
	}
	all := []outcome{{next, d, left}}
	if next.noWrites() || d.Broken != "" {
		return all
	}
	if s := d.Server(next.server); len(s.Writes) > 0 {
		if left.slowWrites > 0 {
			slow := outcome{next, d, left}
			slow.choice.slow = true
			slow.left.slowWrites--
			d = d.Fork(s.ID)
			all = []outcome{{next, d, left}, slow}
		}
		d.PersistAll(d.Server(s.ID))
	}
	if b.duplicates > 0 && (next.what == arrives || next.what == overtakes) {
		for _, o := range all {
			o.choice.what = arrivesAndStays
			o.left.overtakes = b.overtakes
			o.left.duplicates--
			o.cluster = o.cluster.Fork()
			o.cluster.Network = slices.Insert(o.cluster.Network, next.message, c.Network[next.message])
			all = append(all, o)
		}
	}
	return all
}

// happen returns the state after one of the outcomes.
func (next choice) happen(c *rafttest.Cluster, b bounds) (*rafttest.Cluster, bounds) {
	d, b := next.begin(c, b)
	switch {
	case next.slow:
		b.slowWrites--
	case !next.noWrites() && d.Broken == "":
		d.PersistAll(d.Server(next.server))
	}
	return d, b
}

// noWrites reports whether the choice brings no writes about, or none that may be slow.
func (next choice) noWrites() bool {
	return next.what == isLost || next.what == persists || next.what == crashes || next.what == passes
}

// begin lets the choice happen, but for the writes that it brings about.
func (next choice) begin(c *rafttest.Cluster, b bounds) (*rafttest.Cluster, bounds) {
	touched := []raft.ServerID{next.server}
	if next.what == isLost {
		touched = nil
	}
	if next.what == campaigns || next.what == passes {
		touched = everybody(c)
	}
	d := c.Fork(touched...)
	s := d.Server(next.server)
	switch next.what {
	case arrives, overtakes:
		if next.what == overtakes {
			b.overtakes--
		}
		d.Deliver(d.Take(next.message))
	case isLost:
		b.losses--
		d.Take(next.message)
	case arrivesAndStays:
		b.duplicates--
		d.Deliver(d.Network[next.message].Envelope)
	case arriveTogether:
		b.merges--
		first, second := d.Network[next.message].Envelope, d.Network[next.second].Envelope
		d.Network = slices.Delete(d.Network, max(next.message, next.second), max(next.message, next.second)+1)
		d.Network = slices.Delete(d.Network, min(next.message, next.second), min(next.message, next.second)+1)
		d.Deliver(first, second)
	case campaigns:
		b.campaigns--
		campaign(d, s, b.preVotes)
	case heartbeats:
		b.heartbeats--
		d.Step(s, raft.Tick{})
	case proposes:
		b.proposals--
		d.Step(s, raft.Propose{ID: uint64(1 + b.proposals), Entries: []raft.Entry{commandAt(s.Core.LastIndex() + 1)}})
	case reads:
		b.reads--
		d.Step(s, raft.ReadIndex{ID: uint64(100 + b.reads)})
	case changes:
		b.changes--
		d.Step(s, raft.ProposeConfiguration{ID: uint64(200 + b.changes), Entry: b.towards(s, b.aims[next.aim])})
	case learns:
		b.changes--
		d.Step(s, raft.ProposeConfiguration{ID: uint64(200 + b.changes), Entry: b.withLearner(s)})
	case transfers:
		b.transfers--
		d.Step(s, raft.TransferLeadership{ID: uint64(400 + b.transfers), To: next.target})
	case completes:
		d.Step(s, raft.ProposeConfiguration{ID: 300, Entry: b.towards(s, nil)})
	case passes:
		b.ticks--
		d.Pass(1)
	case compacts:
		b.compactions--
		d.Compact(s)
	case installs:
		b.installs--
		d.InstallState(s, d.Server(next.target))
	case persists:
		d.Persist(s, s.Writes[0].Ticket)
	case crashes:
		b.crashes--
		d.Crash(s, 0)
		d.Restart(s)
	}
	return d, b
}

// isRefused reports whether a change has not been begun or completed: then nothing has happened.
func (next choice) isRefused(before, after *rafttest.Cluster) bool {
	return (next.what == changes || next.what == learns || next.what == completes) && after.Broken == "" &&
		after.Server(next.server).Core.LastIndex() == before.Server(next.server).Core.LastIndex()
}

// towards returns the next configuration on the way to an aim; nil: that of the joint one in force. Who
// learns goes on learning until it is to vote.
func (b *bounds) towards(s *rafttest.Server, aim []raft.ServerID) raft.Entry {
	now := s.Core.Configuration().Configuration
	next := &raft.Configuration{Voters: now.Voters, Learners: now.Learners}
	if aim != nil {
		next = &raft.Configuration{Voters: aim, OldVoters: now.OldVoters}
		if !now.Joint() {
			next.OldVoters = now.Voters
		}
		if b.learner != 0 && slices.Contains(now.Learners, b.learner) && !slices.Contains(aim, b.learner) {
			next.Learners = now.Learners
		}
	}
	return b.entryOf(next)
}

// withLearner returns the configuration in force, and the learner.
func (b *bounds) withLearner(s *rafttest.Server) raft.Entry {
	now := s.Core.Configuration().Configuration
	return b.entryOf(&raft.Configuration{Voters: now.Voters, OldVoters: now.OldVoters, Learners: []raft.ServerID{b.learner}})
}

// entryOf returns the entry of a configuration. Its bytes are those of its ids, so that entries are equal if
// what they say is.
func (b *bounds) entryOf(c *raft.Configuration) raft.Entry {
	for _, ids := range [][]raft.ServerID{c.OldVoters, c.Voters, c.Learners} {
		for _, id := range ids {
			c.Data = append(c.Data, byte('0'+id))
		}
		c.Data = append(c.Data, ' ')
	}
	return rafttest.ConfigurationEntry(c)
}

func everybody(c *rafttest.Cluster) []raft.ServerID {
	var ids []raft.ServerID
	for _, s := range c.Servers {
		ids = append(ids, s.ID)
	}
	return ids
}

// commandAt is what a client proposes, if the entry comes to stand at index. That the bytes depend on
// the place alone, and not on which proposal it is, makes one state of those that differ in nothing
// else. A leader's two entries of one index would be the same then: to write the second it must have
// dropped the first, or lead in its term for a second time, and both are violations already.
func commandAt(index raft.Index) raft.Entry { return rafttest.Command(string(rune('a' + index))) }

// forgetTheCut removes what was sent over links that are cut.
func (b *bounds) forgetTheCut(c *rafttest.Cluster) {
	if len(b.cut) > 0 {
		c.Network = slices.DeleteFunc(c.Network, func(e rafttest.Letter) bool { return b.isCut(e.From, e.To) })
	}
}

func (b *bounds) isCut(x, y raft.ServerID) bool {
	return slices.Contains(b.cut, [2]raft.ServerID{x, y}) || slices.Contains(b.cut, [2]raft.ServerID{y, x})
}
