package replica

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// cluster runs replicas over a log in memory and a network that the test controls, one event at a
// time. Writes are durable when the test says so; a crash loses the others.
type cluster struct {
	t       *testing.T
	random  *rand.Rand
	servers []*server
	network []letter
	// drop decides what the network loses; nil: nothing.
	drop    func(from, to raft.ServerID) bool
	loses   func(*wire.Message) bool // the same, of what letters say
	initial *wire.Configuration
	handle  uint64
	turns   int // of loops that wait for something
	delay   int // the campaign delay that comes with ticks; 0: what the options say
	// maxWaitingReads is raft.Options.MaxWaitingReads of the servers that start from now on.
	maxWaitingReads int
	// now is what all clocks show; 0: there are none. promiseTicks is that of the servers that start from now
	// on, which answer reads by lease if it is not 0.
	now          uint64
	promiseTicks int
}

type letter struct {
	from, to raft.ServerID
	bytes    []byte
}

type server struct {
	id      raft.ServerID
	boot    uint64
	replica *Replica
	alive   bool
	slow    bool // its disk: nothing gets durable

	// The disk: records[i] is the entry at i+1, durable all of it.
	hard    raft.HardState
	records [][]byte
	writes  []Write // not durable yet
	apply   *Apply  // under way

	state   []string // what the state machine has applied, in memory only
	answers map[uint64]Answer
	inputs  []Input
	fatal   error

	refusals int // appends that this server's core has refused
}

const testGroup = wire.GroupID(7)

func newCluster(t *testing.T, seed uint64, size int) *cluster {
	return newClusterWith(t, seed, size, 0)
}

// newClusterWith has some spare servers, who belong to no configuration yet.
func newClusterWith(t *testing.T, seed uint64, size, spare int) *cluster {
	c := &cluster{t: t, random: rand.New(rand.NewPCG(seed, 1)), initial: &wire.Configuration{}}
	for i := range size {
		c.initial.Members = append(c.initial.Members, wire.Member{ID: raft.ServerID(i + 1), Roles: wire.RoleVoter})
	}
	for i := range size + spare {
		s := &server{id: raft.ServerID(i + 1), answers: map[uint64]Answer{}}
		c.servers = append(c.servers, s)
		c.start(s)
	}
	return c
}

// start starts a server from its disk.
func (c *cluster) start(s *server) {
	c.t.Helper()
	s.boot++
	s.alive, s.state, s.inputs, s.apply, s.writes = true, nil, nil, nil, nil
	state := State{Before: wire.GenesisHash(1, testGroup), Raft: raft.State{HardState: s.hard, Last: raft.Index(len(s.records))}}
	state.Raft.Configurations = []raft.ConfigurationAt{{Index: 0, Configuration: c.initial.Raft()}}
	for i, b := range s.records {
		record := wire.Raw(b)
		if n := len(state.Raft.Runs); n == 0 || state.Raft.Runs[n-1].Term != record.Term() {
			state.Raft.Runs = append(state.Raft.Runs, raft.TermRun{Term: record.Term(), First: raft.Index(i + 1)})
		}
		if record.Kind() == wire.RecordConfiguration {
			configuration, err := wire.DecodeConfiguration(record.Payload())
			if err != nil {
				c.t.Fatal(err)
			}
			state.Raft.Configurations = append(state.Raft.Configurations,
				raft.ConfigurationAt{Index: raft.Index(i + 1), Configuration: configuration.Raft()})
		}
	}
	first := int(s.hard.Commit)
	if first > 0 {
		state.Before = wire.Raw(s.records[first-1]).Hash()
	}
	state.Records = s.records[first:]
	r, err := New(Options{
		Group: testGroup, Boot: s.boot, Member: wire.Member{ID: s.id, Name: fmt.Sprint("n", s.id), Key: make([]byte, 32)},
		Raft: raft.Options{ElectionTicks: 10, HeartbeatTicks: 2, MaxWaitingReads: c.maxWaitingReads,
			PromiseTicks: c.promiseTicks, LeaseReads: c.promiseTicks > 0}, TailBytes: 1 << 10,
	}, state)
	if err != nil {
		c.t.Fatal(err)
	}
	r.options.Member.Key[0] = byte(s.id)
	s.replica = r
}

// step lets a server take in what has happened to it, and carries out what needs no waiting.
func (c *cluster) step(s *server) {
	work := s.replica.Step(c.now, s.inputs)
	s.inputs = nil
	if work.Fatal != nil {
		s.fatal = work.Fatal
	}
	s.writes = append(s.writes, work.Writes...)
	for _, m := range work.Send {
		if c.drop == nil || !c.drop(s.id, m.To) {
			c.network = append(c.network, letter{s.id, m.To, m.Message})
		}
	}
	if work.Apply != nil {
		if s.apply != nil {
			c.t.Fatalf("server %d was given an apply while one was under way", s.id)
		}
		s.apply = work.Apply
	}
	for _, f := range work.Fetch {
		if int(f.Last) > len(s.records) {
			c.t.Fatalf("server %d asks for entries %d to %d, its log ends at %d", s.id, f.First, f.Last, len(s.records))
		}
		last := f.Last
		if f.LimitBytes < math.MaxInt {
			last = min(last, f.First+2) // where fewer will do, three at a time
		}
		s.inputs = append(s.inputs, Fetched{ID: f.ID, Records: s.records[f.First-1 : last]})
	}
	for _, e := range work.Events {
		if _, refused := e.(raft.AppendRefused); refused {
			s.refusals++
		}
	}
	for _, a := range work.Answers {
		if _, twice := s.answers[a.Handle]; twice {
			c.t.Fatalf("server %d answered request %d twice", s.id, a.Handle)
		}
		s.answers[a.Handle] = a
	}
}

