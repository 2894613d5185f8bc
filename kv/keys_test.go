package kv

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, text, want)
	}
}

func TestLayoutIsPinned(t *testing.T) {
	var b strings.Builder
	line := func(what string, bytes []byte) { fmt.Fprintf(&b, "%-44s %x\n", what, bytes) }
	line("key: format", formatKey())
	line("key: applied", appliedKey())
	line("key: removal", progressKey())
	line(`key: version of "a" at 5.1`, appendVersionKey(nil, []byte("a"), revision{5, 1}))
	line(`key: version of "a\x00b\xff" at 258.65536`, appendVersionKey(nil, []byte("a\x00b\xff"), revision{258, 65536}))
	line("key: alarm NOSPACE of 0x0102030405060708", appendAlarmKey(nil, Alarm{0x0102030405060708, AlarmNoSpace}))
	line("key: lease below zero", appendLeaseKey(nil, -2))
	line(`key: "a\x00" of that lease`, appendLeasedKey(nil, -2, []byte("a\x00")))
	line("key: session 0x0102030405060708", sessionKey(nil, 0x0102030405060708))
	line("key: its answer 300", answerKey(nil, 0x0102030405060708, 300))
	line("key: revision 258.65536", appendRevisionKey(nil, revision{258, 65536}))
	line("version: put", appendVersion(nil, &version{create: 3, version: 2, lease: 300, value: []byte("value")}))
	line("version: put, lease below zero", appendVersion(nil, &version{create: 3, version: 1, lease: -1}))
	line("version: tombstone", appendVersion(nil, &version{tombstone: true}))
	line("lease", appendLease(nil, &Lease{TTL: 300, Deadline: 1<<63 + 1}))
	token := Token{ID: 0x0102030405060708, Proof: bytes.Repeat([]byte{7}, 32), Deadline: 300}
	line("key: token", appendTokenKey(nil, token.ID))
	line("token", appendToken(nil, &token))
	token.By, token.Server = bytes.Repeat([]byte{8}, 32), 1<<63
	line("token, used", appendToken(nil, &token))
	line("change: put", appendRevisionEntry(nil, false, []byte("a\x00b")))
	line("change: tombstone", appendRevisionEntry(nil, true, []byte("a\x00b")))
	line("format of cluster 0x0102030405060708", appendFormat(nil, 0x0102030405060708))
	s := state{applied: 9, revision: 7, compact: -1, digest: Digest{1, 2, 15: 16}, time: 0x0102030405060708}
	line("applied", appendState(nil, &s))
	line("removal", appendProgress(nil, &progress{target: 6, next: revision{5, 4}}))
	line("removal, done", appendProgress(nil, &progress{target: 6, next: revision{6, 0}, done: true}))
	a := Answer{Revision: 300, Body: []byte("body")}
	line("answer", a.Append(nil))
	line("answer: key not found", (&Answer{Err: CodeKeyNotFound, Revision: 1}).Append(nil))
	var h digester
	d := h.fold(Digest{}, &Command{Index: 1, Kind: KindPut, Request: []byte("request")}, &a)
	line("digest after one command", d[:])
	d = h.fold(d, &Command{Index: 3}, &Answer{})
	line("digest after two", d[:])
	d = h.fold(d, &Command{Index: 4, Session: wire.Session{ID: 2, Sequence: 5, Acknowledged: 3}}, &Answer{})
	line("digest after one of a session", d[:])
	for code := CodeOK; code <= maxCode; code++ {
		fmt.Fprintf(&b, "code %2d: %s\n", code, code.Error())
	}
	golden(t, "layout.golden", b.String())
}

func TestAppliedRecordWithoutTimeIsRead(t *testing.T) {
	s := state{applied: 9, revision: 7, compact: -1, digest: Digest{1, 15: 16}}
	b := appendState(nil, &s)
	old, err := parseState(b[:len(b)-8])
	if err != nil || fmt.Sprint(old) != fmt.Sprint(s) {
		t.Errorf("got %v, %v, want %v", old, err, s)
	}
	if _, err := parseState(b[:len(b)-1]); err == nil {
		t.Error("a record that is cut short is read")
	}
}

func TestSpacesAreDistinct(t *testing.T) {
	spaces := []byte{spaceMeta, spaceLocal, spaceVersions, spaceRevisions, spaceLeases, spaceLeaseKeys,
		spaceAuth, spaceAlarms, spaceSessions, spaceConfiguration, spaceTokens}
	slices.Sort(spaces)
	if len(slices.Compact(slices.Clone(spaces))) != len(spaces) {
		t.Fatalf("spaces share a byte: %x", spaces)
	}
	if slices.Contains(spaces, spaceVersions+1) && spaceVersions+1 != spaceRevisions {
		t.Fatal("the space after the versions is where scans end")
	}
}

// randomKey makes keys in which the escaped bytes abound.
func randomKey(rng *rand.Rand) []byte {
	key := make([]byte, 1+rng.Intn(6))
	for i := range key {
		key[i] = []byte{0, 0, 1, 2, 0xfe, 0xff, 'a'}[rng.Intn(7)]
	}
	return key
}

