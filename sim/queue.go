package sim

// event is something that is to happen.
type event struct {
	at   int64 // nanoseconds since the beginning
	kind eventKind
	// server is whom it happens to, as an index into world.servers; none for the world itself.
	server int
	// life is the life of the server that the event belongs to; anyLife if it happens to any.
	life int
	// number and data depend on the kind.
	number uint64
	data   any
	bytes  []byte
}

const (
	none    = -1
	anyLife = -1
)

type eventKind uint8

// The kinds of events, and what number and data are.
const (
	evTick        eventKind = iota + 1 // a server's clock ticks
	evTurn                             // a server's replica takes in what has gathered
	evDeliver                          // a message arrives; number: from, data: nil, bytes: the message
	evSynced                           // the disk has finished a sync
	evSeal                             // the log has been idle for a while; number: which write was the last
	evPrepare                          // the log's next segment is made
	evApplied                          // the state machine applies what it was given
	evFetched                          // records are read from the log; data: replica.Fetch
	evFlush                            // the state machine becomes durable
	evRemove                           // the state machine removes what is compacted
	evKeyKnown                         // a server has learned another's key; number: whose
	evSample                           // the disk is looked at as it would be after a crash
	evRestart                          // a server that is down starts
	evResume                           // a server that was paused goes on
	evClient                           // a client makes a request; number: which client
	evDeadline                         // a client waits no longer; number: the request
	evFault                            // a fault begins; data: *fault
	evRelief                           // a fault ends; data: *fault
	evEnd                              // the ending is looked at
	evLoad                             // a closed loop of the ending writes again; number: which loop
	evOperator                         // somebody asks for other members
	evStorm                            // the next read of the ending's storm
	evLossEnds                         // a link that has lost everything for a moment works again; number: which one
	evTerms                            // somebody looks whether terms grow
	evWatchOpen                        // a client opens a stream to watch; number: which client
	evWatchAct                         // a client that watches does something; number: which client
	evNews                             // a hub is told of what was applied
	evRead                             // a hub reads for those who lag
	evStreamOpens                      // of these, number is the stream, and data an *ofStream: it reaches the server
	evStreamAsks                       // something that the client asks for does
	evStreamTold                       // the client has read what it was sent: []watch.Response
	evStreamTick                       // it is time to tell of progress
	evStreamEnds                       // the server learns that the client has left
	evLessor                           // a server looks whether leases are due
	evLease                            // a client that holds leases does something; number: which client
	evUnlinked                         // a server learns that the links with another have broken; number: with whom
	evSessions                         // a server looks whether sessions are due
	evSnapshot                         // the state machine takes a step towards another server's state
	evServe                            // it gives a piece of its own; data: *replica.Serve
	evRelease                          // it gives back the views that nobody asks for
	evSession                          // a client with a session does something; number: which client
	evScrub                            // a server reads all of its state
	evStateLost                        // it gives its state up; data: why, an error
)

var eventNames = [...]string{
	evTick: "tick", evTurn: "turn", evDeliver: "deliver", evSynced: "synced", evSeal: "seal", evPrepare: "prepare",
	evApplied: "applied", evFetched: "fetched", evFlush: "flush", evRemove: "remove", evKeyKnown: "key known",
	evSample: "sample", evRestart: "restart", evResume: "resume", evClient: "client", evDeadline: "deadline",
	evFault: "fault", evRelief: "relief", evEnd: "end", evLoad: "load", evOperator: "operator", evStorm: "storm", evLossEnds: "loss ends", evTerms: "terms",
	evWatchOpen: "watch open", evWatchAct: "watch act", evNews: "news", evRead: "read", evStreamOpens: "stream opens",
	evStreamAsks: "stream asks", evStreamTold: "stream told", evStreamTick: "stream tick", evStreamEnds: "stream ends",
	evLessor: "lessor", evLease: "lease", evUnlinked: "unlinked", evSessions: "sessions", evSnapshot: "snapshot", evServe: "serve",
	evRelease: "release", evSession: "session", evScrub: "scrub", evStateLost: "state lost",
}

func (k eventKind) String() string { return eventNames[k] }

// queue holds the events to come: a binary heap of their times, which are small and easily moved, and
// the events in slots that stay where they are.
type queue struct {
	heap  []moment
	slots []event
	free  []int32 // slots
	seq   uint64
}

// moment is when the event in a slot is due.
type moment struct {
	at   int64
	seq  uint64 // of events at the same time, the one that was planned first comes first
	slot int32
}

func (m *moment) before(other *moment) bool {
	return m.at < other.at || m.at == other.at && m.seq < other.seq
}

func (q *queue) add(e event) {
	q.seq++
	m := moment{at: e.at, seq: q.seq}
	if last := len(q.free) - 1; last >= 0 {
		m.slot, q.free = q.free[last], q.free[:last]
		q.slots[m.slot] = e
	} else {
		m.slot = int32(len(q.slots))
		q.slots = append(q.slots, e)
	}
	q.heap = append(q.heap, m)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !m.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = m
}

// next takes out the earliest event; false if there is none.
func (q *queue) next() (event, bool) {
	if len(q.heap) == 0 {
		return event{}, false
	}
	slot := q.heap[0].slot
	first := q.slots[slot]
	q.slots[slot] = event{}
	q.free = append(q.free, slot)
	last := len(q.heap) - 1
	m := q.heap[last] // looks for its new place, from the top down
	q.heap = q.heap[:last]
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if right := child + 1; right < last && q.heap[right].before(&q.heap[child]) {
			child = right
		}
		if !q.heap[child].before(&m) {
			break
		}
		q.heap[i] = q.heap[child]
		i = child
	}
	if last > 0 {
		q.heap[i] = m
	}
	return first, true
}
