package transport

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"sync"
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
	disk, random := newFakeFS(), &counting{}
	for range 2 {
		if _, _, err := nextStart(disk, random); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.Remove("data/boots"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := nextStart(disk, random); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
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
	})
}

// A copy of a running server's directory is started: it counts on from there, as a restart would.
func TestNewerStartIsRefusedWhileTheOlderAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a, original := start(t, n, 1, nil), startAs(t, n, nil, process(1, 1))
		a.setPeers(peerRow(original))
		original.setPeers(peerRow(a))
		letPass(time.Second)
		var told []Reason
		twin := startAs(t, n, func(o *Options) {
			o.ListenAddress = "10.0.0.22:2380"
			expulsions(&told)(o)
		}, process(1, 1), process(2, 2))
		twin.setPeers(peerRow(a))
		letPass(10 * time.Second)
		why := "two processes with the identity of server 2 are running, with boots 1 and 2"
		twin.wantConnected(1, false)
		twin.wantError(1, why)
		a.wantLog(why)
		a.wantConnected(2, true)
		original.wantConnected(1, true)
		if len(told) == 0 || told[0] != ReasonTwin {
			t.Errorf("the twin was told %v, want %v", told, ReasonTwin)
		}
	})
}

// What the owner has made durable counts after a restart as what was seen does.
func TestStartKnownToTheOwnerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := startAs(t, n, nil, process(1, 1), process(2, 2))
		row := peerRow(b)
		row.Met = process(2, 22)
		a.setPeers(row)
		b.setPeers(peerRow(a))
		letPass(5 * time.Second)
		a.wantConnected(2, false)
		a.wantError(2, "two processes with the identity of server 2 are running, both with boot 2")
	})
}

// No message passes before it is durable whom there is a link with.
func TestLinkWaitsUntilItIsDurableWhoWasMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		var mu sync.Mutex // guards met
		var met []Start
		durable := make(chan struct{})
		a := start(t, n, 1, func(o *Options) {
			o.HandshakeTimeout = time.Minute
			o.Meet = func(id raft.ServerID, key PublicKey, start Start) error {
				<-durable
				mu.Lock()
				defer mu.Unlock()
				met = append(met, start)
				return nil
			}
		})
		b := startAs(t, n, func(o *Options) { o.HandshakeTimeout = time.Minute }, process(7, 7))
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(5 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		close(durable)
		letPass(5 * time.Second)
		a.wantConnected(2, true)
		b.wantConnected(1, true)
		mu.Lock()
		defer mu.Unlock()
		if len(met) != 2 || met[0] != process(7, 7) || met[1] != met[0] {
			t.Errorf("told of %v, want boot 7 for each of two links", met)
		}
	})
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
