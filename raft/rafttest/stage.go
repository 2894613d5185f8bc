package rafttest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/internal/script"
	"github.com/quorate/quorate/raft"
)

// Stage is where a script plays: a group, and what a script can do to it. The zero value is an empty
// stage, and the first command must bring on a group.
//
//	group voters=3            a new group, of servers 1 to 3; learners=(4), election= and heartbeat= ticks,
//	                          append= bytes of a request, window= requests on their way, probe= entries of a
//	                          request that looks for where the logs agree, spare=(4) servers that belong
//	                          to no configuration yet
//	log 2 terms=(1, 1, 4)     a server starts anew with this log; term=, vote= and commit= as written
//	silence 1 2               these hear nothing for so long that they no longer believe in their leader, and not
//	                          quite so long that they campaign
//	tick 1 2 times=5          ticks; random= decides how long the next election timeout is
//	campaign 1                the election timeout of a server has passed
//	propose 1 x y             a client's commands, as one proposal
//	configure 1 data=x        the next configuration: voters=(1, 2, 4), by way of a joint one, whose aim it changes if
//	                          there is one; leave, out of the joint one; learners=(4)
//	transfer 1 to=2           a leader is asked to hand over
//	read 1                    a client's linearizable read
//	deliver from=1 to=2       all matching messages that are on their way now, oldest first; kind=, count=
//	repeat, lose, backwards   the same messages are delivered and stay; are lost; arrive newest first
//	settle                    everything is delivered and written until nothing is left to do
//	disk 1 slow               from now on writes wait for the command write, and disk 1 fast ends that
//	write 1 count=2           the next writes become durable; all, if no count is given
//	crash 1 keep=1            a server stops; of its writes under way the first keep are not lost
//	restart 1                 and starts again, from its disk
//	compact 1                 its state becomes durable, and its log drops what that has
//	install 3 from=1          the state of server 1 arrives at server 3, durably, in place of its own
//	cut 1->2 2->1             links that lose everything, also what is on its way
//	partition a=(1, 2) b=(3)  cuts all links between the sides; a server that is on no side is alone
//	mend                      all links work
//	logs                      what everybody has; servers 1 2: only of these
//	flying                    what is on its way
//	expect leader=2           fails if it is otherwise; leader=0: nobody leads
//	expect committed=(x, y)   the commands that are committed, in order
//	expect lost=(x, y)        commands that nobody has any more
//	expect 2 terms=(1, 1, 4)  the terms of a server's entries
//	expect 1 2 same           these have the same log and have applied all of it; no server: all that are up
//
// With the flag brief a command's messages and writes are not told.
type Stage struct {
	*Cluster
	cut       [][2]raft.ServerID
	slow      []raft.ServerID
	questions uint64
	lines     []string
}

// Play carries out a command and returns what happened, a line for each thing. A command that makes no
// sense, or breaks an invariant, fails.
func (s *Stage) Play(cmd script.Command) string {
	s.lines = nil
	if cmd.Name == "group" {
		s.group(cmd)
		return ""
	}
	if s.Cluster == nil {
		cmd.Failf("no group")
	}
	servers, words := s.splitFlags(cmd)
	brief := slices.Contains(words, "brief")
	words = slices.DeleteFunc(words, func(w string) bool { return w == "brief" })
	s.demand(cmd, servers)
	s.do(cmd, servers, words)
	if s.Broken != "" {
		cmd.Failf("%s\nafter\n%s", s.Broken, strings.Join(s.lines, "\n"))
	}
	if brief {
		s.lines = slices.DeleteFunc(s.lines, func(line string) bool {
			return strings.Contains(line, " -> ") || strings.Contains(line, ": write ")
		})
	}
	return strings.Join(s.lines, "\n")
}

// splitFlags tells servers from other words.
func (s *Stage) splitFlags(cmd script.Command) (servers []*Server, words []string) {
	for _, flag := range cmd.Flags() {
		var id raft.ServerID
		if _, err := fmt.Sscanf(flag+";", "%d;", &id); err != nil {
			words = append(words, flag)
			continue
		}
		if s.Server(id) == nil {
			cmd.Failf("server %d is none of the group's", id)
		}
		servers = append(servers, s.Server(id))
	}
	return servers, words
}

