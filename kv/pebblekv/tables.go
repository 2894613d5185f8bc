package pebblekv

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/kv"
)

// tableBytes is the size at which a table is ended, roughly.
const tableBytes = 32 << 20

// tableWriter writes pairs into tables, which do not overlap. Where a span is to be cleared and is not cut
// out of the state, a table has it to itself, with one deletion of the whole: Pebble takes that to be older
// than what is set in the same table.
type tableWriter struct {
	stage  *stage
	spans  []kv.Span // that get a table of their own, those behind the place that was reached
	table  *sstable.Writer
	first  []byte  // the first key of the open table
	within kv.Span // the span that the open table has; empty: none
	paths  []string
}

func newTableWriter(s *stage, r kv.Replacement) *tableWriter {
	w := &tableWriter{stage: s}
	if !s.excise.Valid() {
		w.spans = slices.Clone(r.Clear)
	}
	return w
}

func (w *tableWriter) Set(key, value []byte) error {
	if err := w.advance(key); err != nil {
		return err
	}
	return w.table.Set(key, value)
}

func (w *tableWriter) Delete(key []byte) error {
	if err := w.advance(key); err != nil {
		return err
	}
	return w.table.Delete(key)
}

// advance opens the table into which key goes.
func (w *tableWriter) advance(key []byte) error {
	for len(w.spans) > 0 && string(w.spans[0].Lo) <= string(key) {
		if err := w.openSpan(); err != nil {
			return err
		}
	}
	switch {
	case w.table == nil:
	case w.within.Hi != nil:
		if w.within.Has(key) {
			return nil
		}
	case w.table.Raw().EstimatedSize() < tableBytes && !w.behindApart(key):
		return nil
	}
	return w.open(key)
}

// behindApart tells whether the place of what is installed apart is between the table's first key and this
// one: the table must not lie around it.
func (w *tableWriter) behindApart(key []byte) bool {
	apart := w.stage.apart
	return string(w.first) < string(apart.Lo) && string(apart.Hi) <= string(key)
}

// openSpan opens the table of the next span.
func (w *tableWriter) openSpan() error {
	if err := w.open(w.spans[0].Lo); err != nil {
		return err
	}
	w.within = w.spans[0]
	w.spans = w.spans[1:]
	return w.table.DeleteRange(w.within.Lo, w.within.Hi)
}

// open ends the open table, and opens the next.
func (w *tableWriter) open(first []byte) error {
	if err := w.end(); err != nil {
		return err
	}
	fs := w.stage.options.FS
	path := w.stage.path(tablesDir, fmt.Sprintf("%06d.sst", len(w.paths)))
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	owner := w.stage.owner
	options := owner.pebbleOptions(owner.options)
	options.EnsureDefaults()
	w.table = sstable.NewWriter(objstorageprovider.NewFileWritable(file),
		options.MakeWriterOptions(0, owner.db.TableFormat()))
	w.first, w.within = slices.Clone(first), kv.Span{}
	w.paths = append(w.paths, path)
	return nil
}

// end ends the open table, which syncs it.
func (w *tableWriter) end() error {
	if w.table == nil {
		return nil
	}
	table := w.table
	w.table = nil
	return table.Close()
}

// finish writes the deletions that are left, and ends.
func (w *tableWriter) finish() error {
	for len(w.spans) > 0 {
		if err := w.openSpan(); err != nil {
			return errors.Join(err, w.end())
		}
	}
	return w.end()
}
