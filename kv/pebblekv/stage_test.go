package pebblekv

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

// feed runs a dialogue to its end, or to the first error of the receiver.
func feed(t *testing.T, from, to *kv.Store) error {
	t.Helper()
	request, err := to.SnapshotRequest()
	if err != nil {
		t.Fatal(err)
	}
	for {
		chunk, _, err := from.ServeSnapshot(request, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		next, complete, err := to.StageSnapshot(chunk)
		if err != nil || complete {
			return err
		}
		request = next
	}
}

// filled returns a store with values that cannot be compressed.
func filled(t *testing.T) *kv.Store {
	t.Helper()
	from := openStore(t, open(t, Options{FS: vfs.NewMem()}))
	value := make([]byte, 1000)
	rng := rand.New(rand.NewSource(1))
	for index := range uint64(300) {
		rng.Read(value)
		put := &pb.PutRequest{Key: value[:10], Value: value}
		if _, err := from.Apply([]kv.Command{command(t, index+1, kv.KindPut, put)}); err != nil {
			t.Fatal(err)
		}
	}
	return from
}

// notTold are options that fail a test if anybody is told of damage: the state would be given up for it.
func notTold(t *testing.T, fs vfs.FS) Options {
	return Options{
		FS:         fs,
		Background: func(err error) { t.Errorf("told, as if it were the state's: %v", err) },
		Damage:     func(d Damage) { t.Errorf("told, as if it were the state's: %+v", d) },
	}
}

// TestADamagedStageIsBegunAnew: what is staged can be had again, so its damage is nobody's end. That of the plan, which
// comes first, is found when the store is opened, and any other when all that is staged is read.
func TestADamagedStageIsBegunAnew(t *testing.T) {
	from := filled(t)
	for offset, found := range map[int64]bool{500: false, 100_000: true} {
		fs := vfs.NewMem()
		o := notTold(t, fs)
		to := openStore(t, open(t, o))
		if err := feed(t, from, to); err != nil {
			t.Fatal(err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		damageIn(t, fs, "state/stage", "*.sst", offset)
		to = openStore(t, open(t, o))
		if err := feed(t, from, to); errors.Is(err, kv.ErrSnapshotChunk) != found || err != nil && !found {
			t.Fatalf("damage at %d: %v", offset, err)
		}
		if found {
			if err := feed(t, from, to); err != nil {
				t.Fatalf("anew: %v", err)
			}
		}
		if err := to.InstallSnapshot(nil); err != nil {
			t.Fatal(err)
		}
		want, _, _ := from.HashKV(0)
		if got, _, err := to.HashKV(0); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAStageThatCannotBeOpenedIsBegunAnew is the same for Pebble's own files.
func TestAStageThatCannotBeOpenedIsBegunAnew(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, fs *vfs.MemFS){
		"a manifest that is damaged": func(t *testing.T, fs *vfs.MemFS) { damageIn(t, fs, "state/stage", "MANIFEST*", 20) },
		"a manifest that is gone": func(t *testing.T, fs *vfs.MemFS) {
			if err := fs.Remove("state/stage/MANIFEST-000001"); err != nil {
				t.Fatal(err)
			}
		},
		"options that are another's": func(t *testing.T, fs *vfs.MemFS) {
			f, err := fs.Create("state/stage/OPTIONS-000003", vfs.WriteCategoryUnspecified)
			if err == nil {
				_, err = f.Write([]byte("[Options]\n  comparer=another\n"))
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			fs := vfs.NewMem()
			e := open(t, notTold(t, fs))
			s, err := e.OpenStage(true)
			if err != nil {
				t.Fatal(err)
			}
			b := s.NewBatch()
			b.Set([]byte("a"), []byte("1"))
			if err := errors.Join(b.Commit(), s.Flush(), s.Close()); err != nil {
				t.Fatal(err)
			}
			damage(t, fs)
			if s, err = e.OpenStage(false); s != nil || err != nil {
				t.Errorf("opened: %v, %v", s, err)
			}
			if s, err = e.OpenStage(true); s == nil || err != nil {
				t.Fatalf("begun anew: %v, %v", s, err)
			}
			if err := errors.Join(s.Drop(), e.Close()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestPanicsOfPebbleWhileItOpensAreErrors lets it find that its manifest cannot be written, in a state and in a stage.
func TestPanicsOfPebbleWhileItOpensAreErrors(t *testing.T) {
	refused := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && strings.Contains(op.Path, "MANIFEST") && strings.Contains(op.Path, "stage") {
			return syscall.EIO
		}
		return nil
	})
	fs := errorfs.Wrap(vfs.NewMem(), refused)
	if e, err := Open("state/stage", Options{FS: fs}); err == nil || IsDamage(err) {
		t.Errorf("opened: %v, %v", e, err)
	}
	e := open(t, Options{FS: errorfs.Wrap(vfs.NewMem(), refused)})
	if s, err := e.OpenStage(true); err == nil || IsDamage(err) {
		t.Errorf("opened: %v, %v", s, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsSealedIsTablesOfBoundedSize(t *testing.T) {
	e := open(t, Options{FS: vfs.NewMem()})
	s, err := e.OpenStage(true)
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	value := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(value)
	err = s.Seal(kv.Replacement{
		Clear: []kv.Span{{Lo: []byte("a"), Hi: []byte("c")}}, Apart: kv.Span{Lo: []byte("c"), Hi: []byte("d")},
		Fill: func(into kv.Sink) error {
			for i := range 2*tableBytes/size + 2 {
				if err := into.Set(fmt.Appendf(nil, "b%04d", i), value); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tables := s.(*stage).tables
	if len(tables) != 3 {
		t.Errorf("%d tables, want 3", len(tables))
	}
	for _, name := range tables {
		if info, err := e.options.FS.Stat(name); err != nil || info.Size() > tableBytes+2*size {
			t.Errorf("%s: %v, %v", name, info.Size(), err)
		}
	}
	if err := errors.Join(s.Drop(), e.Close()); err != nil {
		t.Fatal(err)
	}
}

// slowRemoval removes directories file by file, as file systems do, and loses power after some.
type slowRemoval struct {
	vfs.FS
	left int
}

var errPower = errors.New("no power")

func (fs *slowRemoval) RemoveAll(dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fs.FS.RemoveAll(dir)
	}
	for _, name := range names {
		if fs.left == 0 {
			return errPower
		}
		fs.left--
		if err := fs.FS.RemoveAll(fs.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	return fs.FS.RemoveAll(dir)
}

// TestAStageOfWhichSomeFilesAreLeftIsNone cuts the power while a stage is removed.
func TestAStageOfWhichSomeFilesAreLeftIsNone(t *testing.T) {
	from := filled(t)
	cut := 0
	for left := 0; ; left++ {
		fs := &slowRemoval{FS: vfs.NewMem(), left: 1 << 30}
		to := openStore(t, open(t, Options{FS: fs}))
		if err := feed(t, from, to); err != nil {
			t.Fatal(err)
		}
		fs.left = left
		err := to.DropStaged()
		if err != nil && !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		fs.left = 1 << 30
		after := openStore(t, open(t, Options{FS: fs}))
		fresh := openStore(t, open(t, Options{FS: vfs.NewMem()}))
		want, _ := fresh.SnapshotRequest()
		if got, err := after.SnapshotRequest(); err != nil || string(got) != string(want) {
			t.Errorf("%d files gone: something is staged: %x, %v", left, got, err)
		}
		for _, name := range []string{stageDir, droppedDir} {
			if _, err := fs.Stat(fs.PathJoin("state", name)); err == nil {
				t.Errorf("%d files gone: there still is a %s", left, name)
			}
		}
		if err := errors.Join(after.Close(), fresh.Close()); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			break
		}
		cut++
	}
	if cut < 3 {
		t.Errorf("cut %d times", cut)
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
}
