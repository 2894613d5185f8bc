package pebblekv

import (
	"errors"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/internal/enginetest"
)

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) kv.Engine { return open(t, Options{FS: vfs.NewMem()}) })
}

func TestEngineInDirectories(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) kv.Engine {
		e, err := Open(t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func TestEngineOnRealFiles(t *testing.T) {
	dir := t.TempDir()
	halfDurable(t, dir)
	e, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, e)
	if got := s.AppliedIndex(); got != 1 {
		t.Errorf("came back at %d: Close must not flush, and must not lose what was", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// halfDurable makes a state of two entries in a directory, of which the first is durable when it is closed. It returns the
// moment of that one.
func halfDurable(t *testing.T, dir string) moment {
	t.Helper()
	e, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, e)
	put(t, s, 1, "a")
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	_, durable := momentOf(t, s)
	put(t, s, 2, "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return durable
}

func open(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open("state", o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func openStore(t *testing.T, e *Engine) *kv.Store {
	t.Helper()
	s, err := kv.Open(e, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func command(t *testing.T, index uint64, kind kv.Kind, m proto.Message) kv.Command {
	t.Helper()
	request, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return kv.Command{Index: index, Kind: kind, Request: request}
}

func put(t *testing.T, s *kv.Store, index uint64, key string) {
	t.Helper()
	if _, err := s.Apply([]kv.Command{command(t, index, kv.KindPut, &pb.PutRequest{Key: []byte(key)})}); err != nil {
		t.Fatal(err)
	}
}

func randomCommand(t *testing.T, rng *rand.Rand, index uint64, rev int64) kv.Command {
	key := []byte(fmt.Sprintf("%02d", rng.Intn(40)))
	switch pick := rng.Intn(20); {
	case pick < 15:
		size := rng.Intn(2000)
		if pick == 1 { // larger than a memory table: Pebble keeps its batch apart
			size = 90 << 10
		}
		return command(t, index, kv.KindPut, &pb.PutRequest{Key: key, Value: make([]byte, size), PrevKv: pick == 0})
	case pick < 18:
		return command(t, index, kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: key, RangeEnd: []byte(fmt.Sprintf("%02d", rng.Intn(40)))})
	default:
		return command(t, index, kv.KindCompact, &pb.CompactionRequest{Revision: rev - rng.Int63n(20)})
	}
}

// moment is what a store was at an index.
type moment struct {
	digest kv.Digest
	hash   kv.KVHash
}

func momentOf(t *testing.T, s *kv.Store) (uint64, moment) {
	t.Helper()
	digest, index := s.Digest()
	hash, code, err := s.HashKV(0)
	if err != nil || code != kv.CodeOK {
		t.Fatal(code, err)
	}
	return index, moment{digest, hash}
}

// TestCrashKeepsAPrefixThatHoldsTheDurableIndex takes the state of the file system at any moment,
// as a loss of power would leave it, with some of what was not synced. The store must open on it
// at an index that it once stood at, with exactly what it held then, and not before the index that
// it called durable at that moment.
func TestCrashKeepsAPrefixThatHoldsTheDurableIndex(t *testing.T) {
	ahead, flushes := 0, 0
	for seed := range int64(12) {
		rng := rand.New(rand.NewSource(seed))
		fs := vfs.NewCrashableMem()
		s := openStore(t, open(t, Options{FS: fs, MemTableBytes: 64 << 10}))
		moments := map[uint64]moment{}
		remember := func() {
			index, m := momentOf(t, s)
			moments[index] = m
		}
		remember()
		var flushing sync.WaitGroup
		for index := uint64(1); index < 400; {
			var commands []kv.Command
			for range 1 + rng.Intn(5) {
				commands = append(commands, randomCommand(t, rng, index, s.Revision()))
				index++
			}
			if _, err := s.Apply(commands); err != nil {
				t.Fatal(err)
			}
			remember()
			if rng.Intn(4) == 0 {
				if _, err := s.CompactStep(10); err != nil {
					t.Fatal(err)
				}
			}
			if rng.Intn(10) == 0 {
				flushes++
				flushing.Go(func() {
					if err := s.Flush(); err != nil {
						t.Error(err)
					}
				})
			}
			if rng.Intn(12) == 0 {
				durable, err := s.DurableIndex()
				if err != nil {
					t.Fatal(err)
				}
				crashed := fs.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: []int{0, 50, 100}[rng.Intn(3)],
					RNG:                 randv2.New(randv2.NewPCG(uint64(seed), index)),
				})
				checkCrashed(t, crashed, durable, moments)
				if durable > 0 && durable < s.AppliedIndex() {
					ahead++
				}
			}
		}
		flushing.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if ahead == 0 || flushes == 0 {
		t.Fatalf("no crash had something to lose and something to keep")
	}
}

func checkCrashed(t *testing.T, fs vfs.FS, durable uint64, moments map[uint64]moment) {
	t.Helper()
	s := openStore(t, open(t, Options{FS: fs}))
	index, got := momentOf(t, s)
	want, known := moments[index]
	if index < durable || !known {
		t.Fatalf("came back at %d (stood there: %v), durable was %d", index, known, durable)
	}
	if got != want {
		t.Fatalf("at %d: %+v, was %+v", index, got, want)
	}
	if now, err := s.DurableIndex(); err != nil || now != index {
		t.Fatalf("what survived a crash is durable: %d, %v, want %d", now, err, index)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAMemoryTableThatIsFullIsFlushedUnasked(t *testing.T) {
	s := openStore(t, open(t, Options{FS: vfs.NewMem(), MemTableBytes: 64 << 10}))
	value := make([]byte, 10<<10)
	durable := uint64(0)
	for index := uint64(1); durable == 0 && index < 10_000; index++ {
		if _, err := s.Apply([]kv.Command{command(t, index, kv.KindPut, &pb.PutRequest{Key: []byte("a"), Value: value})}); err != nil {
			t.Fatal(err)
		}
		var err error
		if durable, err = s.DurableIndex(); err != nil {
			t.Fatal(err)
		}
	}
	if durable == 0 {
		t.Fatal("nothing has become durable by itself")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// failing returns a file system on which, once it is armed, the operations that match fail.
func failing(match func(errorfs.Op) bool, err error) (fs vfs.FS, arm func(bool)) {
	var mu sync.Mutex
	armed := false
	arm = func(on bool) { mu.Lock(); armed = on; mu.Unlock() }
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if armed && match(op) {
			return err
		}
		return nil
	})), arm
}

func isTable(op errorfs.Op) bool {
	return strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpCreate
}

func TestFlushReportsWhatFailsInTheBackground(t *testing.T) {
	errDisk := errors.New("disk is on fire")
	fs, arm := failing(isTable, errDisk)
	told, returned := make(chan error, 1), make(chan struct{})
	e := open(t, Options{FS: fs, Background: func(err error) {
		told <- err
		<-returned // Pebble tries again at once, and would be done before the flush has looked
		arm(false)
	}})
	s := openStore(t, e)
	put(t, s, 1, "a")
	arm(true)
	err := s.Flush()
	close(returned)
	if !errors.Is(err, errDisk) {
		t.Errorf("flush: %v", err)
	}
	if err := <-told; !errors.Is(err, errDisk) || IsDiskFull(err) {
		t.Errorf("background: %v", err)
	}
	if err := s.Flush(); err != nil {
		t.Errorf("flush, when the disk is well again: %v", err)
	}
	if durable, err := s.DurableIndex(); err != nil || durable != 1 {
		t.Errorf("durable index %d, %v", durable, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskIsToldAndTheWriteTriedAgain(t *testing.T) {
	fs, arm := failing(isTable, &os.PathError{Op: "create", Err: syscall.ENOSPC})
	told := 0
	s := openStore(t, open(t, Options{
		FS:         fs,
		DiskFull:   func() { told++; arm(false) }, // there goes the ballast
		Background: func(err error) { t.Errorf("in the background: %v", err) },
	}))
	put(t, s, 1, "a")
	arm(true)
	if err := s.Flush(); err != nil || told != 1 {
		t.Errorf("flush: %v, told %d times", err, told)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskWithoutBallastIsABackgroundError(t *testing.T) {
	fs, arm := failing(isTable, &os.PathError{Op: "create", Err: syscall.ENOSPC})
	told := make(chan error, 1)
	s := openStore(t, open(t, Options{FS: fs, DiskFull: func() {}, Background: func(err error) {
		arm(false)
		told <- err
	}}))
	put(t, s, 1, "a")
	arm(true)
	if err := s.Flush(); !IsDiskFull(err) {
		t.Errorf("flush: %v", err)
	}
	if err := <-told; !IsDiskFull(err) {
		t.Errorf("background: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestManifestThatCannotBeWrittenIsFatal: Pebble cannot go on, and says so through the callback,
// which here ends the goroutine instead of the process.
func TestManifestThatCannotBeWrittenIsFatal(t *testing.T) {
	fs, arm := failing(func(op errorfs.Op) bool {
		return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileSync
	}, errors.New("disk is on fire"))
	told := make(chan string, 1)
	s := openStore(t, open(t, Options{FS: fs, Fatal: func(message string) {
		told <- message
		runtime.Goexit()
	}}))
	put(t, s, 1, "a")
	arm(true)
	// The flush never ends: its goroutine is gone. In a server, so is the process.
	go func() { _ = s.Flush() }()
	if message := <-told; !strings.Contains(message, "MANIFEST") || !strings.Contains(message, "disk is on fire") {
		t.Errorf("told %q", message)
	}
}

// damageTables flips a bit in the middle of every table.
func damageTables(t *testing.T, fs vfs.FS) { damageIn(t, fs, "state", "*.sst", 500) }

// damageIn flips a bit in all files of a directory that are named so.
func damageIn(t *testing.T, fs vfs.FS, dir, named string, offset int64) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if match, err := path.Match(named, name); err != nil || !match {
			continue
		}
		f, err := fs.OpenReadWrite(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		at := []byte{0}
		if _, err := f.ReadAt(at, offset); err != nil {
			t.Fatal(err)
		}
		at[0] ^= 4
		if _, err := f.WriteAt(at, offset); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedTableIsAnErrorAndNeverAnAnswer: rot on the disk is told, and does not end the process.
func TestDamagedTableIsAnErrorAndNeverAnAnswer(t *testing.T) {
	for _, listen := range []bool{true, false} {
		fs := vfs.NewMem()
		s := openStore(t, open(t, Options{FS: fs}))
		value := make([]byte, 3000)
		rand.New(rand.NewSource(1)).Read(value)
		if _, err := s.Apply([]kv.Command{command(t, 1, kv.KindPut, &pb.PutRequest{Key: []byte("a"), Value: value})}); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		damageTables(t, fs)
		var damages []Damage
		o := Options{FS: fs, Background: func(error) {}}
		if listen {
			o.Damage = func(d Damage) { damages = append(damages, d) }
		}
		e := open(t, o)
		_, err := kv.Open(e, kv.Options{}) // reads the block with all that there is
		if err == nil || !pebble.IsCorruptionError(err) {
			t.Errorf("opened: %v", err)
		}
		if listen && (len(damages) == 0 || !strings.HasSuffix(damages[0].Path, ".sst") || len(damages[0].Lo) == 0 ||
			len(damages[0].Hi) == 0 || damages[0].Err == nil) {
			t.Errorf("told %+v", damages)
		}
	}
}

func TestBackgroundErrorNobodyListensToIsFatal(t *testing.T) {
	told := ""
	e := &Engine{failed: make(chan struct{}), fatal: func(message string) { told = message }}
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "on fire") || !strings.Contains(told, "on fire") {
			t.Errorf("told %q, panic %v", told, r)
		}
	}()
	e.backgroundError(errors.New("disk is on fire"))
}

func TestFatalWithoutCallbackPanics(t *testing.T) {
	defer func() {
		if r := recover(); r != "pebble: no 7" {
			t.Errorf("panic %v", r)
		}
	}()
	logger{}.Fatalf("no %d", 7)
}

func TestLogGoesToTheCallbackOnly(t *testing.T) {
	var mu sync.Mutex
	levels := map[Level]int{}
	log := func(level Level, text string) {
		mu.Lock()
		defer mu.Unlock()
		levels[level]++
	}
	e := open(t, Options{FS: vfs.NewMem(), Log: log})
	l := logger{log: log}
	l.Infof("x")
	l.Errorf("x")
	logger{}.Infof("nobody listens")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if levels[LevelInfo] == 0 || levels[LevelError] == 0 {
		t.Errorf("told %v", levels)
	}
}

func TestDirectoryOfAnotherComparerIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	db, err := pebble.Open("state", &pebble.Options{FS: fs, Logger: logger{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("state", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "comparer") {
		t.Errorf("opened: %v", err)
	}
}

// TestSeparatorsAreBetween checks what tables' indexes are made of: between two keys,
// and with the prefix of the first if they are versions of one key.
func TestSeparatorsAreBetween(t *testing.T) {
	c := comparer()
	rng := rand.New(rand.NewSource(1))
	random := func() []byte {
		k := []byte{0x10}
		for range 1 + rng.Intn(3) {
			k = append(k, []byte{'a', 'b', 0xfe}[rng.Intn(3)])
			if rng.Intn(3) == 0 {
				k = append(k, 0, 0xff)
			}
		}
		k = append(k, 0, 1)
		for range 12 {
			k = append(k, byte(0xfe+rng.Intn(2)))
		}
		return k
	}
	for range 20_000 {
		a, b := random(), random()
		if c.Compare(a, b) > 0 {
			a, b = b, a
		}
		if c.Compare(a, b) == 0 {
			continue
		}
		sep := c.Separator(nil, a, b)
		if c.Compare(a, sep) > 0 || c.Compare(sep, b) >= 0 {
			t.Fatalf("%x is not between %x and %x", sep, a, b)
		}
		if n := kv.PrefixLen(a); string(a[:n]) == string(b[:kv.PrefixLen(b)]) && string(sep) != string(a) {
			t.Fatalf("%x separates two versions, %x and %x", sep, a, b)
		}
	}
}

func TestFewFlushesAreNotCompacted(t *testing.T) {
	e, err := Open("state", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	const flushes = l0Threshold/2 - 1
	for i := range flushes {
		b := e.NewBatch()
		b.Set([]byte("k"), []byte{byte(i)})
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if m := e.db.Metrics(); m.Levels[0].TablesCount != flushes || m.Compact.Count != 0 {
		t.Errorf("%d tables in level 0 and %d compactions after %d flushes", m.Levels[0].TablesCount, m.Compact.Count, flushes)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