// demand checks that a command has the servers that it needs, and that they are up; or down, for restart.
func (s *Stage) demand(cmd script.Command, servers []*Server) {
	switch cmd.Name {
	case "log", "disk", "write", "install":
		if len(servers) != 1 {
			cmd.Failf("one server is needed")
		}
	case "campaign", "propose", "configure", "transfer", "read", "tick", "silence", "crash", "restart", "compact":
		if len(servers) == 0 {
			cmd.Failf("no server is named")
		}
	case "logs", "expect":
		return
	}
	for _, server := range servers {
		if up := server.Core != nil; up == (cmd.Name == "restart") && cmd.Name != "log" {
			cmd.Failf("server %d is %s", server.ID, map[bool]string{true: "up", false: "down"}[up])
		}
	}
}

func (s *Stage) group(cmd script.Command) {
	configuration := Voters(int(cmd.Uint("voters")))
	if cmd.Has("learners") {
		configuration.Learners = idsOf(cmd, "learners")
	}
	var spare []raft.ServerID
	if cmd.Has("spare") {
		spare = idsOf(cmd, "spare")
	}
	*s = Stage{Cluster: New(raft.Options{
		ElectionTicks:       int(cmd.UintOr("election", 10)),
		HeartbeatTicks:      int(cmd.UintOr("heartbeat", 1)),
		MaxAppendBytes:      int(cmd.UintOr("append", 0)),
		MaxInflightMessages: int(cmd.UintOr("window", 0)),
	}, configuration, spare...)}
	if most := int(cmd.UintOr("probe", 0)); most > 0 {
		s.Fewer = func(entries int) int { return min(entries, most) }
	}
	s.Connected = func(from, to raft.ServerID) bool { return !slices.Contains(s.cut, [2]raft.ServerID{from, to}) }
	s.Tell = func(format string, args ...any) { s.lines = append(s.lines, fmt.Sprintf(format, args...)) }
}

func (s *Stage) do(cmd script.Command, servers []*Server, words []string) {
	if slices.Contains([]string{"campaign", "propose", "configure", "transfer", "read", "tick"}, cmd.Name) {
		s.ask(cmd, servers, words)
		return
	}
	switch cmd.Name {
	case "log":
		s.log(cmd, servers[0])
	case "silence":
		s.silence(cmd, servers)
	case "deliver", "repeat", "lose", "backwards":
		s.some(cmd)
	case "settle":
		s.playOut()
	case "disk":
		s.slow = slices.DeleteFunc(s.slow, func(id raft.ServerID) bool { return id == servers[0].ID })
		if slices.Contains(words, "slow") {
			s.slow = append(s.slow, servers[0].ID)
		}
		s.writeFast()
	case "write":
		server := servers[0]
		count := cmd.UintOr("count", uint64(len(server.Writes)))
		if count == 0 || count > uint64(len(server.Writes)) {
			cmd.Failf("%d writes are under way", len(server.Writes))
		}
		s.Persist(server, server.Writes[count-1].Ticket)
		s.writeFast()
	case "crash":
		for _, server := range servers {
			s.Crash(server, int(min(cmd.UintOr("keep", 0), uint64(len(server.Writes)))))
		}
	case "restart":
		for _, server := range servers {
			s.Restart(server)
		}
		s.writeFast()
	case "compact":
		for _, server := range servers {
			if server.Applied <= server.Core.Base().Index {
				cmd.Failf("server %d has applied nothing that its log has", server.ID)
			}
			s.Compact(server)
		}
		s.writeFast()
	case "install":
		from := s.Server(raft.ServerID(cmd.Uint("from")))
		if from == nil || from.Applied <= servers[0].Applied {
			cmd.Failf("server %d has no state that is ahead of that of server %d", cmd.Uint("from"), servers[0].ID)
		}
		s.InstallState(servers[0], from)
		s.writeFast()
	case "cut", "partition", "mend":
		s.links(cmd, words)
	case "logs":
		s.logs(servers)
	case "expect":
		s.expect(cmd, servers, words)
	case "flying":
		for i := range s.Network {
			e := &s.Network[i].Envelope
			s.Tell("%d -> %d: %s", e.From, e.To, SayMessage(e))
		}
	default:
		cmd.Failf("unknown command")
	}
}

