package wal

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/quorate/quorate/internal/vfs"
)

// filesOf returns what is in the files of a directory.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		files[e.Name()] = string(b)
	}
	return files
}

// TestInspectSeesWhatOpenWouldFindAndChangesNothing: also what is behind the mark, which Open writes anew,
// and without the torn tail, which Open cuts.
func TestInspectSeesWhatOpenWouldFindAndChangesNothing(t *testing.T) {
	unsure, torn := 0, 0
	for _, workload := range workloads {
		for _, tear := range []bool{false, true} {
			w := newWorld(nil)
			w.options.FS, w.options.Dir = vfs.OS{}, t.TempDir()
			workload.run(w)
			if w.err != nil {
				t.Fatalf("%s: %v", workload.name, w.err)
			}
			if s := w.log.active; s != nil && tear && w.log.offset < s.bytes {
				b := make([]byte, blockBytes)
				copy(b, "half a frame")
				_, err := s.file.WriteAt(b, w.log.offset)
				must(t, err)
			}
			before := filesOf(t, w.options.Dir)
			options := w.options
			options.FS = vfs.ReadOnly{}
			view, found, err := Inspect(options)
			if err != nil {
				t.Fatalf("%s: %v", workload.name, err)
			}
			if !maps.Equal(before, filesOf(t, w.options.Dir)) {
				t.Errorf("%s: files have changed", workload.name)
			}
			for _, g := range found.Groups {
				if g.Last == g.Base.Index {
					continue
				}
				if records, err := view.Read(g.ID, g.Base.Index+1, g.Last, 1<<30); err != nil || len(records) != int(g.Last-g.Base.Index) {
					t.Errorf("%s: group %d: %d records, %v", workload.name, g.ID, len(records), err)
				}
			}
			must(t, view.Close())
			must(t, w.log.Close())
			options.FS, options.Boot = vfs.OS{}, options.Boot+1
			l, opened, err := Open(options)
			must(t, err)
			must(t, l.Close())
			if !reflect.DeepEqual(found.Recovered, opened) {
				t.Errorf("%s: inspected\n%+v\nopened\n%+v", workload.name, found.Recovered, opened)
			}
			if found.Synced < found.Frames {
				unsure++
			}
			if found.TornTail != nil {
				torn++
			}
		}
	}
	if unsure == 0 || torn == 0 {
		t.Errorf("%d logs had an end that is not known to be durable, %d a torn tail: some should", unsure, torn)
	}
}

// TestInspectTellsDamageAsOpenDoes, and still changes nothing.
func TestInspectTellsDamageAsOpenDoes(t *testing.T) {
	w := newWorld(nil)
	w.options.FS, w.options.Dir = vfs.OS{}, t.TempDir()
	w.start(1)
	w.append(w.entries(1, 5, 1000))
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	name := segmentName(w.options.Dir, 1)
	b, err := os.ReadFile(name)
	must(t, err)
	b[2*blockBytes+1500] ^= 1
	must(t, os.WriteFile(name, b, 0o600))
	before := filesOf(t, w.options.Dir)
	options := w.options
	options.FS = vfs.ReadOnly{}
	var damage *DamageError
	if _, _, err := Inspect(options); !errors.As(err, &damage) || damage.File != name || damage.Offset == 0 {
		t.Errorf("got %v", err)
	}
	if !maps.Equal(before, filesOf(t, w.options.Dir)) {
		t.Error("files have changed")
	}
	options.Dir = filepath.Join(options.Dir, "nowhere")
	if _, _, err := Inspect(options); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log that is not there: %v", err)
	}
}
