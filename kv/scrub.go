package kv

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/quorate/quorate/wire"
)

// Mark is a moment that all servers pass, chosen alike by all: when log time goes beyond a multiple of a span. It is
// what the store was at before the first command of the new span.
type Mark struct {
	// Number is which multiple it was; 0: there was none since the store was opened.
	Number   uint64
	Revision int64
}

const (
	// markNanoseconds is the shortest span between marks.
	markNanoseconds = 60_000_000_000
	// markSpans is how many spans there are, each twice as long as the one before: the longest is three weeks.
	markSpans = 16
)

// MarkSpan returns how long the span of marks is, in nanoseconds of log time. Spans are numbered from 0 to 15.
func MarkSpan(span int) uint64 { return markNanoseconds << min(max(span, 0), markSpans-1) }

// marks are those that were passed last, of each span.
type marks [markSpans]Mark

// pass notes which marks are passed when log time goes on.
func (m *marks) pass(now *state, time uint64) bool {
	if time/markNanoseconds <= now.time/markNanoseconds || now.time == 0 {
		return false
	}
	for span := range m {
		every := MarkSpan(span)
		if number := time / every; number != now.time/every {
			m[span] = Mark{Number: number, Revision: now.revision}
		}
	}
	return true
}

// Mark returns the mark of a span that was passed last. Any goroutine may call it.
func (s *Store) Mark(span int) Mark {
	s.sums.mu.Lock()
	defer s.sums.mu.Unlock()
	return s.sums.marks[min(max(span, 0), markSpans-1)]
}

// VersionsSpan returns the bounds of the engine's keys under which the versions of all keys are: for those who look into
// an engine.
func VersionsSpan() (lo, hi []byte) { return []byte{spaceVersions}, []byte{spaceVersions + 1} }

// Scrub is a reading of everything that the engine holds, of one moment, a little at a time. It finds what is damaged
// on the disk, in the words of the engine, and makes the hash of the keys as of a revision, which is that of HashKV. It
// pins what it reads until it is closed. It belongs to one goroutine.
type Scrub struct {
	iterator Iterator
	hasher   versionHasher
	begun    bool
	done     bool
}

// NewScrub begins to read. A revision of 0 is the newest. The error is the engine's, or a Code: CodeCompacted and
// CodeFutureRevision are possible.
func (s *Store) NewScrub(revision int64) (*Scrub, error) {
	s.swap.RLock()
	before := s.current.Load()
	it, err := s.engine.NewIterator(nil, nil)
	after := s.current.Load()
	s.swap.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("scrub: %w", err)
	}
	at, code := resolve(revision, before.revision, after.compact)
	if code == CodeOK && at < after.compact {
		code = CodeCompacted // while the view was opened
	}
	if code != CodeOK {
		return nil, joinClose(code, it.Close)
	}
	return &Scrub{iterator: it, hasher: newVersionHasher(at, after.compact)}, nil
}

// Step reads about that many bytes, and reports how many it has read. After the last ones, done is true.
func (c *Scrub) Step(bytes int) (read int, done bool, err error) {
	it := c.iterator
	for read < bytes && !c.done {
		ok := false
		if c.begun {
			ok = it.Next()
		} else {
			c.begun, ok = true, it.First()
		}
		if !ok {
			c.done = true
			break
		}
		key, value := it.Key(), it.Value()
		read += len(key) + len(value)
		if err := it.Error(); err != nil {
			return read, false, fmt.Errorf("scrub: %w", err)
		}
		if key[0] == spaceVersions {
			if err := c.hasher.add(key, value); err != nil {
				return read, false, fmt.Errorf("scrub: %w", err)
			}
		}
	}
	if err := it.Error(); err != nil {
		return read, false, fmt.Errorf("scrub: %w", err)
	}
	return read, c.done, nil
}

// Hash returns the hash of the keys. It is complete once Step has said done.
func (c *Scrub) Hash() KVHash { return c.hasher.hash() }

// Sum is the hash as Sums are told to others.
func (h *KVHash) Sum() wire.Sum {
	return wire.Sum{Kind: SumHash, At: uint64(h.Revision), Also: uint64(h.Compact), Value: h.Hash}
}

// Close lets go of what was pinned.
func (c *Scrub) Close() error { return c.iterator.Close() }

// versionHasher hashes the versions of keys, in order, that are retained as of a revision.
type versionHasher struct {
	sum                   hash.Hash
	at, compact           int64
	v                     version
	previous, scratch, to []byte
	decided               bool // whether the version that lives at the compaction revision was met
}

func newVersionHasher(at, compact int64) versionHasher {
	return versionHasher{sum: sha256.New(), at: at, compact: compact}
}

// add takes the next version in, as the engine has it.
func (h *versionHasher) add(k, value []byte) (err error) {
	v := &h.v
	if v.key, v.at, h.scratch, err = splitVersionKey(k, h.scratch); err != nil {
		return err
	}
	if err := v.parse(value); err != nil {
		return err
	}
	if prefix := k[:len(k)-suffixBytes]; string(prefix) != string(h.previous) {
		h.previous, h.decided = append(h.previous[:0], prefix...), false
	}
	retained := v.at.main >= h.compact || !h.decided && !v.tombstone
	h.decided = h.decided || v.at.main <= h.compact
	if !retained || v.at.main > h.at {
		return nil
	}
	b := binary.BigEndian.AppendUint64(h.to[:0], uint64(len(v.key)))
	b = append(b, v.key...)
	b = binary.BigEndian.AppendUint64(b, uint64(v.at.main))
	b = binary.BigEndian.AppendUint32(b, v.at.sub)
	h.to = binary.BigEndian.AppendUint64(b, uint64(len(value)))
	h.sum.Write(h.to)
	h.sum.Write(value)
	return nil
}

func (h *versionHasher) hash() KVHash {
	return KVHash{Hash: [16]byte(h.sum.Sum(nil)[:16]), Revision: h.at, Compact: h.compact}
}

func hashVersions(it Iterator, at, compact int64) (KVHash, error) {
	h := newVersionHasher(at, compact)
	for ok := it.First(); ok; ok = it.Next() {
		if err := h.add(it.Key(), it.Value()); err != nil {
			return KVHash{}, cmp.Or(it.Error(), err)
		}
	}
	if err := it.Error(); err != nil {
		return KVHash{}, err
	}
	return h.hash(), nil
}
