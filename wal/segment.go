package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/wire"
)

// segment is one open file of the log.
type segment struct {
	number uint32
	name   string // with the directory
	file   vfs.File
	bytes  int64
	// reused says that behind the log's end there may be something else than zeros.
	reused bool
	// unread says that the disk does not read all of the file, which therefore is not used again.
	unread bool
	// header and seed are set once the segment is in use.
	header segmentHeader
	seed   uint32
	// readers is how many calls of Read use the file; guarded by Log.mu.
	readers int
}

const (
	segmentSuffix = ".seg"
	// A file that is being made or given up has this suffix. It holds nothing, and Open removes it.
	temporarySuffix = ".tmp"
	lockName        = "lock"
	// maxSpares bounds the blank segments that wait. Release removes what would be more.
	maxSpares = 2
)

func segmentName(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", number, segmentSuffix))
}

// temporaryName has the boot in it, so that it is no name of an earlier start: if a sync of the directory
// failed then, nothing can make that name durable any more.
func (l *Log) temporaryName(number uint32) string {
	return filepath.Join(l.options.Dir, fmt.Sprintf("%016x-%x%s", number, l.options.Boot, temporarySuffix))
}

// segmentNumber reads a file name; false if it is not a segment's.
func segmentNumber(base string) (uint32, bool) {
	digits, ok := strings.CutSuffix(base, segmentSuffix)
	if !ok || len(digits) != 16 || strings.ToLower(digits) != digits {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || number == 0 || number >= math.MaxUint32 {
		return 0, false
	}
	return uint32(number), true
}

var zeros [256 << 10]byte

// Prepare makes the next segment ready unless one is, so that Append need not. Its caller is not the
// writer; it may take long. Running out of space here is not final: it may be tried again.
func (l *Log) Prepare() error {
	l.directory <- struct{}{}
	defer func() { <-l.directory }()
	return l.prepare()
}

// prepare is Prepare for who has the token.
func (l *Log) prepare() error {
	l.mu.Lock()
	err := l.usableLocked()
	number, ready := l.lastNumber+1, len(l.spares) > 0
	l.mu.Unlock()
	if err != nil || ready {
		return err
	}
	s, err := l.make(number)
	if err != nil {
		return err
	}
	return l.addSpare(s)
}

// make makes a blank segment under a temporary name.
func (l *Log) make(number uint32) (*segment, error) {
	name := l.temporaryName(number)
	if err := l.options.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("prepare segment: %w", err)
	}
	file, err := l.options.FS.Create(name)
	if err != nil {
		return nil, fmt.Errorf("prepare segment: %w", err)
	}
	s := &segment{number: number, name: name, file: file}
	if err := s.extend(l.options.SegmentBytes); err != nil {
		return nil, fmt.Errorf("prepare segment: %w", errors.Join(err, file.Close(), l.options.FS.Remove(name)))
	}
	return s, nil
}

// extend fills the file with zeros up to that size, and syncs it.
func (s *segment) extend(bytes int64) error {
	if err := writeZeros(s.file, s.bytes, bytes); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.bytes = bytes
	return nil
}

