package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/raft"
)

// counting is random that is never the same.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	c.n++
	for i := range b {
		b[i] = c.n
	}
	return len(b), nil
}

// process is a start whose random bytes are all the same.
func process(boot uint64, random byte) Start {
	return Start{boot, [16]byte(bytes.Repeat([]byte{random}, 16))}
}

func nextStart(disk *fakeFS, random *counting) ([]Start, error, error) {
	return NextStart(disk, "data/boots", "data/starts", random)
}

func TestStartsFileHasItsLayout(t *testing.T) {
	disk, random := newFakeFS(), &counting{}
	var want []Start
	for i := uint64(1); i <= 3; i++ {
		want = append(want, process(i, byte(i)))
		if got, forgotten, err := nextStart(disk, random); err != nil || forgotten != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got starts %v, %v, %v, want %v", got, forgotten, err, want)
		}
	}
	golden(t, "starts", disk.bytes(t, "data/starts"))
}

func TestOnlyTheLastStartsAreKept(t *testing.T) {
	disk, random := newFakeFS(), &counting{}
	var got []Start
	for range MaxStarts + 5 {
		var err error
		if got, _, err = nextStart(disk, random); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != MaxStarts || got[0].Boot != 6 || got[MaxStarts-1].Boot != MaxStarts+5 {
		t.Errorf("got %d starts, from %d to %d", len(got), got[0].Boot, got[len(got)-1].Boot)
	}
}

// The power fails at each operation in turn, start after start: whoever has met the last start that was given out
// lets the next one in.
func TestStartsFollowEachOther(t *testing.T) {
	for _, keepNames := range []bool{false, true} {
		for _, part := range []int{0, 1, 2, 3} {
			disk, random := newFakeFS(), &counting{}
			var seen Start
			given := 0
			for round := range 100 {
				disk.dieAt = round%25 + 1
				starts, forgotten, err := nextStart(disk, random)
				if forgotten != nil || err == nil && !follows(starts, seen) {
					t.Fatalf("keep names %v, part %d, round %d: starts %v after %v, %v", keepNames, part, round, starts, seen, forgotten)
				}
				if err == nil {
					seen = starts[len(starts)-1]
					given++
				}
				disk.crash(keepNames, func(n int) int { return n * part / 3 })
			}
			if starts, _, err := nextStart(disk, random); err != nil || !follows(starts, seen) || given < 10 {
				t.Errorf("keep names %v, part %d: at last starts %v after %v, %v; %d were given out", keepNames, part, starts, seen, err, given)
			}
		}
	}
}

func spoil(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 0x10
	return b
}

func TestDamagedStartsAreBegunAnewAndItIsSaid(t *testing.T) {
	disk, random := newFakeFS(), &counting{}
	for range 2 {
		if _, _, err := nextStart(disk, random); err != nil {
			t.Fatal(err)
		}
	}
	whole := disk.bytes(t, "data/starts")
	for at := range whole {
		if _, err := decodeStarts(spoil(whole, at)); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooNew) {
			t.Fatalf("byte %d: got %v", at, err)
		}
		if _, err := decodeStarts(whole[:at]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: got %v", at, err)
		}
	}
	ofNoVersion := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(ofNoVersion[8:], 0)
	body := len(whole) - 4
	binary.LittleEndian.PutUint32(ofNoVersion[body:], crc32.Checksum(ofNoVersion[:body], castagnoli))
	for what, b := range map[string][]byte{
		"no start": encodeStarts(nil), "too many": encodeStarts(make([]Start, MaxStarts+1)), "of version 0": ofNoVersion, "more behind": append(whole, 0),
	} {
		if got, err := decodeStarts(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, %v", what, got, err)
		}
	}
	disk.put("data/starts", spoil(whole, 20))
	got, forgotten, err := nextStart(disk, random)
	if want := []Start{process(3, 3)}; err != nil || !errors.Is(forgotten, ErrDamaged) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, %v, want %v", got, forgotten, err, want)
	}
	if _, _, err = nextStart(disk, random); err != nil {
		t.Error(err)
	}
}

func TestStartsOfALaterVersionAreNotTouched(t *testing.T) {
	disk, random := newFakeFS(), &counting{}
	if _, _, err := nextStart(disk, random); err != nil {
		t.Fatal(err)
	}
	before := spoil(disk.bytes(t, "data/starts"), 8) // the version
	disk.put("data/starts", before)
	if _, _, err := nextStart(disk, random); !errors.Is(err, ErrTooNew) {
		t.Errorf("got %v, want ErrTooNew", err)
	}
	if !bytes.Equal(disk.bytes(t, "data/starts"), before) {
		t.Error("the file has been changed")
	}
}

