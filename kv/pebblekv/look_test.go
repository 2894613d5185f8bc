package pebblekv

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

const lockFile = "LOCK" // Pebble's

// filesOf returns what is in the files of a directory.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		var b []byte
		if !e.IsDir() {
			if b, err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = info.ModTime().String() + string(b)
	}
	return files
}

// TestReadOnlyShowsWhatIsDurableAndChangesNothing: not a file, not a byte, not a time, but for that of a lock that is taken.
func TestReadOnlyShowsWhatIsDurableAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	want := halfDurable(t, dir)
	if err := os.Mkdir(filepath.Join(dir, stageDir), 0o700); err != nil { // of no use: who may would remove it
		t.Fatal(err)
	}
	for what, open := range map[string]func() (*Engine, error){
		"OpenReadOnly":       func() (*Engine, error) { return OpenReadOnly(dir, Options{}) },
		"Open with ReadOnly": func() (*Engine, error) { return Open(dir, Options{ReadOnly: true, Background: func(error) {}}) },
	} {
		t.Run(what, func(t *testing.T) {
			before := filesOf(t, dir)
			e, err := open()
			if err != nil {
				t.Fatal(err)
			}
			showsAndRefuses(t, e, want)
			after := filesOf(t, dir)
			if what != "OpenReadOnly" { // it takes the lock, so that has a new time
				delete(before, lockFile)
				delete(after, lockFile)
			}
			if !maps.Equal(before, after) {
				t.Error("the directory has changed")
			}
		})
	}
	empty := t.TempDir()
	if e, err := OpenReadOnly(empty, Options{}); err == nil {
		t.Errorf("nothing was opened: %v", e)
	}
	if left := filesOf(t, empty); len(left) > 0 {
		t.Errorf("an empty directory has got %d files", len(left))
	}
}

// showsAndRefuses looks at what an engine shows that is only to be looked at, asks it for what it must refuse, and closes it.
func showsAndRefuses(t *testing.T, e *Engine, want moment) {
	t.Helper()
	s := openStore(t, e)
	if index, got := momentOf(t, s); index != 1 || got != want {
		t.Errorf("at %d: %+v, want %+v", index, got, want)
	}
	if _, err := s.Apply([]kv.Command{command(t, 2, kv.KindPut, &pb.PutRequest{Key: []byte("b")})}); err == nil {
		t.Error("it can be written to")
	}
	if s.Flush() == nil || e.Compact(t.Context()) == nil {
		t.Error("it can be flushed, or compacted")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCompactGivesBackTheRoomOfWhatIsGone, while commits go on, and changes nothing else.
func TestCompactGivesBackTheRoomOfWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, Options{MemTableBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, e)
	value := make([]byte, 10<<10)
	for i := range value {
		value[i] = byte(i * i >> 3)
	}
	index := uint64(0)
	for i := range 400 {
		index++
		request := &pb.PutRequest{Key: fmt.Appendf(nil, "%d", i%10), Value: value}
		if _, err := s.Apply([]kv.Command{command(t, index, kv.KindPut, request)}); err != nil {
			t.Fatal(err)
		}
	}
	index++
	if _, err := s.Apply([]kv.Command{command(t, index, kv.KindCompact, &pb.CompactionRequest{Revision: s.Revision()})}); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		if done, err = s.CompactStep(1000); err != nil {
			t.Fatal(err)
		}
	}
	_, want := momentOf(t, s)
	if err := e.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, got := momentOf(t, s); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if bytes := e.db.Metrics().Total().TablesSize; bytes > 20*int64(len(value)) {
		t.Errorf("the tables have %d bytes, for 10 keys of %d", bytes, len(value))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	put(t, s, index+1, "b")
	if err := e.Compact(ended); err == nil {
		t.Error("nobody waits, and it has been done all the same")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNoDamageOfTheManifestIsMissed flips each byte of it in turn. Pebble opens many of them, and shows an
// older state.
func TestNoDamageOfTheManifestIsMissed(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, e)
	for index := range uint64(5) {
		put(t, s, index+1, "a")
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if end, err := CheckManifest(dir, nil); end != nil || err != nil {
		t.Fatalf("sound: %+v, %v", end, err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, content []byte) *ManifestEnd {
		t.Helper()
		if err := os.WriteFile(names[0], content, 0o600); err != nil {
			t.Fatal(err)
		}
		end, err := CheckManifest(dir, nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return end
	}
	torn := 0
	for at := range b {
		flipped := bytes.Clone(b)
		flipped[at] ^= 4
		end := check("flipped", flipped)
		if end == nil || end.Path != names[0] || end.Offset > int64(at) {
			t.Errorf("byte %d of %d: %+v", at, len(b), end)
		} else if end.MayBeTorn {
			torn++
		}
	}
	if torn == 0 || torn > len(b)/2 {
		t.Errorf("%d of %d may be torn: those of the last record are, and few others", torn, len(b))
	}
	for cut := range 20 {
		if end := check("cut", b[:len(b)-1-cut]); end == nil || !end.MayBeTorn {
			t.Errorf("%d bytes short: %+v", cut+1, end)
		}
	}
}
