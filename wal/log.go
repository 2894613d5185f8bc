package wal

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Options say where the log is and whose it is.
type Options struct {
	// FS holds the directory Dir, which is made if it is missing. Nothing else may be kept in it.
	FS  vfs.FS
	Dir string
	// SegmentBytes is the size of new segments, a multiple of 4096. Default 16 MiB, at least 16 KiB
	// and at most 256 MiB. One record that needs more gets a larger segment.
	SegmentBytes int64
	// Cluster and Server are whose log it is. A log of others is not opened.
	Cluster, Server uint64
	// Boot is the number of this start of the server, never lower than at an earlier one.
	Boot uint64
	// KeepHoles: entries that are damaged become holes, if it is known which they were, instead of an error of
	// Open. Who sets it must fill them before the log is used for anything else: see Group.Holes.
	KeepHoles bool
}

const (
	defaultSegmentBytes = 16 << 20
	minSegmentBytes     = 4 * blockBytes
	maxSegmentBytes     = 1 << 30
	// maxOptionBytes leaves room for segments that have to be larger.
	maxOptionBytes = maxSegmentBytes / 4
)

func (o *Options) check() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	var wrong []error
	if o.FS == nil || o.Dir == "" {
		wrong = append(wrong, errors.New("no directory is given"))
	}
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes > maxOptionBytes || o.SegmentBytes%blockBytes != 0 {
		wrong = append(wrong, fmt.Errorf("segments of %d bytes: a multiple of %d is needed, from %d to %d",
			o.SegmentBytes, blockBytes, minSegmentBytes, maxOptionBytes))
	}
	return errors.Join(wrong...)
}

// Base is where a group's log begins: after the entry that EntryID and Hash name.
type Base struct {
	raft.EntryID
	// Hash is the entry's. For a new group, which begins after {0, 0}, it may be left out.
	Hash wire.Hash
	// Configuration is the one in force at the entry, as bytes.
	Configuration []byte
}

// Configuration is a configuration in the log, and the index of its entry.
type Configuration struct {
	Index raft.Index
	// Bytes is the payload of the entry's record. Nobody changes it.
	Bytes []byte
}

// Group is what the log knows about one group.
type Group struct {
	ID        wire.GroupID
	HardState raft.HardState
	// Base is the entry before the first that the log has.
	Base     raft.EntryID
	BaseHash wire.Hash
	// Last is the index of the last entry, Base.Index if there is none. LastHash is its hash; zero if
	// it would have to be read first, which is never so just after Open.
	Last     raft.Index
	LastHash wire.Hash
	// Runs are the terms of the entries after Base.
	Runs []raft.TermRun
	// Configurations are those of the log, ascending; the first is the one in force at Base.
	Configurations []Configuration
	// Holes are the entries that are lost, ascending; none unless Options.KeepHoles was set. While there
	// are any, the server has forgotten what it has promised to keep. A configuration that is a hole has no Bytes.
	Holes []Hole
	// Gaps are the runs of holes that can only be filled together, ascending.
	Gaps []Gap
}

// Write is what one group wants to be written. Its parts are applied in the order of the fields.
type Write struct {
	Group wire.GroupID
	// Base creates the group, or lets the log of an existing one begin after it: entries up to Base
	// are dropped, and those after it too if the log has another entry there, or ends before.
	Base *Base
	// CompactTo lets the log begin after that entry, which it has; 0: as before.
	CompactTo raft.Index
	// HardState replaces the one in the log if it is not nil.
	HardState *raft.HardState
	// TruncateFrom is the first entry to drop; 0 if none. One beyond the end drops nothing.
	TruncateFrom raft.Index
	// First is the index of the first of Records, which are entries, encoded and consecutive. They
	// follow the last entry, except for those with FlagCopy, each of which takes the place of a copy of
	// itself, or fills the hole where it was; those of a Gap all at once. They are not kept after Append.
	First   raft.Index
	Records [][]byte
	// Drop removes the group.
	Drop bool
}

