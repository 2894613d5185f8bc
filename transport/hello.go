package transport

import (
	"encoding/binary"
	"io"

	"github.com/quorate/quorate/raft"
)

// Before a link carries messages, both sides exchange notes over TLS. A note:
//
//	offset size
//	0       7   magic "quorate"
//	7       1   kind: 'H' hello, 'R' refusal, 'Y' ready, 'Q' question, 'A' answer
//	8       4   length of the body
//	12      n   body
//
// The dialling side sends hello, the other answers with hello, and then each says ready (empty
// body) once it would take or send messages; in place of any of them either may send a refusal. Who is
// no peer may ask a question instead of saying hello; after the answer the connection ends.
// This outer layout never changes, so that any two versions can at least refuse each other in words.
const (
	noteMagic       = "quorate"
	noteHeaderBytes = 12

	noteHello   = 'H'
	noteRefusal = 'R'
	noteReady   = 'Y'

	noteQuestion = 'Q'
	noteAnswer   = 'A'
)

// The body of a hello:
//
//	offset size
//	 0      2   lowest version of the link protocol that the sender speaks
//	 2      2   highest version
//	 4      4   feature level
//	 8      8   cluster id
//	16      8   sender's server id
//	24      8   id of the server that the sender believes it talks to
//	32      8   sender's boot
//	40     16   nonce of the sender's process
//	56      .   fields, each: type (2), length (4), value; types ascend and occur at most once
//
//	field 1       the keys the sender knows, its own among them, by ascending id: id (8), key (32), ...
//	field 0x8001  the last starts of the sender's directory, ascending, this one the last: boot (8), process (16), ...
//
// A field whose type is below 0x8000 must be understood, or the hello is refused; one from 0x8000 up
// is skipped by those who do not know it. TLS protects the bytes, so there is no checksum.
const (
	helloFixedBytes  = 56
	maxHelloBytes    = 64 << 10
	fieldHeaderBytes = 6
	fieldView        = 1
	fieldOptional    = 0x8000
	fieldStarts      = 0x8001
	viewEntryBytes   = 40
	// MaxPeers bounds the table of peers, so that a view fits into a hello.
	MaxPeers = 1024
)

// The versions of the link protocol that this code speaks.
const (
	protocolLowest  = 1
	protocolHighest = 1
)

type nonce [16]byte

// hello is what a server says of itself before anything else.
type hello struct {
	Lowest, Highest uint16
	Features        uint32
	Cluster         uint64
	From, To        raft.ServerID
	Boot            uint64
	Nonce           nonce
	View            []KnownKey // ascending by id
	Starts          []Start    // ascending, the last is (Boot, Nonce); none: the sender is of an earlier version
}

func encodeHello(h *hello) []byte {
	b := make([]byte, 0, helloFixedBytes+2*fieldHeaderBytes+len(h.View)*viewEntryBytes+len(h.Starts)*startBytes)
	b = binary.LittleEndian.AppendUint16(b, h.Lowest)
	b = binary.LittleEndian.AppendUint16(b, h.Highest)
	b = binary.LittleEndian.AppendUint32(b, h.Features)
	b = binary.LittleEndian.AppendUint64(b, h.Cluster)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.From))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.To))
	b = binary.LittleEndian.AppendUint64(b, h.Boot)
	b = append(b, h.Nonce[:]...)
	b = binary.LittleEndian.AppendUint16(b, fieldView)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.View)*viewEntryBytes))
	b = appendView(b, h.View)
	if len(h.Starts) == 0 {
		return b
	}
	b = binary.LittleEndian.AppendUint16(b, fieldStarts)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.Starts)*startBytes))
	return appendStarts(b, h.Starts)
}

// decodeHello understands any hello whose versions overlap ours; of others it reads only the fixed
// part, which is enough to say who speaks what.
func decodeHello(b []byte) (*hello, error) {
	if len(b) < helloFixedBytes {
		return nil, refuse(ReasonMalformed, "a hello of %d bytes is cut short", len(b))
	}
	h := &hello{
		Lowest:   binary.LittleEndian.Uint16(b[0:]),
		Highest:  binary.LittleEndian.Uint16(b[2:]),
		Features: binary.LittleEndian.Uint32(b[4:]),
		Cluster:  binary.LittleEndian.Uint64(b[8:]),
		From:     raft.ServerID(binary.LittleEndian.Uint64(b[16:])),
		To:       raft.ServerID(binary.LittleEndian.Uint64(b[24:])),
		Boot:     binary.LittleEndian.Uint64(b[32:]),
		Nonce:    nonce(b[40:56]),
	}
	if h.Lowest > h.Highest || h.From == 0 || h.Boot == 0 {
		return nil, refuse(ReasonMalformed, "a hello from server %x, boot %d, speaks versions %d to %d",
			h.From, h.Boot, h.Lowest, h.Highest)
	}
	if _, ok := commonVersion(h); !ok {
		return h, nil
	}
	return h, h.decodeFields(b[helloFixedBytes:])
}