// ask hands servers an input, one after the other.
func (s *Stage) ask(cmd script.Command, servers []*Server, words []string) {
	for range cmd.UintOr("times", 1) {
		for _, server := range servers {
			var in raft.Input
			switch cmd.Name {
			case "campaign":
				in = raft.Campaign{}
			case "tick":
				in = raft.Tick{Random: cmd.UintOr("random", 0)}
			case "propose":
				propose := raft.Propose{ID: s.next()}
				for _, word := range words {
					propose.Entries = append(propose.Entries, Command(word))
				}
				in = propose
			case "configure":
				configuration := nextConfiguration(cmd, *server.Core.Configuration().Configuration, words)
				in = raft.ProposeConfiguration{ID: s.next(), Entry: ConfigurationEntry(configuration)}
			case "transfer":
				in = raft.TransferLeadership{ID: s.next(), To: raft.ServerID(cmd.Uint("to"))}
			case "read":
				in = raft.ReadIndex{ID: s.next()}
			}
			s.Step(server, in)
			s.writeFast()
		}
	}
}

// nextConfiguration is the one that a script wants after now.
func nextConfiguration(cmd script.Command, now raft.Configuration, words []string) *raft.Configuration {
	if cmd.Has("data") {
		now.Data = []byte(cmd.String("data"))
	}
	if cmd.Has("learners") {
		now.Learners = idsOf(cmd, "learners")
	}
	if cmd.Has("voters") {
		if !now.Joint() {
			now.OldVoters = now.Voters
		}
		now.Voters = idsOf(cmd, "voters")
	}
	if slices.Contains(words, "leave") {
		now.OldVoters = nil
	}
	return &now
}

// idsOf returns the servers in a list of a command; none, if the list is (0).
func idsOf(cmd script.Command, list string) []raft.ServerID {
	var ids []raft.ServerID
	for _, id := range cmd.Uints(list) {
		if id > 0 {
			ids = append(ids, raft.ServerID(id))
		}
	}
	return ids
}

// silence lets the shortest election timeout pass, and sees to it that theirs is the longest.
func (s *Stage) silence(cmd script.Command, servers []*Server) {
	for _, server := range servers {
		if server.Core.Role() == raft.Leader {
			cmd.Failf("server %d leads: it needs ticks to notice", server.ID)
		}
		for range server.Options.ElectionTicks {
			s.Step(server, raft.Tick{Random: uint64(server.Options.ElectionTicks - 1)})
			s.writeFast()
		}
	}
}

func (s *Stage) next() uint64 {
	s.questions++
	return s.questions
}

// writeFast makes the writes of all disks durable that are not slow.
func (s *Stage) writeFast() {
	for _, server := range s.Servers {
		if server.Core != nil && !slices.Contains(s.slow, server.ID) {
			s.PersistAll(server)
		}
	}
}

func (s *Stage) log(cmd script.Command, server *Server) {
	var terms []raft.Term
	if cmd.Has("terms") {
		for _, term := range cmd.Uints("terms") {
			terms = append(terms, raft.Term(term))
		}
	}
	if term := raft.Term(cmd.UintOr("term", 0)); cmd.Has("vote") || cmd.Has("commit") {
		s.Install(server, term, terms...)
		server.Disk.Hard.VotedFor = raft.ServerID(cmd.UintOr("vote", 0))
		server.Disk.Hard.Commit = raft.Index(cmd.UintOr("commit", 0))
		if known := raft.Index(len(s.History.Committed)); server.Disk.Hard.Commit > known {
			for _, e := range server.Disk.Log[known:server.Disk.Hard.Commit] {
				s.History.Committed = append(s.History.Committed, e)
				s.History.CommittedIn = append(s.History.CommittedIn, max(e.Term, s.History.latestCommitTerm()))
			}
		}
		s.Restart(server)
		return
	}
	s.Install(server, raft.Term(cmd.UintOr("term", 0)), terms...)
}