// Log is the log of one server, for all its groups.
//
// Append, Sync, Seal, Compact, ResolveTornTail and Close belong to one goroutine, the writer. Everything
// else may be called by any.
type Log struct {
	options Options
	lock    io.Closer

	// The writer's own.
	active    *segment // the one that is written to; nil before the first frame
	offset    int64    // where the next frame goes
	frames    int      // how many frames active has
	chain     chain    // after the last frame
	sequence  uint64   // of the last frame written
	synced    uint64   // of the last frame known to be durable
	suspect   bool     // a torn tail was cut, and that has not been resolved
	sealed    bool     // the last frame says that everything before it is durable
	recount   bool     // needed may have changed
	buffer    []byte   // the frame that is being put together
	ops       []op     // what Append is writing
	epoch     uint64   // counts calls of Append: see staged
	anew      bool     // what is staged was in the log before, and has been checked
	restating []*group // whose hard states the next frame repeats
	creating  []*group // whom the ops create

	// directory is a token: whoever holds it may make, rename and remove files. Who needs it waits.
	directory chan struct{}

	mu       sync.Mutex // guards the rest, and all groups: only the writer changes those
	broken   error
	closed   bool
	groups   map[wire.GroupID]*group
	sorted   []*group   // the same, by id
	segments []*segment // in use, ascending; the last is active
	spares   []*segment // blank, with the numbers after the last
	// lastNumber is the highest number that a segment has.
	lastNumber uint32
	// needed says that segments before this one may go: what allows it is durable.
	needed, neededNext uint32
}

// usable says whether the log can still be used.
func (l *Log) usable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.usableLocked()
}

// usableLocked is usable for who has the lock.
func (l *Log) usableLocked() error {
	switch {
	case l.closed:
		return ErrClosed
	case l.broken != nil:
		return fmt.Errorf("%w since: %w", ErrBroken, l.broken)
	}
	return nil
}

// breakWith makes err the end of the log, and returns it as every later call will.
func (l *Log) breakWith(err error) error {
	if errors.Is(err, ErrBroken) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = err
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// Sync makes everything that has been appended durable. An error is final: see ErrBroken.
func (l *Log) Sync() error {
	if err := l.usable(); err != nil {
		return err
	}
	return l.sync()
}

func (l *Log) sync() error {
	if l.synced == l.sequence {
		return nil
	}
	if err := l.active.file.Sync(); err != nil {
		return l.breakWith(fmt.Errorf("sync segment %s: %w", l.active.name, err))
	}
	l.synced = l.sequence
	l.countNeeded()
	return nil
}

// Seal makes everything durable and leaves a mark that says so: from then on, damage to the last
// frame is told from a crash while it was written. It does nothing if that is so already. The caller
// seals a log that has been idle for a moment.
func (l *Log) Seal() error {
	if err := l.usable(); err != nil {
		return err
	}
	if l.sealed || l.sequence == 0 {
		return nil
	}
	if err := l.sync(); err != nil {
		return err
	}
	if _, err := l.writeFrame(nil); err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		return err
	}
	l.sealed = true
	return nil
}

// ResolveTornTail says that it is settled what may have been lost in a torn tail: see Recovered.Suspect.
// It is durable once the next frame is, at the latest after the next Seal.
func (l *Log) ResolveTornTail() {
	if l.suspect {
		l.suspect, l.sealed = false, false
	}
}

// State returns what the log knows about a group; false if it does not have it.
func (l *Log) State(id wire.GroupID) (Group, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[id]
	if g == nil {
		return Group{}, false
	}
	return g.state(), true
}

// Close closes the files and gives up the lock. It syncs nothing. Closing again is harmless.
func (l *Log) Close() error {
	l.directory <- struct{}{} // wait for who is making or removing files
	defer func() { <-l.directory }()
	l.mu.Lock()
	files := append(append([]*segment{}, l.segments...), l.spares...)
	wasClosed := l.closed
	l.closed = true
	l.mu.Unlock()
	if wasClosed {
		return nil
	}
	var errs []error
	for _, s := range files {
		errs = append(errs, s.file.Close())
	}
	errs = append(errs, l.lock.Close())
	return errors.Join(errs...)
}