// addSpare makes a blank segment the next to be used.
func (l *Log) addSpare(s *segment) error {
	if err := l.giveName(s); err != nil {
		return errors.Join(err, s.file.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spares = append(l.spares, s)
	return nil
}

// giveName gives a segment its name, durably. Up to here nobody would miss it; from here on it counts,
// so an error is final.
func (l *Log) giveName(s *segment) error {
	name := segmentName(l.options.Dir, s.number)
	err := l.options.FS.Rename(s.name, name)
	if err == nil {
		err = l.options.FS.SyncDir(l.options.Dir)
	}
	if err != nil {
		return l.breakWith(fmt.Errorf("prepare segment %s: %w", name, err))
	}
	s.name = name
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastNumber = s.number
	return nil
}

// roll makes the next segment the active one, with room for all the ops, or for the first at least.
// Everything before it is durable then: whatever a segment holds proves that the ones before it are
// whole.
func (l *Log) roll(ops []op) error {
	if err := l.sync(); err != nil {
		return err
	}
	if err := l.readLastHashes(); err != nil {
		return err
	}
	s, err := l.takeSpare()
	if err != nil {
		return err
	}
	return l.begin(s, l.bytesForOne(ops))
}

// begin makes a blank segment the active one, with at least that size.
func (l *Log) begin(s *segment, needed int64) error {
	if needed > maxSegmentBytes {
		return fmt.Errorf("a segment of %d bytes would be needed, and at most %d are possible", needed, maxSegmentBytes)
	}
	if s.bytes < needed {
		if err := s.extend(needed); err != nil {
			return fmt.Errorf("extend segment %s: %w", s.name, err)
		}
	}
	s.header = segmentHeader{
		cluster: l.options.Cluster, server: l.options.Server, number: uint64(s.number), bytes: uint64(s.bytes),
		firstFrame: l.sequence + 1, chain: l.chain,
	}
	s.seed = seedOf(l.chain)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.segments); n > 0 {
		s.header.previous = uint64(l.segments[n-1].number)
	}
	l.segments = append(l.segments, s)
	l.active, l.offset, l.frames = s, 0, 0
	return nil
}

// takeSpare returns the next blank segment, which is made now if need be.
func (l *Log) takeSpare() (*segment, error) {
	l.directory <- struct{}{}
	defer func() { <-l.directory }()
	if err := l.prepare(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spares[0]
	l.spares = l.spares[1:]
	return s, nil
}

// bytesForOne returns the size that the next segment needs at least. Usually that is less than the size
// of any segment; one record or many groups may need more.
func (l *Log) bytesForOne(ops []op) int64 {
	again := l.restatementBytes(true)
	body := again
	if len(ops) > 0 {
		body += ops[0].size()
	}
	needed := int64(blockBytes + frameBytes(body))
	if int64(again) > l.options.SegmentBytes/4 {
		needed += 4 * int64(frameBytes(again)) // or it would be full as soon as it begins
	}
	return needed
}

// bytesForAll returns the size of a segment that has room for all ops in one frame, and for another
// that repeats all hard states.
func (l *Log) bytesForAll(ops []op) int64 {
	body := l.restatementBytes(true)
	for i := range ops {
		body += ops[i].size()
	}
	again := (len(l.sorted) + len(ops)) * hardStateRecordBytes
	return max(l.options.SegmentBytes, int64(blockBytes+frameBytes(body)+frameBytes(again)))
}

// readLastHashes reads the hashes of last entries that are not known because what followed them was
// truncated.
func (l *Log) readLastHashes() error {
	for _, g := range l.sorted {
		if g.lastHash != (wire.Hash{}) {
			continue
		}
		hash, err := l.hashAt(g, g.last())
		if err != nil {
			return err
		}
		l.mu.Lock()
		g.lastHash = hash
		l.mu.Unlock()
	}
	return nil
}

// Release gives back the segments at the log's beginning that nobody needs: a few are kept for use
// again, the others removed. Its caller is not the writer. An error is final: see ErrBroken.
func (l *Log) Release() error {
	l.directory <- struct{}{}
	defer func() { <-l.directory }()
	for {
		s, recycle, err := l.takeReleasable()
		if err != nil || s == nil {
			return err
		}
		if err := l.release(s, recycle); err != nil {
			return l.breakWith(fmt.Errorf("release segment %s: %w", s.name, err))
		}
	}
}

// takeReleasable takes the first segment out of the log, if it may go and nobody reads it.
func (l *Log) takeReleasable() (s *segment, recycle bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usableLocked(); err != nil {
		return nil, false, err
	}
	if len(l.segments) < 2 || l.segments[0].number >= l.needed || l.segments[0].readers > 0 {
		return nil, false, nil
	}
	s = l.segments[0]
	l.segments = append([]*segment{}, l.segments[1:]...)
	return s, len(l.spares) < maxSpares && s.bytes == l.options.SegmentBytes && !s.unread, nil
}

// release removes a segment's file or makes it a blank one. One directory change is durable before
// the next begins, so that a crash never leaves a gap.
func (l *Log) release(s *segment, recycle bool) error {
	dir := l.options.Dir
	if !recycle {
		if err := errors.Join(s.file.Close(), l.options.FS.Remove(s.name)); err != nil {
			return err
		}
		return l.options.FS.SyncDir(dir)
	}
	l.mu.Lock()
	number := l.lastNumber + 1
	l.mu.Unlock()
	name := l.temporaryName(number)
	if err := l.options.FS.Rename(s.name, name); err != nil {
		return err
	}
	if err := l.options.FS.SyncDir(dir); err != nil {
		return err
	}
	if err := writeZeros(s.file, 0, blockBytes); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return l.addSpare(&segment{number: number, name: name, file: s.file, bytes: s.bytes, reused: true})
}

// writeZeros overwrites the bytes from one offset up to another with zeros.
func writeZeros(file vfs.File, from, to int64) error {
	for from < to {
		n := min(to-from, int64(len(zeros)))
		written, err := file.WriteAt(zeros[:n], from)
		if err != nil {
			return err
		}
		if int64(written) != n {
			return fmt.Errorf("%d bytes written of %d", written, n)
		}
		from += n
	}
	return nil
}

// countNeeded finds the first segment that is still needed. Everything is durable at this moment, but
// the log does not say so before the next frame: only what it says counts after a crash, so what is
// found now holds from the next time on. The active segment repeats bases and hard states, but it takes
// two frames until they are in two places.
func (l *Log) countNeeded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.needed = l.neededNext
	if !l.recount {
		return
	}
	l.recount = false
	needed := l.active.number
	if n := len(l.segments); l.frames < 2 && n > 1 {
		needed = l.segments[n-2].number
	}
	for _, g := range l.sorted {
		if oldest, ok := g.oldest(); ok {
			needed = min(needed, oldest)
		}
	}
	l.neededNext = needed
}