// some delivers messages that are on their way, or loses them.
func (s *Stage) some(cmd script.Command) {
	matching := func(e *Letter) bool {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", e.Message), "*raft.")
		return (!cmd.Has("from") || slices.Contains(cmd.Uints("from"), uint64(e.From))) &&
			(!cmd.Has("to") || slices.Contains(cmd.Uints("to"), uint64(e.To))) &&
			(!cmd.Has("kind") || cmd.String("kind") == kind)
	}
	var chosen, others []Letter
	count := cmd.UintOr("count", 1<<30)
	for i := range s.Network {
		if matching(&s.Network[i]) && uint64(len(chosen)) < count {
			chosen = append(chosen, s.Network[i])
		} else {
			others = append(others, s.Network[i])
		}
	}
	if len(chosen) == 0 {
		cmd.Failf("no such message is on its way")
	}
	if cmd.Name != "repeat" {
		s.Network = others
	}
	if cmd.Name == "backwards" {
		slices.Reverse(chosen)
	}
	for _, e := range chosen {
		if cmd.Name == "lose" {
			s.Tell("%d -> %d: lost: %s", e.From, e.To, SayMessage(&e.Envelope))
			continue
		}
		s.Deliver(e.Envelope)
		s.writeFast()
	}
}

// playOut delivers everything, oldest first, until nothing is on its way.
func (s *Stage) playOut() {
	s.writeFast()
	for n := 0; len(s.Network) > 0 && s.Broken == ""; n++ {
		if n == 10_000 {
			s.Fail("the group never comes to rest")
		}
		s.Deliver(s.Take(0))
		s.writeFast()
	}
}

func (s *Stage) links(cmd script.Command, words []string) {
	switch cmd.Name {
	case "mend":
		s.cut = nil
	case "cut":
		for _, word := range words {
			var from, to raft.ServerID
			if _, err := fmt.Sscanf(word, "%d->%d", &from, &to); err != nil {
				cmd.Failf("%s is no link: %v", word, err)
			}
			s.cut = append(s.cut, [2]raft.ServerID{from, to})
		}
	case "partition":
		s.cut = nil
		side := map[raft.ServerID]string{}
		for _, arg := range cmd.Args {
			for _, id := range cmd.Uints(arg.Key) {
				side[raft.ServerID(id)] = arg.Key
			}
		}
		for _, x := range s.Servers {
			for _, y := range s.Servers {
				if side[x.ID] != side[y.ID] || side[x.ID] == "" {
					s.cut = append(s.cut, [2]raft.ServerID{x.ID, y.ID})
				}
			}
		}
	}
	s.Network = slices.DeleteFunc(s.Network, func(e Letter) bool { return !s.Connected(e.From, e.To) })
}

// logs shows what servers have: their role, how far they have committed, and their logs.
func (s *Stage) logs(servers []*Server) {
	if len(servers) == 0 {
		servers = s.Servers
	}
	for _, server := range servers {
		if server.Core == nil {
			s.Tell("%d: down, term %d, disk %s", server.ID, server.Disk.Hard.CurrentTerm, SayEntries(1, server.Disk.Log))
			continue
		}
		core := server.Core
		who := core.Role().String()
		if core.Role() == raft.Follower && core.Leader() != 0 {
			who += fmt.Sprintf(" of %d", core.Leader())
		}
		after, base := "", core.Base()
		if base.Index > 0 {
			after = fmt.Sprintf("after %d/%d: ", base.Index, base.Term)
		}
		s.Tell("%d: %s, term %d, commit %d, log %s%s", server.ID, who, core.CurrentTerm(), core.CommitIndex(), after,
			SayEntries(base.Index+1, server.View[base.Index:]))
	}
}
