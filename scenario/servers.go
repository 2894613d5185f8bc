package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/script"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// servers are the other kind of stage, for stories of disks: a group of servers with all that a server has below its
// sockets and goroutines. Log, replica and store are the code that ships. What is left is to carry out the work that
// replicas hand out, one thing after the other: the simulator does the same from a seeded queue, where nobody
// could say what is to happen next, and the host with goroutines. Package check looks at every step.
type servers struct {
	all      []*server // by id
	network  []letter  // on their way, oldest first
	check    *check.Checker
	first    *wire.Configuration
	options  replica.Options // of all; each has its own Boot and Member
	segment  int64           // bytes of a segment of the log
	requests []*request      // by handle, from 1
	lines    []string        // what the command under way has brought about
}

// The cluster and the group that all servers belong to, and the directory of their logs.
const (
	cluster = 1
	group   = wire.GroupID(1)
	logDir  = "log"
)

// letter is a message on its way.
type letter struct {
	from, to raft.ServerID
	bytes    []byte
}

// request is what a client has asked a server for.
type request struct {
	check.Op
	text   string
	read   bool
	answer string // "" while it waits
}

// newServers brings on servers with empty disks.
func newServers(cmd script.Command) *servers {
	voters := int(cmd.Uint("voters"))
	if voters < 1 || voters > 9 {
		cmd.Failf("from 1 to 9 servers can be on the stage, not %d", voters)
	}
	c := &servers{
		first:   &wire.Configuration{},
		segment: int64(cmd.UintOr("segment", 64<<10)),
		options: replica.Options{Group: group, Raft: raft.Options{
			ElectionTicks: int(cmd.UintOr("election", 10)), HeartbeatTicks: int(cmd.UintOr("heartbeat", 1)),
		}},
	}
	disk := crashdisk.Options{CapacityBytes: int64(cmd.UintOr("room", 0))}
	var ids []raft.ServerID
	for i := range voters {
		id := raft.ServerID(i + 1)
		ids = append(ids, id)
		c.first.Members = append(c.first.Members, wire.Member{ID: id, Roles: wire.RoleVoter})
	}
	c.check = check.New(check.Options{
		Group: group, Genesis: wire.GenesisHash(cluster, group), Voters: ids, Configuration: wire.AppendConfiguration(nil, c.first),
	})
	for _, id := range ids {
		s := &server{servers: c, id: id, disk: crashdisk.New(disk), checks: c.check.Server(id)}
		c.all = append(c.all, s)
		s.start()
	}
	return c
}

// play carries out a command: see doc.go.
func (c *servers) play(cmd script.Command) string {
	c.lines = nil
	named, words := c.splitFlags(cmd)
	brief, quiet := slices.Contains(words, "brief"), slices.Contains(words, "quiet")
	words = slices.DeleteFunc(words, func(w string) bool { return w == "brief" || w == "quiet" })
	c.do(cmd, named, words)
	if v := c.check.Violation(); v != nil {
		cmd.Failf("%v\nafter\n%s", v, strings.Join(c.lines, "\n"))
	}
	if quiet {
		return ""
	}
	if brief {
		c.lines = slices.DeleteFunc(c.lines, isDetail)
	}
	return strings.Join(c.lines, "\n")
}

// isDetail reports whether a line tells of a message or a write.
func isDetail(line string) bool {
	who, what, _ := strings.Cut(line, ": ")
	return strings.Contains(who, " -> ") || strings.HasPrefix(what, "write ")
}

// splitFlags tells servers from other words.
func (c *servers) splitFlags(cmd script.Command) (named []*server, words []string) {
	for _, flag := range cmd.Flags() {
		var id int
		if _, err := fmt.Sscanf(flag+";", "%d;", &id); err != nil {
			words = append(words, flag)
			continue
		}
		if id < 1 || id > len(c.all) {
			cmd.Failf("server %d is none of the group's", id)
		}
		named = append(named, c.all[id-1])
	}
	return named, words
}

func (c *servers) do(cmd script.Command, named []*server, words []string) {
	switch cmd.Name {
	case "settle":
		c.settle()
		for range cmd.UintOr("ticks", 0) {
			for _, s := range c.all {
				s.tick(0)
			}
			c.settle()
		}
		return
	case "lose":
		for _, l := range c.network {
			c.tell("%d -> %d: lost", l.from, l.to)
		}
		c.network = nil
		return
	case "logs":
		c.logs(named)
		return
	case "expect":
		c.expect(cmd, named, words)
		return
	}
	if len(named) == 0 {
		cmd.Failf("no server is named")
	}
	for _, s := range named {
		switch cmd.Name {
		case "restart", "flip":
			if s.isUp() {
				cmd.Failf("server %d is up", s.id)
			}
		case "disk", "fill", "free":
		default:
			if !s.isUp() {
				cmd.Failf("server %d is down", s.id)
			}
		}
	}
	for range cmd.UintOr("times", 1) {
		for _, s := range named {
			c.doAt(cmd, s, words)
		}
	}
}

// doAt carries out a command at one server.
func (c *servers) doAt(cmd script.Command, s *server, words []string) {
	switch cmd.Name {
	case "tick":
		s.tick(cmd.UintOr("random", 0))
	case "silence":
		for range c.options.Raft.ElectionTicks {
			s.tick(uint64(c.options.Raft.ElectionTicks - 1)) // its own election timeout is the longest
		}
	case "campaign":
		s.put(replica.Campaign{})
	case "propose":
		for _, word := range words {
			s.put(c.propose(cmd, s, word))
		}
	case "read":
		key := cmd.String("key")
		r := &request{text: "read " + key, read: true, Op: check.Op{Request: check.Range{Key: key}}}
		s.put(replica.Read{Handle: c.asked(s, r)})
	case "transfer":
		s.put(replica.Transfer{Handle: c.asked(s, &request{text: "transfer"}), To: raft.ServerID(cmd.UintOr("to", 0))})
	case "disk":
		s.slow = slices.Contains(words, "slow")
		s.writeNext()
	case "crash":
		s.crash(cmd)
	case "restart":
		s.start()
	case "flip":
		s.flip(cmd)
	case "fill":
		s.fill(cmd)
	case "free":
		s.free(cmd)
	default:
		cmd.Failf("unknown command")
	}
	s.turn()
}

// asked notes a request, and returns its handle.
func (c *servers) asked(s *server, r *request) uint64 {
	c.requests = append(c.requests, r)
	r.ID, r.Server = uint64(len(c.requests)), s.id
	return r.ID
}

// settle delivers everything, oldest first, until nothing is on its way. Then the servers are idle, and seal their logs.
func (c *servers) settle() {
	for n := 0; len(c.network) > 0 && c.check.Violation() == nil; n++ {
		if n == 10_000 {
			c.check.Fail("V1", "the group never comes to rest")
		}
		l := c.network[0]
		c.network = c.network[1:]
		c.deliver(l)
	}
	for _, s := range c.all {
		s.seal()
	}
}

// deliver hands a message to its server, if that is up.
func (c *servers) deliver(l letter) {
	s := c.all[l.to-1]
	if !s.isUp() {
		return
	}
	m, err := wire.DecodeMessage(l.bytes)
	if err != nil {
		c.check.Fail("N2", "server %d cannot read a message of server %d: %v", l.to, l.from, err)
		return
	}
	s.put(replica.Receive{From: l.from, Message: m})
	s.turn()
}

func (c *servers) tell(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}
