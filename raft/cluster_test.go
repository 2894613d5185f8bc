package raft

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quorate/quorate/internal/invariant"
)

// cluster is a whole group: real cores, and around them a simulated disk for each and one bag of
// messages on their way. It does nothing by itself: scripts, the random walk and the exploration
// decide what happens next, and after each thing that happens checks_test.go looks for a broken
// invariant.
//
//	disk ──State──> Core ──Persist──> writes ──persist──> disk
//	                  └────Send─────> held ──release────> network ──deliver──> another Core
type cluster struct {
	servers []*server // sorted by id
	network []letter  // on their way, oldest first
	history history

	// connected reports whether a message from one server reaches another; nil: always.
	connected func(from, to ServerID) bool
	// fewer says how many of the entries of a probing request to send; nil: all of them.
	fewer func(entries int) int
	// tell is told what happens, in words; nil: nobody listens.
	tell func(format string, args ...any)
	// broken is the first broken invariant; "" while there is none.
	broken string
}

// letter is a message on the network.
type letter struct {
	Envelope
	prints []uint64 // for the exploration
}

// server is one member: its core, its disk, and what the replica around the core keeps.
type server struct {
	id      ServerID
	options Options
	disk    disk
	core    *Core // nil while the server is down

	// view is the log as this server sees it: that of the disk, with the writes under way.
	view []Entry
	// writes are those asked for and not yet durable; hard is the state in the latest of them.
	writes []Persist
	hard   HardState
	// asked and durable are the tickets of the latest write asked for, and made durable.
	asked, durable Ticket
	// held are the messages that wait for a write.
	held []Envelope
	// applied is how far the state machine is; it loses everything with a crash.
	applied Index

	prints []uint64 // for the exploration
}

// disk is what a crash leaves.
type disk struct {
	hard HardState
	log  []Entry
	// first is the configuration that every server of the group begins with.
	first *Configuration
}

// newCluster returns a group of servers with empty disks, all up.
func newCluster(options Options, first *Configuration) *cluster {
	c := &cluster{}
	for _, id := range first.Members() {
		s := &server{id: id, options: options, disk: disk{first: first}}
		s.options.ID = id
		c.servers = append(c.servers, s)
	}
	for _, s := range c.servers {
		c.restart(s)
	}
	return c
}

// votersOf returns a configuration of voters 1 to n.
func votersOf(n int) *Configuration {
	configuration := &Configuration{}
	for id := range n {
		configuration.Voters = append(configuration.Voters, ServerID(id+1))
	}
	return configuration
}

// install gives a server a log of commands with these terms, as if it had had a life before. Its
// current term is that of the last entry, unless given.
func (c *cluster) install(s *server, term Term, terms ...Term) {
	s.disk = disk{first: s.disk.first}
	for i, t := range terms {
		e := command(fmt.Sprintf("%c", 'a'+i%26))
		e.Term = t
		s.disk.log = append(s.disk.log, e)
		term = max(term, t)
	}
	s.disk.hard.CurrentTerm = term
	c.restart(s)
}

func (c *cluster) server(id ServerID) *server {
	for _, s := range c.servers {
		if s.id == id {
			return s
		}
	}
	return nil
}

// fork returns a copy in which the servers with those ids may change. All else is shared.
func (c *cluster) fork(ids ...ServerID) *cluster {
	d := *c
	d.servers = slices.Clone(c.servers)
	d.network = slices.Clone(c.network)
	d.history = c.history.clone()
	for i, s := range d.servers {
		if slices.Contains(ids, s.id) {
			d.servers[i] = s.clone()
		}
	}
	return &d
}

func (s *server) clone() *server {
	d := *s
	if s.core != nil {
		d.core = s.core.Clone()
	}
	d.disk.log = slices.Clone(s.disk.log)
	d.view = slices.Clone(s.view)
	d.writes = slices.Clone(s.writes)
	d.held = slices.Clone(s.held)
	d.prints = nil
	return &d
}

// fail notes the first broken invariant.
func (c *cluster) fail(format string, args ...any) {
	if c.broken == "" {
		c.broken = fmt.Sprintf(format, args...)
	}
}

