package kv

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
)

// A snapshot as a file is a copy of everything: the chunks of one dialogue, one behind the other. Its size and
// its end are such that etcdctl takes it for a snapshot that came whole. doc.go draws it.
const (
	fileMagic       = "qkvsnap\x00"
	fileHeaderBytes = len(fileMagic) + 4 + 8
	fileTotalsBytes = 8 + 8
	fileBlockBytes  = 512
	fileChunkBytes  = 1 << 20
	// maxPieceBytes bounds a chunk of a file: it may have one pair more than what it is asked for.
	maxPieceBytes = fileChunkBytes + 4*MaxRequestBytes
)

// ErrSnapshotFile: a file is not a snapshot, or not as it was written.
var ErrSnapshotFile = errors.New("snapshot file is damaged or cut off")

// SnapshotInfo says what is in a snapshot file.
type SnapshotInfo struct {
	// Cluster is whose state it is, Index that of the last command applied, Time its log time.
	Cluster, Index, Time      uint64
	Revision, CompactRevision int64
	// Keys is how many keys there are, Versions how many versions of keys, with those that are deleted.
	Keys, Versions int64
	// Size is that of the file in bytes, Hash the SHA-256 of all but the hash.
	Size int64
	Hash [sha256.Size]byte
}

// WriteSnapshot writes a copy of everything, as of what is applied now. Any goroutine may call it. The error is
// the engine's or w's; ErrSnapshotBehind if there is nothing yet.
func (s *Store) WriteSnapshot(w io.Writer) (info SnapshotInfo, err error) {
	v, err := newView(s.engine)
	if err != nil {
		return info, err
	}
	if v == nil {
		return info, ErrSnapshotBehind
	}
	defer v.close()
	f := &fileWriter{w: w, hash: sha256.New(), counts: counts{info: infoOf(s.options.Cluster, &v.state)}}
	if err := f.write(v, s.options.Cluster); err != nil {
		return info, fmt.Errorf("write snapshot: %w", err)
	}
	return f.info, nil
}

func infoOf(cluster uint64, of *state) SnapshotInfo {
	return SnapshotInfo{
		Cluster: cluster, Index: of.applied, Time: of.time, Revision: of.revision, CompactRevision: of.compact,
	}
}

// counts counts keys and versions on their way.
type counts struct {
	info SnapshotInfo
	last []byte // what the versions of the last key begin with
}

func (c *counts) count(r rows) error {
	return r.each(func(key, value []byte) error {
		if key[0] != spaceVersions {
			return nil
		}
		c.info.Versions++
		prefix := key[:max(len(key)-suffixBytes, 0)]
		if bytes.Equal(prefix, c.last) {
			return nil
		}
		c.last = append(c.last[:0], prefix...)
		if !isTombstone(value) {
			c.info.Keys++
		}
		return nil
	})
}

type fileWriter struct {
	w    io.Writer
	hash hash.Hash
	counts
}

func (f *fileWriter) put(b []byte) error {
	f.hash.Write(b)
	f.info.Size += int64(len(b))
	_, err := f.w.Write(b)
	return err
}

func (f *fileWriter) write(v *view, cluster uint64) error {
	b := binary.BigEndian.AppendUint32([]byte(fileMagic), snapshotLayout)
	if err := f.put(binary.BigEndian.AppendUint64(b, cluster)); err != nil {
		return err
	}
	at := position{phase: phaseKeys, next: revision{main: v.state.revision + 1}}
	for begin := true; at.phase != phaseEnd; begin = false {
		head := snapshotChunk{cluster: cluster, begin: begin, full: begin, view: v.state, from: at}
		m := chunkMaker{view: v, head: head, limit: fileChunkBytes}
		chunk, err := m.chunk()
		if err != nil {
			return err
		}
		if err := f.count(m.rows); err != nil {
			return err
		}
		if err := f.put(binary.BigEndian.AppendUint32(nil, uint32(len(chunk)))); err != nil {
			return err
		}
		if err := f.put(chunk); err != nil {
			return err
		}
		if at.key = m.previous; m.head.done {
			at = at.phaseDone(&v.state)
		}
	}
	return f.end()
}

