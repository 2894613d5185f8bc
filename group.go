package quorate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// Group is this server's replica of one group.
type Group struct {
	id      GroupID
	host    *Host
	worker  *worker
	machine StateMachine
	// snapshots is the machine, if it implements Snapshots.
	snapshots Snapshots
	// positions are where states are that were served lately; the snapshotter's.
	positions []*wire.Position

	// replica belongs to the worker. While the log has holes there is none, and healing instead.
	replica *replica.Replica
	healing *replica.Healing

	inbox    inbox
	requests requests
	status   atomic.Pointer[replica.Status]
}

// Start begins to keep a group, whose members are those of the host: it finds the group in the log, or
// begins its log if this server is new. The state machine is brought up to date from the log first;
// requests wait for that.
func (h *Host) Start(id GroupID, machine StateMachine) (*Group, error) {
	if id == 0 {
		return nil, errors.New("start group: 0 is not a group")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	if h.groups[id] != nil {
		return nil, fmt.Errorf("start group %d: %w", id, ErrGroupRunning)
	}
	snapshots, _ := machine.(Snapshots)
	if found := h.recovered[id]; found != nil && len(found.Holes) > 0 {
		if err := h.dropHoles(id, found, machine.DurableIndex(), snapshots); err != nil {
			return nil, fmt.Errorf("start group %d: %w", id, err)
		}
		if found := h.recovered[id]; len(found.Holes) > 0 {
			return h.startHealing(id, machine, found)
		}
	}
	state, err := h.stateOf(id, machine.DurableIndex(), snapshots)
	if err != nil {
		return nil, fmt.Errorf("start group %d: %w", id, err)
	}
	r, err := replica.New(h.replicaOptions(id), *state)
	if err != nil {
		return nil, fmt.Errorf("start group %d: %w", id, err)
	}
	g := h.newGroup(id, machine)
	g.replica = r
	g.noteStatus()
	h.groups[id] = g
	g.campaignIfAlone()
	h.tellKnownKeys(g)
	g.worker.wake(g)
	return g, nil
}

func (h *Host) newGroup(id GroupID, machine StateMachine) *Group {
	snapshots, _ := machine.(Snapshots)
	g := &Group{id: id, host: h, machine: machine, snapshots: snapshots, worker: h.workers[uint64(id)%uint64(len(h.workers))]}
	g.inbox.maxRequests = h.options.MaxPending
	g.requests.waiting = map[uint64]*request{}
	return g
}

// campaignIfAlone lets a server lead at once that has nobody to wait for.
func (g *Group) campaignIfAlone() {
	if c := g.replica.Status().Raft.Configuration.Configuration; len(c.Voters) == 1 && c.IsVoter(g.host.id) {
		g.put(replica.Campaign{})
	}
}

// stateOf returns what the log has of the group, after beginning its log if this is a new server.
func (h *Host) stateOf(id GroupID, applied Index, snapshots Snapshots) (*replica.State, error) {
	found := h.recovered[id]
	h.directoryMu.Lock()
	defer h.directoryMu.Unlock()
	if found == nil {
		if h.directory.keeps(id) {
			return nil, fmt.Errorf("its log is gone from %s, and with it what this server has promised: "+
				"restore the directory, or join this server to its cluster anew", h.directory.name("wal"))
		}
		initial := h.initialConfigurationOf(id)
		if initial == nil {
			return nil, errors.New("it is not in the log, and no members are given to begin it with")
		}
		if err := h.writer.begin(id, wal.Base{Configuration: initial}); err != nil {
			return nil, err
		}
		begun, err := h.logOf(id)
		if err != nil {
			return nil, err
		}
		found = &begun
	}
	if err := h.directory.beginToKeep(id); err != nil {
		return nil, err
	}
	delete(h.recovered, id)
	if snapshots != nil {
		var err error
		if found, err = h.takeUp(id, found, snapshots); err != nil {
			return nil, err
		}
	}
	if applied < found.Base.Index && snapshots == nil {
		return nil, fmt.Errorf("its state ends at entry %d, and the log begins after %d: restore the directory, or join this server to its cluster anew",
			applied, found.Base.Index)
	}
	if err := h.regains(found, applied); err != nil {
		return nil, fmt.Errorf("%w: restore a snapshot, or the directory", err)
	}
	return h.restarted(*found, applied, snapshots)
}

// logOf returns what the log has of a group now.
func (h *Host) logOf(id GroupID) (wal.Group, error) {
	log, ok := h.log.State(id)
	if !ok {
		return wal.Group{}, fmt.Errorf("the log of group %d is gone", id)
	}
	return log, nil
}

// restarted returns how the replica begins that goes on from a log without holes.
func (h *Host) restarted(found wal.Group, applied Index, snapshots Snapshots) (*replica.State, error) {
	state, err := replica.Restart(h.log, found, applied)
	if err != nil {
		return nil, err
	}
	if snapshots != nil {
		state.LogTime = max(state.LogTime, snapshots.LogTime())
	}
	return &state, nil
}

func (h *Host) replicaOptions(id GroupID) replica.Options {
	o := &h.options
	key := h.identity.Public()
	r := replica.Options{
		Group: id,
		Boot:  h.boot,
		Member: wire.Member{
			ID: h.id, Roles: wire.RoleVoter, Key: key[:], Name: o.Name, ClientURLs: o.ClientURLs,
		},
		TickNanoseconds: uint64(tick.Nanoseconds()),
		MaxPending:      o.MaxPending,
		CatchUp:         replica.CatchUpOptions{States: int(int64(o.SnapshotBytesPerSecond) / int64(time.Second/tick))},
	}
	o.setPace(&r)
	return r
}

// tellKnownKeys tells the replica whose keys links have proved already.
func (h *Host) tellKnownKeys(g *Group) {
	h.directoryMu.Lock()
	defer h.directoryMu.Unlock()
	for _, k := range h.directory.server.Keys {
		g.put(replica.KeyKnown{ID: ServerID(k.Server), Key: k.Key[:]})
	}
}

// ID returns the group's id.
func (g *Group) ID() GroupID { return g.id }

// Propose replicates a command and returns what this server's state machine answered when it applied
// it. At any server: it is forwarded to the leader. While there is none, it waits for one.
//
// ctx bounds the waiting only. If it ends first, the error is ErrCanceled if the command has not taken
// effect and never will, and ErrOutcomeUnknown if it still may. ErrBusy and ErrTooLarge: it did not.
func (g *Group) Propose(ctx context.Context, request []byte) (answer []byte, err error) {
	return g.ProposeCommand(ctx, wire.Command{Kind: KindCommand, Request: request})
}

// ProposeCommand is Propose for state machines with several kinds of commands. Kind must be from 1 to
// 239; Origin and Time are set here.
func (g *Group) ProposeCommand(ctx context.Context, c wire.Command) (answer []byte, err error) {
	if len(c.Request) > g.host.options.MaxRequestBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(c.Request), g.host.options.MaxRequestBytes)
	}
	if c.Kind == 0 || c.Kind >= 240 {
		return nil, fmt.Errorf("command kind %d is not the state machine's to use", c.Kind)
	}
	a, err := g.wait(ctx, func(handle uint64) replica.Input { return replica.Propose{Handle: handle, Command: c} })
	return a.Value, err
}