func TestVersionKeysOrderByUserKeyThenNewestFirst(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 20_000 {
		a, b := randomKey(rng), randomKey(rng)
		if rng.Intn(3) == 0 {
			b = bytes.Clone(a)
		}
		ra := revision{int64(rng.Intn(4)), uint32(rng.Intn(3))}
		rb := revision{int64(rng.Intn(4)), uint32(rng.Intn(3))}
		want := bytes.Compare(a, b)
		if want == 0 && ra != rb {
			want = 1
			if rb.before(ra) {
				want = -1
			}
		}
		ka, kb := appendVersionKey(nil, a, ra), appendVersionKey(nil, b, rb)
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("%q at %v against %q at %v: %d, want %d", a, ra, b, rb, got, want)
		}
		// A prefix is before all versions, and after those of all smaller keys.
		if p := appendKeyPrefix(nil, a); bytes.Compare(p, ka) >= 0 || bytes.Compare(a, b) > 0 && bytes.Compare(p, kb) <= 0 {
			t.Fatalf("prefix of %q is in the wrong place", a)
		}
		after := appendKeyPrefix(nil, a)
		after[len(after)-1] = afterEndOfKey
		if bytes.Compare(after, ka) <= 0 || bytes.Compare(a, b) < 0 && bytes.Compare(after, kb) >= 0 {
			t.Fatalf("end of the versions of %q is in the wrong place", a)
		}
	}
}

func TestVersionKeysComeApartAgain(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	var scratch []byte
	for range 20_000 {
		key := randomKey(rng)
		at := revision{rng.Int63(), rng.Uint32()}
		k := appendVersionKey(nil, key, at)
		var got []byte
		var gotAt revision
		var err error
		got, gotAt, scratch, err = splitVersionKey(k, scratch)
		if err != nil || !bytes.Equal(got, key) || gotAt != at {
			t.Fatalf("%x: %q at %v, %v; want %q at %v", k, got, gotAt, err, key, at)
		}
		if p := PrefixLen(k); p != len(k)-suffixBytes || PrefixLen(k[:p]) != p {
			t.Fatalf("%x: prefix of %d bytes", k, p)
		}
		if cut := k[:len(k)-1-rng.Intn(len(k))]; len(cut) > 0 {
			if _, _, _, err := splitVersionKey(cut, nil); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%x, cut: %v", cut, err)
			}
		}
	}
}

// TestPrefixesOrderAsTheirKeys is what Pebble asks of a comparer: cutting keys to their prefixes
// never turns their order around, for keys of any kind.
func TestPrefixesOrderAsTheirKeys(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	random := func() []byte {
		switch rng.Intn(4) {
		case 0:
			return appendVersionKey(nil, randomKey(rng), revision{int64(rng.Intn(3)), 0})
		case 1:
			return append([]byte{spaceVersions}, randomKey(rng)...)
		case 2:
			return appendKeyPrefix(nil, randomKey(rng))
		default:
			return append([]byte{byte(rng.Intn(0x14))}, randomKey(rng)...)
		}
	}
	for range 50_000 {
		a, b := random(), random()
		if bytes.Compare(a, b) > 0 {
			a, b = b, a
		}
		if bytes.Compare(a[:PrefixLen(a)], b[:PrefixLen(b)]) > 0 {
			t.Fatalf("%x <= %x, but their prefixes are the other way round", a, b)
		}
	}
	if PrefixLen(nil) != 0 || PrefixLen([]byte{spaceVersions}) != 1 || PrefixLen([]byte{spaceVersions, 0}) != 2 {
		t.Fatal("keys that are cut short are all prefix")
	}
}

func TestDamagedRecordsAreErrors(t *testing.T) {
	good := appendState(nil, &state{applied: 1})
	if _, err := parseState(good); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"version, empty":            new(version).parse(nil),
		"version, unknown kind":     new(version).parse([]byte{3}),
		"version, cut in a number":  new(version).parse([]byte{kindPut, 1, 0x80}),
		"version, no lease":         new(version).parse([]byte{kindPut, 1, 1}),
		"version, tombstone's tail": new(version).parse([]byte{kindTombstone, 0}),
		"change, empty":             second(parseRevisionEntry(nil)),
		"change, no key":            second(parseRevisionEntry([]byte{kindPut})),
		"change, unknown kind":      second(parseRevisionEntry([]byte{9, 'a'})),
		"applied, cut":              first(parseState(good[1:])),
		"removal, cut":              first(parseProgress(good[:20])),
		"removal, not a boolean":    first(parseProgress(append(good[:20:20], 2))),
		"revision key, cut":         first(splitRevisionKey([]byte{spaceRevisions, 1})),
		"format, other magic":       checkFormat([]byte("QKV\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), 0),
		"format, cut":               checkFormat(appendFormat(nil, 0)[:15], 0),
	} {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func first[T any](_ T, err error) error          { return err }
func second[T, U any](_ T, _ U, err error) error { return err }

func TestDamagedTokenIsNotBelieved(t *testing.T) {
	whole := Token{ID: 1, Proof: bytes.Repeat([]byte{7}, 32), Deadline: 300, By: bytes.Repeat([]byte{8}, 32), Server: 9}
	key, value := appendTokenKey(nil, 1), appendToken(nil, &whole)
	if got, err := parseToken(key, value); err != nil || fmt.Sprint(got) != fmt.Sprint(whole) {
		t.Errorf("got %v, %v, want %v", got, err, whole)
	}
	nobody, used := whole, whole
	nobody.Server, used.By = 0, nil
	for _, v := range [][]byte{nil, value[:20], value[:len(value)-1], append(bytes.Clone(value), 0), append([]byte{2}, value[1:]...),
		appendToken(nil, &nobody), appendToken(nil, &used)} {
		if _, err := parseToken(key, v); err == nil {
			t.Errorf("%x is read", v)
		}
	}
	if _, err := parseToken(key[:5], value); err == nil {
		t.Error("a key that is cut short is read")
	}
}
