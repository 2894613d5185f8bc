package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// A damaged hard state or base is no entry that a peer could send again. What it was is guessed: from what the log knows at
// that place, which is all that a compaction has put into a base, and from the copies that other frames have. A guess is
// proved by the checksum of the body; or by that of the record's header, which is still there and covers the payload's.

// guesses returns what a damaged record may have been, for all that is known besides the copies.
func (r *recovery) guesses(place []byte, copies [][]byte) [][]byte {
	return slices.Concat(copies, r.placed(place, copies), r.basesLike(place), rewritten(place, copies))
}

// maxLikeBases is how many entries are looked at that a damaged base may name.
const maxLikeBases = 8

// basesLike returns the bases that the logs may begin after, as far as they are known: those first whose entries are
// named most like what is left of a record.
func (r *recovery) basesLike(place []byte) [][]byte {
	type guess struct {
		g    *group
		at   raft.EntryID
		bits int // in which it differs
	}
	const from, to = 16, 40 // group, index and term
	var best []guess
	var name [to - from]byte
	for _, g := range r.log.sorted {
		binary.LittleEndian.PutUint64(name[0:], uint64(g.id))
		for i := g.base.Index; i <= g.last(); i++ {
			term, ok := g.term(i)
			if !ok {
				continue // in what is missing
			}
			binary.LittleEndian.PutUint64(name[8:], uint64(i))
			binary.LittleEndian.PutUint64(name[16:], uint64(term))
			bits := differentBits(name[:], place[from:to])
			k, _ := slices.BinarySearchFunc(best, bits, func(x guess, bits int) int { return x.bits - bits })
			if k < maxLikeBases {
				best = slices.Insert(best, k, guess{g, raft.EntryID{Index: i, Term: term}, bits})
				best = best[:min(len(best), maxLikeBases)]
			}
		}
	}
	var found [][]byte
	for _, x := range best {
		hash, err := r.knownHash(x.g, x.at.Index)
		if payload := x.g.configurationAt(x.at.Index); err == nil && payload != nil {
			found = append(found, wire.AppendRecord(nil, &wire.Record{
				Kind: wire.RecordBase, Group: x.g.id, Index: x.at.Index, Term: x.at.Term, Hash: hash, Payload: payload,
			}))
		}
	}
	return found
}

// knownHash returns the hash of an entry, or of the base.
func (r *recovery) knownHash(g *group, i raft.Index) (wire.Hash, error) {
	switch {
	case i == g.base.Index:
		return g.baseHash, nil
	case i == g.last() && g.lastHash != (wire.Hash{}):
		return g.lastHash, nil
	}
	return r.hashAt(g, i)
}

// rewritten returns the payloads of copies behind the header of a base of which only the payload is damaged: later bases
// mostly have the same configuration.
func rewritten(place []byte, copies [][]byte) [][]byte {
	header, size, err := wire.DecodeRecord(place)
	if !errors.Is(err, wire.ErrPayload) || header.Kind != wire.RecordBase {
		return nil
	}
	var found [][]byte
	for _, c := range copies {
		if len(c) == size {
			found = append(found, append(slices.Clone(place[:wire.RecordHeaderBytes]), c[wire.RecordHeaderBytes:]...))
		}
	}
	return found
}

// mendByGuess puts the guess in the place of a damaged record that its header proves, and reports whether there is one.
func mendByGuess(b []byte, guesses [][]byte) bool {
	for _, c := range guesses {
		if len(c) < wire.RecordHeaderBytes || len(c) > len(b) || !bytes.Equal(c[:4], b[:4]) && !bytes.Equal(c[4:wire.RecordHeaderBytes], b[4:wire.RecordHeaderBytes]) {
			continue
		}
		if _, _, err := wire.DecodeRecord(c); err == nil {
			copy(b, c)
			return true
		}
	}
	return false
}

// repetition returns what the first frame of a segment repeats, if it is known from before; nil of other frames.
func (r *recovery) repetition() []byte {
	if r.offset != blockBytes || r.frames == 0 {
		return nil
	}
	return r.log.appendGroups(nil)
}

// recordAt returns the record that begins at a place of a body; nil if none does.
func recordAt(body []byte, at int) []byte {
	for from := 0; from < len(body); {
		_, size, err := wire.DecodeRecord(body[from:])
		if err != nil {
			return nil
		}
		if from == at {
			return body[from : from+size]
		}
		from += size
	}
	return nil
}

// soundAfter returns the size of a damaged record, if the next one is sound: how far that is.
func soundAfter(b []byte) int {
	for size := wire.RecordHeaderBytes; size < len(b); size += wire.RecordAlign {
		if _, _, err := wire.DecodeRecord(b[size:]); err == nil || errors.Is(err, wire.ErrPayload) {
			return size
		}
	}
	return len(b)
}