// Read waits until a read of this server's state machine is linearizable: it then shows everything
// that was answered to anybody before Read was called. At any server; nothing is written to the log.
func (g *Group) Read(ctx context.Context) error {
	_, err := g.wait(ctx, func(handle uint64) replica.Input { return replica.Read{Handle: handle} })
	return err
}

// Reconfigure changes who belongs to the group, and returns when the change is complete, and known here. At any
// server: it asks the leader; while there is none, it waits for one. ErrNotReady: it would leave the group without
// a majority that answers, or give a vote to a server that lags. ErrNotAllowed: nobody would vote, or two members
// would have a key or an address in common. ErrBusy: another change is under way. ErrCanceled: ctx ended before
// anybody was asked. None of them has happened. ErrOutcomeUnknown: it may still, whoever leads.
//
// A leader that is to lose its vote hands over first, and the next makes the change. With Edit.SetTraits, members are
// made preferred, or not: a leader that is not hands over to one that is, and is well.
//
// A server that is to come is started after it was added: see Join.
func (g *Group) Reconfigure(ctx context.Context, edits ...replica.Edit) error {
	_, err := g.wait(ctx, func(handle uint64) replica.Input { return replica.Reconfigure{Handle: handle, Edits: edits} })
	return err
}

// TransferLeadership hands over to another voter of the group, and returns when this server does not lead any
// more; to = 0 is whoever can take over soonest: who makes entries durable sooner, of those who are equally far. Commands wait meanwhile, here and elsewhere, and go to the next
// leader. At the leader only; elsewhere the error is ErrNotLeader. ErrNotReady: nobody else answers.
// ErrNotAllowed: to has no vote. ErrOutcomeUnknown: it has not taken over in time.
func (g *Group) TransferLeadership(ctx context.Context, to ServerID) error {
	_, err := g.wait(ctx, func(handle uint64) replica.Input { return replica.Transfer{Handle: handle, To: to} })
	return err
}

