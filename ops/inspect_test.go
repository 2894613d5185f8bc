package ops_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
	"github.com/quorate/quorate/ops"
)

func TestReportShowsWhatAServerHasLeft(t *testing.T) {
	dir := lived(t)
	before := treeOf(t, dir)
	for _, verify := range []bool{false, true} {
		r := look(t, dir, verify)
		if len(r.Problems) > 0 {
			t.Fatalf("problems: %+v", r.Problems)
		}
		g := r.Log.Groups[0]
		if r.Server.Name != "n0" || r.Identity.Fingerprint == "" || r.Boot != 1 || r.Log.Boot != 1 || g.Term == 0 || g.First != 1 ||
			g.Last < 56 || g.Commit < 55 || len(g.Configuration) != 1 || g.Configuration[0].Roles[0] != "voter" {
			t.Errorf("got %+v, %+v, %+v", r, r.Log, g)
		}
		if s := r.State; s.Applied != g.Last || s.Revision != 55 || s.CompactRevision != 30 || s.Leases != 1 {
			t.Errorf("state: %+v", s)
		}
		if !verify {
			continue
		}
		if c := r.State.Census; c.Keys != 23 || c.LeaseKeys != 1 || c.Tombstones != 1 || r.State.Hash == "" {
			t.Errorf("census: %+v", c)
		}
		if g.Kinds["put"] != 52 || g.Kinds["txn"] != 1 || g.Kinds["delete"] != 1 || g.Kinds["lease grant"] != 1 || g.Kinds["compact"] != 1 {
			t.Errorf("kinds: %v", g.Kinds)
		}
	}
	if treeOf(t, dir) != before {
		t.Error("something in the directory has changed")
	}
}

func TestEntriesAreShownWithoutValuesUnlessAskedFor(t *testing.T) {
	dir := lived(t)
	d, err := ops.Open(dir, ops.Options{})
	must(t, err)
	show := func(first, last uint64, values bool) (text []string) {
		must(t, d.Entries(1, first, last, values, func(e *ops.Entry) error {
			text = append(text, e.Text)
			if e.Wrong != "" || e.Hash == "" || e.Term == 0 {
				t.Errorf("entry %+v", e)
			}
			return nil
		}))
		return text
	}
	all := strings.Join(show(1, 1<<40, false), "\n")
	if !strings.Contains(all, `put "k07", value of 107 bytes`) || strings.Contains(all, "vvvv") ||
		!strings.Contains(all, `txn if "k04" then put "t1", value of 1 bytes and put "t2", value of 1 bytes`) {
		t.Errorf("entries:\n%s", all)
	}
	if all := strings.Join(show(1, 1<<40, true), "\n"); !strings.Contains(all, "vvvv") {
		t.Errorf("entries:\n%s", all)
	}
	if n := len(show(10, 12, false)); n != 3 {
		t.Errorf("%d entries from 10 to 12", n)
	}
	stop := errors.New("enough")
	if err := d.Entries(1, 1, 9, false, func(*ops.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	if err := d.Entries(7, 1, 9, false, nil); err == nil {
		t.Error("there is no group 7")
	}
	must(t, d.Close())
}

func TestADirectoryInUseIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, alone(t, dir, freeURL(t)))
	if _, err := ops.Open(dir, ops.Options{}); !errors.Is(err, ops.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("while a server runs: %v", err)
	}
	must(t, s.Close())
	d, err := ops.Open(dir, ops.Options{})
	must(t, err)
	if _, err := ops.Open(dir, ops.Options{}); !errors.Is(err, ops.ErrInUse) {
		t.Errorf("while somebody looks: %v", err)
	}
	must(t, d.Close())
}

func TestWhatIsNoDataDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"", "nowhere", "etcd"} {
		path := filepath.Join(dir, name)
		if name == "etcd" {
			must(t, os.MkdirAll(filepath.Join(path, "member"), 0o700))
		}
		_, err := ops.Open(path, ops.Options{})
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "data of etcd") != (name == "etcd") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestWhatIsWrongIsSaidWithItsPlace damages a directory in many ways.
func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	dir := lived(t)
	flip := func(name string, at int64) func(string) error {
		return func(dir string) error {
			names, err := filepath.Glob(filepath.Join(dir, name))
			if err != nil || len(names) == 0 {
				return fmt.Errorf("no %s: %w", name, err)
			}
			b, err := os.ReadFile(names[0])
			if err != nil {
				return err
			}
			b[(at+int64(len(b)))%int64(len(b))] ^= 0x10
			return os.WriteFile(names[0], b, 0o600)
		}
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
	}
	segment := "wal/0000000000000001.seg"
	for _, c := range []struct {
		what        string
		damage      func(dir string) error
		where, does string
	}{
		{"server.json", flip("server.json", 60), "server.json", "restore the file"},
		{"no server.json", remove("server.json"), "server.json", "restore the file"},
		{"identity", flip("identity", 20), "identity", "restore the file"},
		{"no identity", remove("identity"), "identity", "restore the file"},
		{"one boot counter", flip("boot", 14), "boot", "the other copy is sound"},
		{"no boot counter", remove("boot"), "boot", "replace this server"},
		{"an entry", func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, segment))
			if err != nil {
				return err
			}
			at := int64(bytes.Index(b, []byte("vvvv")))
			return errors.Join(flip(segment, at)(dir), flip(segment, at+2)(dir))
		}, segment, "start this server"},
		{"a frame's header", flip(segment, 3*4096+20), segment, "the log is whole"},
		{"a segment's header", flip(segment, 20), segment, "the log is whole"},
		{"no log", remove("wal"), "wal", "replace this server"},
		{"a log that was begun anew", func(dir string) error { return os.Truncate(filepath.Join(dir, segment), 0) }, "wal", "replace this server"},
		{"a table of the state", flip("state/*.sst", 40), ".sst", "move the state directory away"},
		{"the manifest of the state", flip("state/MANIFEST-*", 30), "state", "move the state directory away"},
	} {
		copied := copyOf(t, dir)
		if err := c.damage(copied); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		before := treeOf(t, copied)
		r := look(t, copied, true)
		found := false
		for _, p := range r.Problems {
			found = found || strings.Contains(p.Where, c.where) && strings.Contains(p.Do, c.does) && p.What != ""
		}
		if !found {
			t.Errorf("%s: problems %+v, notes %v", c.what, r.Problems, r.Notes)
		}
		if before != treeOf(t, copied) {
			t.Errorf("%s: the directory has changed", c.what)
		}
	}
}

// problemAt returns what is wrong at a place, and what is to be done about it.
func problemAt(r *ops.Report, where, what string) (does string, found bool) {
	for _, p := range r.Problems {
		if strings.Contains(p.Where, where) && strings.Contains(p.What, what) {
			return p.Do, true
		}
	}
	return "", false
}

// TestPartsOfDifferentMomentsAreToldApart: each is sound, and the others of the directory are later.
func TestPartsOfDifferentMomentsAreToldApart(t *testing.T) {
	dir := lived(t)
	earlier := copyOf(t, dir)
	s := start(t, alone(t, dir, freeURL(t)))
	_, err := connect(t, s).Put(testContext(t), "later", "1")
	must(t, err)
	must(t, s.Close())
	for _, c := range []struct{ part, where, what string }{
		{"boot", "boot", "from an older copy"}, {"wal", "state", "not of one moment"},
	} {
		mixed := copyOf(t, dir)
		must(t, os.RemoveAll(filepath.Join(mixed, c.part)))
		must(t, os.Rename(filepath.Join(copyOf(t, earlier), c.part), filepath.Join(mixed, c.part)))
		r := look(t, mixed, false)
		if does, found := problemAt(r, c.where, c.what); !found || !strings.Contains(does, "replace this server") {
			t.Errorf("an earlier %s: %+v", c.part, r.Problems)
		}
	}
	if r := look(t, dir, false); len(r.Problems) > 0 {
		t.Errorf("all of one moment: %+v", r.Problems)
	}
}

