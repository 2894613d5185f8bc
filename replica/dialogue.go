package replica

import (
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// dialogue fetches another server's state, in pieces: the state machine says what it has, somebody's state machine answers
// with the first piece of what it lacks, and so on, until it is complete. Whoever is asked may change at any time; then the
// rest comes from there. Nothing of it counts before it is installed.
type dialogue struct {
	source  raft.ServerID // who is asked
	number  uint64        // of the latest question
	asked   bool          // it is not answered
	askedAt int
	pauseTo int // nothing is asked before
	// refusedAt is when somebody had nothing to give for the first time since a piece came; 0: nobody.
	refusedAt int
	request   []byte // what to ask for; nil: the state machine has to say
	working   bool   // the state machine is at it
	position  *wire.Position
	complete  bool
	now       int
	counts    snapshotCounts
}

// snapshotCounts count since the start.
type snapshotCounts struct {
	installed int
	received  uint64 // bytes
}

// anew is the dialogue that forgets what is being fetched.
func (d *dialogue) anew() dialogue { return dialogue{number: d.number, now: d.now, counts: d.counts} }

// snapshotPatience is after how many ticks without an answer somebody else is asked.
const snapshotPatience = 100

// snapshotPause is for how many ticks nothing is asked after somebody had nothing to give.
const snapshotPause = 10

// tick asks somebody else if there is no answer.
func (d *dialogue) tick(others func() []raft.ServerID) {
	d.now++
	if d.asked && d.now-d.askedAt >= snapshotPatience {
		d.elsewhere(others())
	}
}

// elsewhere asks the next server, a little later.
func (d *dialogue) elsewhere(others []raft.ServerID) {
	d.asked, d.pauseTo = false, d.now+snapshotPause
	if len(others) > 0 {
		d.source = others[(slices.Index(others, d.source)+1)%len(others)]
	}
}

// next returns what to do next while the state is not complete: something for the state machine, or a question for source.
func (d *dialogue) next(boot uint64, others func() []raft.ServerID) (*SnapshotWork, *wire.SnapshotRequest) {
	switch {
	case d.working || d.asked || d.complete:
	case d.request == nil:
		return d.work(&SnapshotWork{Begin: true}), nil
	case d.now < d.pauseTo:
	case d.source == 0:
		d.elsewhere(others())
	default:
		d.number++
		d.asked, d.askedAt = true, d.now
		return nil, &wire.SnapshotRequest{Boot: boot, Number: d.number, Request: d.request}
	}
	return nil, nil
}

func (d *dialogue) work(w *SnapshotWork) *SnapshotWork {
	d.working = true
	return w
}

// answered takes the piece that was asked for, and returns what the state machine is to do with it; nil: nothing.
func (d *dialogue) answered(from raft.ServerID, boot uint64, m *wire.SnapshotChunk, others func() []raft.ServerID) *SnapshotWork {
	if !d.asked || from != d.source || m.Boot != boot || m.Number != d.number || d.working {
		return nil
	}
	d.asked = false
	if m.Outcome != wire.SnapshotServed || len(m.Chunk) == 0 { // an empty piece says where a state is that is not ahead
		if d.refusedAt == 0 {
			d.refusedAt = d.now
		}
		d.elsewhere(others())
		return nil
	}
	d.position, d.refusedAt = m.Position, 0
	d.counts.received += uint64(len(m.Chunk))
	return d.work(&SnapshotWork{Chunk: m.Chunk})
}

// worked takes the state machine's word, unless it is about installing.
func (d *dialogue) worked(in *SnapshotWorked, others func() []raft.ServerID) {
	if in.Err != nil {
		d.request = nil
		d.elsewhere(others())
		return
	}
	d.request, d.complete = in.Request, in.Complete
}

// reject gives up a state that is complete and of no use. A later one may be.
func (d *dialogue) reject() {
	d.request, d.complete, d.pauseTo = nil, false, d.now+snapshotPause
}
