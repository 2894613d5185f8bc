package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/raft"
)

// Position is a place in a group's log: what a log needs to know in order to begin after it. A state that one server
// sends another comes with it.
type Position struct {
	raft.EntryID
	// Hash is that of the entry.
	Hash Hash
	// Configuration is the one in force there, encoded.
	Configuration []byte
}

// ErrPosition: the bytes are no position of any version.
var ErrPosition = errors.New("position is malformed")

const (
	positionVersion    = 1
	positionFixedBytes = 1 + 8 + 8 + 16
)

// AppendPosition appends the encoding of a position to b, as doc.go draws it.
func AppendPosition(b []byte, p *Position) []byte {
	b = append(b, positionVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Index))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Term))
	b = append(b, p.Hash[:]...)
	return append(b, p.Configuration...)
}

// DecodePosition decodes a position that fills b, configuration included. What it returns aliases b.
func DecodePosition(b []byte) (Position, error) {
	if len(b) > 0 && b[0] > positionVersion {
		return Position{}, fmt.Errorf("position of layout %d: %w", b[0], ErrTooNew)
	}
	if len(b) < positionFixedBytes || b[0] != positionVersion {
		return Position{}, ErrPosition
	}
	p := Position{
		EntryID: raft.EntryID{
			Index: raft.Index(binary.LittleEndian.Uint64(b[1:])),
			Term:  raft.Term(binary.LittleEndian.Uint64(b[9:])),
		},
		Hash:          Hash(b[17:positionFixedBytes]),
		Configuration: b[positionFixedBytes:],
	}
	if p.Index == 0 || p.Term == 0 {
		return Position{}, ErrPosition
	}
	if _, err := DecodeConfiguration(p.Configuration); err != nil {
		return Position{}, fmt.Errorf("position at %d: %w", p.Index, err)
	}
	return p, nil
}
