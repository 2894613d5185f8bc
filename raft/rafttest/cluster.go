package rafttest

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/raft"
)

// Cluster is a whole group: real cores, and around them a simulated disk for each and one bag of
// messages on their way. It does nothing by itself: scripts, the random walk and the exploration
// decide what happens next, and after each thing that happens checks.go looks for a broken invariant.
//
//	disk ──State──> Core ──Persist──> writes ──persist──> disk
//	                  └────Send─────> held ──release────> network ──deliver──> another Core
type Cluster struct {
	Servers []*Server // sorted by id
	Network []Letter  // on their way, oldest first
	History History
	// Now is what the clocks of all servers show, where there are promises.
	Now uint64

	// Connected reports whether a message from one server reaches another; nil: always.
	Connected func(from, to raft.ServerID) bool
	// Fewer says how many of the entries of a probing request to send; nil: all of them.
	Fewer func(entries int) int
	// Tell is told what happens, in words; nil: nobody listens.
	Tell func(format string, args ...any)
	// Broken is the first broken invariant; "" while there is none.
	Broken string
}

// Letter is a message on the network.
type Letter struct {
	raft.Envelope
	Print uint64 // a fingerprint, for whoever explores; 0: none yet
}

// Server is one member: its core, its disk, and what the replica around the core keeps.
type Server struct {
	ID      raft.ServerID
	Options raft.Options
	Disk    Disk
	Core    *raft.Core // nil while the server is down

	// View is the log as this server sees it: that of the disk, with the writes under way.
	View []raft.Entry
	// Writes are those asked for and not yet durable; hard is the state in the latest of them.
	Writes []raft.Persist
	hard   raft.HardState
	// Asked and durable are the tickets of the latest write asked for, and made durable.
	Asked, durable raft.Ticket
	// Held are the messages that wait for a write.
	Held []raft.Envelope
	// Applied is how far the state machine is; with a crash it goes back to what its disk has.
	Applied raft.Index

	Prints []uint64 // fingerprints, for whoever explores; a fork of the server has none
}

// Disk is what a crash leaves.
type Disk struct {
	Hard raft.HardState
	// Log has the entries from the first on, also those up to Base, which the state has in their place.
	Log []raft.Entry
	// Base is where the log begins, and State how far the state of the state machine is.
	Base, State raft.Index
	// First is the configuration that every server of the group begins with.
	First *raft.Configuration
}

// New returns a group of servers with empty disks, all up: the members of its first configuration, and
// spare ones, who belong to no configuration yet.
func New(options raft.Options, first *raft.Configuration, spare ...raft.ServerID) *Cluster {
	c := &Cluster{}
	for _, id := range append(first.Members(), spare...) {
		s := &Server{ID: id, Options: options, Disk: Disk{First: first}}
		s.Options.ID = id
		c.Servers = append(c.Servers, s)
	}
	for _, s := range c.Servers {
		c.Restart(s)
	}
	return c
}

// Voters returns a configuration of voters 1 to n.
func Voters(n int) *raft.Configuration {
	configuration := &raft.Configuration{}
	for id := range n {
		configuration.Voters = append(configuration.Voters, raft.ServerID(id+1))
	}
	return configuration
}

// Install gives a server a log of commands with these terms, as if it had had a life before. Its
// current term is that of the last entry, unless given.
func (c *Cluster) Install(s *Server, term raft.Term, terms ...raft.Term) {
	s.Disk = Disk{First: s.Disk.First}
	for i, t := range terms {
		e := Command(fmt.Sprintf("%c", 'a'+i%26))
		e.Term = t
		s.Disk.Log = append(s.Disk.Log, e)
		term = max(term, t)
	}
	s.Disk.Hard.CurrentTerm = term
	c.Restart(s)
}

