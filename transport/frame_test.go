package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
)

func testFraming() framing { return newFraming(testHello(), 5) }

func newTestWriter() *frameWriter { return &frameWriter{framing: testFraming()} }

func newTestReader(b []byte) *frameReader {
	return &frameReader{framing: testFraming(), from: bytes.NewReader(b)}
}

func messages(texts ...string) (m [][]byte) {
	for _, text := range texts {
		m = append(m, []byte(text))
	}
	return m
}

// threeFrames is a direction of a link: messages, a ping, and messages again.
func threeFrames() (stream []byte, ends []int) {
	w := newTestWriter()
	first, _ := w.pack(messages("one", "", "three"))
	stream = append(stream, first...)
	ends = append(ends, len(stream))
	stream = append(stream, w.control(framePing, []byte("12345678"))...)
	ends = append(ends, len(stream))
	last, _ := w.pack(messages("four"))
	stream = append(stream, last...)
	return stream, append(ends, len(stream))
}

func TestFramesHaveTheirLayout(t *testing.T) {
	stream, _ := threeFrames()
	w := newTestWriter()
	w.next = 3
	stream = append(stream, w.control(frameEcho, []byte("12345678"))...)
	stream = append(stream, w.control(frameView, appendView(nil, testHello().View))...)
	stream = append(stream, w.control(frameFarewell, encodeRefusal(refuse(ReasonStopping, "bye")))...)
	golden(t, "frames", stream)
}

// readAll returns what the frames in b say, until the error that ends them.
func readAll(b []byte) (said []string, err error) {
	r := newTestReader(b)
	for {
		f, err := r.read()
		if err != nil {
			return said, err
		}
		said = append(said, fmt.Sprintf("%d %q %q", f.kind, f.messages, f.body))
	}
}

// Wherever a connection breaks, whole frames are read and nothing of the broken one is.
func TestFrameSurvivesEveryCut(t *testing.T) {
	stream, ends := threeFrames()
	all, err := readAll(stream)
	if err != io.EOF || len(all) != 3 {
		t.Fatalf("got %q, %v", all, err)
	}
	for size := range len(stream) {
		whole := 0
		for whole < len(ends) && ends[whole] <= size {
			whole++
		}
		want := io.ErrUnexpectedEOF
		if size == 0 || whole > 0 && size == ends[whole-1] {
			want = io.EOF
		}
		said, err := readAll(stream[:size])
		if fmt.Sprint(said) != fmt.Sprint(all[:whole]) || !errors.Is(err, want) {
			t.Errorf("cut at %d: got %q, %v, want %q, %v", size, said, err, all[:whole], want)
		}
	}
}

// No flipped bit passes, and none makes a reader take more memory than a frame may have.
func TestDamagedFrameIsRefused(t *testing.T) {
	stream, ends := threeFrames()
	for bit := range ends[0] * 8 {
		b := bytes.Clone(stream)
		b[bit/8] ^= 1 << (bit % 8)
		said, err := readAll(b)
		if len(said) > 0 || !errors.Is(err, errFrame) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("bit %d flipped: got %q, %v", bit, said, err)
		}
	}
}

func TestFrameOutOfItsPlaceIsRefused(t *testing.T) {
	stream, ends := threeFrames()
	first, second, third := stream[:ends[0]], stream[ends[0]:ends[1]], stream[ends[1]:]
	for name, b := range map[string][]byte{
		"repeated": append(bytes.Clone(first), first...),
		"left out": append(bytes.Clone(first), third...),
		"swapped":  append(bytes.Clone(second), first...),
	} {
		if _, err := readAll(b); !errors.Is(err, errFrame) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, change := range map[string]func(h *hello){
		"cluster": func(h *hello) { h.Cluster++ },
		"sender":  func(h *hello) { h.From++ },
		"boot":    func(h *hello) { h.Boot++ },
		"nonce":   func(h *hello) { h.Nonce[3]++ },
	} {
		h := testHello()
		change(h)
		r := &frameReader{framing: newFraming(h, 5), from: bytes.NewReader(first)}
		if _, err := r.read(); !errors.Is(err, errFrame) {
			t.Errorf("another %s: got %v", name, err)
		}
	}
	r := &frameReader{framing: newFraming(testHello(), 6), from: bytes.NewReader(first)}
	if _, err := r.read(); !errors.Is(err, errFrame) {
		t.Errorf("another receiver: got %v", err)
	}
}

// sealed gives a frame the checksum that it should have, so that only its meaning is wrong.
func sealed(kind byte, count uint32, size uint32, body []byte) []byte {
	b := make([]byte, frameHeaderBytes)
	binary.LittleEndian.PutUint32(b[4:], size)
	b[8] = kind
	binary.LittleEndian.PutUint32(b[12:], count)
	f := testFraming()
	binary.LittleEndian.PutUint32(b, f.checksum(b, body))
	return append(b, body...)
}

func TestSenselessFrameIsRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"no such kind":             sealed(9, 0, 0, nil),
		"kind 0":                   sealed(0, 0, 0, nil),
		"messages without any":     sealed(frameMessages, 0, 0, nil),
		"too many messages":        sealed(frameMessages, maxFrameMessages+1, 4, make([]byte, 4)),
		"messages beyond the body": sealed(frameMessages, 2, 4, make([]byte, 4)),
		"message beyond the body":  sealed(frameMessages, 1, 5, []byte{2, 0, 0, 0, 'x'}),
		"bytes after messages":     sealed(frameMessages, 1, 5, make([]byte, 5)),
		"too long":                 sealed(frameMessages, 1, maxFrameBytes+1, nil),
		"long ping":                sealed(framePing, 0, pingBytes+1, make([]byte, pingBytes+1)),
		"ping with messages":       sealed(framePing, 1, pingBytes, make([]byte, pingBytes)),
		"long farewell":            sealed(frameFarewell, 0, maxRefusalBytes+1, nil),
	} {
		if said, err := readAll(b); !errors.Is(err, errFrame) {
			t.Errorf("%s: got %q, %v", name, said, err)
		}
	}
}

