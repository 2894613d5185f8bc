package transport

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// What a decoder may allocate for bytes from outside, garbage included: a multiple of their number,
// and a little. Frames are the worst: an empty message is four bytes in its frame, and 24 in a list that
// grows.
const (
	allocationFactor = 24
	allocationFloor  = 64 << 10 // the first step of a body that grows as its bytes arrive
)

// bounded runs f, and fails the test if it allocates more than its input allows. The runtime counts for
// all goroutines, so an excess is measured again: f's own comes every time.
func bounded(t testing.TB, what string, inputBytes int, f func()) {
	t.Helper()
	limit := uint64(allocationFactor*inputBytes + allocationFloor)
	var spent uint64
	for range 5 {
		if spent = allocated(f); spent <= limit {
			return
		}
	}
	t.Errorf("%s: %d bytes allocated for %d, more than %d", what, spent, inputBytes, limit)
}

// decodeAll hands the bytes to every decoder of what comes over a link before its frames, or from a
// file.
func decodeAll(t testing.TB, b []byte) {
	for _, kind := range []byte{noteHello, noteReady, noteQuestion, noteAnswer} {
		bounded(t, "note", len(b), func() { _, _ = readNote(bytes.NewReader(b), kind) })
	}
	bounded(t, "hello", len(b), func() { _, _ = decodeHello(b) })
	bounded(t, "refusal", len(b), func() { _, _ = decodeRefusal(b) })
	bounded(t, "view", len(b), func() { _, _ = decodeView(b) })
	bounded(t, "public key", len(b), func() { _, _ = ParsePublicKey(string(b)) })
	disk := newFakeFS()
	disk.put("data/f", b)
	bounded(t, "identity", len(b), func() {
		if f, err := disk.Open("data/f"); err == nil {
			_, _ = readIdentity(f)
		}
	})
	bounded(t, "boot counter", len(b), func() {
		if f, err := disk.Open("data/f"); err == nil {
			_, _ = raiseBoot(f)
		}
	})
}

// TestHostileBytesCostInProportion: anybody may connect and send anything before the handshake is done.
func TestHostileBytesCostInProportion(t *testing.T) {
	claim := func(kind byte, size uint32, body []byte) []byte {
		b := appendNote(nil, kind, body)
		binary.LittleEndian.PutUint32(b[8:], size)
		return b
	}
	h := testHello()
	h.View = longView(MaxPeers + 1)
	longest := encodeHello(h)
	fields := encodeHello(testHello())
	for kind := uint16(fieldOptional); len(fields) < maxHelloBytes-fieldHeaderBytes; kind++ {
		fields = binary.LittleEndian.AppendUint16(fields, kind)
		fields = binary.LittleEndian.AppendUint32(fields, 0)
	}
	lying := bytes.Clone(longest)
	binary.LittleEndian.PutUint32(lying[helloFixedBytes+2:], 1<<32-1)
	for _, b := range [][]byte{
		nil,
		claim(noteHello, 1<<32-1, nil),
		claim(noteAnswer, MaxAnswerBytes, make([]byte, 17<<10)),
		claim(noteHello, maxHelloBytes, nil),
		claim(noteHello, maxHelloBytes, make([]byte, 17<<10)),
		claim(noteRefusal, maxRefusalBytes, make([]byte, 5)),
		appendNote(nil, noteHello, longest),
		longest, lying, fields,
		append([]byte{1, 0, 0, 2}, bytes.Repeat([]byte("\u202e"), 170)...),
		bytes.Repeat([]byte{0xff}, 1<<20),
		append([]byte(identityMagic), make([]byte, 1<<20)...),
		append(encodeBoot(1), make([]byte, 1<<20)...),
	} {
		decodeAll(t, b)
	}
}

// Of all frames, those with the most messages and the shortest take the most memory.
func TestHostileFramesCostInProportion(t *testing.T) {
	many := uint32(maxFrameMessages)
	for name, b := range map[string][]byte{
		"empty messages":           sealed(frameMessages, many, 4*many, make([]byte, 4*many)),
		"messages that are not":    sealed(frameMessages, many, 4, make([]byte, 4)),
		"a length nobody backs":    sealed(frameMessages, 1, maxFrameBytes, make([]byte, 100)),
		"a view nobody backs":      sealed(frameView, 0, maxHelloBytes, nil),
		"a message beyond the end": sealed(frameMessages, 1, 4, []byte{0xff, 0xff, 0xff, 0xff}),
	} {
		bounded(t, name, len(b), func() { readFrames(t, b) })
	}
}

// FuzzOutside hands any bytes to all decoders but the frames': nothing panics, and nothing allocates
// more than a multiple of its input.
func FuzzOutside(f *testing.F) {
	f.Add(encodeHello(testHello()))
	f.Add(appendNote(nil, noteHello, encodeHello(testHello())))
	f.Add(appendNote(nil, noteReady, nil))
	f.Add(appendNote(nil, noteQuestion, []byte("what?")))
	f.Add(encodeRefusal(refuse(ReasonTwin, "two")))
	f.Add(appendView(nil, testHello().View))
	f.Add([]byte(testIdentity(7).Public().String()))
	f.Add(encodeIdentity(testIdentity(7)))
	f.Add(append(append(encodeBoot(5), make([]byte, bootCopyStride-bootCopyBytes)...), encodeBoot(4)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeAll(t, b)
		if view, err := decodeView(b); err == nil && !bytes.Equal(appendView(nil, view), b) {
			t.Errorf("the view %x is encoded again as %x", b, appendView(nil, view))
		}
		if why, err := decodeRefusal(b); err == nil {
			again, err := decodeRefusal(encodeRefusal(why))
			if err != nil || *again != *why {
				t.Errorf("%+v came back as %+v, %v", why, again, err)
			}
		}
		if key, err := ParsePublicKey(string(b)); err == nil {
			if again, err := ParsePublicKey(key.String()); err != nil || again != key {
				t.Errorf("the key %q came back as %v, %v", b, again, err)
			}
		}
	})
}