// Server returns the member with that id; nil if there is none.
func (c *Cluster) Server(id raft.ServerID) *Server {
	for _, s := range c.Servers {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Fork returns a copy in which the servers with those ids may change. All else is shared.
func (c *Cluster) Fork(ids ...raft.ServerID) *Cluster {
	d := *c
	d.Servers = slices.Clone(c.Servers)
	d.Network = slices.Clone(c.Network)
	d.History = c.History.clone()
	for i, s := range d.Servers {
		if slices.Contains(ids, s.ID) {
			d.Servers[i] = s.clone()
		}
	}
	return &d
}

func (s *Server) clone() *Server {
	d := *s
	if s.Core != nil {
		d.Core = s.Core.Clone()
	}
	d.Writes = slices.Clone(s.Writes)
	d.Held = slices.Clone(s.Held)
	d.Prints = nil
	return &d
}

// Fail notes the first broken invariant.
func (c *Cluster) Fail(format string, args ...any) {
	if c.Broken == "" {
		c.Broken = fmt.Sprintf(format, args...)
	}
}

// Step hands a batch to a server that is up, carries out what comes back, and checks everything.
func (c *Cluster) Step(s *Server, batch ...raft.Input) raft.Output {
	if c.Broken != "" {
		return raft.Output{}
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *invariant.Violation:
			c.Fail("server %d: %s", s.ID, p.Text)
		default:
			panic(p)
		}
	}()
	if s.Options.PromiseTicks > 0 {
		batch = append([]raft.Input{raft.Clock{Now: c.Now}}, batch...)
	}
	before := s.now()
	for _, input := range batch {
		c.History.asked(s.ID, input)
	}
	out := s.Core.Step(batch)
	if c.Tell != nil {
		c.tellOutput(s, &out)
	}
	c.takeWrite(s, before, out.Persist)
	s.Held = append(s.Held, out.Send...)
	c.check(s, before, out)
	s.Applied = max(s.Applied, out.Apply.Last)
	c.release(s)
	return out
}

// takeWrite queues a write, and shows in view what it will make of the log.
func (c *Cluster) takeWrite(s *Server, before moment, p raft.Persist) {
	if p.Ticket == 0 {
		if p.HardState != nil || p.TruncateFrom != 0 || len(p.Entries) > 0 || p.CompactTo != 0 || p.Install != nil {
			c.Fail("server %d: a write without a ticket", s.ID)
		}
		return
	}
	c.checkWrite(s, before, p)
	s.Asked, s.hard = p.Ticket, *p.HardState
	s.Writes = append(s.Writes, p)
	s.View = onto(s.View, &p, c.History.Committed)
}

// onto returns what a write makes of a log. That itself stays what it is, for forks share it. A state is what
// was committed up to where it is.
func onto(log []raft.Entry, p *raft.Persist, committed []raft.Entry) []raft.Entry {
	if p.Install != nil {
		if at := int(p.Install.Base.Index); len(log) < at || log[at-1].Term != p.Install.Base.Term {
			log = committed[:at]
		}
	}
	if p.TruncateFrom != 0 {
		log = log[:p.TruncateFrom-1]
	}
	return append(slices.Clip(log), p.Entries...)
}

// Persist makes the next writes of a server durable, up to the one with ticket, and says so to it.
func (c *Cluster) Persist(s *Server, ticket raft.Ticket) {
	c.Sync(s, ticket)
	c.Step(s, raft.Persisted{Ticket: ticket})
}

// PersistAll makes all writes of a server durable, also those that this brings about.
func (c *Cluster) PersistAll(s *Server) {
	for len(s.Writes) > 0 && c.Broken == "" {
		c.Persist(s, s.Asked)
	}
}

// Sync moves writes to the disk.
func (c *Cluster) Sync(s *Server, ticket raft.Ticket) {
	for len(s.Writes) > 0 && s.Writes[0].Ticket <= ticket {
		s.Disk.Hard = *s.Writes[0].HardState
		s.Disk.Log = onto(s.Disk.Log, &s.Writes[0], c.History.Committed)
		s.Disk.Base = max(s.Disk.Base, s.Writes[0].CompactTo)
		if in := s.Writes[0].Install; in != nil {
			s.Disk.Base = in.Base.Index
		}
		s.durable = s.Writes[0].Ticket
		s.Writes = slices.Delete(s.Writes, 0, 1)
	}
}

// release puts the held messages on the network whose write is durable, and drops those of a term
// that is over.
func (c *Cluster) release(s *Server) {
	held := s.Held
	s.Held = nil
	for _, e := range held {
		switch {
		case e.Term < s.Core.CurrentTerm():
			if c.Tell != nil {
				c.Tell("%d -> %d: of term %d, which is over: never leaves: %s", e.From, e.To, e.Term, SayMessage(&e))
			}
		case e.After <= s.durable:
			c.leave(s, e)
		default:
			s.Held = append(s.Held, e)
		}
	}
}

// leave puts a message on the network, with its entries.
func (c *Cluster) leave(s *Server, e raft.Envelope) {
	c.checkLeaving(s, &e)
	if m, ok := e.Message.(*raft.AppendEntries); ok {
		filled := *m
		n := int(m.Last - m.PrevLogIndex)
		if m.Probing && n > 0 && c.Fewer != nil {
			n = c.Fewer(n)
		}
		if n > 0 && m.PrevLogIndex < s.Core.Base().Index {
			c.Fail("server %d: sends entries after %d, its log begins after %d", s.ID, m.PrevLogIndex, s.Core.Base().Index)
		}
		filled.Entries = slices.Clone(s.View[m.PrevLogIndex : int(m.PrevLogIndex)+n])
		filled.Last, filled.Probing = 0, false // neither is part of the message
		e.Message = &filled
	}
	e.After = 0
	if c.Connected != nil && !c.Connected(e.From, e.To) {
		return
	}
	c.Network = append(c.Network, Letter{Envelope: e})
}

// Take removes a message from the network and returns it.
func (c *Cluster) Take(i int) raft.Envelope {
	e := c.Network[i].Envelope
	c.Network = slices.Delete(c.Network, i, i+1)
	return e
}

// Pass lets the clocks of all servers go on, which all look at them.
func (c *Cluster) Pass(ticks uint64) {
	c.Now += ticks
	for _, s := range c.Servers {
		if s.Core != nil {
			c.Step(s)
		}
	}
}

// Deliver hands messages to the one server that they all are for. A server that is down loses them.
func (c *Cluster) Deliver(messages ...raft.Envelope) {
	s := c.Server(messages[0].To)
	if s.Core == nil {
		return
	}
	batch := make([]raft.Input, len(messages))
	for i, e := range messages {
		batch[i] = raft.Receive{Envelope: e}
	}
	c.Step(s, batch...)
}

// Crash stops a server. The first keep of its writes under way reach the disk, the others are lost.
func (c *Cluster) Crash(s *Server, keep int) {
	if keep > 0 {
		c.Sync(s, s.Writes[keep-1].Ticket)
	}
	s.Core, s.Writes, s.Held = nil, nil, nil
	s.View = slices.Clone(s.Disk.Log)
	c.History.crashed(s.ID)
}

// Restart starts a server from its disk.
func (c *Cluster) Restart(s *Server) {
	c.takeUp(s)
	core, err := raft.New(s.Options, s.Disk.state())
	if err != nil {
		c.Fail("server %d does not start: %v", s.ID, err)
		return
	}
	s.Core, s.View, s.hard = core, slices.Clone(s.Disk.Log), s.Disk.Hard
	s.Asked, s.durable, s.Applied = 0, 0, s.Disk.State
	c.checkRestart(s)
	c.Step(s)
}

// state is what New finds on the disk.
func (d *Disk) state() raft.State {
	state := raft.State{
		HardState:      d.Hard,
		Base:           d.entryAt(d.Base),
		Last:           raft.Index(len(d.Log)),
		Configurations: []raft.ConfigurationAt{{Index: d.Base, Configuration: configurationAt(d.First, d.Log, d.Base)}},
		Applied:        d.State,
	}
	for i := int(d.Base); i < len(d.Log); i++ {
		e := &d.Log[i]
		if i == int(d.Base) || d.Log[i-1].Term != e.Term {
			state.Runs = append(state.Runs, raft.TermRun{Term: e.Term, First: raft.Index(i + 1)})
		}
		if e.Kind == raft.KindConfiguration {
			state.Configurations = append(state.Configurations, raft.ConfigurationAt{Index: raft.Index(i + 1), Configuration: e.Configuration})
		}
	}
	return state
}

// Settle makes all writes durable and delivers all messages, oldest first, until nothing is on its
// way. It gives up after a bound that no healthy group comes near, and reports that.
func (c *Cluster) Settle() {
	for range 100_000 {
		busy := false
		for _, s := range c.Servers {
			if s.Core != nil && len(s.Writes) > 0 {
				c.PersistAll(s)
				busy = true
			}
		}
		if len(c.Network) > 0 {
			e := c.Take(0)
			if c.Connected == nil || c.Connected(e.From, e.To) {
				c.Deliver(e)
			}
			busy = true
		}
		if !busy || c.Broken != "" {
			return
		}
	}
	c.Fail("the group never comes to rest")
}

// Command returns an entry for the state machine.
func Command(text string) raft.Entry { return raft.Entry{Kind: raft.KindCommand, Data: []byte(text)} }

// ConfigurationEntry returns an entry with that configuration.
func ConfigurationEntry(c *raft.Configuration) raft.Entry {
	return raft.Entry{Kind: raft.KindConfiguration, Configuration: c, Data: c.Data}
}
