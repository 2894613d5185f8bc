package session

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrRow: the bytes are no row of the table.
var ErrRow = errors.New("row of a session is malformed")

// Answer is what the row of an answer begins with.
type Answer struct {
	// Check tells the request from others.
	Check uint32
	// Acknowledged is what was acknowledged when it was recorded.
	Acknowledged uint64
	// Dropped: the answer was too large.
	Dropped bool
}

// What the first byte of a row says. Later versions may need others.
const (
	rowLives   = 1 // of a session
	rowKept    = 1 // of an answer
	rowDropped = 2

	keyBytes       = 8
	answerKeyBytes = 8 + 8
	checkBytes     = 4
)

// AppendKey appends the key of a session's row.
func AppendKey(b []byte, id uint64) []byte { return binary.BigEndian.AppendUint64(b, id) }

// AppendAnswerKey appends the key of an answer's row.
func AppendAnswerKey(b []byte, id, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, id), sequence)
}

// AppendRow appends a session's row.
func AppendRow(b []byte, s *Session) []byte {
	b = append(b, rowLives)
	b = binary.AppendUvarint(b, s.TTL)
	b = binary.AppendUvarint(b, s.Deadline)
	return binary.AppendUvarint(b, s.Acknowledged)
}

// ParseRow decodes a session's row.
func ParseRow(key, value []byte) (Session, error) {
	bad := func() (Session, error) { return Session{}, fmt.Errorf("session %x: %x: %w", key, value, ErrRow) }
	if len(key) != keyBytes || len(value) == 0 || value[0] != rowLives {
		return bad()
	}
	s := Session{ID: binary.BigEndian.Uint64(key)}
	rest := value[1:]
	for _, field := range [...]*uint64{&s.TTL, &s.Deadline, &s.Acknowledged} {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return bad()
		}
		*field, rest = v, rest[n:]
	}
	if len(rest) > 0 || s.ID == 0 || s.TTL < MinTTL || s.TTL > MaxTTL {
		return bad()
	}
	return s, nil
}

// AppendAnswer appends an answer's row. answer is left out if it was dropped.
func AppendAnswer(b []byte, a *Answer, answer []byte) []byte {
	kind := byte(rowKept)
	if a.Dropped {
		kind, answer = rowDropped, nil
	}
	b = binary.BigEndian.AppendUint32(append(b, kind), a.Check)
	b = binary.AppendUvarint(b, a.Acknowledged)
	return append(b, answer...)
}

// ParseAnswer decodes an answer's row. The answer aliases value.
func ParseAnswer(key, value []byte) (id, sequence uint64, a Answer, answer []byte, err error) {
	bad := func() (uint64, uint64, Answer, []byte, error) {
		return 0, 0, Answer{}, nil, fmt.Errorf("answer %x: %w", key, ErrRow)
	}
	if len(key) != answerKeyBytes || len(value) < 1+checkBytes || value[0] != rowKept && value[0] != rowDropped {
		return bad()
	}
	a = Answer{Check: binary.BigEndian.Uint32(value[1:]), Dropped: value[0] == rowDropped}
	acknowledged, n := binary.Uvarint(value[1+checkBytes:])
	if n <= 0 {
		return bad()
	}
	a.Acknowledged, answer = acknowledged, value[1+checkBytes+n:]
	if a.Dropped && len(answer) > 0 {
		return bad()
	}
	return binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[keyBytes:]), a, answer, nil
}
