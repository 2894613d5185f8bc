package raft

// Input is something that happened: one of the structs below.
type Input interface{ isInput() }

// Tick says that one tick of the host's clock has passed.
type Tick struct {
	// Random is a fresh random number: the core has no source of chance of its own, and draws its
	// election timeouts from this.
	Random uint64
	// Delay is the shortest time without a leader before this server campaigns, and without an answer
	// from a majority before it ceases to lead, in ticks; 0: Options.ElectionTicks. It may change with
	// every tick, and be another on every server. One that is shorter than the window counts as the
	// window.
	Delay int
}

// Clock says what the driver's clock shows, in ticks, rounded down: a clock that only goes forward, and goes on
// whatever happens to the process or the machine. It is not made of Tick, which counts what this server took
// in. It comes first in a batch, and was read after everything else in it had come in. Promises and leases are
// reckoned by it, and nothing else.
type Clock struct{ Now uint64 }

// Receive hands in a message. Its sender has been authenticated; its content is not trusted.
type Receive struct{ Envelope Envelope }

// Persisted says that the write with Ticket, and every one before it, is durable.
type Persisted struct{ Ticket Ticket }

// Applied says that the state machine has applied everything up to Index.
type Applied struct{ Index Index }

// Propose asks the leader to append Entries, which all are commands.
type Propose struct {
	// ID is the caller's and comes back in Accepted or Refusal.
	ID      uint64
	Entries []Entry
}

// ProposeConfiguration asks the leader to append a configuration. It must follow the one in force: whoever
// gets or loses a vote does so by way of a joint configuration, which is left once it is committed.
type ProposeConfiguration struct {
	ID    uint64
	Entry Entry
}

// ReadIndex asks the leader for an index at which a linearizable read may be served.
type ReadIndex struct {
	// ID is the caller's and comes back in ReadReady or Refusal.
	ID uint64
}

// TransferLeadership asks the leader to hand over to another voter. If it does not come to that, there is a
// Refusal; otherwise this server ceases to lead.
type TransferLeadership struct {
	// ID is the caller's and comes back in Refusal.
	ID uint64
	To ServerID
}

// Unlinked says that the link from a peer to this server has broken. It is a hint, and may be wrong.
type Unlinked struct{ Peer ServerID }

// Compact says that the log need not keep entries up to Index any more: the state machine has what they did, durably.
// The log drops them as far as they are applied and durable in it. A peer that lacks one of them needs a state then.
type Compact struct{ Index Index }

// Install says that the state machine holds, durably, the state at Base, which another server has sent; nothing
// was handed to it since. It comes alone in a batch. (Figure 13, rules 5 to 8.)
type Install struct {
	Base EntryID
	// Configuration is the one in force at Base.
	Configuration *Configuration
}

// Campaign starts an election at once, as if the election timeout had passed.
type Campaign struct{}

func (Tick) isInput()                 {}
func (Clock) isInput()                {}
func (Receive) isInput()              {}
func (Persisted) isInput()            {}
func (Applied) isInput()              {}
func (Propose) isInput()              {}
func (ProposeConfiguration) isInput() {}
func (ReadIndex) isInput()            {}
func (TransferLeadership) isInput()   {}
func (Unlinked) isInput()             {}
func (Compact) isInput()              {}
func (Install) isInput()              {}
func (Campaign) isInput()             {}

// Output is what must now be done, in the order in which to act. Its slices are the caller's.
type Output struct {
	Persist  Persist
	Send     []Envelope
	Apply    Apply
	Accepted []Accepted
	Reads    []ReadReady
	Refused  []Refusal
	Events   []Event
}

// Persist is one write: base, hard state, truncation, then entries. Writes become durable in the order
// of their tickets.
type Persist struct {
	// Ticket is 0 if there is nothing to write.
	Ticket Ticket
	// CompactTo is the entry after which the log is to begin, which it has; 0: as before.
	CompactTo Index
	// Install is the entry after which the log is to begin, whether it has that or not; nil: as before. Where it
	// does not have it, all that it has is to go.
	Install *Install
	// HardState is to be written if it is not nil.
	HardState *HardState
	// TruncateFrom is the index of the first entry to drop, before Entries are appended; 0 if none.
	TruncateFrom Index
	// First is the index of the first of Entries.
	First   Index
	Entries []Entry
}

// Apply names committed entries that are durable here: First to Last, or none if Last is 0. Spans
// ascend without gaps.
type Apply struct{ First, Last Index }

// Accepted says that a proposal stands in this leader's log, at First and after. That is not yet
// committed: should another entry be applied at that index, the proposal has not happened.
type Accepted struct {
	ID    uint64
	First Index
	Term  Term
}

// ReadReady says that a read may be served once everything up to Index is applied.
type ReadReady struct {
	ID    uint64
	Index Index
	// ByLease: it took no round of messages.
	ByLease bool
}

// Refusal says that a proposal or read will certainly not happen through this input.
type Refusal struct {
	ID     uint64
	Reason Reason
}

// Reason is why a proposal or read was refused.
type Reason uint8

const (
	// NotLeader: this server does not lead, or has just ceased to.
	NotLeader Reason = iota + 1
	// Busy: too many bytes are appended and not yet committed, too many reads wait, or leadership is being
	// handed over.
	Busy
	// ChangeInProgress: a configuration is not committed yet, or none of this term's entries is.
	ChangeInProgress
	// ChangeNotAllowed: the configuration is malformed, or does not follow the one in force.
	ChangeNotAllowed
	// TargetNotAllowed: leadership can be handed over to another voter only.
	TargetNotAllowed
	// TransferTimedOut: the target did not take over within an election timeout. It still may.
	TransferTimedOut
)

func (r Reason) String() string {
	return [...]string{"", "not leader", "busy", "a configuration change is in progress",
		"the configuration does not follow the one in force", "not another voter", "it did not take over in time"}[r]
}
