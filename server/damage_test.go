package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// fillAlone lets a server of its own put keys, and returns its options and what it holds then.
func fillAlone(t *testing.T, o Options, rounds int) map[string]string {
	t.Helper()
	want := map[string]string{}
	for round := range rounds {
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		client := connect(t, s)
		for i := range 20 {
			key, value := fmt.Sprintf("key%02d", i), strings.Repeat(fmt.Sprintf("%d.%d ", round, i), 100)
			if _, err := client.Put(testContext(t), key, value); err != nil {
				t.Fatal(err)
			}
			want[key] = value
		}
		if err := s.Close(); err != nil { // flushes: each round leaves a table
			t.Fatal(err)
		}
	}
	return want
}

// expectAll reads everything from a server.
func expectAll(t *testing.T, s *Server, want map[string]string) {
	t.Helper()
	got, err := connect(t, s).Get(testContext(t), "key", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Kvs) != len(want) {
		t.Fatalf("%d keys, want %d", len(got.Kvs), len(want))
	}
	for _, kv := range got.Kvs {
		if want[string(kv.Key)] != string(kv.Value) {
			t.Errorf("%s is %.20q, want %.20q", kv.Key, kv.Value, want[string(kv.Key)])
		}
	}
}

// flipByte changes one byte of a file.
func flipByte(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x41
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// stateFiles are the files of a state that have something in them.
func stateFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, stateDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > 0 && e.Type().IsRegular() {
			files = append(files, filepath.Join(dir, stateDir, e.Name()))
		}
	}
	return files
}

// TestStateIsHealedWhereverItIsDamaged flips bytes all over the files of a state whose log is whole, and removes each
// file, one at a time. Whatever is damaged, found at the start or by a read later, a start or two later everything is
// there again.
func TestStateIsHealedWhereverItIsDamaged(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	want := fillAlone(t, o, 3)
	damages, healed := 0, 0
	damage := func(what string, do func(name string, size int64), file int) {
		files := stateFiles(t, o.DataDir)
		if file >= len(files) {
			return
		}
		info, err := os.Stat(files[file])
		if err != nil {
			t.Fatal(err)
		}
		do(files[file], info.Size())
		damages++
		if startAndRead(t, o, want) {
			healed++
		}
		if t.Failed() {
			t.Fatalf("after %s of %s", what, files[file])
		}
	}
	for file := range 6 {
		damage("removal", func(name string, _ int64) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}, file)
		for part := range int64(8) {
			damage(fmt.Sprintf("a flip in part %d", part), func(name string, size int64) { flipByte(t, name, min(size*part/7, size-1)) }, file)
		}
	}
	if healed < damages/3 {
		t.Errorf("of %d damages %d were noticed", damages, healed)
	}
}

