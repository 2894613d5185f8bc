package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/wire"
)

// Recovered is what Open found.
type Recovered struct {
	// Groups are those of the log, by id.
	Groups []Group
	// TornTail is not nil if the last write was not finished.
	TornTail *TornTail
	// Healed lists damage that was made good from a second copy. The log is whole, but the disk rots.
	Healed []Healed
	// Suspect says that a torn tail was cut now or earlier, and ResolveTornTail not called since. The
	// entries at the end of the logs may then not be all that were acknowledged: not if the disk is
	// sound, but nobody can tell.
	Suspect bool
	// Frames is the sequence number of the last frame: 0 if nothing has ever been written.
	Frames uint64
	// Boot is the highest boot number that has written here.
	Boot uint64
}

// Open opens the log in a directory, or makes one. It verifies every byte of it.
//
// What a crash may have left unfinished at the end is cut away and reported. Anything else that is
// wrong is an error, a *DamageError in general, and then nothing is changed. What Open returns is
// durable.
func Open(options Options) (*Log, Recovered, error) {
	if err := options.check(); err != nil {
		return nil, Recovered{}, fmt.Errorf("open log: %w", err)
	}
	l := &Log{
		options:   options,
		groups:    make(map[wire.GroupID]*group),
		directory: make(chan struct{}, 1),
	}
	recovered, err := l.open()
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("open log %s: %w", options.Dir, err)
	}
	return l, recovered, nil
}

func (l *Log) open() (recovered Recovered, err error) {
	if err := makeDirectory(l.options.FS, l.options.Dir); err != nil {
		return Recovered{}, err
	}
	if l.lock, err = l.options.FS.Lock(filepath.Join(l.options.Dir, lockName)); err != nil {
		return Recovered{}, err
	}
	r := recovery{log: l}
	if err = r.openFiles(); err == nil {
		err = r.run()
	}
	if err == nil {
		err = r.writeUnsure()
	}
	if err == nil {
		err = l.readLastHashes()
	}
	if err == nil {
		err = r.removeUnused()
	}
	if err != nil {
		return Recovered{}, errors.Join(err, r.closeFiles(), l.lock.Close())
	}
	return r.result(), nil
}

// closeFiles closes what is still open.
func (r *recovery) closeFiles() error {
	var errs []error
	for _, s := range r.files {
		errs = append(errs, s.file.Close())
	}
	if active := r.log.active; active != nil {
		errs = append(errs, active.file.Close())
	}
	return errors.Join(errs...)
}

// result returns what Open returns, and makes the groups ready for use.
func (r *recovery) result() Recovered {
	l := r.log
	recovered := Recovered{
		TornTail: r.torn, Healed: r.healed, Suspect: l.suspect, Frames: r.end.sequence, Boot: r.boot,
	}
	for _, g := range l.sorted {
		recovered.Groups = append(recovered.Groups, g.state())
		recovered.Healed = slices.DeleteFunc(recovered.Healed, g.lacks)
	}
	return recovered
}

// makeDirectory makes a directory and its missing parents, durably.
func makeDirectory(fsys vfs.FS, dir string) error {
	var changed []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := fsys.List(d); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		} else if d == filepath.Dir(d) {
			break
		}
		changed = append(changed, filepath.Dir(d))
	}
	if len(changed) == 0 {
		return nil
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for _, d := range changed {
		if err := fsys.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// openFiles opens all segments.
func (r *recovery) openFiles() error {
	dir := r.log.options.Dir
	names, err := r.log.options.FS.List(dir)
	if err != nil {
		return err
	}
	for _, base := range names { // sorted, and so by number
		name := filepath.Join(dir, base)
		if strings.HasSuffix(base, temporarySuffix) {
			r.unfinished = append(r.unfinished, name)
		}
		number, ok := segmentNumber(base)
		if !ok {
			continue
		}
		s, err := openSegment(r.log.options.FS, name, number)
		if err != nil {
			return err
		}
		r.files = append(r.files, s)
		r.log.lastNumber = number
	}
	return nil
}

// removeUnused removes files that hold nothing. Blank segments of an earlier start are among them: who
// knows whether their names are durable. The last goes first, so that an empty log never lacks number 1.
func (r *recovery) removeUnused() error {
	l := r.log
	for i := len(r.files) - 1; i >= 0; i-- {
		s := r.files[i]
		if slices.Contains(l.segments, s) {
			continue
		}
		r.files = slices.Delete(r.files, i, i+1)
		if err := errors.Join(s.file.Close(), l.options.FS.Remove(s.name)); err != nil {
			return err
		}
		if err := l.options.FS.SyncDir(l.options.Dir); err != nil {
			return err
		}
	}
	for _, name := range r.unfinished {
		if err := l.options.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // one of that name may have been made and given its real name meanwhile
		}
	}
	if len(l.segments) == 0 {
		l.lastNumber = 0 // as if nothing had ever been here
	}
	return nil
}

func openSegment(fsys vfs.FS, name string, number uint32) (*segment, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	bytes, err := file.Size()
	if err == nil && bytes > maxSegmentBytes {
		err = &DamageError{File: name, Offset: bytes, Reason: fmt.Sprintf("the file has %d bytes, which no segment has", bytes)}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &segment{number: number, name: name, file: file, bytes: bytes}, nil
}
