package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/quorate/quorate/raft"
)

// Once both sides are ready, each direction of the connection is a sequence of frames:
//
//	offset size
//	0       4   CRC32C, see below
//	4       4   length of the body
//	8       1   kind: 1 messages, 2 ping, 3 echo, 4 view, 5 farewell
//	9       3   zeros
//	12      4   number of messages; 0 for the other kinds
//	16      n   body
//
// The checksum covers, in this order: cluster (8), sender (8), receiver (8), the sender's boot (8)
// and nonce (16), the frame's number in its direction, from 0 (8), then the frame from offset 4 to
// its end. The first five are known to both sides from their hellos and are not sent: a frame that
// was made for another link, or that comes out of its turn, does not pass.
//
//	messages    each: length (4), bytes                     sender to receiver
//	ping        eight bytes that the other side returns     sender to receiver
//	echo        the eight bytes of a ping                   receiver to sender
//	view        the keys now known, as field 1 of a hello   sender to receiver
//	farewell    a refusal, after which nothing comes        both
const (
	frameHeaderBytes = 16
	framePrefix      = 4 // what precedes each message in the body

	frameMessages = 1
	framePing     = 2
	frameEcho     = 3
	frameView     = 4
	frameFarewell = 5

	pingBytes = 8
)

const (
	// MaxMessageBytes is the longest message that a link carries.
	MaxMessageBytes = 32 << 20
	// maxFrameBytes bounds a body: one message of the longest kind, alone.
	maxFrameBytes = MaxMessageBytes + framePrefix
	// frameSplitBytes is where a sender ends a frame and begins the next. Longer messages go alone.
	frameSplitBytes = 256 << 10
	// maxFrameMessages keeps a receiver's list of messages small, however short they are.
	maxFrameMessages = 4096
	// keepBytes is the largest buffer that a link keeps for the next frame.
	keepBytes = 1 << 20
)

// errFrame: the bytes are not a frame of this link at this place. Nothing after them can be trusted.
var errFrame = errors.New("frame is damaged")

// framing is one direction of one link: what its checksums cover besides the frame.
type framing struct {
	seed uint32
	next uint64 // number of the next frame
}

func newFraming(from *hello, to raft.ServerID) framing {
	var b []byte
	b = binary.LittleEndian.AppendUint64(b, from.Cluster)
	b = binary.LittleEndian.AppendUint64(b, uint64(from.From))
	b = binary.LittleEndian.AppendUint64(b, uint64(to))
	b = binary.LittleEndian.AppendUint64(b, from.Boot)
	b = append(b, from.Nonce[:]...)
	return framing{seed: crc32.Checksum(b, castagnoli)}
}

// checksum of the next frame, given as header and body.
func (f *framing) checksum(header, body []byte) uint32 {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], f.next)
	sum := crc32.Update(f.seed, castagnoli, number[:])
	sum = crc32.Update(sum, castagnoli, header[4:frameHeaderBytes])
	return crc32.Update(sum, castagnoli, body)
}

// frameWriter makes frames, one at a time, in a buffer that it uses again.
type frameWriter struct {
	framing
	buf []byte
}

// pack makes a frame of as many messages as go into one, at least one, and returns it with the
// messages that are left over. The frame is valid until the next one is made.
func (w *frameWriter) pack(messages [][]byte) (frame []byte, rest [][]byte) {
	w.begin()
	n := 0
	for n < len(messages) && n < maxFrameMessages {
		m := messages[n]
		if n > 0 && len(w.buf)+framePrefix+len(m) > frameHeaderBytes+frameSplitBytes {
			break
		}
		w.buf = slices.Grow(w.buf, framePrefix+len(m))
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(m)))
		w.buf = append(w.buf, m...)
		n++
	}
	return w.end(frameMessages, n), messages[n:]
}