// TestAStateBeforeTheLogBeginsIsNotTakenForOneThatIsReplayed: nor is none at all.
func TestAStateBeforeTheLogBeginsIsNotTakenForOneThatIsReplayed(t *testing.T) {
	file, _ := saved(t)
	o := ofCluster(t, 1)[0]
	restored := restore(t, o, file, 0, false)
	state := filepath.Join(o.DataDir, "state")
	must(t, os.RemoveAll(state))
	if does, found := problemAt(look(t, o.DataDir, false), "state", "the state is missing"); !found || !strings.Contains(does, "replace this server") {
		t.Errorf("without a state: %s", does)
	}
	cluster, err := strconv.ParseUint(restored.Cluster, 16, 64)
	must(t, err)
	engine, err := pebblekv.Open(state, pebblekv.Options{})
	must(t, err)
	store, err := kv.Open(engine, kv.Options{Cluster: cluster})
	must(t, err)
	_, err = store.Apply([]kv.Command{{Index: 1}})
	must(t, errors.Join(err, store.Flush(), store.Close()))
	if does, found := problemAt(look(t, o.DataDir, false), "state", "what is between is gone"); !found || !strings.Contains(does, "replace this server") {
		t.Errorf("with an earlier state: %s", does)
	}
}

// TestTheLogIsShownWithoutTheFileThatSaysWhoseItIs, which a segment says too.
func TestTheLogIsShownWithoutTheFileThatSaysWhoseItIs(t *testing.T) {
	dir := lived(t)
	must(t, os.Remove(filepath.Join(dir, "server.json")))
	if r := look(t, dir, false); r.Log == nil || len(r.Log.Groups) != 1 || r.Log.Groups[0].Last < 56 {
		t.Errorf("log %+v, problems %+v", r.Log, r.Problems)
	}
}

// TestNobodyIsToldToMoveAwayAStateThatTheLogCannotMakeAnew: it begins later, as after a restore, or is damaged itself.
func TestNobodyIsToldToMoveAwayAStateThatTheLogCannotMakeAnew(t *testing.T) {
	file, _ := saved(t)
	restored := ofCluster(t, 1)[0]
	restore(t, restored, file, 0, false)
	unread := lived(t)
	must(t, os.Truncate(filepath.Join(unread, "wal/0000000000000001.seg"), 0))
	for _, dir := range []string{restored.DataDir, unread} {
		tables, err := filepath.Glob(filepath.Join(dir, "state/*.sst"))
		must(t, err)
		for _, name := range tables {
			b, err := os.ReadFile(name)
			must(t, err)
			b[40] ^= 0x10
			must(t, os.WriteFile(name, b, 0o600))
		}
		found := false
		for _, p := range look(t, dir, true).Problems {
			found = found || strings.Contains(p.Where, ".sst")
			if strings.Contains(p.Do, "move the state directory away") {
				t.Errorf("%+v", p)
			}
		}
		if !found {
			t.Errorf("%s: the damage of %v is not found", dir, tables)
		}
	}
}

// TestNoFlippedByteIsMissedOrKills flips bytes that are in use, at random: in the log, and in the small files.
func TestNoFlippedByteIsMissedOrKills(t *testing.T) {
	dir := copyOf(t, lived(t))
	rng := rand.New(rand.NewPCG(1, 2))
	used := look(t, dir, false).Log.Segments[0].Used
	for range 80 {
		name, limit := "wal/0000000000000001.seg", used
		switch rng.IntN(6) {
		case 0:
			name, limit = "identity", 80
		case 1:
			name, limit = "boot", 24
		}
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		must(t, err)
		at := rng.Int64N(limit)
		if name == "wal/0000000000000001.seg" && at%4096 > 500 {
			continue // what fills up a block may be anything
		}
		was := b[at]
		b[at] ^= 1 << rng.IntN(8)
		must(t, os.WriteFile(path, b, 0o600))
		if r := look(t, dir, false); len(r.Problems) == 0 && r.Log.TornTail == nil && was != 0 {
			t.Errorf("%s, byte %d: nothing is wrong", name, at)
		}
		b[at] = was
		must(t, os.WriteFile(path, b, 0o600))
	}
}