// wait puts a request in and waits for its answer.
func (g *Group) wait(ctx context.Context, input func(handle uint64) replica.Input) (replica.Answer, error) {
	if err := ctx.Err(); err != nil {
		return replica.Answer{}, fmt.Errorf("%w: %w", ErrCanceled, err)
	}
	r, ok := g.requests.begin()
	if !ok {
		return replica.Answer{}, ErrClosed
	}
	if !g.putRequest(input(r.handle)) {
		g.requests.end(r)
		return replica.Answer{}, ErrBusy
	}
	canceled := false
	done := ctx.Done()
	for {
		select {
		case a := <-r.answered:
			g.requests.recycle(r)
			return a, outcomeError(a.Outcome, ctx)
		case <-done:
			// The replica knows whether a leader may have the command, and answers at once.
			canceled, done = true, nil
			g.put(replica.Cancel{Handle: r.handle})
		case <-g.host.context.Done():
			g.requests.end(r)
			if canceled {
				return replica.Answer{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
			}
			return replica.Answer{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ErrClosed)
		}
	}
}

func outcomeError(o replica.Outcome, ctx context.Context) error {
	switch o {
	case replica.Done:
		return nil
	case replica.Busy:
		return ErrBusy
	case replica.TooLarge:
		return ErrTooLarge
	case replica.Canceled:
		return fmt.Errorf("%w: %w", ErrCanceled, ctx.Err())
	case replica.NotLeader:
		return ErrNotLeader
	case replica.NotReady:
		return ErrNotReady
	case replica.NotAllowed:
		return ErrNotAllowed
	}
	if ctx.Err() == nil {
		return ErrOutcomeUnknown
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
}

// Status returns a copy of what the group knows of itself, at most about a tick old.
func (g *Group) Status() replica.Status { return *g.status.Load() }

func (g *Group) noteStatus() {
	var s replica.Status
	if g.healing != nil {
		s = g.healing.Status()
	} else {
		s = g.replica.Status()
	}
	g.status.Store(&s)
}

// request is one caller that waits.
type request struct {
	handle   uint64
	answered chan replica.Answer // holds one
}

// requests finds callers by their handles.
type requests struct {
	mu      sync.Mutex // guards waiting, next, closed
	waiting map[uint64]*request
	next    uint64
	closed  bool
	pool    sync.Pool
}

func (q *requests) begin() (*request, bool) {
	r, _ := q.pool.Get().(*request)
	if r == nil {
		r = &request{answered: make(chan replica.Answer, 1)}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, false
	}
	q.next++
	r.handle = q.next
	q.waiting[r.handle] = r
	return r, true
}

// answer wakes the caller; nobody may be waiting any more.
func (q *requests) answer(a replica.Answer) {
	q.mu.Lock()
	r := q.waiting[a.Handle]
	delete(q.waiting, a.Handle)
	q.mu.Unlock()
	if r != nil {
		r.answered <- a
	}
}

// end gives up a request that is not answered. It is not used again: an answer may be on its way.
func (q *requests) end(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, r.handle)
}

// recycle takes back a request whose answer has been taken.
func (q *requests) recycle(r *request) { q.pool.Put(r) }

// endRequests lets nobody wait any more.
func (g *Group) endRequests() {
	g.requests.mu.Lock()
	defer g.requests.mu.Unlock()
	g.requests.closed = true
}