// control makes a frame of another kind.
func (w *frameWriter) control(kind byte, body []byte) []byte {
	w.begin()
	w.buf = append(w.buf, body...)
	return w.end(kind, 0)
}

func (w *frameWriter) begin() {
	if cap(w.buf) > keepBytes || w.buf == nil {
		w.buf = make([]byte, 0, frameHeaderBytes+4096)
	}
	w.buf = append(w.buf[:0], make([]byte, frameHeaderBytes)...)
}

func (w *frameWriter) end(kind byte, count int) []byte {
	header, body := w.buf[:frameHeaderBytes], w.buf[frameHeaderBytes:]
	binary.LittleEndian.PutUint32(header[4:], uint32(len(body)))
	header[8] = kind
	binary.LittleEndian.PutUint32(header[12:], uint32(count))
	binary.LittleEndian.PutUint32(header, w.checksum(header, body))
	w.next++
	return w.buf
}

// frame is one frame, decoded; all of it is valid until the next one is read.
type frame struct {
	kind     byte
	body     []byte
	messages [][]byte // for frameMessages
}

// frameReader reads frames into a buffer that it uses again.
type frameReader struct {
	framing
	from     io.Reader
	header   [frameHeaderBytes]byte
	buf      []byte
	messages [][]byte
}

// read returns the next frame. After an error nothing more can be read; it is io.EOF only if the
// connection ended between two frames.
func (r *frameReader) read() (frame, error) {
	if _, err := io.ReadFull(r.from, r.header[:]); err != nil {
		return frame{}, err
	}
	size, count := binary.LittleEndian.Uint32(r.header[4:]), binary.LittleEndian.Uint32(r.header[12:])
	kind := r.header[8]
	if err := checkHeader(kind, size, count); err != nil {
		return frame{}, err
	}
	if cap(r.buf) > keepBytes {
		r.buf = nil
	}
	var err error
	if r.buf, err = readGrowing(r.from, r.buf, int(size)); err != nil {
		return frame{}, err
	}
	if r.checksum(r.header[:], r.buf) != binary.LittleEndian.Uint32(r.header[:]) {
		return frame{}, fmt.Errorf("%w: checksum of frame %d does not match", errFrame, r.next)
	}
	r.next++
	f := frame{kind: kind, body: r.buf}
	if kind == frameMessages {
		r.messages, err = splitMessages(r.messages[:0], r.buf, int(count))
		f.messages = r.messages
	}
	return f, err
}

// checkHeader is what can be said of a frame before its body is read, and memory is taken for it.
func checkHeader(kind byte, size, count uint32) error {
	limit, few, many := uint32(0), uint32(0), uint32(0)
	switch kind {
	case frameMessages:
		limit, few, many = maxFrameBytes, 1, maxFrameMessages
	case framePing, frameEcho:
		limit = pingBytes
	case frameView:
		limit = maxHelloBytes
	case frameFarewell:
		limit = maxRefusalBytes
	default:
		return fmt.Errorf("%w: no frame is of kind %d", errFrame, kind)
	}
	if size > limit || count < few || count > many {
		return fmt.Errorf("%w: kind %d claims %d bytes and %d messages", errFrame, kind, size, count)
	}
	return nil
}

// splitMessages appends the count messages of a body to messages. They alias the body.
func splitMessages(messages [][]byte, body []byte, count int) ([][]byte, error) {
	for range count {
		if len(body) < framePrefix {
			return nil, fmt.Errorf("%w: it ends before its messages do", errFrame)
		}
		n := binary.LittleEndian.Uint32(body)
		body = body[framePrefix:]
		if uint64(n) > uint64(len(body)) || n > MaxMessageBytes {
			return nil, fmt.Errorf("%w: a message claims %d bytes of %d", errFrame, n, len(body))
		}
		messages = append(messages, body[:n:n])
		body = body[n:]
	}
	if len(body) > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow its messages", errFrame, len(body))
	}
	return messages, nil
}
