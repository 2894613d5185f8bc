package pebblekv_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// writeState fills a store in memory, flush by flush, and returns what it holds as of each flush, by applied index.
func writeState(t *testing.T, fs vfs.FS) map[uint64]kv.KVHash {
	t.Helper()
	s := openOn(t, fs)
	held := map[uint64]kv.KVHash{0: {}}
	for index := uint64(1); index <= 600; index++ {
		put, err := proto.Marshal(&pb.PutRequest{Key: fmt.Append(nil, "key", index*7%100), Value: fmt.Append(nil, "value", index)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply([]kv.Command{{Index: index, Time: index, Kind: kv.KindPut, Request: put}}); err != nil {
			t.Fatal(err)
		}
		if index%200 != 0 {
			continue
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		hash, _, err := s.HashKV(0)
		if err != nil {
			t.Fatal(err)
		}
		held[index] = hash
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return held
}

func openOn(t *testing.T, fs vfs.FS) *kv.Store {
	t.Helper()
	s, err := openDamaged(fs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openDamaged opens a store in which anything may be damaged, without letting that end the process.
func openDamaged(fs vfs.FS) (*kv.Store, error) {
	e, err := pebblekv.Open("state", pebblekv.Options{FS: fs, Background: func(error) {}, Damage: func(pebblekv.Damage) {}})
	if err != nil {
		return nil, err
	}
	return kv.Open(e, kv.Options{Cluster: 7})
}

// TestDamageOfAStateIsNoticed changes a byte of each file of a state, at thousands of places, and cuts and removes files.
// Whatever comes of it, it is called damage, or what is there is what the state was, now or at an earlier flush: the log has
// the rest, or it does not, and whoever knows the log knows that.
func TestDamageOfAStateIsNoticed(t *testing.T) {
	whole := vfs.NewMem()
	held := writeState(t, whole)
	names, err := whole.List("state")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, name := range names {
		content := readFile(t, whole, name)
		for at := 0; at < len(content); at += 1 + len(content)/400 {
			changed := []byte(string(content))
			changed[at] ^= 1 << (at % 8)
			counts[expectNoticed(t, whole, held, name, changed)]++
		}
		counts[expectNoticed(t, whole, held, name, content[:len(content)/2])]++
		counts[expectNoticed(t, whole, held, name, nil)]++
	}
	if counts["damage"] < 300 || counts["earlier"] < 1 || counts["the same"] < 300 {
		t.Errorf("noticed: %v", counts)
	}
}

func readFile(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open("state/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// expectNoticed opens a copy of a state of which one file has another content; nil: it is not there.
func expectNoticed(t *testing.T, whole *vfs.MemFS, held map[uint64]kv.KVHash, name string, content []byte) string {
	t.Helper()
	fs := vfs.NewMem()
	if _, err := vfs.Clone(whole, fs, "state", "state"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("state/" + name); err != nil {
		t.Fatal(err)
	}
	if content != nil {
		f, err := fs.Create("state/"+name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = f.Write(content)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := openDamaged(fs)
	if err != nil {
		if !pebblekv.IsDamage(err) {
			t.Fatalf("%s: not called damage: %v", name, err)
		}
		return "damage"
	}
	defer s.Close()
	hash, _, err := s.HashKV(0)
	if err == nil {
		err = readAll(s)
	}
	switch {
	case err != nil && !pebblekv.IsDamage(err):
		t.Fatalf("%s: not called damage: %v", name, err)
	case err != nil:
		return "damage"
	case s.AppliedIndex() == 600 && hash == held[600]:
		return "the same"
	case s.AppliedIndex() == 0 || hash == held[s.AppliedIndex()]:
		return "earlier"
	}
	t.Fatalf("%s: holds %v at %d, want %v", name, hash, s.AppliedIndex(), held[s.AppliedIndex()])
	return ""
}

func readAll(s *kv.Store) error {
	scrub, err := s.NewScrub(0)
	if err != nil {
		return err
	}
	for done := false; !done && err == nil; {
		_, done, err = scrub.Step(1 << 20)
	}
	return errors.Join(err, scrub.Close())
}

// TestWhatTheMachineRefusesIsNoDamage: a full disk says nothing of the state, nor does a newer version's.
func TestWhatTheMachineRefusesIsNoDamage(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EIO, syscall.EMFILE, fmt.Errorf("read: %w", syscall.EACCES), kv.ErrNewerFormat, kv.ErrOtherCluster} {
		if pebblekv.IsDamage(err) {
			t.Errorf("called damage: %v", err)
		}
	}
	fs := vfs.NewMem()
	writeState(t, fs)
	names, err := fs.List("state")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names { // the format's number is in the name of a file
		if newer, is := strings.CutSuffix(name, ".021"); is {
			if err := fs.Rename("state/"+name, "state/"+newer+".999"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := openDamaged(fs); !errors.Is(err, kv.ErrNewerFormat) || pebblekv.IsDamage(err) {
		t.Errorf("of a newer version: %v", err)
	}
}
