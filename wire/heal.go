package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/raft"
)

// MaxWanted bounds the entries that one EntryRequest names.
const MaxWanted = 64

// EntryRequest asks for entries that the sender has lost to damage. It is no message of the algorithm: whoever
// has them may answer, in any role and term.
type EntryRequest struct {
	// Wanted are at least one, at most MaxWanted.
	Wanted []WantedEntry
}

// WantedEntry is an entry that its server has had, and which one it was. If term and hash are zero, that is not known: then whatever
// is there may be the one, and only an end of the log before it says that it is lacking.
type WantedEntry struct {
	Index raft.Index
	Term  raft.Term
	Hash  Hash
}

// EntryReply answers an EntryRequest, or a part of it. The term of the message was durable when it was made.
type EntryReply struct {
	// Found are at most MaxWanted.
	Found []FoundEntry
}

// FoundEntry says what the sender has of a wanted entry.
type FoundEntry struct {
	Index raft.Index
	Term  raft.Term
	State EntryState
	// Record is the entry if State is EntryThere: of that index and term.
	Record []byte
}

// EntryState says whether a server has an entry. The numbers are on the wire for ever; who does not know one
// knows nothing of the entry.
type EntryState uint64

// What a server can say of an entry.
const (
	// EntryThere: it is in the reply.
	EntryThere EntryState = 1
	// EntryLacking: the log has another entry in its place, or ends before it.
	EntryLacking EntryState = 2
	// EntryCompacted: the log begins after it.
	EntryCompacted EntryState = 3
	// EntryLost: it has been lost here, too.
	EntryLost EntryState = 4
)

// EntryDoubts brings entries that were in the sender's log, or have been replaced there by what it has lost since: it does not
// know which. It claims nothing of the sender's log. Whoever has lost entries in their places, and does not know which those were
// either, can tell by what comes behind them.
type EntryDoubts struct {
	// Records are at least one, at most MaxWanted: entries of the message's group.
	Records [][]byte
}

const (
	wantedBytes = 32
	foundBytes  = 24
)

func appendWanted(b []byte, m *EntryRequest) []byte {
	for i := range m.Wanted {
		w := &m.Wanted[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(w.Index))
		b = binary.LittleEndian.AppendUint64(b, uint64(w.Term))
		b = append(b, w.Hash[:]...)
	}
	return b
}

func decodeWanted(m *EntryRequest, b []byte) error {
	n := len(b) / wantedBytes
	if len(b)%wantedBytes != 0 || n == 0 || n > MaxWanted {
		return ErrMalformed
	}
	m.Wanted = make([]WantedEntry, n)
	for i := range m.Wanted {
		at := b[i*wantedBytes:]
		m.Wanted[i] = WantedEntry{
			Index: raft.Index(binary.LittleEndian.Uint64(at)), Term: raft.Term(binary.LittleEndian.Uint64(at[8:])), Hash: Hash(at[16:32]),
		}
	}
	return nil
}

func appendFound(b []byte, m *EntryReply) []byte {
	for i := range m.Found {
		f := &m.Found[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(f.Index))
		b = binary.LittleEndian.AppendUint64(b, uint64(f.Term))
		b = binary.LittleEndian.AppendUint64(b, uint64(f.State))
		b = append(b, f.Record...)
	}
	return b
}

// decodeFound checks that every record is the entry that it is said to be. That it is the wanted one, its hash tells.
func decodeFound(m *EntryReply, group GroupID, b []byte) error {
	for len(b) > 0 {
		if len(b) < foundBytes || len(m.Found) == MaxWanted {
			return ErrMalformed
		}
		f := FoundEntry{
			Index: raft.Index(binary.LittleEndian.Uint64(b)), Term: raft.Term(binary.LittleEndian.Uint64(b[8:])),
			State: EntryState(binary.LittleEndian.Uint64(b[16:])),
		}
		b = b[foundBytes:]
		if f.State == EntryThere {
			r, size, err := DecodeRecord(b)
			if err != nil {
				return fmt.Errorf("entry %d: %w", f.Index, err)
			}
			if !r.IsEntry() || r.Group != group || r.Index != f.Index || r.Term != f.Term {
				return fmt.Errorf("%w: record of kind %d, group %d, index %d, term %d where entry %d of term %d of group %d belongs",
					ErrMalformed, r.Kind, r.Group, r.Index, r.Term, f.Index, f.Term, group)
			}
			f.Record, b = b[:size:size], b[size:]
		}
		m.Found = append(m.Found, f)
	}
	return nil
}

// decodeDoubts checks that every record is an entry of the group.
func decodeDoubts(m *EntryDoubts, group GroupID, b []byte) error {
	for len(b) > 0 || len(m.Records) == 0 {
		if len(m.Records) == MaxWanted {
			return ErrMalformed
		}
		r, size, err := DecodeRecord(b)
		if err != nil {
			return err
		}
		if !r.IsEntry() || r.Group != group {
			return fmt.Errorf("%w: record of kind %d, group %d where an entry of group %d belongs", ErrMalformed, r.Kind, r.Group, group)
		}
		m.Records, b = append(m.Records, b[:size:size]), b[size:]
	}
	return nil
}