// step hands a batch to a server that is up, carries out what comes back, and checks everything.
func (c *cluster) step(s *server, batch ...Input) Output {
	if c.broken != "" {
		return Output{}
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *invariant.Violation:
			c.fail("server %d: %s", s.id, p.Text)
		default:
			panic(p)
		}
	}()
	before := s.now()
	for _, input := range batch {
		c.history.asked(s.id, input)
	}
	out := s.core.Step(batch)
	if c.tell != nil {
		c.tellOutput(s, &out)
	}
	c.takeWrite(s, before, out.Persist)
	s.held = append(s.held, out.Send...)
	c.check(s, before, out)
	s.applied = max(s.applied, out.Apply.Last)
	c.release(s)
	return out
}

// takeWrite queues a write, and shows in view what it will make of the log.
func (c *cluster) takeWrite(s *server, before moment, p Persist) {
	if p.Ticket == 0 {
		if p.HardState != nil || p.TruncateFrom != 0 || len(p.Entries) > 0 {
			c.fail("server %d: a write without a ticket", s.id)
		}
		return
	}
	c.checkWrite(s, before, p)
	s.asked, s.hard = p.Ticket, *p.HardState
	s.writes = append(s.writes, p)
	s.view = p.onto(s.view)
}

// onto returns what the write makes of a log.
func (p *Persist) onto(log []Entry) []Entry {
	if p.TruncateFrom != 0 {
		log = log[:p.TruncateFrom-1]
	}
	return append(log, p.Entries...)
}

// persist makes the next writes of a server durable, up to the one with ticket, and says so to it.
func (c *cluster) persist(s *server, ticket Ticket) {
	s.sync(ticket)
	c.step(s, Persisted{Ticket: ticket})
}

// persistAll makes all writes of a server durable, also those that this brings about.
func (c *cluster) persistAll(s *server) {
	for len(s.writes) > 0 && c.broken == "" {
		c.persist(s, s.asked)
	}
}

// sync moves writes to the disk.
func (s *server) sync(ticket Ticket) {
	for len(s.writes) > 0 && s.writes[0].Ticket <= ticket {
		s.disk.hard = *s.writes[0].HardState
		s.disk.log = s.writes[0].onto(s.disk.log)
		s.durable = s.writes[0].Ticket
		s.writes = slices.Delete(s.writes, 0, 1)
	}
}

// release puts the held messages on the network whose write is durable, and drops those of a term
// that is over.
func (c *cluster) release(s *server) {
	held := s.held
	s.held = nil
	for _, e := range held {
		switch {
		case e.Term < s.core.CurrentTerm():
			if c.tell != nil {
				c.tell("%d -> %d: of term %d, which is over: never leaves: %s", e.From, e.To, e.Term, sayMessage(&e))
			}
		case e.After <= s.durable:
			c.leave(s, e)
		default:
			s.held = append(s.held, e)
		}
	}
}

// leave puts a message on the network, with its entries.
func (c *cluster) leave(s *server, e Envelope) {
	c.checkLeaving(s, &e)
	if m, ok := e.Message.(*AppendEntries); ok {
		filled := *m
		n := int(m.Last - m.PrevLogIndex)
		if m.Probing && n > 0 && c.fewer != nil {
			n = c.fewer(n)
		}
		filled.Entries = slices.Clone(s.view[m.PrevLogIndex : int(m.PrevLogIndex)+n])
		filled.Last, filled.Probing = 0, false // neither is part of the message
		e.Message = &filled
	}
	e.After = 0
	if c.connected != nil && !c.connected(e.From, e.To) {
		return
	}
	c.network = append(c.network, letter{Envelope: e})
}

// take removes a message from the network and returns it.
func (c *cluster) take(i int) Envelope {
	e := c.network[i].Envelope
	c.network = slices.Delete(c.network, i, i+1)
	return e
}

// deliver hands messages to the one server that they all are for. A server that is down loses them.
func (c *cluster) deliver(messages ...Envelope) {
	s := c.server(messages[0].To)
	if s.core == nil {
		return
	}
	batch := make([]Input, len(messages))
	for i, e := range messages {
		batch[i] = Receive{Envelope: e}
	}
	c.step(s, batch...)
}