// Somebody has put an older counter, or none, into the directory.
func TestCounterBehindTheStartsIsRefused(t *testing.T) {
	for _, behind := range []int{1, 2} {
		disk, random := newFakeFS(), &counting{}
		for range 2 {
			if _, _, err := nextStart(disk, random); err != nil {
				t.Fatal(err)
			}
		}
		if err := disk.Remove("data/boots"); err != nil {
			t.Fatal(err)
		}
		for range 2 - behind {
			if _, err := NextBoot(disk, "data/boots"); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := nextStart(disk, random); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d behind: got %v, want ErrDamaged", behind, err)
		}
	}
}

func TestFollows(t *testing.T) {
	known := []Start{process(5, 5), process(6, 6), process(8, 8)}
	for _, test := range []struct {
		seen Start
		want bool
	}{
		{process(4, 4), true}, // too long ago to tell
		{process(5, 5), true},
		{process(6, 6), true},
		{process(6, 66), false},
		{process(7, 7), false}, // a start that this directory has never been through
		{process(8, 8), true},
		{process(9, 9), false},
	} {
		if got := follows(known, test.seen); got != test.want {
			t.Errorf("after %v: got %v, want %v", test.seen, got, test.want)
		}
	}
	if !follows(nil, process(1, 1)) {
		t.Error("an earlier version, which says nothing, is not let in")
	}
}

func FuzzStarts(f *testing.F) {
	f.Add(encodeStarts([]Start{process(1, 1), process(3, 3)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		starts, err := decodeStarts(b)
		if err == nil && !bytes.Equal(encodeStarts(starts), b) {
			t.Errorf("%x becomes %x", b, encodeStarts(starts))
		}
	})
}

func TestHelloWithStartsHasItsLayout(t *testing.T) {
	h := testHello()
	h.Starts = []Start{process(4, 4), {h.Boot, h.Nonce}}
	b := encodeHello(h)
	golden(t, "hello-starts", b)
	if got, err := decodeHello(b); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, %v, want %+v", got, err, h)
	}
}

func TestHelloWhoseStartsAreWrongIsRefused(t *testing.T) {
	h := testHello()
	this := Start{h.Boot, h.Nonce}
	for name, starts := range map[string][]Start{
		"another process is the last": {process(4, 4), process(6, 9)},
		"another boot is the last":    {this, process(7, 7)},
		"not ascending":               {process(4, 4), process(4, 5), this},
		"boot 0":                      {process(0, 0), this},
	} {
		h.Starts = starts
		if _, err := decodeHello(encodeHello(h)); asRefusal(err) == nil || asRefusal(err).Reason != ReasonMalformed {
			t.Errorf("%s: got %v", name, err)
		}
	}
	h.Starts = nil
	none := binary.LittleEndian.AppendUint16(encodeHello(h), fieldStarts)
	if _, err := decodeHello(binary.LittleEndian.AppendUint32(none, 0)); asRefusal(err) == nil || asRefusal(err).Reason != ReasonMalformed {
		t.Errorf("an empty list: got %v", err)
	}
}

// startAs starts server 2 as the last of some starts of its directory.
func startAs(t *testing.T, n *fakeNet, more func(*Options), starts ...Start) *server {
	t.Helper()
	return start(t, n, 2, func(o *Options) {
		o.Starts, o.Boot = starts, starts[len(starts)-1].Boot
		if more != nil {
			more(o)
		}
	})
}

// expulsions collects what OnExpelled is told.
func expulsions(told *[]Reason) func(*Options) {
	return func(o *Options) {
		o.OnExpelled = func(_ raft.ServerID, why *Refusal) { *told = append(*told, why.Reason) }
	}
}

// Two copies are used in turn. Counting alone does not tell: the second has been started more often.
func TestCopyIsRefusedThoughItHasBeenStartedMoreOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		first := startAs(t, n, nil, process(1, 1), process(2, 2))
		a.setPeers(peerRow(first))
		first.setPeers(peerRow(a))
		letPass(time.Second)
		a.wantConnected(2, true)
		first.Close()
		var told []Reason
		second := startAs(t, n, expulsions(&told), process(1, 1), process(2, 22), process(3, 33))
		second.setPeers(peerRow(a))
		letPass(time.Second)
		why := "server 2 says boot 3, and its disk knows nothing of its boot 2, which has been seen: a copy of the disk has been running"
		second.wantConnected(1, false)
		second.wantError(1, why)
		a.wantLog(why)
		if len(told) == 0 || told[0] != ReasonCopy {
			t.Errorf("the copy was told %v, want %v", told, ReasonCopy)
		}
		second.Close()
		again := startAs(t, n, nil, process(1, 1), process(2, 2), process(3, 3))
		again.setPeers(peerRow(a))
		letPass(2 * time.Second)
		again.wantConnected(1, true)
		again.Close()
		told = nil
		older := startAs(t, n, expulsions(&told), process(1, 1), process(2, 2))
		older.setPeers(peerRow(a))
		letPass(2 * time.Second)
		older.wantConnected(1, false)
		if len(told) == 0 || told[0] != ReasonStaleBoot {
			t.Errorf("an older state was told %v, want %v", told, ReasonStaleBoot)
		}
	})
}

