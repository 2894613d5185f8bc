package kv

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
)

// StateHash is the hash of everything replicated that a store holds.
type StateHash struct {
	Hash [16]byte
	// Applied is the index of the last command that it is of. Stores of one group that say the same index
	// say the same hash.
	Applied uint64
	// Revision is the newest revision in it.
	Revision int64
}

// HashState reads everything as of now, and hashes it: what HashKV does, and leases, sessions, alarms,
// tokens, what was answered, and the applied record beside that. It depends on nothing that is a
// server's own, such as how far each has come with removing what is compacted. It reads everything, and
// may run beside applies. The error is the engine's.
func (s *Store) HashState() (StateHash, error) {
	it, err := s.engine.NewIterator(nil, nil)
	if err != nil {
		return StateHash{}, err
	}
	h, err := hashState(it)
	return h, joinClose(err, it.Close)
}

// hashState hashes a view: the applied record, which comes first in it, says of which moment that is.
//
// What is hashed, integers big-endian: of each row but those of versions, of the revision index, of the
// space of configurations (what a server was brought up to date by is its own) and of
// the local space, its size and itself, key and value by turns; and at the end
// the 16 bytes of the hash that HashKV gives as of the newest revision.
func hashState(it Iterator) (StateHash, error) {
	now := initialState()
	if value, ok := find(it, appliedKey()); ok {
		var err error
		if now, err = parseState(value); err != nil {
			return StateHash{}, err
		}
	}
	if err := it.Error(); err != nil {
		return StateHash{}, err
	}
	sum := sha256.New()
	versions := newVersionHasher(now.revision, now.compact)
	for ok := it.First(); ok; ok = it.Next() {
		switch k := it.Key(); {
		case len(k) == 0:
			return StateHash{}, fmt.Errorf("a row with an empty key: %w", ErrCorrupt)
		case k[0] == spaceLocal || k[0] == spaceRevisions || k[0] == spaceConfiguration:
		case k[0] == spaceVersions:
			if err := versions.add(k, it.Value()); err != nil {
				return StateHash{}, cmp.Or(it.Error(), err)
			}
		default:
			hashPart(sum, k)
			hashPart(sum, it.Value())
		}
	}
	if err := it.Error(); err != nil {
		return StateHash{}, err
	}
	sum.Write(versions.sum.Sum(nil)[:16])
	return StateHash{Hash: [16]byte(sum.Sum(nil)[:16]), Applied: now.applied, Revision: now.revision}, nil
}

func hashPart(sum hash.Hash, part []byte) {
	sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
	sum.Write(part)
}