func TestClaimedLengthCostsNothing(t *testing.T) {
	b := sealed(frameMessages, 1, maxFrameBytes, make([]byte, 100))
	var err error
	if used := allocated(func() { _, err = newTestReader(b).read() }); used > 64<<10 {
		t.Errorf("%d bytes of input took %d bytes of memory", len(b), used)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestLongestMessageTravelsAlone(t *testing.T) {
	long := bytes.Repeat([]byte("x"), MaxMessageBytes)
	w := newTestWriter()
	stream := []byte{}
	counts := []int{}
	for rest := [][]byte{[]byte("a"), long, []byte("b"), []byte("c")}; len(rest) > 0; {
		frame, left := w.pack(rest)
		stream = append(stream, frame...)
		counts = append(counts, len(rest)-len(left))
		rest = left
	}
	if fmt.Sprint(counts) != "[1 1 2]" {
		t.Fatalf("messages per frame: %v", counts)
	}
	r := newTestReader(stream)
	for i, want := range counts {
		f, err := r.read()
		if err != nil || len(f.messages) != want {
			t.Fatalf("frame %d: %d messages, %v", i, len(f.messages), err)
		}
		if i == 1 && !bytes.Equal(f.messages[0], long) {
			t.Error("the long message has changed")
		}
	}
	if cap(w.buf) > keepBytes || cap(r.buf) > keepBytes {
		t.Errorf("buffers of %d and %d bytes are kept", cap(w.buf), cap(r.buf))
	}
}

func TestFramesAreSplitWhereTheyAreFull(t *testing.T) {
	many := make([][]byte, maxFrameMessages+1)
	if _, rest := newTestWriter().pack(many); len(rest) != 1 {
		t.Errorf("%d messages are left over, want 1", len(rest))
	}
	large := [][]byte{make([]byte, 100<<10), make([]byte, 100<<10), make([]byte, 100<<10)}
	frame, rest := newTestWriter().pack(large)
	if len(rest) != 1 || len(frame) > frameHeaderBytes+frameSplitBytes {
		t.Errorf("a frame of %d bytes leaves %d of 3 messages over", len(frame), len(rest))
	}
}

func FuzzFrame(f *testing.F) {
	stream, _ := threeFrames()
	f.Add(stream)
	f.Add(sealed(frameMessages, 2, 4, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Once as it came, and once with the checksum of a friend.
		repaired := bytes.Clone(b)
		if len(b) >= frameHeaderBytes {
			size := min(int(binary.LittleEndian.Uint32(b[4:])), len(b)-frameHeaderBytes)
			framing := testFraming()
			binary.LittleEndian.PutUint32(repaired, framing.checksum(b, b[frameHeaderBytes:frameHeaderBytes+size]))
		}
		for _, stream := range [][]byte{b, repaired} {
			bounded(t, "frames", len(b), func() { readFrames(t, stream) })
		}
	})
}

// readFrames reads what it can and checks that messages are exactly the bytes of their frame.
func readFrames(t *testing.T, stream []byte) {
	r := newTestReader(stream)
	for {
		f, err := r.read()
		if err != nil {
			return
		}
		total := 0
		for _, m := range f.messages {
			total += framePrefix + len(m)
		}
		if f.kind == frameMessages && total != len(f.body) {
			t.Errorf("messages of %d bytes came from a body of %d", total, len(f.body))
		}
	}
}

// The checksum is CRC32C, the one with hardware support; this pins the polynomial.
func TestChecksumIsCRC32C(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), castagnoli); got != 0xe3069283 {
		t.Errorf("got %x", got)
	}
}