// crash stops a server. The first keep of its writes under way reach the disk, the others are lost.
func (c *cluster) crash(s *server, keep int) {
	if keep > 0 {
		s.sync(s.writes[keep-1].Ticket)
	}
	s.core, s.writes, s.held = nil, nil, nil
	s.view = slices.Clone(s.disk.log)
	c.history.crashed(s.id)
}

// restart starts a server from its disk.
func (c *cluster) restart(s *server) {
	core, err := New(s.options, s.disk.state())
	if err != nil {
		c.fail("server %d does not start: %v", s.id, err)
		return
	}
	s.core, s.view, s.hard = core, slices.Clone(s.disk.log), s.disk.hard
	s.asked, s.durable, s.applied = 0, 0, 0
	c.checkRestart(s)
	c.step(s)
}

// state is what New finds on the disk.
func (d *disk) state() State {
	state := State{
		HardState:      d.hard,
		Last:           Index(len(d.log)),
		Configurations: []ConfigurationAt{{0, d.first}},
	}
	for i, e := range d.log {
		if i == 0 || d.log[i-1].Term != e.Term {
			state.Runs = append(state.Runs, TermRun{Term: e.Term, First: Index(i + 1)})
		}
		if e.Kind == KindConfiguration {
			state.Configurations = append(state.Configurations, ConfigurationAt{Index(i + 1), e.Configuration})
		}
	}
	return state
}

// leader returns the server that leads in the highest term, nil if none does.
func (c *cluster) leader() *server {
	var leader *server
	for _, s := range c.servers {
		if s.core != nil && s.core.Role() == Leader && (leader == nil || leader.core.CurrentTerm() < s.core.CurrentTerm()) {
			leader = s
		}
	}
	return leader
}

// settle makes all writes durable and delivers all messages, oldest first, until nothing is on its
// way. It gives up after a bound that no healthy group comes near, and reports that.
func (c *cluster) settle() {
	for range 100_000 {
		busy := false
		for _, s := range c.servers {
			if s.core != nil && len(s.writes) > 0 {
				c.persistAll(s)
				busy = true
			}
		}
		if len(c.network) > 0 {
			e := c.take(0)
			if c.connected == nil || c.connected(e.From, e.To) {
				c.deliver(e)
			}
			busy = true
		}
		if !busy || c.broken != "" {
			return
		}
	}
	c.fail("the group never comes to rest")
}

// command returns an entry for the state machine.
func command(text string) Entry { return Entry{Kind: KindCommand, Data: []byte(text)} }

// campaign lets so much time pass that nobody believes in a leader any more, and one server stands
// for election. If it led, it has stepped down first.
func (c *cluster) campaign(s *server, preVote bool) {
	for _, other := range c.servers {
		if other.core != nil {
			other.core.sinceLeader = other.options.ElectionTicks
		}
	}
	core := s.core
	if core.role == Leader {
		core.becomeFollower(core.currentTerm, 0, "no answer from a majority")
	}
	if preVote {
		c.step(s, Campaign{})
		return
	}
	core.becomeCandidate()
	c.step(s)
}

// elect makes a server the leader, with all its peers following and nothing on its way.
func (c *cluster) elect(t *testing.T, id ServerID) *server {
	t.Helper()
	s := c.server(id)
	c.campaign(s, false)
	c.settle()
	c.mustBeWhole(t)
	if s.core.Role() != Leader {
		t.Fatalf("server %d is %s after its election", id, s.core.Role())
	}
	return s
}

// only lets messages pass between these servers, and loses what is on its way to others.
func (c *cluster) only(ids ...ServerID) {
	c.connected = func(from, to ServerID) bool { return slices.Contains(ids, from) && slices.Contains(ids, to) }
}

// takeLast removes the newest message from one server to another from the network.
func (c *cluster) takeLast(t *testing.T, from, to ServerID) Envelope {
	t.Helper()
	for i := len(c.network) - 1; i >= 0; i-- {
		if c.network[i].From == from && c.network[i].To == to {
			return c.take(i)
		}
	}
	t.Fatalf("nothing is on its way from %d to %d", from, to)
	return Envelope{}
}

// mustBeWhole ends the test if an invariant is broken.
func (c *cluster) mustBeWhole(t *testing.T) {
	t.Helper()
	if c.broken != "" {
		t.Fatal(c.broken)
	}
}
