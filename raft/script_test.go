package raft

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/script"
)

// TestScripts plays the stories of testdata: everything that servers do is in them, word for word.
func TestScripts(t *testing.T) {
	script.RunDir(t, "testdata", func(*testing.T) func(script.Command) string {
		return (&stage{}).play
	})
}

// stage is where a script plays: a group, and what a script can do to it.
//
//	group voters=3            a new group, of servers 1 to 3; learners=(4), election= and heartbeat= ticks,
//	                          append= bytes of a request, window= requests on their way
//	log 2 terms=(1, 1, 4)     a server starts anew with this log; term=, vote= and commit= as written
//	silence 1 2               so much time passes that these no longer believe in their leader
//	tick 1 2 times=5          ticks; random= decides how long the next election timeout is
//	campaign 1                the election timeout of a server has passed
//	propose 1 x y             a client's commands, as one proposal
//	configure 1 data=x        a configuration that changes nobody's role
//	read 1                    a client's linearizable read
//	deliver from=1 to=2       all matching messages that are on their way now, oldest first; kind=, count=
//	repeat, lose, backwards   the same messages are delivered and stay; are lost; arrive newest first
//	settle                    everything is delivered and written until nothing is left to do
//	disk 1 slow               from now on writes wait for the command write, and disk 1 fast ends that
//	write 1 count=2           the next writes become durable; all, if no count is given
//	crash 1 keep=1            a server stops; of its writes under way the first keep are not lost
//	restart 1                 and starts again, from its disk
//	cut 1->2 2->1             links that lose everything, also what is on its way
//	partition a=(1, 2) b=(3)  cuts all links between the sides; a server that is on no side is alone
//	mend                      all links work
//	logs                      what everybody has; servers 1 2: only of these
//	flying                    what is on its way
//
// With the flag brief a command's messages and writes are not told.
type stage struct {
	*cluster
	cut       [][2]ServerID
	slow      []ServerID
	questions uint64
	lines     []string
}

func (s *stage) play(cmd script.Command) string {
	s.lines = nil
	if cmd.Name == "group" {
		s.group(cmd)
		return ""
	}
	if s.cluster == nil {
		cmd.Failf("no group")
	}
	ids, words := s.splitFlags(cmd)
	brief := slices.Contains(words, "brief")
	words = slices.DeleteFunc(words, func(w string) bool { return w == "brief" })
	s.do(cmd, ids, words)
	if s.broken != "" {
		cmd.Failf("%s\nafter\n%s", s.broken, strings.Join(s.lines, "\n"))
	}
	if brief {
		s.lines = slices.DeleteFunc(s.lines, func(line string) bool {
			return strings.Contains(line, " -> ") || strings.Contains(line, ": write ")
		})
	}
	return strings.Join(s.lines, "\n")
}

// splitFlags tells servers from other words.
func (s *stage) splitFlags(cmd script.Command) (servers []*server, words []string) {
	for _, flag := range cmd.Flags() {
		var id ServerID
		if _, err := fmt.Sscanf(flag+";", "%d;", &id); err != nil {
			words = append(words, flag)
			continue
		}
		if s.server(id) == nil {
			cmd.Failf("server %d is none of the group's", id)
		}
		servers = append(servers, s.server(id))
	}
	return servers, words
}

func (s *stage) group(cmd script.Command) {
	configuration := votersOf(int(cmd.Uint("voters")))
	if cmd.Has("learners") {
		for _, id := range cmd.Uints("learners") {
			configuration.Learners = append(configuration.Learners, ServerID(id))
		}
	}
	*s = stage{cluster: newCluster(Options{
		ElectionTicks:       int(cmd.UintOr("election", 10)),
		HeartbeatTicks:      int(cmd.UintOr("heartbeat", 1)),
		MaxAppendBytes:      int(cmd.UintOr("append", 0)),
		MaxInflightMessages: int(cmd.UintOr("window", 0)),
	}, configuration)}
	s.connected = func(from, to ServerID) bool { return !slices.Contains(s.cut, [2]ServerID{from, to}) }
	s.tell = func(format string, args ...any) { s.lines = append(s.lines, fmt.Sprintf(format, args...)) }
}

func (s *stage) do(cmd script.Command, servers []*server, words []string) {
	if slices.Contains([]string{"campaign", "propose", "configure", "read", "tick"}, cmd.Name) {
		s.ask(cmd, servers, words)
		return
	}
	switch cmd.Name {
	case "log":
		s.log(cmd, servers[0])
	case "silence":
		for _, server := range servers {
			server.core.sinceLeader = server.options.ElectionTicks
		}
	case "deliver", "repeat", "lose", "backwards":
		s.some(cmd)
	case "settle":
		s.playOut()
	case "disk":
		s.slow = slices.DeleteFunc(s.slow, func(id ServerID) bool { return id == servers[0].id })
		if words[0] == "slow" {
			s.slow = append(s.slow, servers[0].id)
		}
		s.writeFast()
	case "write":
		server := servers[0]
		if len(server.writes) == 0 {
			cmd.Failf("nothing is being written")
		}
		count := cmd.UintOr("count", uint64(len(server.writes)))
		s.persist(server, server.writes[count-1].Ticket)
		s.writeFast()
	case "crash":
		for _, server := range servers {
			s.crash(server, int(cmd.UintOr("keep", 0)))
		}
	case "restart":
		for _, server := range servers {
			s.restart(server)
		}
		s.writeFast()
	case "cut", "partition", "mend":
		s.links(cmd, words)
	case "logs":
		s.logs(servers)
	case "flying":
		for i := range s.network {
			e := &s.network[i].Envelope
			s.tell("%d -> %d: %s", e.From, e.To, sayMessage(e))
		}
	default:
		cmd.Failf("unknown command")
	}
}