// end writes what is behind the chunks.
func (f *fileWriter) end() error {
	b := make([]byte, 4, 4+fileTotalsBytes+fileBlockBytes) // a chunk of no bytes
	b = binary.BigEndian.AppendUint64(b, uint64(f.info.Keys))
	b = binary.BigEndian.AppendUint64(b, uint64(f.info.Versions))
	if err := f.put(append(b, make([]byte, padding(f.info.Size+int64(len(b))))...)); err != nil {
		return err
	}
	f.info.Hash = [sha256.Size]byte(f.hash.Sum(nil))
	f.info.Size += sha256.Size
	_, err := f.w.Write(f.info.Hash[:])
	return err
}

// padding is how many bytes a file lacks to be a number of blocks.
func padding(size int64) int { return int(-size & (fileBlockBytes - 1)) }

// ReadSnapshot reads a file to its end and verifies it. Errors: ErrSnapshotFile, ErrNewerFormat, and r's.
func ReadSnapshot(r io.Reader) (SnapshotInfo, error) {
	return readFile(r, func(*snapshotChunk, []byte) error { return nil })
}

// fileReader reads a file and sums it up.
type fileReader struct {
	r    io.Reader
	hash hash.Hash
	counts
	piece bytes.Buffer
}

// readFile visits the chunks of a file, each of which is sound and goes on where the one before ends. Only at the
// end is it known whether all is as it was written.
func readFile(r io.Reader, visit func(c *snapshotChunk, chunk []byte) error) (SnapshotInfo, error) {
	f := &fileReader{r: r, hash: sha256.New()}
	if err := f.read(visit); err != nil {
		return SnapshotInfo{}, fmt.Errorf("read snapshot: %w", err)
	}
	return f.info, nil
}

// take reads so many bytes. They are valid until the next call. It takes no more memory than there are bytes.
func (f *fileReader) take(n int) ([]byte, error) {
	f.piece.Reset()
	if _, err := io.CopyN(&f.piece, f.r, int64(n)); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: cut off", ErrSnapshotFile)
	} else if err != nil {
		return nil, err
	}
	f.info.Size += int64(n)
	f.hash.Write(f.piece.Bytes())
	return f.piece.Bytes(), nil
}

func (f *fileReader) read(visit func(c *snapshotChunk, chunk []byte) error) error {
	head, err := f.take(fileHeaderBytes)
	if err != nil {
		return err
	}
	if string(head[:len(fileMagic)]) != fileMagic {
		return fmt.Errorf("%w: it does not begin like one", ErrSnapshotFile)
	}
	if n := binary.BigEndian.Uint32(head[len(fileMagic):]); n != snapshotLayout {
		return fmt.Errorf("snapshot of layout %d: %w", n, ErrNewerFormat)
	}
	cluster := binary.BigEndian.Uint64(head[len(fileMagic)+4:])
	var at *plan
	for {
		b, err := f.take(4)
		if err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(b)
		if size == 0 {
			break
		}
		if size > maxPieceBytes {
			return fmt.Errorf("%w: chunk of %d bytes", ErrSnapshotFile, size)
		}
		chunk, err := f.take(int(size))
		if err != nil {
			return err
		}
		if at, err = f.chunk(chunk, cluster, at, visit); err != nil {
			return err
		}
	}
	if at == nil || at.at.phase != phaseEnd {
		return fmt.Errorf("%w: incomplete", ErrSnapshotFile)
	}
	return f.end()
}

// chunk checks and visits a chunk. at is where the one before ended, nil for the first.
func (f *fileReader) chunk(b []byte, cluster uint64, at *plan, visit func(*snapshotChunk, []byte) error) (*plan, error) {
	var c snapshotChunk
	damaged := func(err error) (*plan, error) { return nil, fmt.Errorf("%w: %w", ErrSnapshotFile, err) }
	if err := c.parse(b); err != nil {
		return damaged(err)
	}
	if at == nil {
		initial := initialState()
		var err error
		if at, err = begun(&c, &initial); err != nil || !c.begin || !c.full {
			return damaged(cmp.Or(err, errOrder))
		}
		size, sum := f.info.Size, f.info.Hash
		f.info = infoOf(cluster, &c.view)
		f.info.Size, f.info.Hash = size, sum
	} else if c.begin || c.full || c.view.id() != at.view.id() {
		return damaged(errOrder)
	}
	if c.cluster != cluster || !c.keys.isUnset() || !at.at.equal(&c.from) {
		return damaged(errOrder)
	}
	next := *at
	var err error
	if next.at, err = c.check(); err != nil {
		return damaged(err)
	}
	if err := f.count(c.rows); err != nil {
		return damaged(err)
	}
	return &next, visit(&c, b)
}

