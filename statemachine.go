package quorate

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// Index is the position of an entry in a group's log, from 1.
type Index = raft.Index

// ServerID names a server of the cluster.
type ServerID = raft.ServerID

// GroupID names a group on a host; not 0.
type GroupID = wire.GroupID

// Entry is one committed entry. Entry.Command.Request is what Propose was given. An entry whose
// Command.Kind is 0 is the host's own: there is nothing to do for it but to note how far the state is.
type Entry = replica.Entry

// StateMachine is what a group replicates. All its servers apply the same entries in the same order,
// so it must do the same everywhere: nothing in it may depend on a clock, chance, the order of a map,
// or anything else but the entries. Entry.Command.Time is the same everywhere and never goes back.
type StateMachine interface {
	// Apply applies entries, in the order of their indexes and without gaps, and returns an answer
	// for each. The answer goes to the caller of Propose, if that is on this server. The host calls
	// it from one goroutine at a time.
	Apply(entries []Entry) (answers [][]byte)
	// DurableIndex returns the index up to which the state survives a crash now; 0 if it is in memory
	// only. The host asks when the group starts, and then applies everything after it again.
	DurableIndex() Index
}

// KindCommand is the kind that Propose gives to commands. State machines with several kinds of their
// own use ProposeCommand.
const KindCommand = 1
