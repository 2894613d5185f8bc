package session_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func TestFormatsArePinned(t *testing.T) {
	var b strings.Builder
	line := func(what string, bytes []byte) { fmt.Fprintf(&b, "%-34s %x\n", what, bytes) }
	line("key of session 0x0102030405060708", session.AppendKey(nil, 0x0102030405060708))
	line("key of its answer 300", session.AppendAnswerKey(nil, 0x0102030405060708, 300))
	line("session", session.AppendRow(nil, &session.Session{ID: 1, TTL: 300, Deadline: 1<<63 + 1, Acknowledged: 300}))
	line("answer", session.AppendAnswer(nil, &session.Answer{Check: 0x01020304, Acknowledged: 300}, []byte("answer")))
	line("answer, dropped", session.AppendAnswer(nil, &session.Answer{Check: 0x01020304, Acknowledged: 300, Dropped: true}, []byte("answer")))
	line("OpenRequest", session.OpenRequest(300))
	line("KeepAliveRequest", session.KeepAliveRequest(300, 2))
	line("CloseRequest", session.CloseRequest(300))
	n := wire.Session{ID: 0x0102030405060708, Sequence: 16, Acknowledged: 0}
	fmt.Fprintf(&b, "%-34s %s\n", "metadata "+session.MetadataKey, session.AppendMetadata(nil, n, 0xfe))
	const path = "testdata/format.golden"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, b.String(), want)
	}
}

func TestMetadataHasOneEncoding(t *testing.T) {
	for _, n := range []wire.Session{{ID: 1, Sequence: 1}, {ID: math.MaxUint64, Sequence: math.MaxUint64, Acknowledged: math.MaxUint64 - 1}} {
		text := string(session.AppendMetadata(nil, n, 7))
		got, cluster, err := session.ParseMetadata(text)
		if err != nil || got != n || cluster != 7 {
			t.Errorf("%s: %+v of %d, %v", text, got, cluster, err)
		}
	}
	for _, text := range []string{
		"", "1", "1.1.0", "1.1.0.7.1", "1.1.0.", ".1.0.7", "01.1.0.7", "1.A.0.7", "1.1.0.7 ", "1.-1.0.7", "1.1.0.11111111111111111",
		"0.1.0.7", "1.0.0.7", "1.1.1.7", "1.1.2.7",
	} {
		if n, _, err := session.ParseMetadata(text); !errors.Is(err, session.ErrMessage) {
			t.Errorf("%q: %+v, %v", text, n, err)
		}
	}
}

func TestOpenedIsParsedWithFieldsOfLaterVersions(t *testing.T) {
	header := []byte{0x0a, 2, 0x08, 7}
	b := session.AppendField(header, session.FieldID, 300)
	b = session.AppendField(b, session.FieldTTL, 60)
	b = session.AppendField(b, 99, 1)
	b = session.AppendField(b, session.FieldWindow, 1024)
	b = session.AppendField(b, session.FieldCluster, 5)
	o, err := session.ParseOpened(b)
	equal(t, "opened", fmt.Sprint(o, err), "{300 60 1024 5} <nil>")
	for n := range b {
		if _, err := session.ParseOpened(b[:n]); n < len(b)-2 && !errors.Is(err, session.ErrMessage) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
}

// bounded runs f, and fails the test if it allocates more than a small multiple of its input. Others may
// allocate meanwhile: it tries again.
func bounded(t *testing.T, what string, inputBytes int, f func()) {
	t.Helper()
	const factor, floor = 4, 4 << 10
	spent := uint64(0)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if spent = after.TotalAlloc - before.TotalAlloc; spent <= uint64(factor*inputBytes+floor) {
			return
		}
	}
	t.Errorf("%s: %d bytes allocated for %d", what, spent, inputBytes)
}

// FuzzFormats reads anything as each of the formats: it is refused, or means the same when it is written
// again and read again, and costs no more memory than is in proportion.
func FuzzFormats(f *testing.F) {
	f.Add(session.AppendKey(nil, 7), session.AppendRow(nil, &session.Session{ID: 7, TTL: 60, Deadline: 1 << 40, Acknowledged: 5}))
	f.Add(session.AppendAnswerKey(nil, 7, 9), session.AppendAnswer(nil, &session.Answer{Check: 1, Acknowledged: 8}, []byte("answer")))
	f.Add([]byte(nil), session.AppendField(session.AppendField(session.AppendField(nil, 2, 1), 3, 5), 4, 9))
	f.Add([]byte(nil), session.AppendMetadata(nil, wire.Session{ID: 1, Sequence: 300, Acknowledged: 2}, 77))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		bounded(t, "all formats", len(key)+len(value), func() {
			if s, err := session.ParseRow(key, value); err == nil {
				again, err := session.ParseRow(key, session.AppendRow(nil, &s))
				if err != nil || again != s {
					t.Errorf("row %x: %+v, and again %+v, %v", value, s, again, err)
				}
			} else if !errors.Is(err, session.ErrRow) {
				t.Errorf("row %x: %v", value, err)
			}
			if id, sequence, row, answer, err := session.ParseAnswer(key, value); err == nil {
				_, _, again, answerAgain, err := session.ParseAnswer(session.AppendAnswerKey(nil, id, sequence), session.AppendAnswer(nil, &row, answer))
				if err != nil || again != row || !bytes.Equal(answer, answerAgain) {
					t.Errorf("answer %x: %+v, and again %+v, %v", value, row, again, err)
				}
			} else if !errors.Is(err, session.ErrRow) {
				t.Errorf("answer %x: %v", value, err)
			}
			if n, cluster, err := session.ParseMetadata(string(value)); err == nil {
				if again := string(session.AppendMetadata(nil, n, cluster)); again != string(value) {
					t.Errorf("metadata %q is written again as %q", value, again)
				}
			}
			if _, err := session.ParseOpened(value); err != nil && !errors.Is(err, session.ErrMessage) {
				t.Errorf("opened %x: %v", value, err)
			}
		})
	})
}
