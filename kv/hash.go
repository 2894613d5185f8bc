package kv

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Digest is a chain over all commands and their answers in the order in which they were applied:
// the first 128 bits of SHA-256 over the digest before and the command and answer of now. Servers
// with equal digests at an index have done the same; the first index at which they differ names
// the command that they did differently. It says nothing of what has become of the state on the
// disk since: Store.HashKV reads that.
type Digest [16]byte

// digester folds commands and answers; it is reused so as not to allocate.
type digester struct {
	hash    hash.Hash
	scratch []byte
}

// fold returns the digest after d. What is hashed, integers big-endian:
//
//	16  the digest before        8  its request's size    8  the answer's revision
//	 8  the command's index      n  the request           8  its body's size
//	 8  its log time             1  the answer's code     n  the body
//	 1  its kind
//
// and, if the command is of a session, three times 8: the session's id, and the command's number and
// what it acknowledges there.
func (h *digester) fold(d Digest, c *Command, a *Answer) Digest {
	if h.hash == nil {
		h.hash = sha256.New()
	}
	h.hash.Reset()
	b := append(h.scratch[:0], d[:]...)
	b = binary.BigEndian.AppendUint64(b, c.Index)
	b = binary.BigEndian.AppendUint64(b, c.Time)
	b = append(b, byte(c.Kind))
	b = binary.BigEndian.AppendUint64(b, uint64(len(c.Request)))
	h.hash.Write(b)
	h.hash.Write(c.Request)
	b = append(b[:0], byte(a.Err))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Revision))
	b = binary.BigEndian.AppendUint64(b, uint64(len(a.Body)))
	h.hash.Write(b)
	h.hash.Write(a.Body)
	if n := c.Session; n.ID != 0 {
		b = binary.BigEndian.AppendUint64(b[:0], n.ID)
		b = binary.BigEndian.AppendUint64(b, n.Sequence)
		b = binary.BigEndian.AppendUint64(b, n.Acknowledged)
		h.hash.Write(b)
	}
	h.scratch = h.hash.Sum(b[:0])
	return Digest(h.scratch[:16])
}

// KVHash is the hash of what the store holds as of a revision.
type KVHash struct {
	Hash     [16]byte
	Revision int64 // what it is of
	// Compact is the compaction revision, on which the hash depends too: only hashes with equal
	// Revision and equal Compact can be compared.
	Compact int64
}

// HashKV reads all versions of all keys that are retained as of a main revision (0: the newest) from
// the engine, and hashes them in order. It is equal on all servers whose Revision and Compact are
// equal, however far each has come with removing what is compacted. It reads everything, and may
// run beside applies. CodeCompacted and CodeFutureRevision are possible; the error is the engine's.
func (s *Store) HashKV(at int64) (KVHash, Code, error) {
	p, err := s.pin(allKeys())
	if err != nil {
		return KVHash{}, CodeOK, err
	}
	defer p.close()
	at, code := resolve(at, p.revision, p.compact)
	if code != CodeOK {
		return KVHash{}, code, nil
	}
	h, err := hashVersions(p.iterator, at, p.compact)
	return h, CodeOK, err
}
