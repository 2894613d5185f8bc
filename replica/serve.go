package replica

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Serve asks the state machine for a piece of its state that another server lacks. One for each server is under way at
// a time; it is answered by Served.
type Serve struct {
	To           raft.ServerID
	Boot, Number uint64
	Request      []byte
	// LimitBytes is how large the piece should be.
	LimitBytes int
}

// Served is what came of a Serve.
type Served struct {
	To           raft.ServerID
	Boot, Number uint64
	// Position is where the state is, in this server's log; with an Err, where the state in use is, durably, or nil.
	Position *wire.Position
	Chunk    []byte
	// Err: there is nothing to give.
	Err error
}

func (Served) isInput() {}

// serving gives pieces of this server's state to those whom the log cannot bring up to date. It keeps nothing of what
// it sends: whoever is served asks for each piece, so a slow one costs no memory here.
type serving struct {
	guests    []guest // by id of the server, one for each
	ticks     int
	allowance allowance
	sent      uint64 // bytes
}

// guest is a server that asks.
type guest struct {
	id       raft.ServerID
	underWay bool       // the state machine is at it
	position raft.Index // where the state is that it is given; 0: not known
	lastAt   int        // when it asked last, in ticks
	waiting  *Serve     // what it asked, as long as the allowance is spent
	ready    *Served    // a piece that waits for its turn
}

const (
	// offerTicks is how often those are told who need a state.
	offerTicks = 10
	// guestTicks is for how long after its last request the log is kept for a server that is fed.
	guestTicks = 1000
)

// requested takes a server's request in.
func (s *serving) requested(r *Replica, from raft.ServerID, m *wire.SnapshotRequest) {
	i := slices.IndexFunc(s.guests, func(g guest) bool { return g.id == from })
	if i < 0 {
		if r.configuration.Member(from) == nil {
			return
		}
		i = len(s.guests)
		s.guests = append(s.guests, guest{id: from})
	}
	g := &s.guests[i]
	g.lastAt = s.ticks
	if g.underWay {
		return // it will ask again
	}
	if r.snapshot.mustHave {
		s.refuse(r, from, m.Boot, m.Number)
		return
	}
	g.ready, g.waiting = nil, &Serve{To: from, Boot: m.Boot, Number: m.Number, Request: m.Request}
	s.begin(r, g)
}

// begin lets the state machine answer what a guest has asked, if the allowance is not spent.
func (s *serving) begin(r *Replica, g *guest) {
	if g.waiting == nil || !s.allowance.open(&r.options) {
		return
	}
	g.waiting.LimitBytes = min(s.allowance.limit(&r.options), r.catchUp.limit(r, 0))
	r.work.Serve = append(r.work.Serve, *g.waiting)
	g.underWay, g.waiting = true, nil
}

func (s *serving) refuse(r *Replica, to raft.ServerID, boot, number uint64) {
	r.send(to, r.core.CurrentTerm(), &wire.SnapshotChunk{Boot: boot, Number: number, Outcome: wire.SnapshotUnavailable})
}

// refusal says that there is nothing to give; and where this server's state is, if that is known, by a piece that is empty:
// whoever is as far, and has lost entries before that, may let its log begin there.
func refusal(in *Served) *wire.SnapshotChunk {
	m := &wire.SnapshotChunk{Boot: in.Boot, Number: in.Number, Outcome: wire.SnapshotUnavailable}
	if in.Position != nil {
		m.Outcome, m.Position = wire.SnapshotServed, in.Position
	}
	return m
}

// served sends a piece, as soon as those who are in more of a hurry leave room for it.
func (s *serving) served(r *Replica, in *Served) {
	i := slices.IndexFunc(s.guests, func(g guest) bool { return g.id == in.To })
	if i < 0 {
		return
	}
	g := &s.guests[i]
	g.underWay = false
	if in.Err != nil {
		r.work.Events = append(r.work.Events, SnapshotUnfit{Why: in.Err.Error()})
		r.send(in.To, r.core.CurrentTerm(), refusal(in))
		return
	}
	g.position, g.ready = in.Position.Index, in
	s.flush(r)
}

// flush sends the pieces that wait, as far as catching up goes.
func (s *serving) flush(r *Replica) {
	for i := range s.guests {
		g := &s.guests[i]
		if g.ready == nil || !r.catchUp.lets(r, 0, [][]byte{g.ready.Chunk}) {
			continue
		}
		r.send(g.id, r.core.CurrentTerm(), &wire.SnapshotChunk{
			Boot: g.ready.Boot, Number: g.ready.Number, Outcome: wire.SnapshotServed,
			Position: g.ready.Position, Chunk: g.ready.Chunk,
		})
		s.sent += uint64(len(g.ready.Chunk))
		s.allowance.spend(len(g.ready.Chunk))
		g.ready = nil
	}
}

// tick forgets guests that have gone, and tells those who need a state, if this server leads.
func (s *serving) tick(r *Replica) {
	s.ticks++
	s.guests = slices.DeleteFunc(s.guests, func(g guest) bool { return !g.underWay && s.ticks-g.lastAt > guestTicks })
	s.flush(r)
	s.allowance.tick(&r.options)
	for i := range s.guests {
		s.begin(r, &s.guests[i])
	}
	if !r.leads() || s.ticks%offerTicks != 0 {
		return
	}
	for _, p := range r.core.AppendPeers(nil) {
		if p.Stranded {
			r.send(p.ID, r.term, &wire.SnapshotOffer{Base: r.core.Base().Index})
		}
	}
}

// holds returns the lowest index up to which guests have, or are being given, what is in the log; limit if that is lower.
func (s *serving) holds(limit raft.Index) raft.Index {
	for i := range s.guests {
		if g := &s.guests[i]; g.position != 0 {
			limit = min(limit, g.position)
		}
	}
	return limit
}
