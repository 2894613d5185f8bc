package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// richIndex is the applied index of a rich store.
const richIndex = 252

// rich returns a store that has everything that there can be.
func rich(t *testing.T) *fed {
	t.Helper()
	f := &fed{t: t, rng: rand.New(rand.NewSource(3)), seen: &fedTotals{}}
	answers := map[uint64]kv.Answer{}
	for _, c := range []**copyOf{&f.a, &f.b} {
		*c = &copyOf{f: f, name: "a", engine: treekv.New(), answers: answers}
		(*c).open()
	}
	f.grow(250)
	for index, c := range []kv.Command{
		{Kind: kv.KindAlarm, Request: kv.AlarmRequest(kv.Alarm{Member: 5, Type: kv.AlarmNoSpace})},
		{Kind: kv.KindTokenCreate, Request: kv.TokenCreateRequest(77, bytes.Repeat([]byte{1}, 32), 60)},
	} {
		c.Index = uint64(251 + index)
		c.Time = f.a.store.Time()
		f.commands = append(f.commands, c)
	}
	f.a.applyTo(richIndex)
	s := f.a.store
	if _, ok := s.Token(77); !ok || s.SessionCount() == 0 || s.SessionBytes() == 0 || s.LeaseCount() == 0 || len(s.Alarms()) == 0 || s.CompactRevision() < 1 {
		t.Fatalf("something is missing in the store: token %v, %d sessions, %d bytes of answers, %d leases, alarms %v, compacted at %d",
			ok, s.SessionCount(), s.SessionBytes(), s.LeaseCount(), s.Alarms(), s.CompactRevision())
	}
	return f
}

// spaceLines returns the lines of a dump that are of the spaces between two.
func spaceLines(t *testing.T, e kv.Engine, lo, hi byte) string {
	t.Helper()
	var b bytes.Buffer
	for _, line := range bytes.SplitAfter(dump(t, e), []byte("\n")) {
		var space byte
		if n, _ := fmt.Sscanf(string(line), "%02x", &space); n == 1 && lo <= space && space <= hi {
			b.Write(line)
		}
	}
	return b.String()
}

func TestARestoredStateHasKeysAndLeasesAndNothingOfTheOldCluster(t *testing.T) {
	f := rich(t)
	var file bytes.Buffer
	info, err := f.a.store.WriteSnapshot(&file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Cluster != 7 || info.Index != richIndex || info.Revision != f.a.store.Revision() || info.Time != f.a.store.Time() ||
		info.CompactRevision != f.a.store.CompactRevision() {
		t.Errorf("%+v", info)
	}
	engine := treekv.New()
	options := kv.RestoreOptions{Cluster: 9, RaiseRevision: 500, MarkCompacted: true, Position: []byte("position")}
	if got, err := kv.RestoreSnapshot(bytes.NewReader(file.Bytes()), engine, options); err != nil || got != info {
		t.Fatalf("%+v, %v, want %+v", got, err, info)
	}
	for name, spaces := range map[string][2]byte{"versions and revisions": {0x10, 0x11}, "leases": {0x20, 0x21}} {
		if got, want := spaceLines(t, engine, spaces[0], spaces[1]), spaceLines(t, f.a.engine, spaces[0], spaces[1]); got != want || got == "" {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	if got := spaceLines(t, engine, 0x30, 0x47) + spaceLines(t, engine, 0x49, 0xff); got != "" {
		t.Errorf("there still is\n%s", got)
	}
	if _, err := kv.Open(engine.Crash(func(int) int { return 0 }), kv.Options{Cluster: 7}); !errors.Is(err, kv.ErrOtherCluster) {
		t.Errorf("opened by the old cluster: %v", err)
	}
	s, err := kv.Open(engine.Crash(func(int) int { return 0 }), kv.Options{Cluster: 9})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Revision(), info.Revision+500; got != want || s.CompactRevision() != want || s.AppliedIndex() != richIndex {
		t.Errorf("revision %d, compacted at %d, want %d; index %d", got, s.CompactRevision(), want, s.AppliedIndex())
	}
	if string(s.InstalledPosition()) != "position" {
		t.Errorf("position %q", s.InstalledPosition())
	}
	equal(t, "leases", s.Leases(), f.a.store.Leases())
	if s.SessionCount() != 0 || len(s.Alarms()) != 0 || s.SessionBytes() != 0 {
		t.Errorf("%d sessions, alarms %v", s.SessionCount(), s.Alarms())
	}
	for done := false; !done; { // all that is not the newest goes, tombstones too
		if done, err = s.CompactStep(100); err != nil {
			t.Fatal(err)
		}
	}
	var after bytes.Buffer
	left, err := s.WriteSnapshot(&after)
	if err != nil || left.Keys != info.Keys || left.Versions != left.Keys {
		t.Errorf("%+v, %v: want %d keys with a version each", left, err, info.Keys)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotIsNotRestoredWhereThereIsAState(t *testing.T) {
	f := rich(t)
	var file bytes.Buffer
	if _, err := f.a.store.WriteSnapshot(&file); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.RestoreSnapshot(bytes.NewReader(file.Bytes()), f.b.engine, kv.RestoreOptions{}); !errors.Is(err, kv.ErrNotEmpty) {
		t.Errorf("restored: %v", err)
	}
	for _, raise := range []int64{-1, 1 << 62} {
		engine := treekv.New()
		if _, err := kv.RestoreSnapshot(bytes.NewReader(file.Bytes()), engine, kv.RestoreOptions{RaiseRevision: raise}); err == nil {
			t.Errorf("raised by %d", raise)
		}
		if got := dump(t, engine); len(got) > 0 {
			t.Errorf("raised by %d: there is something: %s", raise, got)
		}
	}
}

// TestADamagedFileIsNotRestored: nothing of it is installed, and nothing stays staged.
func TestADamagedFileIsNotRestored(t *testing.T) {
	f := rich(t)
	var file bytes.Buffer
	if _, err := f.a.store.WriteSnapshot(&file); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		b := bytes.Clone(file.Bytes())
		if f.rng.Intn(2) == 0 {
			b[f.rng.Intn(len(b))] ^= byte(1 + f.rng.Intn(255))
		} else {
			b = b[:f.rng.Intn(len(b))]
		}
		engine := treekv.New()
		if _, err := kv.RestoreSnapshot(bytes.NewReader(b), engine, kv.RestoreOptions{}); !errors.Is(err, kv.ErrSnapshotFile) && !errors.Is(err, kv.ErrNewerFormat) {
			t.Fatalf("restored: %v", err)
		}
		if got := dump(t, engine); len(got) > 0 {
			t.Fatalf("there is something: %s", got)
		}
		if stage, err := engine.OpenStage(false); stage != nil || err != nil {
			t.Fatalf("there is a stage: %v", err)
		}
	}
	if _, err := kv.ReadSnapshot(bytes.NewReader(append(file.Bytes(), 0))); !errors.Is(err, kv.ErrSnapshotFile) {
		t.Errorf("something behind the end: %v", err)
	}
}