// end reads what is behind the chunks.
func (f *fileReader) end() error {
	totals, err := f.take(fileTotalsBytes)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint64(totals) != uint64(f.info.Keys) || binary.BigEndian.Uint64(totals[8:]) != uint64(f.info.Versions) {
		return fmt.Errorf("%w: not as many keys as it says", ErrSnapshotFile)
	}
	if _, err := f.take(padding(f.info.Size)); err != nil {
		return err
	}
	f.info.Hash = [sha256.Size]byte(f.hash.Sum(nil))
	sum, err := f.take(sha256.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, f.info.Hash[:]) {
		return fmt.Errorf("%w: SHA-256 does not match", ErrSnapshotFile)
	}
	switch n, err := io.CopyN(io.Discard, f.r, 1); {
	case n > 0:
		return fmt.Errorf("%w: something is behind its end", ErrSnapshotFile)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// RestoreOptions says what becomes of the state in a snapshot file.
type RestoreOptions struct {
	// Cluster is the new cluster, whose state it will be.
	Cluster uint64
	// RaiseRevision is by how much the revision is raised, at least 0: clients that have seen later revisions
	// than that of the file must not take new ones for old ones.
	RaiseRevision int64
	// MarkCompacted: the revision, raised, is compacted, so that whoever watches or reads from an older one is
	// told.
	MarkCompacted bool
	// Position is what InstalledPosition will be; nil: none.
	Position []byte
}

// RestoreSnapshot makes the state in a snapshot file that of an engine that is empty, for a new cluster. The
// applied index and the log time are those of the file: neither may ever go back, so the new cluster's log has
// to begin behind that index. Keys keep their revisions, and leases live on. Sessions and tokens end, for they are
// with the old cluster's servers, and alarms, which are about these. Nothing is installed unless all of the file
// is as it was written. The caller closes the engine.
//
// Errors: ErrSnapshotFile, ErrNewerFormat, ErrNotEmpty, the engine's and r's.
func RestoreSnapshot(r io.Reader, engine Engine, o RestoreOptions) (info SnapshotInfo, err error) {
	if err := requireEmpty(engine); err != nil {
		return info, fmt.Errorf("restore: %w", err)
	}
	s := &Store{engine: engine}
	now := initialState()
	s.current.Store(&now)
	defer func() { err = joinClose(err, s.DropStaged) }()
	info, err = readFile(r, func(c *snapshotChunk, chunk []byte) error {
		s.options.Cluster = c.cluster
		_, err := s.take(chunk)
		return err
	})
	if err != nil {
		return info, err
	}
	if err := s.restore(o); err != nil {
		return info, fmt.Errorf("restore: %w", err)
	}
	return info, nil
}

// ErrNotEmpty: a snapshot is only restored where there is nothing.
var ErrNotEmpty = errors.New("there is a state already")

func requireEmpty(e Engine) (err error) {
	it, err := e.NewIterator(nil, nil)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, it.Close) }()
	if it.First() {
		return ErrNotEmpty
	}
	return it.Error()
}

// restore installs what is staged, as the state of a new cluster.
func (s *Store) restore(o RestoreOptions) error {
	p := s.plan.Load()
	sealer := sealer{staging: &s.staging, plan: p, cluster: o.Cluster, state: p.view, leavesOut: endsWithCluster}
	if o.RaiseRevision < 0 || o.RaiseRevision > math.MaxInt64/2-p.view.revision {
		return fmt.Errorf("revision %d cannot be raised by %d", p.view.revision, o.RaiseRevision)
	}
	sealer.state.revision += o.RaiseRevision
	if o.MarkCompacted {
		sealer.state.compact = sealer.state.revision
	}
	if _, err := sealer.seal(); err != nil {
		return err
	}
	var apart []Pair
	if o.Position != nil {
		apart = append(apart, Pair{positionKey(), o.Position})
	}
	return s.staging.stage.Install(apart)
}

// endsWithCluster tells in which spaces what there is ends with the cluster.
func endsWithCluster(space byte) bool {
	return space == spaceSessions || space == spaceAnswers || space == spaceTokens || space == spaceAlarms
}
