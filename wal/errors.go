package wal

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

var (
	// ErrBroken: a write or a sync has gone wrong, so nobody knows what is on the disk. Nothing works
	// any more; the process is to end, and the next one reads what there is.
	ErrBroken = errors.New("log is broken")
	// ErrClosed: the log has been closed.
	ErrClosed = errors.New("log is closed")
	// ErrRefused: the write makes no sense and nothing of it was written. It is the caller's mistake;
	// the log works on.
	ErrRefused = errors.New("write refused")
	// ErrCompacted: the log does not have the entries any more.
	ErrCompacted = errors.New("entries are compacted")
	// ErrNoGroup: the log has no such group.
	ErrNoGroup = errors.New("no such group in the log")
	// ErrOtherCluster: the directory belongs to a server of another cluster.
	ErrOtherCluster = errors.New("log of another cluster")
	// ErrOtherServer: the directory belongs to another server of this cluster.
	ErrOtherServer = errors.New("log of another server")
	// ErrNewerFormat: a later version has written here.
	ErrNewerFormat = errors.New("log of a newer version")
	// ErrOldBoot: the log has been written by a later boot of this server than this one claims to be.
	ErrOldBoot = errors.New("boot number goes back")
)

// DamageError says that bytes which were durable have changed, or that a file is gone. Nothing has
// been changed or cut away. Fields that are not known are zero.
type DamageError struct {
	// File is the damaged file, Offset the first byte of what is damaged.
	File   string
	Offset int64
	// Frame is the sequence number of the damaged frame.
	Frame uint64
	// Group, Index and Term name the entry that is lost, if its header tells.
	Group wire.GroupID
	Index raft.Index
	Term  raft.Term
	// Reason says what is wrong, in words.
	Reason string
}

func (e *DamageError) Error() string {
	text := fmt.Sprintf("%s is damaged at byte %d: %s", e.File, e.Offset, e.Reason)
	if e.Frame != 0 {
		text += fmt.Sprintf(" (frame %d)", e.Frame)
	}
	if e.Index != 0 {
		text += fmt.Sprintf("; it held entry %d of term %d of group %d", e.Index, e.Term, e.Group)
	}
	return text + ". This was written durably, so no crash explains it: suspect the disk. Nothing has been cut away." +
		" Keep the directory for inspection, and replace this server: remove it from the cluster and add a new one on a sound disk"
}

// TornTail says that the last write before a crash was not finished, and was cut away. Unless the
// disk lies, nobody was told that it is durable.
type TornTail struct {
	// File and Offset say from where on the log was cut, Bytes how many bytes of the file from there
	// on were not zero.
	File   string
	Offset int64
	Bytes  int64
}

// Healed is damage that did no harm, because the log has the same bytes twice, or a checksum and a hash told which
// they were.
type Healed struct {
	File   string
	Offset int64
	Group  wire.GroupID
}