// startAndRead starts a server on a state that may be damaged, and again if it must not go on because of that, until
// it has everything. It tells whether a state was set aside.
func startAndRead(t *testing.T, o Options, want map[string]string) (healed bool) {
	t.Helper()
	var log lines
	o.Logger = log.logger()
	for range 3 {
		fatal := make(chan error, 1)
		o.OnFatal = func(err error) { fatal <- err }
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		_, reading := connect(t, s).Get(testContext(t), "key", clientv3.WithPrefix())
		if reading == nil {
			_, _, reading = s.store.HashKV(0)
		}
		select {
		case err := <-fatal:
			_ = s.Close()
			if found, _ := (damage{o.DataDir}).exists(damageFile); !found {
				t.Fatalf("not noted: %v", err)
			}
			continue
		default:
		}
		if reading != nil {
			t.Fatal(reading)
		}
		expectAll(t, s, want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(log.String(), "set aside")
	}
	t.Fatal("never whole")
	return false
}

// TestStateThatNobodyElseHasIsNotSetAside: a server alone, whose log begins later, says what is lost, and leaves what
// there is as it is.
func TestStateThatNobodyElseHasIsNotSetAside(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.KeepLogBytes, o.MaxLogBytes = 1, 1
	fillAlone(t, o, 1)
	compactAlone(t, o)
	files := stateFiles(t, o.DataDir)
	for _, name := range files {
		if strings.HasSuffix(name, ".sst") {
			flipByte(t, name, 0)
			if err := os.Truncate(name, 100); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		_, err := Start(o)
		if !errors.Is(err, quorate.ErrStateLost) || !strings.Contains(err.Error(), ".sst") && !strings.Contains(err.Error(), "sstable") ||
			!strings.Contains(err.Error(), "Restore a snapshot") {
			t.Fatalf("started with a damaged state: %v", err)
		}
	}
	d := damage{o.DataDir} // found while it ran
	if err := d.mark(errors.New("a test says so")); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(o); !errors.Is(err, quorate.ErrStateLost) || !strings.Contains(err.Error(), "a test says so") {
		t.Errorf("started with a state that is marked: %v", err)
	}
	aside, err := d.exists(damagedDir)
	if left := stateFiles(t, o.DataDir); aside || err != nil || len(left) < len(files) {
		t.Errorf("set aside: %v, %v; of %v there are %v", aside, err, files, left)
	}
	if err := os.RemoveAll(filepath.Join(o.DataDir, stateDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(o); !errors.Is(err, quorate.ErrStateLost) {
		t.Errorf("started without a state: %v", err)
	}
}

// TestEarlierStateThatNobodyElseHasIsLeftAlone: of a manifest that is damaged Pebble may take what is before the damage, and
// removes the tables that are not in it. Where nobody else has them, nothing is touched.
func TestEarlierStateThatNobodyElseHasIsLeftAlone(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.KeepLogBytes, o.MaxLogBytes = 1, 1
	want := fillAlone(t, o, 1)
	earlier, state := filepath.Join(t.TempDir(), "earlier"), filepath.Join(o.DataDir, stateDir)
	if err := os.CopyFS(earlier, os.DirFS(state)); err != nil {
		t.Fatal(err)
	}
	compactAlone(t, o)
	right := filepath.Join(t.TempDir(), "right")
	if err := errors.Join(os.Rename(state, right), os.Rename(earlier, state)); err != nil {
		t.Fatal(err)
	}
	before := stateFiles(t, o.DataDir)
	if _, err := Start(o); !errors.Is(err, quorate.ErrStateLost) || !strings.Contains(err.Error(), "earlier state") {
		t.Fatalf("started with an earlier state: %v", err)
	}
	if now := stateFiles(t, o.DataDir); !slices.Equal(now, before) {
		t.Errorf("there were %v, and now %v", before, now)
	}
	if err := errors.Join(os.RemoveAll(state), os.Rename(right, state)); err != nil {
		t.Fatal(err)
	}
	want["key"] = strings.Repeat("x", 10_000)
	expectAll(t, start(t, o), want)
}

// compactAlone waits until a server's log begins after its state.
func compactAlone(t *testing.T, o Options) {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.machine.flushOnce(); err != nil {
		t.Fatal(err)
	}
	client := connect(t, s)
	eventually(t, "the log is compacted", func() bool {
		if _, err := client.Put(testContext(t), "key", strings.Repeat("x", 10_000)); err != nil {
			t.Fatal(err)
		}
		return s.group.Status().Raft.Base.Index > 0
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSettingAsideGoesOnWhereACrashEndedIt begins with what a crash between any two steps leaves.
func TestSettingAsideGoesOnWhereACrashEndedIt(t *testing.T) {
	for _, found := range []struct {
		names       string // name=content
		state, kept string // which state is there afterwards, and which is aside
	}{
		{"state=1 state.damage=", "new", "1"},
		{"state=2 state.damage= state.damaged=1", "new", "2"},
		{"state.damage= state.damaged=1", "new", "1"},
		{"state.healing= state.damaged=1", "new", "1"},
		{"state=2 state.healing= state.damaged=1", "2", "1"},
		{"state=2 state.healing= state.damaged=1 state.damage=", "new", "1"},
		{"state=2 state.healing= state.damage=", "new", "2"},
	} {
		d := damage{t.TempDir()}
		for _, file := range strings.Fields(found.names) {
			name, content, _ := strings.Cut(file, "=")
			if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if why, err := d.reason(damageFile); err != nil {
			t.Fatal(err)
		} else if why != "" {
			if err := d.setAside(); err != nil {
				t.Fatalf("%s: %v", found.names, err)
			}
		}
		if there, _ := d.exists(stateDir); !there {
			if err := os.WriteFile(d.path(stateDir), []byte("new"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		state, _ := os.ReadFile(d.path(stateDir))
		aside, _ := os.ReadFile(d.path(damagedDir))
		marked, _ := d.exists(damageFile)
		healing, _ := d.exists(healingFile)
		if string(state) != found.state || string(aside) != found.kept || marked || !healing {
			t.Errorf("%s: state %s, aside %s, marked %v, healing %v", found.names, state, aside, marked, healing)
		}
	}
}

// TestDamagedStateIsKeptUntilTheNewOneIsWhole: what was set aside is removed when the new state is as far, and not
// before.
func TestDamagedStateIsKeptUntilTheNewOneIsWhole(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	want := fillAlone(t, o, 1)
	d := damage{o.DataDir}
	if err := d.mark(errors.New("a test says so")); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	expectAll(t, s, want)
	eventually(t, "the damaged state is gone", func() bool {
		aside, err := d.exists(damagedDir)
		if err != nil {
			t.Fatal(err)
		}
		if !aside && s.machine.DurableIndex() < 20 {
			t.Fatal("the damaged state is gone before the new one is durable")
		}
		healing, _ := d.exists(healingFile)
		return !aside && !healing
	})
}

// TestStateThatIsBegunAnewIsMissingUpToWhatWasCommitted: and one that is not is not missing at all.
func TestStateThatIsBegunAnewIsMissingUpToWhatWasCommitted(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	s := start(t, o)
	if _, err := connect(t, s).Put(testContext(t), "key", "value"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // nobody asks it any more
		t.Fatal(err)
	}
	committed := uint64(s.group.Status().Raft.CommitIndex)
	if s.awaitWhole(); s.forClients.whole.Load() != 0 || committed == 0 {
		t.Errorf("missing up to %d, committed %d", s.forClients.whole.Load(), committed)
	}
	if err := os.WriteFile((damage{o.DataDir}).path(healingFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.awaitWhole(); s.forClients.whole.Load() != committed {
		t.Errorf("missing up to %d, committed %d", s.forClients.whole.Load(), committed)
	}
}

// TestErrorsOfADamagedStateAreNoted: what ends the server because of damage leaves a mark, and nothing else does.
func TestErrorsOfADamagedStateAreNoted(t *testing.T) {
	s, other := &Server{options: Options{DataDir: t.TempDir()}}, damage{t.TempDir()}
	d := damage{s.options.DataDir}
	s.noteDamage(syscall.ENOSPC)
	if why, err := d.reason(damageFile); why != "" || err != nil {
		t.Errorf("marked for nothing: %s, %v", why, err)
	}
	(&Server{options: Options{DataDir: other.dir}}).noteDamage(fmt.Errorf("group 1: %w", &quorate.DiffersError{}))
	if why, err := other.reason(damageFile); !strings.Contains(why, "differs from that of a majority") || err != nil {
		t.Errorf("marked with %q, %v", why, err)
	}
	s.noteDamage(fmt.Errorf("read: %w", pebblekv.ErrDamaged))
	s.noteDamage(fmt.Errorf("read again: %w", kv.ErrCorrupt))
	if why, err := d.reason(damageFile); !strings.HasPrefix(why, "read: ") || err != nil {
		t.Errorf("marked with %q, %v", why, err)
	}
}