// sync makes a server's writes durable.
func (c *cluster) sync(s *server) {
	if len(s.writes) == 0 || s.slow {
		return
	}
	for _, w := range s.writes {
		if w.HardState != nil {
			s.hard = *w.HardState
		}
		if w.TruncateFrom != 0 {
			s.records = s.records[:w.TruncateFrom-1]
		}
		for i, record := range w.Records {
			if at := w.First + raft.Index(i); int(at) != len(s.records)+1 {
				c.t.Fatalf("server %d writes entry %d after %d", s.id, at, len(s.records))
			}
			s.records = append(s.records, record)
		}
	}
	s.inputs = append(s.inputs, Persisted{Ticket: s.writes[len(s.writes)-1].Ticket})
	s.writes = nil
}

// applyNow lets the state machine do what it was given.
func (c *cluster) applyNow(s *server) {
	if s.apply == nil {
		return
	}
	var answers []Answered
	for _, e := range s.apply.Entries {
		if e.Command.Kind != 0 {
			s.state = append(s.state, string(e.Command.Request))
		}
		answers = append(answers, []byte(fmt.Sprint(len(s.state))))
	}
	s.apply = nil
	s.inputs = append(s.inputs, Applied{Answers: answers})
}

// deliver delivers the i-th letter.
func (c *cluster) deliver(i int) {
	l := c.network[i]
	c.network = slices.Delete(c.network, i, i+1)
	if s := c.server(l.to); s.alive {
		m, err := wire.DecodeMessage(slices.Clone(l.bytes))
		if err != nil {
			c.t.Fatal(err)
		}
		if c.loses != nil && c.loses(&m) {
			return
		}
		s.inputs = append(s.inputs, Receive{From: l.from, Message: m})
		c.step(s)
	}
}

func (c *cluster) server(id raft.ServerID) *server { return c.servers[id-1] }

func (c *cluster) tick(s *server) {
	s.inputs = append(s.inputs, Tick{Random: c.random.Uint64(), Delay: c.delay})
	c.step(s)
}

// crash stops a server; what was not durable is lost.
func (c *cluster) crash(s *server) { s.alive = false }

// settle runs everything without faults for some ticks.
func (c *cluster) settle(ticks int) {
	for range ticks {
		for _, s := range c.servers {
			if s.alive {
				c.tick(s)
			}
		}
		c.drain()
	}
}

// drain delivers, syncs and applies until nothing is left to do.
func (c *cluster) drain() {
	for busy := true; busy; {
		busy = false
		for len(c.network) > 0 {
			c.deliver(0)
			busy = true
		}
		for _, s := range c.servers {
			if s.alive {
				c.sync(s)
				c.applyNow(s)
				if len(s.inputs) > 0 {
					c.step(s)
					busy = true
				}
			}
		}
	}
}

// within bounds a loop that waits for something.
func (c *cluster) within() bool {
	c.turns++
	return c.turns < 1000
}

// propose brings a command to a server.
func (c *cluster) propose(s *server, command string) (handle uint64) {
	c.handle++
	s.inputs = append(s.inputs, Propose{Handle: c.handle, Command: wire.Command{Kind: 1, Request: []byte(command)}})
	c.step(s)
	return c.handle
}

// read asks a server for a linearizable read.
func (c *cluster) read(s *server) (handle uint64) {
	c.handle++
	s.inputs = append(s.inputs, Read{Handle: c.handle})
	c.step(s)
	return c.handle
}

func (c *cluster) leader() *server {
	for _, s := range c.servers {
		if s.alive && s.replica.leads() {
			return s
		}
	}
	return nil
}

// follower returns a live server that does not lead.
func (c *cluster) follower() *server {
	for _, s := range c.servers {
		if s.alive && !s.replica.leads() {
			return s
		}
	}
	return nil
}

// wantApplied checks that a server's state machine applied exactly these commands, in this order.
func (c *cluster) wantApplied(s *server, want ...string) {
	c.t.Helper()
	if !slices.Equal(s.state, want) {
		c.t.Errorf("server %d applied %v, want %v", s.id, s.state, want)
	}
}

func (c *cluster) wantDone(s *server, handle uint64) {
	c.t.Helper()
	if a := s.answers[handle]; a.Outcome != Done {
		c.t.Errorf("request %d at server %d is %q, want done", handle, s.id, a.Outcome)
	}
}

// wantDoneSoon is wantDone after a few ticks.
func (c *cluster) wantDoneSoon(s *server, handle uint64) {
	c.t.Helper()
	c.settle(5)
	c.wantDone(s, handle)
}
