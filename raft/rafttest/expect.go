package rafttest

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/internal/script"
	"github.com/quorate/quorate/raft"
)

// expect fails unless the group is as a script means it to be. What a command brings about is written
// into scripts by a program; what is expected is written by a person, who meant it.
func (s *Stage) expect(cmd script.Command, servers []*Server, words []string) {
	if cmd.Has("leader") {
		s.expectLeader(cmd)
	}
	if cmd.Has("committed") {
		if got, want := s.committed(), cmd.Strings("committed"); !slices.Equal(got, want) {
			cmd.Failf("committed are %q, not %q", got, want)
		}
		s.tell("committed are %s", strings.Join(s.committed(), ", "))
	}
	if cmd.Has("lost") {
		s.expectLost(cmd)
	}
	if cmd.Has("terms") {
		s.expectTerms(cmd, servers)
	}
	if slices.Contains(words, "same") {
		s.expectSame(cmd, servers)
	}
}

func (s *Stage) tell(format string, args ...any) { s.Tell(format, args...) }

// expectLeader: that server leads in the latest term of all; 0: nobody leads.
func (s *Stage) expectLeader(cmd script.Command) {
	var leader raft.ServerID
	var term raft.Term
	for _, server := range s.Servers {
		if server.Core == nil || server.Core.CurrentTerm() < term {
			continue
		}
		if server.Core.CurrentTerm() > term {
			leader, term = 0, server.Core.CurrentTerm()
		}
		if server.Core.Role() == raft.Leader {
			leader = server.ID
		}
	}
	if want := raft.ServerID(cmd.Uint("leader")); leader != want {
		cmd.Failf("server %d leads in term %d, not %d", leader, term, want)
	}
	if leader == 0 {
		s.tell("nobody leads in term %d", term)
		return
	}
	s.tell("%d leads in term %d", leader, term)
}

// committed returns the commands that any leader has committed.
func (s *Stage) committed() []string {
	var words []string
	for i := range s.History.Committed {
		if e := &s.History.Committed[i]; e.Kind == raft.KindCommand {
			words = append(words, sayData(e))
		}
	}
	return words
}

// expectLost: no server has those commands any more.
func (s *Stage) expectLost(cmd script.Command) {
	for _, word := range cmd.Strings("lost") {
		for _, server := range s.Servers {
			for i := range server.View {
				if sayData(&server.View[i]) == word {
					cmd.Failf("server %d has %s at %d", server.ID, word, i+1)
				}
			}
		}
		s.tell("nobody has %s", word)
	}
}

// expectTerms: the entries on a server's disk are of these terms.
func (s *Stage) expectTerms(cmd script.Command, servers []*Server) {
	if len(servers) != 1 {
		cmd.Failf("one server is needed")
	}
	var got []uint64
	for _, e := range servers[0].Disk.Log {
		got = append(got, uint64(e.Term))
	}
	if want := cmd.Uints("terms"); !slices.Equal(got, want) {
		cmd.Failf("server %d has entries of the terms %v, not %v", servers[0].ID, got, want)
	}
	s.tell("the entries of %d are of these terms", servers[0].ID)
}

// expectSame: these servers, or all that are up, have the same log, and have applied all of it.
func (s *Stage) expectSame(cmd script.Command, servers []*Server) {
	if len(servers) == 0 {
		servers = slices.DeleteFunc(slices.Clone(s.Servers), func(server *Server) bool { return server.Core == nil })
	}
	first := servers[0]
	for _, server := range servers {
		if len(server.View) != len(first.View) || !SamePrefix(server.View, first.View, raft.Index(len(first.View))) {
			cmd.Failf("server %d has %s, server %d has %s", server.ID, SayEntries(1, server.View), first.ID, SayEntries(1, first.View))
		}
	}
	for _, server := range servers {
		if int(server.Applied) != len(server.View) {
			cmd.Failf("server %d has applied %d of %d entries", server.ID, server.Applied, len(server.View))
		}
	}
	if len(servers) == 1 {
		s.tell("%d has applied all of its log", first.ID)
		return
	}
	s.tell("%d servers have the same log and have applied all of it", len(servers))
}