// ask hands servers an input, one after the other.
func (s *stage) ask(cmd script.Command, servers []*server, words []string) {
	for range cmd.UintOr("times", 1) {
		for _, server := range servers {
			var in Input
			switch cmd.Name {
			case "campaign":
				in = Campaign{}
			case "tick":
				in = Tick{Random: cmd.UintOr("random", 0)}
			case "propose":
				propose := Propose{ID: s.next()}
				for _, word := range words {
					propose.Entries = append(propose.Entries, command(word))
				}
				in = propose
			case "configure":
				configuration := *server.core.configuration()
				configuration.Data = []byte(cmd.String("data"))
				in = ProposeConfiguration{ID: s.next(), Entry: Entry{Kind: KindConfiguration, Configuration: &configuration, Data: configuration.Data}}
			case "read":
				in = ReadIndex{ID: s.next()}
			}
			s.step(server, in)
			s.writeFast()
		}
	}
}

func (s *stage) next() uint64 {
	s.questions++
	return s.questions
}

// writeFast makes the writes of all disks durable that are not slow.
func (s *stage) writeFast() {
	for _, server := range s.servers {
		if server.core != nil && !slices.Contains(s.slow, server.id) {
			s.persistAll(server)
		}
	}
}

func (s *stage) log(cmd script.Command, server *server) {
	var terms []Term
	if cmd.Has("terms") {
		for _, term := range cmd.Uints("terms") {
			terms = append(terms, Term(term))
		}
	}
	if term := Term(cmd.UintOr("term", 0)); cmd.Has("vote") || cmd.Has("commit") {
		s.install(server, term, terms...)
		server.disk.hard.VotedFor = ServerID(cmd.UintOr("vote", 0))
		server.disk.hard.Commit = Index(cmd.UintOr("commit", 0))
		if known := Index(len(s.history.committed)); server.disk.hard.Commit > known {
			for _, e := range server.disk.log[known:server.disk.hard.Commit] {
				s.history.committed = append(s.history.committed, e)
				s.history.committedIn = append(s.history.committedIn, max(e.Term, s.history.latestCommitTerm()))
			}
		}
		s.restart(server)
		return
	}
	s.install(server, Term(cmd.UintOr("term", 0)), terms...)
}

// some delivers messages that are on their way, or loses them.
func (s *stage) some(cmd script.Command) {
	matching := func(e *letter) bool {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", e.Message), "*raft.")
		return (!cmd.Has("from") || slices.Contains(cmd.Uints("from"), uint64(e.From))) &&
			(!cmd.Has("to") || slices.Contains(cmd.Uints("to"), uint64(e.To))) &&
			(!cmd.Has("kind") || cmd.String("kind") == kind)
	}
	var chosen, others []letter
	count := cmd.UintOr("count", 1<<30)
	for i := range s.network {
		if matching(&s.network[i]) && uint64(len(chosen)) < count {
			chosen = append(chosen, s.network[i])
		} else {
			others = append(others, s.network[i])
		}
	}
	if len(chosen) == 0 {
		cmd.Failf("no such message is on its way")
	}
	if cmd.Name != "repeat" {
		s.network = others
	}
	if cmd.Name == "backwards" {
		slices.Reverse(chosen)
	}
	for _, e := range chosen {
		if cmd.Name == "lose" {
			s.tell("%d -> %d: lost: %s", e.From, e.To, sayMessage(&e.Envelope))
			continue
		}
		s.deliver(e.Envelope)
		s.writeFast()
	}
}

// playOut delivers everything, oldest first, until nothing is on its way.
func (s *stage) playOut() {
	s.writeFast()
	for n := 0; len(s.network) > 0 && s.broken == ""; n++ {
		if n == 10_000 {
			s.fail("the group never comes to rest")
		}
		s.deliver(s.take(0))
		s.writeFast()
	}
}

func (s *stage) links(cmd script.Command, words []string) {
	switch cmd.Name {
	case "mend":
		s.cut = nil
	case "cut":
		for _, word := range words {
			var from, to ServerID
			if _, err := fmt.Sscanf(word, "%d->%d", &from, &to); err != nil {
				cmd.Failf("%s is no link: %v", word, err)
			}
			s.cut = append(s.cut, [2]ServerID{from, to})
		}
	case "partition":
		s.cut = nil
		side := map[ServerID]string{}
		for _, arg := range cmd.Args {
			for _, id := range cmd.Uints(arg.Key) {
				side[ServerID(id)] = arg.Key
			}
		}
		for _, x := range s.servers {
			for _, y := range s.servers {
				if side[x.id] != side[y.id] || side[x.id] == "" {
					s.cut = append(s.cut, [2]ServerID{x.id, y.id})
				}
			}
		}
	}
	s.network = slices.DeleteFunc(s.network, func(e letter) bool { return !s.connected(e.From, e.To) })
}

// logs shows what servers have: their role, how far they have committed, and their logs.
func (s *stage) logs(servers []*server) {
	if len(servers) == 0 {
		servers = s.servers
	}
	for _, server := range servers {
		if server.core == nil {
			s.tell("%d: down, term %d, disk %s", server.id, server.disk.hard.CurrentTerm, sayEntries(1, server.disk.log))
			continue
		}
		core := server.core
		who := core.Role().String()
		if core.Role() == Follower && core.Leader() != 0 {
			who += fmt.Sprintf(" of %d", core.Leader())
		}
		s.tell("%d: %s, term %d, commit %d, log %s", server.id, who, core.CurrentTerm(), core.CommitIndex(), sayEntries(1, server.view))
	}
}
