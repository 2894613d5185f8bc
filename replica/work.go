package replica

import (
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Input is something that happened: one of the structs below.
type Input interface{ isInput() }

// Tick says that one tick of the host's clock has passed.
type Tick struct {
	// Random is a fresh random number, for the election timeouts.
	Random uint64
	// Elapsed is how much time has passed since the last tick, in nanoseconds of a clock that only goes
	// forward; 0: as long as a tick is. The group's log time is made of it, and nothing else.
	Elapsed uint64
	// Passed is how much time has really passed since the last tick, however long the process was stopped;
	// 0: as much as Elapsed.
	Passed uint64
	// RoundTrip is how long messages take to a majority and back, in nanoseconds, as far as is known.
	RoundTrip uint64
	// Delay is the campaign delay in ticks; 0: as Options.Pace and Options.Raft say.
	Delay int
}

// Receive hands in a message of a peer, which the link has authenticated.
type Receive struct {
	From    raft.ServerID
	Message wire.Message
}

// Persisted says that the Write with Ticket, and every one before it, is durable.
type Persisted struct{ Ticket raft.Ticket }

// Applied says that the Apply under way is done.
type Applied struct {
	// Answers are the state machine's, one for each entry of the Apply.
	Answers []Answered
}

// Answered is what the state machine says to one command.
type Answered = []byte

// Propose asks for a command to be replicated and applied.
type Propose struct {
	// Handle is the caller's; it comes back in the Answer.
	Handle uint64
	// Command says what; its Origin and Time are set here.
	Command wire.Command
}

// Read asks for a moment at which the state machine here may be read linearizably.
type Read struct{ Handle uint64 }

// Cancel says that the caller of a request waits no longer. The request is answered at once.
type Cancel struct{ Handle uint64 }

// Fetched brings the records that a Fetch asked for: from First on, at least one, maybe fewer than
// asked for.
type Fetched struct {
	ID      uint64
	Records [][]byte
	// Err says that the log cannot be read: this server must not go on, unless Compacted says that the log does not
	// have those entries any more.
	Err       error
	Compacted bool
}

// KeyKnown says that a server has proved to this one that it is ID, and has Key.
type KeyKnown struct {
	ID  raft.ServerID
	Key []byte
}

// Reconfigure asks for other members. It is answered when the change is complete: Done, with the index of the
// configuration. Who does not lead asks the leader, once there is one. While another change is waited for, here or
// at the leader, it is Busy; if the leader to which it has gone may have begun it and leads no longer, Unknown. A leader
// that is to lose its vote hands over first, if it can, and the next makes the change.
type Reconfigure struct {
	// Handle is the caller's; it comes back in the Answer.
	Handle uint64
	Edits  []Edit
}

// Edit is what is to become of one member.
type Edit = wire.Edit

// Transfer asks the leader to hand over to another voter; if To is 0, to the one that can take over soonest: who makes
// entries durable sooner, of those who are equally far. It
// is answered Done when this server does not lead any more, and Unknown if the other has not taken over within
// an election timeout. NotReady: no other voter answers. NotAllowed: To is none.
type Transfer struct {
	Handle uint64
	To     raft.ServerID
}

// Unlinked says that a link with a peer has broken. It is a hint, and may be wrong.
type Unlinked struct{ Peer raft.ServerID }

// Campaign starts an election at once.
type Campaign struct{}

func (Tick) isInput()      {}
func (Receive) isInput()   {}
func (Persisted) isInput() {}
func (Applied) isInput()   {}
func (Propose) isInput()   {}
func (Read) isInput()      {}
func (Cancel) isInput()    {}
func (Fetched) isInput()   {}
func (KeyKnown) isInput()  {}
func (Unlinked) isInput()  {}
func (Campaign) isInput()  {}

func (Reconfigure) isInput() {}
func (Transfer) isInput()    {}

// Work is what must now be done. The parts are independent of each other, but for Writes, which go to
// the log in this order.
type Work struct {
	Writes  []Write
	Send    []Outgoing
	Apply   *Apply
	Fetch   []Fetch
	Answers []Answer
	// Snapshot and Serve are for the state machine: what it lacks, and what others lack of it.
	Snapshot *SnapshotWork
	Serve    []Serve
	// Configuration is set when another one is in force, committed or not; and again some ticks after it is
	// committed, if it leaves somebody out. Leaving are those of the one before who are left out, until then: one of
	// them may lead, and must hear the others to complete the change; or wait to hear that it is complete.
	Configuration *wire.Configuration
	Leaving       []wire.Member
	Events        []fmt.Stringer
	// Fatal says why this server must not go on.
	Fatal error
}

// Write is one write to the log.
type Write struct {
	Ticket raft.Ticket
	// Base is where the log is to begin anew, after a state of another server; nil: as before.
	Base *wire.Position
	// CompactTo is an entry of the log after which it is to begin; 0: as before.
	CompactTo raft.Index
	// HardState is to be written if it is not nil.
	HardState *raft.HardState
	// TruncateFrom is the first entry to drop, before Records are appended; 0 if none.
	TruncateFrom raft.Index
	// First is the index of the first of Records, which are encoded and consecutive.
	First   raft.Index
	Records [][]byte
}

// Outgoing is a message that may leave now. The bytes are the receiver's.
type Outgoing struct {
	To      raft.ServerID
	Message []byte
}

// Apply is a run of committed entries for the state machine. One Apply is under way at a time: the
// next gathers meanwhile.
type Apply struct {
	Entries []Entry
}

// Entry is one committed entry as the state machine sees it. Entries come in the order of their
// indexes, without gaps. One whose Command.Kind is 0 is not for the state machine, which only notes
// how far it is.
type Entry struct {
	Index   raft.Index
	Term    raft.Term
	Command wire.Command
}

// Fetch asks for records of the log, from First up to Last or as many as LimitBytes allow.
type Fetch struct {
	ID          uint64
	First, Last raft.Index
	LimitBytes  int
}

// Answer ends a request.
type Answer struct {
	Handle  uint64
	Outcome Outcome
	// Value is what the state machine said to a command that is Done.
	Value []byte
	// Index is that of the command's entry, or the index at which a read may be served.
	Index raft.Index
}

// Outcome is what became of a request.
type Outcome uint8

const (
	// Done: the command was applied; or the read may be served now.
	Done Outcome = iota + 1
	// Busy: too much is waiting already. The request certainly did not happen.
	Busy
	// Canceled: the caller stopped waiting, and the request certainly did not happen.
	Canceled
	// TooLarge: the command does not fit into an entry. It certainly did not happen.
	TooLarge
	// Unknown: the caller stopped waiting, and the command may still be applied; or a change of members had
	// begun, and this server no longer leads; or the next leader has not taken over in time.
	Unknown
	// NotLeader: leadership was to be handed over by a server that does not lead. It has not happened.
	NotLeader
	// NotReady: a change of members would give a vote to a server that has not caught up, or leave the group
	// without a majority that answers; or no other voter answers that could take over. It has not happened.
	NotReady
	// NotAllowed: a change of members would leave nobody who votes, does not fit into an entry, gives a key or an
	// address to two servers, is of a server that must belong to the group and does not, or asks for roles that no server can have. Or leadership was to be handed over to
	// somebody without a vote.
	NotAllowed
)

func (o Outcome) String() string {
	return [...]string{"", "done", "busy", "canceled", "too large", "unknown", "not leader", "not ready", "not allowed"}[o]
}

// Diverged: a peer's entries do not follow from the log that both are supposed to share. They are not
// taken. Either a disk has lied or somebody's memory has: look at both servers.
type Diverged struct {
	From  raft.ServerID
	Index raft.Index
}

func (e Diverged) String() string {
	return fmt.Sprintf("entry %d from %x does not follow from this server's log: not taken", e.Index, e.From)
}
