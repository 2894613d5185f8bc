package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Answer is what a request came to.
type Answer struct {
	// Err is CodeOK, or why nothing was done.
	Err Code
	// Revision is the store's revision after the command, for the response's header; of a read, the
	// newest revision at the time, also if an older one was read.
	Revision int64
	// Body is the bytes of etcd's response message without its header (field 1): the header's
	// bytes go in front of it. Empty if Err is set, and for a response without other fields.
	Body []byte
}

// Append appends the answer's encoding, in which sessions keep it:
//
//	byte 0     Err
//	uvarint    Revision
//	the rest   Body
func (a *Answer) Append(b []byte) []byte {
	b = append(b, byte(a.Err))
	b = binary.AppendUvarint(b, uint64(a.Revision))
	return append(b, a.Body...)
}

var errAnswer = errors.New("answer is damaged")

// ParseAnswer decodes what Append made. The body aliases b.
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) == 0 {
		return Answer{}, errAnswer
	}
	if Code(b[0]) > maxCode {
		return Answer{}, fmt.Errorf("answer has code %d, unknown to this version: %w", b[0], errAnswer)
	}
	revision, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return Answer{}, errAnswer
	}
	return Answer{Err: Code(b[0]), Revision: int64(revision), Body: b[1+n:]}, nil
}
