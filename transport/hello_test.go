package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
)

func testHello() *hello {
	return &hello{
		Lowest: 1, Highest: 2, Features: 3, Cluster: 0x1f1e1d1c1b1a1918, From: 4, To: 5, Boot: 6,
		Nonce: nonce(bytes.Repeat([]byte{0xee}, 16)),
		View:  []KnownKey{{4, testIdentity(4).Public()}, {5, testIdentity(5).Public()}},
	}
}

func TestHelloHasItsLayout(t *testing.T) {
	note := appendNote(nil, noteHello, encodeHello(testHello()))
	golden(t, "hello", note)
	body, err := readNote(bytes.NewReader(note), noteHello)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeHello(body); err != nil || !reflect.DeepEqual(got, testHello()) {
		t.Errorf("got %+v, %v, want %+v", got, err, testHello())
	}
}

func TestRefusalHasItsLayout(t *testing.T) {
	why := refuse(ReasonCluster, "server %x belongs to cluster %x", 3, 0x1f)
	note := appendNote(nil, noteRefusal, encodeRefusal(why))
	golden(t, "refusal", note)
	_, err := readNote(bytes.NewReader(note), noteHello)
	want := &Refusal{Reason: ReasonCluster, Text: why.Text, Remote: true}
	if got := asRefusal(err); got == nil || *got != *want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReadyHasItsLayout(t *testing.T) {
	golden(t, "ready", appendNote(nil, noteReady, nil))
}

func TestUnknownOptionalFieldOfHelloIsSkipped(t *testing.T) {
	b := encodeHello(testHello())
	b = binary.LittleEndian.AppendUint16(b, 0xfff1)
	b = binary.LittleEndian.AppendUint32(b, 3)
	b = append(b, "new"...)
	if got, err := decodeHello(b); err != nil || !reflect.DeepEqual(got, testHello()) {
		t.Errorf("got %+v, %v, want %+v", got, err, testHello())
	}
}

func TestUnknownNeededFieldOfHelloIsRefused(t *testing.T) {
	b := encodeHello(testHello())
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint32(b, 0)
	_, err := decodeHello(b)
	if why := asRefusal(err); why == nil || why.Reason != ReasonProtocol || !strings.Contains(why.Text, "field 2") {
		t.Errorf("got %v, want a refusal that names field 2", err)
	}
}

func TestHelloOfLaterProtocolIsReadFarEnoughToRefuseIt(t *testing.T) {
	h := testHello()
	h.Lowest, h.Highest = 7, 9
	b := append(encodeHello(h)[:helloFixedBytes], "fields of a kind nobody knows yet"...)
	got, err := decodeHello(b)
	if err != nil || got.Lowest != 7 || got.Highest != 9 || got.From != 4 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestHighestCommonVersionIsPicked(t *testing.T) {
	for _, c := range []struct {
		lowest, highest, want uint16
		ok                    bool
	}{{1, 1, 1, true}, {0, 9, 1, true}, {1, 9, 1, true}, {2, 9, 1, false}, {0, 0, 0, false}} {
		got, ok := commonVersion(&hello{Lowest: c.lowest, Highest: c.highest})
		if ok != c.ok || ok && got != c.want {
			t.Errorf("of %d to %d: got %d, %v, want %d, %v", c.lowest, c.highest, got, ok, c.want, c.ok)
		}
	}
}

func TestMalformedHelloIsRefused(t *testing.T) {
	whole := encodeHello(testHello())
	for size := range len(whole) {
		if size == helloFixedBytes {
			continue // A hello without fields is whole.
		}
		if _, err := decodeHello(whole[:size]); err == nil {
			t.Errorf("a hello cut to %d bytes was taken", size)
		}
	}
	for name, spoil := range map[string]func(h *hello){
		"no sender":              func(h *hello) { h.From = 0 },
		"no boot":                func(h *hello) { h.Boot = 0 },
		"versions upside down":   func(h *hello) { h.Lowest = 3 },
		"view out of order":      func(h *hello) { h.View[0], h.View[1] = h.View[1], h.View[0] },
		"a server twice in view": func(h *hello) { h.View[1].ID = h.View[0].ID },
		"server 0 in view":       func(h *hello) { h.View[0].ID = 0 },
		"a zero key in view":     func(h *hello) { h.View[0].Key = PublicKey{} },
		"too long a view":        func(h *hello) { h.View = longView(MaxPeers + 2) },
	} {
		h := testHello()
		spoil(h)
		if _, err := decodeHello(encodeHello(h)); asRefusal(err) == nil {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	if _, err := decodeHello(append(whole, whole[helloFixedBytes:]...)); err == nil {
		t.Error("a hello with a field twice was taken")
	}
}

func longView(n int) (view []KnownKey) {
	for i := range n {
		view = append(view, KnownKey{raft.ServerID(i + 1), PublicKey{1}})
	}
	return view
}

func TestLongestHelloFitsItsBound(t *testing.T) {
	h := testHello()
	h.View = longView(MaxPeers + 1)
	body, err := readNote(bytes.NewReader(appendNote(nil, noteHello, encodeHello(h))), noteHello)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeHello(body); err != nil || len(got.View) != MaxPeers+1 {
		t.Errorf("got %v", err)
	}
}

func TestNoteIsReadOnlyWhereItIsDue(t *testing.T) {
	for name, c := range map[string]struct {
		note string
		want byte
		text string
	}{
		"HTTP":           {"HTTP/1.1 400 Bad Request\r\n", noteHello, "does not speak the link protocol"},
		"wrong kind":     {"quorateY\x00\x00\x00\x00", noteHello, "'Y' came where 'H' was due"},
		"unknown kind":   {"quorateZ\x00\x00\x00\x00", noteReady, "'Z' came where 'Y' was due"},
		"long hello":     {"quorateH\x01\x00\x01\x00", noteHello, "claims 65537 bytes"},
		"long ready":     {"quorateY\x01\x00\x00\x00", noteReady, "claims 1 bytes"},
		"long refusal":   {"quorateR\x01\x10\x00\x00", noteHello, "claims 4097 bytes"},
		"short refusal":  {"quorateR\x03\x00\x00\x00abc", noteHello, "cut short"},
		"lying refusal":  {"quorateR\x05\x00\x00\x00\x01\x00\x02\x00x", noteHello, "claims a text of 2"},
		"long question":  {"quorateQ\x01\x00\x01\x00", noteQuestion, "claims 65537 bytes"},
		"long answer":    {"quorateA\x01\x00\x80\x00", noteAnswer, "claims 8388609 bytes"},
		"a question":     {"quorateQ\x00\x00\x00\x00", noteReady, "'Q' came where 'Y' was due"},
		"ready too soon": {"quorateY\x00\x00\x00\x00", noteHello, "came where"},
	} {
		_, err := readNote(strings.NewReader(c.note), c.want)
		if why := asRefusal(err); why == nil || why.Reason != ReasonMalformed || !strings.Contains(why.Text, c.text) {
			t.Errorf("%s: got %v, want %q", name, err, c.text)
		}
	}
	if _, err := readNote(strings.NewReader("quorateH\x05\x00\x00\x00ab"), noteHello); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a note cut short: got %v", err)
	}
}

// A refusal's text goes into logs and terminals of the other side.
func TestRefusalTextCannotAct(t *testing.T) {
	text := "red \x1b[31m, line\nbreak, \u202ebackwards, \u009bcsi, \xff, ü"
	b := encodeRefusal(&Refusal{Reason: 77, Text: text})
	got, err := decodeRefusal(b)
	want := "red ?[31m, line?break, ?backwards, ?csi, ?, ü"
	if err != nil || got.Text != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	long := refuse(ReasonMalformed, "%s", strings.Repeat("ü", 1000))
	if len(long.Text) != maxRefusalText {
		t.Errorf("a long text has %d bytes, want %d", len(long.Text), maxRefusalText)
	}
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzHello(f *testing.F) {
	f.Add(appendNote(nil, noteHello, encodeHello(testHello())))
	f.Add(appendNote(nil, noteRefusal, encodeRefusal(refuse(ReasonTwin, "two"))))
	f.Add([]byte("quorateH\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h *hello
		bounded(t, "hello", len(b), func() {
			body, err := readNote(bytes.NewReader(b), noteHello)
			if err != nil {
				return
			}
			if h, err = decodeHello(body); err != nil {
				h = nil
			}
		})
		if h == nil || h.Lowest > protocolHighest || h.Highest < protocolLowest {
			return
		}
		again, err := decodeHello(encodeHello(h))
		if err != nil || again.From != h.From || len(again.View) != len(h.View) || again.Nonce != h.Nonce {
			t.Errorf("%+v came back as %+v, %v", h, again, err)
		}
	})
}
