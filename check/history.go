package check

import (
	"encoding/binary"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Op is what a client asked for, and what it was told.
type Op struct {
	// ID names the request; from 1, each once. Commands carry it as UserOf(ID).
	ID uint64
	// Server is where the client brought it.
	Server raft.ServerID
	// Request is what is asked for.
	Request Request
	// Serializable: a read that may be answered from whatever the server has.
	Serializable bool

	// floor is the highest index that was acknowledged to anybody before the call.
	floor   raft.Index
	outcome Outcome
	index   raft.Index // where it was applied; 0: nowhere so far
}

// Outcome is what a client was told.
type Outcome uint8

// The outcomes of a request. Pending is that of one that is not answered yet.
const (
	Pending Outcome = iota
	// Done: it has happened, and the client has the answer.
	Done
	// Never: it has not happened and never will.
	Never
	// Unknown: it may have happened, or may still.
	Unknown
)

func (o Outcome) String() string {
	return [...]string{"pending", "done", "never happened", "unknown"}[o]
}

// Outcome returns what the client was told.
func (op *Op) Outcome() Outcome { return op.outcome }

// history is the clients' side.
type history struct {
	ops map[uint64]*Op // by ID
	// acknowledged is the highest index of which anybody has seen the effect.
	acknowledged raft.Index
	// model has applied everything up to modelled; states[i] is how it was after entry i.
	model    Model
	modelled raft.Index
	states   []point
	// answered is what requests of sessions were answered first.
	answered map[numberedRequest]Response
}

// point is a moment of the model.
type point struct{ revision, compacted int64 }

func (h *history) start() {
	h.ops, h.answered = map[uint64]*Op{}, map[numberedRequest]Response{}
	h.model = NewModel()
	h.states = append(h.states, h.model.now())
}

// Model returns the sequential store, which has applied what any server has. The caller only reads it.
func (c *Checker) Model() *Model { return &c.model }

// UserOf returns what the command of an operation carries as its user, so that it is found again.
func UserOf(id uint64) []byte { return binary.LittleEndian.AppendUint64(nil, id) }

// IDOf returns the ID that UserOf has put there; 0 if it has not.
func IDOf(user []byte) uint64 {
	if len(user) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(user)
}

// nameOp finds whose request an entry carries.
func (c *Checker) nameOp(e *entry) {
	if e.record.Kind() != wire.RecordCommand {
		return
	}
	command, err := wire.DecodeCommand(e.record.Payload())
	if err != nil {
		c.fail("C6", "entry %d of term %d is no command: %v", e.record.Index(), e.term, err)
		return
	}
	if e.op = c.ops[IDOf(command.User)]; e.op == nil {
		c.fail("S2", "entry %d of term %d carries request %d, which nobody made", e.record.Index(), e.term, IDOf(command.User))
	}
}

// Called notes a request at the moment at which the client makes it.
func (c *Checker) Called(op *Op) {
	op.floor = c.acknowledged
	c.ops[op.ID] = op
}

// applied lets the model apply an entry, and compares the answers. Entries come in order: none is
// applied anywhere before the one before it was.
func (h *history) applied(c *Checker, index raft.Index, time uint64, e *entry) {
	if index != h.modelled+1 {
		c.fail("C10", "entry %d is applied, and %d was not", index, h.modelled+1)
		return
	}
	h.modelled = index
	if e.op != nil {
		h.appliedOp(c, index, time, e)
	}
	h.states = append(h.states, h.model.now())
}

func (h *history) appliedOp(c *Checker, index raft.Index, time uint64, e *entry) {
	op := e.op
	if op.index != 0 {
		c.fail("S1", "request %d is applied at %d and at %d", op.ID, op.index, index)
	}
	if op.outcome == Never {
		c.fail("S2", "request %d is applied at %d, but server %d had said that it never happens", op.ID, index, op.Server)
	}
	op.index = index
	if time < h.model.time {
		c.fail("F1", "entry %d is of log time %d, one before it of %d", index, time, h.model.time)
	}
	want := h.model.ApplyAt(uint64(index), time, op.Request)
	if c.options.Applied != nil {
		c.options.Applied(op.Request, &want)
	}
	if c.options.Decode == nil {
		return
	}
	got, err := c.options.Decode(op.Request, e.answer)
	if err == nil {
		h.answeredOnce(c, op, &got)
	}
	if err != nil {
		c.fail("K1", "answer to request %d at %d cannot be read: %v", op.ID, index, err)
	} else if !got.Equal(&want) {
		c.fail("K1", "request %d at %d, %+v, is answered with %+v, a sequential store says %+v", op.ID, index, op.Request, got, want)
	}
}

// Wrote says that a client's command was answered as done: at that index, with that answer.
func (c *Checker) Wrote(op *Op, index raft.Index, answer []byte) {
	op.outcome = Done
	if index == 0 || index > c.modelled || op.index != index {
		c.fail("S2", "request %d is done at %d according to server %d; applied it was at %d", op.ID, index, op.Server, op.index)
		return
	}
	if index <= op.floor {
		c.fail("L1", "request %d is done at %d, but %d had been acknowledged before it was made", op.ID, index, op.floor)
	}
	if e := c.committed[index-1]; string(e.answer) != string(answer) {
		c.fail("S2", "request %d is answered with %x, its entry %d came to %x", op.ID, answer, index, e.answer)
	}
	c.acknowledged = max(c.acknowledged, index)
}

// Read says that a client's read was answered: as of readIndex, which is 0 for a serializable one, from
// a state machine that had applied everything up to servedAt.
func (c *Checker) Read(op *Op, readIndex, servedAt raft.Index, answer []byte) {
	op.outcome = Done
	if servedAt > c.modelled {
		c.fail("C10", "read %d is served at %d, applied anywhere is %d", op.ID, servedAt, c.modelled)
		return
	}
	if !op.Serializable {
		switch {
		case readIndex < op.floor:
			c.fail("L1", "read %d at server %d is to be served at %d, but %d had been acknowledged before it was made",
				op.ID, op.Server, readIndex, op.floor)
		case servedAt < readIndex:
			c.fail("L1", "read %d at server %d is served at %d, but is to see everything up to %d", op.ID, op.Server, servedAt, readIndex)
		}
		c.acknowledged = max(c.acknowledged, servedAt)
	}
	want := c.model.readAt(op.Request, c.states[servedAt])
	got, err := c.options.Decode(op.Request, answer)
	if err != nil {
		c.fail("K1", "answer to read %d cannot be read: %v", op.ID, err)
	} else if !got.Equal(&want) {
		c.fail("K1", "read %d at %d, %+v, is answered with %+v, a sequential store says %+v", op.ID, servedAt, op.Request, got, want)
	}
}

// Ended says that a client was told that its request never happens, or that nobody knows.
func (c *Checker) Ended(op *Op, outcome Outcome) {
	op.outcome = outcome
	if outcome == Never && op.index != 0 {
		c.fail("S2", "request %d never happens according to server %d, but is applied at %d", op.ID, op.Server, op.index)
	}
}
