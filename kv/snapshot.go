package kv

import "errors"

// A store that lacks too much for the log to bring it up to date is given the state of another, by a
// dialogue: it says what it has and how far it has come (SnapshotRequest), the other answers with a chunk of
// a pinned view (ServeSnapshot), which goes into the stage, beside the state (StageSnapshot), until all is
// there and takes the state's place in one step (InstallSnapshot).
//
// What is sent has three phases. First come all versions of all keys; a delta leaves that out. Then come the
// versions that were written since: since the requester's revision, or, if the view is another one than when
// the dialogue began, since then. Then come all other records, whole. What follows from the versions - the
// revision index, and which keys a lease has - is not sent: the receiver makes it.
//
// So a dialogue has one number that matters: the revision up to which the stage (or the stage on top of the
// state) has everything, of the keys that it has at all. A sender can go on from there as long as it has
// not compacted beyond it, whatever view, and whichever sender, the dialogue began with.

var (
	// ErrSnapshotRequest: what a peer asks is garbage, or is not for this cluster.
	ErrSnapshotRequest = errors.New("request for a snapshot is damaged or foreign")
	// ErrSnapshotBehind: this store is not ahead of the one that asks. Another may be.
	ErrSnapshotBehind = errors.New("the state is not ahead of the one that asks for it")
	// ErrSnapshotChunk: what came is garbage, or does not go on where the stage ends. The stage is as it was:
	// begin again with SnapshotRequest.
	ErrSnapshotChunk = errors.New("chunk of a snapshot is damaged or not the next one")
	// ErrSnapshotOld: the state has come by itself to where the stage would bring it, or beyond.
	ErrSnapshotOld = errors.New("the staged state is not ahead of the state")
	// ErrSnapshotIncomplete: there is no complete stage.
	ErrSnapshotIncomplete = errors.New("the staged state is not complete")
)

const (
	// maxDeltaChanges is how many changes a delta may have: each is looked up by itself, which costs more than
	// to read one after the other.
	maxDeltaChanges = 1 << 20
	// The stage is made durable when a share of it is not: what has come since is sent again after a crash.
	stageFlushShare    = 16
	minStageFlushBytes = 256 << 10
	maxStageFlushBytes = 8 << 20
	// maxChunkBytes bounds what a chunk is asked to be.
	maxChunkBytes = 16 << 20
)

// sentSpans are where the records are that are sent whole. Those that are the receiver's own are not among
// them: its housekeeping, and the position that its host has stored with the state.
func sentSpans() []Span {
	return []Span{
		{[]byte{spaceLeases}, []byte{spaceLeaseKeys}},
		{[]byte{spaceLeaseKeys + 1}, []byte{spaceConfiguration}},
		{[]byte{spaceConfiguration + 1}, []byte{spaceEnd}},
	}
}

// madeSpans are where the records are that a copy of everything replaces, or a delta adds to.
func madeSpans() []Span {
	return []Span{
		{[]byte{spaceVersions}, []byte{spaceLeases}},
		{[]byte{spaceLeaseKeys}, []byte{spaceLeaseKeys + 1}},
	}
}

// apartSpan is where the position is.
func apartSpan() Span { return Span{[]byte{spaceConfiguration}, []byte{spaceConfiguration + 1}} }
