package rafttest

import (
	"slices"

	"github.com/quorate/quorate/raft"
)

// Compact makes a server's state durable as far as it is, and lets its log begin after it.
func (c *Cluster) Compact(s *Server) {
	s.Disk.State = s.Applied
	c.Step(s, raft.Applied{Index: s.Applied}, raft.Compact{Index: s.Applied})
}

// InstallState gives a server the state of another, which is ahead of its own: durable first, and then its core is told.
func (c *Cluster) InstallState(s, from *Server) {
	s.Disk.State, s.Applied = from.Applied, from.Applied
	c.Step(s, raft.Install{
		Base:          raft.EntryID{Index: from.Applied, Term: c.History.Committed[from.Applied-1].Term},
		Configuration: configurationAt(s.Disk.First, c.History.Committed, from.Applied),
	})
}

// takeUp lets the log on a disk begin after the state there, if a crash came between the two.
func (c *Cluster) takeUp(s *Server) {
	d := &s.Disk
	if at := int(d.State); len(d.Log) < at || at > 0 && d.Log[at-1].Term != c.History.Committed[at-1].Term {
		d.Log, d.Base = slices.Clone(c.History.Committed[:at]), d.State
		d.Hard.CurrentTerm, d.Hard.VotedFor = laterTerm(d.Hard, d.Log[at-1].Term)
	}
}

// laterTerm returns a server's term and vote, once it knows that there has been that term.
func laterTerm(h raft.HardState, term raft.Term) (raft.Term, raft.ServerID) {
	if term > h.CurrentTerm {
		return term, 0
	}
	return h.CurrentTerm, h.VotedFor
}

// entryAt names an entry of the log.
func (d *Disk) entryAt(i raft.Index) raft.EntryID {
	if i == 0 {
		return raft.EntryID{}
	}
	return raft.EntryID{Index: i, Term: d.Log[i-1].Term}
}

// configurationAt returns the configuration in force at an entry of a log.
func configurationAt(first *raft.Configuration, log []raft.Entry, at raft.Index) *raft.Configuration {
	for i := int(at) - 1; i >= 0; i-- {
		if log[i].Kind == raft.KindConfiguration {
			return log[i].Configuration
		}
	}
	return first
}