// lateConn delivers late what it reads, and swallows what is written once it is cut.
type lateConn struct {
	net.Conn
	late *atomic.Int64
	cut  *atomic.Bool
}

func (c *lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	<-time.After(time.Duration(c.late.Load())) // of the bubble: no time passes
	return n, err
}

func (c *lateConn) Write(b []byte) (int, error) {
	if c.cut.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// What the older start has answered before it died proves nothing, though that comes after the newer one's hello.
func TestNewerStartIsLetInThoughALateAnswerOfTheOlderComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		late, cut := new(atomic.Int64), new(atomic.Bool)
		n.spoil = func(c net.Conn) net.Conn { return &lateConn{c, late, cut} }
		a, older := start(t, n, 1, nil), startAs(t, n, nil, process(1, 1))
		a.setPeers(peerRow(older))
		older.setPeers(peerRow(a))
		letPass(time.Second)
		a.wantConnected(2, true)
		late.Store(int64(400 * time.Millisecond))
		letPass(600 * time.Millisecond) // The last probe was a tenth of a second ago.
		cut.Store(true)
		n.mu.Lock()
		n.spoil = nil
		n.mu.Unlock()
		var told []Reason
		next := startAs(t, n, expulsions(&told), process(1, 1), process(2, 2))
		next.setPeers(peerRow(a))
		letPass(2 * time.Second)
		next.wantConnected(1, true)
		if len(told) > 0 {
			t.Errorf("told %v", told)
		}
	})
}

// While it is being made durable who was met, nobody else with that key is met: neither who comes then, nor who came
// before, and has waited for the end of an older start, too.
func TestOneStartIsMetAtATime(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newFakeNet()
			muted := new(atomic.Bool)
			n.spoil = func(c net.Conn) net.Conn { return &muteConn{c, muted} }
			var mu sync.Mutex // guards met
			var met []Start
			durable := make(chan struct{})
			patient := func(o *Options) { o.HandshakeTimeout = time.Minute }
			a := start(t, n, 1, func(o *Options) {
				patient(o)
				o.Meet = func(_ raft.ServerID, _ PublicKey, start Start) error {
					if start.Boot == 1 {
						return nil
					}
					mu.Lock()
					met = append(met, start)
					mu.Unlock()
					<-durable
					return nil
				}
			})
			a.setPeers(Peer{ID: 2, Key: testIdentity(2).Public()}) // it dials nobody
			if waits {
				older := startAs(t, n, nil, process(1, 1))
				older.setPeers(peerRow(a))
				letPass(time.Second)
				older.wantConnected(1, true)
				muted.Store(true)
			}
			n.mu.Lock()
			n.spoil = nil
			n.mu.Unlock()
			b := startAs(t, n, patient, process(1, 1), process(2, 2))
			b.setPeers(peerRow(a))
			letPass(100 * time.Millisecond)
			twin := startAs(t, n, func(o *Options) {
				patient(o)
				o.ListenAddress = "10.0.0.22:2380"
			}, process(1, 1), process(2, 22))
			twin.setPeers(peerRow(a))
			letPass(3 * time.Second)
			close(durable)
			letPass(time.Second)
			b.wantConnected(1, true)
			twin.wantConnected(1, false)
			mu.Lock()
			defer mu.Unlock()
			if len(met) != 1 || met[0] != process(2, 2) {
				t.Errorf("an older one waited for: %v; met %v, want one only", waits, met)
			}
		})
	}
}

func TestLinkIsRefusedIfWhoWasMetCannotBeNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, func(o *Options) {
			o.Meet = func(raft.ServerID, PublicKey, Start) error { return errors.New("the disk is full") }
		})
		b := start(t, n, 2, nil)
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(5 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		b.wantError(1, "server 1 could not note boot 1 of server 2: the disk is full")
	})
}

// Who listens at a peer's address, and is not the peer, may say what he likes.
func TestNobodyIsExpelledByAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var told []Reason
		a := start(t, n, 1, expulsions(&told))
		stranger := start(t, n, 2, func(o *Options) { o.Identity = testIdentity(99) })
		stranger.setPeers(Peer{ID: 1, Addresses: []string{addressOf(1)}, Key: testIdentity(98).Public()}) // knows another key for a, and says so
		a.setPeers(Peer{ID: 2, Addresses: []string{addressOf(2)}, Key: testIdentity(2).Public()})
		letPass(10 * time.Second)
		if len(told) > 0 {
			t.Errorf("told %v", told)
		}
		stranger.Close()
		real := start(t, n, 2, nil) // its word counts
		real.setPeers(Peer{ID: 1, Addresses: []string{addressOf(1)}, Key: testIdentity(98).Public()})
		letPass(10 * time.Second)
		if !slices.Contains(told, ReasonKey) {
			t.Errorf("told %v, want %v", told, ReasonKey)
		}
	})
}
