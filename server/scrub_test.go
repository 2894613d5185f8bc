package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// TestServersCompareWhatAScrubHasHashed: all servers read everything, as of a revision, and find that they have the same.
func TestServersCompareWhatAScrubHasHashed(t *testing.T) {
	options := clusterOptions(t, 3)
	for i := range options {
		options[i].ScrubBytesPerSecond = -1 // by itself; here it is done at one revision, and without pauses
	}
	servers := startAll(t, options)
	client := connect(t, servers[0])
	revision := int64(0)
	for i := range 100 {
		put, err := client.Put(testContext(t), fmt.Sprint("key", i), "value")
		if err != nil {
			t.Fatal(err)
		}
		revision = put.Header.Revision
	}
	for _, s := range servers {
		eventually(t, "it has what is hashed", func() bool { return s.store.Revision() >= revision })
		if err := s.scrubOnce(testContext(t), revision); err != nil {
			t.Fatal(err)
		}
	}
	want := servers[0].machine.scrubbed.list()
	if len(want) != 1 || want[0].Kind != kv.SumHash || want[0].At != uint64(revision) || servers[0].scrubbedBytes.Load() < 1000 {
		t.Fatalf("hashed %v, and read %d bytes", want, servers[0].scrubbedBytes.Load())
	}
	for _, s := range servers {
		eventually(t, "they have compared", func() bool { return s.group.Status().Sums.Compared >= 2 })
		if got := s.group.Status().Sums; got.Different != 0 || s.machine.scrubbed.list()[0] != want[0] {
			t.Errorf("compared %+v", got)
		}
	}
}

// TestAServerReadsItsStateAtOnce: it does not wait for the first mark.
func TestAServerReadsItsStateAtOnce(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.ScrubBytesPerSecond = 1 << 30
	s := startAll(t, []Options{o})[0]
	eventually(t, "it has hashed its state", func() bool { return len(s.machine.scrubbed.list()) > 0 })
}

// TestScrubFindsWhatNobodyHasRead: a table is damaged where no read has looked. The scrub finds it, and the server ends.
func TestScrubFindsWhatNobodyHasRead(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	fillAlone(t, o, 1)
	found := 0
	for part := range int64(8) {
		for _, name := range stateFiles(t, o.DataDir) {
			flipPart(t, name, part)
		}
		fatal := make(chan error, 1)
		o.OnFatal = func(err error) { fatal <- err }
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.scrubOnce(testContext(t), 0); err != nil {
			if !pebblekv.IsDamage(err) {
				t.Errorf("not called damage: %v", err)
			}
			found++
		}
		_ = s.Close() // it may have failed
	}
	if found == 0 {
		t.Error("nothing was found")
	}
}

// TestSpanOfMarksFollowsHowLongAScrubTakes: it is at least twice as long, and bounded.
func TestSpanOfMarksFollowsHowLongAScrubTakes(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		want  int
	}{{0, 0}, {30 << 20, 0}, {31 << 20, 1}, {60 << 20, 1}, {1000 << 20, 6}, {1 << 50, 15}} {
		s := &Server{options: Options{ScrubBytesPerSecond: 1 << 20}, disk: fixedUsage(test.bytes)}
		if got := s.scrubSpan(); got != test.want {
			t.Errorf("%d bytes: span %d, want %d", test.bytes, got, test.want)
		}
	}
	var code kv.Code
	s := start(t, clusterOptions(t, 1)[0])
	if err := s.scrubOnce(testContext(t), 1<<40); !errors.As(err, &code) {
		t.Errorf("a revision of the future: %v", err)
	}
}

// fixedUsage says that a directory is so large.
func fixedUsage(bytes int64) *diskUsage {
	return &diskUsage{seen: time.Now().Add(time.Hour), total: bytes}
}

// flipPart flips a byte of a table, an eighth of it further each time.
func flipPart(t *testing.T, name string, part int64) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(name) == ".sst" {
		flipByte(t, name, info.Size()*part/8)
	}
}
