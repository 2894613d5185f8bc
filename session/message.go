package session

import (
	"errors"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/wire"
)

// What clients and servers say to each other.
const (
	// MetadataKey is the metadata that numbers a request.
	MetadataKey = "quorate-session"
	// AnswerKey is the trailer that says that the state machine has answered, and how.
	AnswerKey = "quorate-session-answer"
	// Service is the gRPC service that opens sessions, and the others are its methods.
	Service         = "quorate.v1.Sessions"
	MethodOpen      = "Open"
	MethodKeepAlive = "KeepAlive"
	MethodClose     = "Close"
)

// Values of AnswerKey.
const (
	// AnswerRefused: the request was refused as it would have been without a session; that is its answer,
	// now and whenever it is repeated.
	AnswerRefused = "refused"
	// The others are the verdicts of their names.
	AnswerUnknown  = "unknown"
	AnswerStale    = "stale"
	AnswerFull     = "full"
	AnswerMismatch = "mismatch"
	AnswerDropped  = "dropped"
)

// ErrMessage: the bytes are no message of the protocol.
var ErrMessage = errors.New("message of a session is malformed")

// AppendMetadata appends the value of MetadataKey.
func AppendMetadata(b []byte, n wire.Session, cluster uint64) []byte {
	for i, v := range [...]uint64{n.ID, n.Sequence, n.Acknowledged, cluster} {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, v, 16)
	}
	return b
}

// ParseMetadata decodes what AppendMetadata makes. Every number has one encoding.
func ParseMetadata(s string) (n wire.Session, cluster uint64, err error) {
	fields := [...]*uint64{&n.ID, &n.Sequence, &n.Acknowledged, &cluster}
	for i, field := range fields {
		text, rest, more := strings.Cut(s, ".")
		if more != (i < len(fields)-1) {
			return wire.Session{}, 0, ErrMessage
		}
		if *field, err = parseHex(text); err != nil {
			return wire.Session{}, 0, err
		}
		s = rest
	}
	if n.ID == 0 || n.Sequence <= n.Acknowledged {
		return wire.Session{}, 0, ErrMessage
	}
	return n, cluster, nil
}

func parseHex(s string) (v uint64, err error) {
	if len(s) == 0 || len(s) > 16 || len(s) > 1 && s[0] == '0' {
		return 0, ErrMessage
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			v = v<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, ErrMessage
		}
	}
	return v, nil
}

// Field numbers of the service's messages: see doc.go.
const (
	FieldRequestTTL          = protowire.Number(1)
	FieldRequestID           = protowire.Number(1)
	FieldRequestAcknowledged = protowire.Number(2)

	FieldID           = protowire.Number(2)
	FieldTTL          = protowire.Number(3)
	FieldWindow       = protowire.Number(4)
	FieldCluster      = protowire.Number(5)
	FieldKeepAliveTTL = protowire.Number(2)
)

// AppendField appends a number; 0 is left out, as protobuf has it.
func AppendField(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// OpenRequest encodes a request to open a session that lives for so many seconds.
func OpenRequest(ttl uint64) []byte { return AppendField(nil, FieldRequestTTL, ttl) }

// KeepAliveRequest encodes a request to keep a session alive.
func KeepAliveRequest(id, acknowledged uint64) []byte {
	return AppendField(AppendField(nil, FieldRequestID, id), FieldRequestAcknowledged, acknowledged)
}

// CloseRequest encodes a request to close a session.
func CloseRequest(id uint64) []byte { return AppendField(nil, FieldRequestID, id) }

// Opened is what a client learns of a session that was opened for it.
type Opened struct{ ID, TTL, Window, Cluster uint64 }

// ParseOpened decodes an OpenResponse. Fields that later versions add are passed over.
func ParseOpened(b []byte) (Opened, error) {
	var o Opened
	fields := map[protowire.Number]*uint64{
		FieldID: &o.ID, FieldTTL: &o.TTL, FieldWindow: &o.Window, FieldCluster: &o.Cluster,
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Opened{}, ErrMessage
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return Opened{}, ErrMessage
		}
		if field := fields[num]; field != nil && typ == protowire.VarintType {
			*field, _ = protowire.ConsumeVarint(b)
		}
		b = b[n:]
	}
	if o.ID == 0 || o.TTL == 0 || o.Window == 0 {
		return Opened{}, ErrMessage
	}
	return o, nil
}
