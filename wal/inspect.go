package wal

import (
	"errors"
	"fmt"
	"math"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// View is a log as it lies on the disk, opened to be looked at. It belongs to one goroutine.
type View struct {
	log   *Log
	files []*segment
}

// Inspected is what Inspect found.
type Inspected struct {
	// Recovered is what Open would find. The groups are as it would leave them.
	Recovered
	// Synced is the sequence number of the last frame that is known to be durable. Those behind it, up to
	// Frames, are sound; Open would write them anew.
	Synced uint64
}

// Inspect reads a log as Open does, verifies every byte of it likewise, and changes nothing: the file
// system may be one that refuses to. It takes no lock; the caller makes sure that nobody writes. Of the
// options, SegmentBytes and Boot are of no account. The errors are those of Open.
func Inspect(options Options) (*View, Inspected, error) {
	options.Boot = math.MaxUint64
	if err := options.check(); err != nil {
		return nil, Inspected{}, fmt.Errorf("inspect log: %w", err)
	}
	l := &Log{options: options, groups: make(map[wire.GroupID]*group)}
	r := recovery{log: l, inspecting: true}
	err := r.openFiles()
	if err == nil {
		err = r.run()
	}
	if err == nil {
		err = l.readLastHashes()
	}
	view := &View{log: l, files: r.files}
	if err != nil {
		return nil, Inspected{}, errors.Join(fmt.Errorf("inspect log %s: %w", options.Dir, err), view.Close())
	}
	return view, Inspected{Recovered: r.result(), Synced: l.synced}, nil
}

// Read is Log.Read.
func (v *View) Read(id wire.GroupID, first, last raft.Index, limitBytes int) ([][]byte, error) {
	return v.log.Read(id, first, last, limitBytes)
}

// Close closes the files.
func (v *View) Close() error {
	var errs []error
	for _, s := range v.files {
		errs = append(errs, s.file.Close())
	}
	v.files = nil
	return errors.Join(errs...)
}