func (h *hello) decodeFields(b []byte) error {
	previous := -1
	for len(b) > 0 {
		if len(b) < fieldHeaderBytes {
			return refuse(ReasonMalformed, "the hello of server %x ends within a field", h.From)
		}
		kind, size := int(binary.LittleEndian.Uint16(b)), binary.LittleEndian.Uint32(b[2:])
		b = b[fieldHeaderBytes:]
		if kind <= previous || uint64(size) > uint64(len(b)) {
			return refuse(ReasonMalformed, "field %d in the hello of server %x is out of order or cut short",
				kind, h.From)
		}
		if err := h.decodeField(kind, b[:size]); err != nil {
			return err
		}
		previous, b = kind, b[size:]
	}
	return nil
}

func (h *hello) decodeField(kind int, value []byte) (err error) {
	switch {
	case kind == fieldView:
		h.View, err = decodeView(value)
		return err
	case kind == fieldStarts:
		var ok bool
		h.Starts, ok = splitStarts(value)
		if n := len(h.Starts); !ok || n == 0 || h.Starts[n-1] != (Start{h.Boot, h.Nonce}) {
			return refuse(ReasonMalformed, "the hello of server %x, boot %d, has a list of starts that does not end with this one", h.From, h.Boot)
		}
		return nil
	case kind >= fieldOptional:
		return nil
	default:
		return refuse(ReasonProtocol, "the hello of server %x needs field %d to be understood", h.From, kind)
	}
}

// commonVersion returns the highest version of the link protocol that both sides speak.
func commonVersion(h *hello) (version uint16, ok bool) {
	version = min(h.Highest, protocolHighest)
	return version, version >= h.Lowest && version >= protocolLowest
}

func appendView(b []byte, view []KnownKey) []byte {
	for _, known := range view {
		b = binary.LittleEndian.AppendUint64(b, uint64(known.ID))
		b = append(b, known.Key[:]...)
	}
	return b
}

func decodeView(b []byte) ([]KnownKey, error) {
	if len(b)%viewEntryBytes != 0 || len(b)/viewEntryBytes > MaxPeers+1 {
		return nil, refuse(ReasonMalformed, "a list of keys of %d bytes", len(b))
	}
	view := make([]KnownKey, 0, len(b)/viewEntryBytes)
	var previous raft.ServerID
	for ; len(b) > 0; b = b[viewEntryBytes:] {
		known := KnownKey{
			ID:  raft.ServerID(binary.LittleEndian.Uint64(b)),
			Key: PublicKey(b[8:viewEntryBytes]),
		}
		if known.ID <= previous || known.Key.IsZero() {
			return nil, refuse(ReasonMalformed, "a list of keys is out of order or lacks a key")
		}
		view, previous = append(view, known), known.ID
	}
	return view, nil
}

func appendNote(b []byte, kind byte, body []byte) []byte {
	b = append(b, noteMagic...)
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// readNote reads a note of the kind wanted. Instead of it a refusal may come, which is returned as
// the error, and so is anything that is no note at all.
func readNote(r io.Reader, want byte) ([]byte, error) {
	_, body, err := readNoteOf(r, want, want)
	return body, err
}

// noteLimits bound the bodies of notes; those that are not there have none.
var noteLimits = [256]uint32{
	noteRefusal: maxRefusalBytes, noteHello: maxHelloBytes, noteQuestion: MaxQuestionBytes, noteAnswer: MaxAnswerBytes,
}

// readNoteOf is readNote where either of two kinds may come.
func readNoteOf(r io.Reader, want, or byte) (kind byte, body []byte, err error) {
	var header [noteHeaderBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	if string(header[:len(noteMagic)]) != noteMagic {
		return 0, nil, refuse(ReasonMalformed, "the connection does not speak the link protocol: it begins with %q",
			header[:len(noteMagic)])
	}
	kind, size := header[len(noteMagic)], binary.LittleEndian.Uint32(header[8:])
	if kind != want && kind != or && kind != noteRefusal {
		return 0, nil, refuse(ReasonMalformed, "a note of kind %q came where %q was due", kind, want)
	}
	if limit := noteLimits[kind]; size > limit {
		return 0, nil, refuse(ReasonMalformed, "a note of kind %q claims %d bytes, at most %d are allowed",
			kind, size, limit)
	}
	body, err = readGrowing(r, nil, int(size))
	if err != nil || kind != noteRefusal {
		return kind, body, err
	}
	refusal, err := decodeRefusal(body)
	if err != nil {
		return 0, nil, err
	}
	return 0, nil, refusal
}

// readGrowing reads size bytes into the memory of b, which it grows only as bytes really arrive: a
// length that nobody backs with bytes costs nothing.
func readGrowing(r io.Reader, b []byte, size int) ([]byte, error) {
	const firstStep = 16 << 10
	b = b[:0]
	for len(b) < size {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(size, max(2*cap(b), firstStep)))
			copy(grown, b)
			b = grown
		}
		end := min(size, cap(b))
		n, err := io.ReadFull(r, b[len(b):end])
		b = b[:len(b)+n]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}
