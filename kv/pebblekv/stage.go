package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/kv"
)

// The stage is a second Pebble, in a directory within the engine's. What is sealed is tables, in a
// directory within that, which Pebble links into the state in one edit of its manifest.
const (
	stageDir   = "stage"
	droppedDir = "stage-dropped" // a stage on its way out: its name is the first thing that goes
	tablesDir  = "tables"

	// A stage is written, and read once: it needs no more than this.
	stageCacheBytes    = 8 << 20
	stageMemTableBytes = 8 << 20
)

type stage struct {
	*Engine
	owner  *Engine
	tables []string        // sealed
	excise pebble.KeyRange // what of the state is cut out when they are installed; may be empty
	apart  kv.Span
	sealed bool
}

var _ kv.Stage = (*stage)(nil)

func (e *Engine) path(names ...string) string {
	return e.options.FS.PathJoin(append([]string{e.dir}, names...)...)
}

// OpenStage opens the stage.
func (e *Engine) OpenStage(create bool) (kv.Stage, error) {
	if e.options.ReadOnly && !create {
		return nil, nil // whoever has one that is of no use removes it
	}
	if _, err := e.options.FS.Stat(e.path(stageDir)); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open stage: %w", err)
	}
	o := e.options.forStage()
	inner, err := openEngine(e.path(stageDir), o)
	if IsDamage(err) { // it is had again from where it came from
		if err := e.removeStage(); err != nil || !create {
			return nil, err
		}
		inner, err = openEngine(e.path(stageDir), o)
	}
	if err != nil {
		return nil, fmt.Errorf("open stage: %w", err)
	}
	return &stage{Engine: inner, owner: e}, nil
}

// forStage returns the options of the stage. That it is damaged is nobody's to be told: the state is not, and would be
// given up for it. Whoever reads what is damaged gets an error, and the stage is begun anew.
func (o Options) forStage() Options {
	o.CacheBytes = stageCacheBytes
	o.MemTableBytes = min(o.MemTableBytes, stageMemTableBytes)
	o.Damage, o.HoldCompactions = nil, false
	if tell := o.Background; tell != nil {
		o.Background = func(err error) {
			if !IsDamage(err) {
				tell(err)
			}
		}
	}
	return o
}

// Seal writes tables. They are synced when it returns.
func (s *stage) Seal(r kv.Replacement) error {
	s.sealed, s.tables = false, nil
	if err := s.removeTables(); err != nil {
		return err
	}
	s.apart, s.excise = r.Apart, pebble.KeyRange{}
	if whole, ok := hull(r); ok {
		s.excise = pebble.KeyRange{Start: whole.Lo, End: whole.Hi}
	}
	w := newTableWriter(s, r)
	err := r.Fill(w)
	if err = errors.Join(err, w.finish()); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	s.tables, s.sealed = w.paths, true
	return nil
}

// hull returns what is emptied, with what is apart, as one span, if it is one.
func hull(r kv.Replacement) (kv.Span, bool) {
	spans := append(slices.Clone(r.Clear), r.Apart)
	slices.SortFunc(spans, func(a, b kv.Span) int { return bytes.Compare(a.Lo, b.Lo) })
	whole := spans[0]
	for _, next := range spans[1:] {
		if !bytes.Equal(next.Lo, whole.Hi) {
			return kv.Span{}, false
		}
		whole.Hi = next.Hi
	}
	return whole, true
}

func (s *stage) removeTables() error {
	fs := s.options.FS
	if err := fs.RemoveAll(s.path(tablesDir)); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := fs.MkdirAll(s.path(tablesDir), 0o755); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

var errNotSealed = errors.New("install: nothing is sealed")

// Install hands the tables to Pebble. The memory tables are flushed before: what was committed is then
// below what is installed on the disk, too.
func (s *stage) Install(apart []kv.Pair) error {
	if !s.sealed {
		return errNotSealed
	}
	s.sealed = false
	w := newTableWriter(s, kv.Replacement{Clear: []kv.Span{s.apart}})
	w.paths = s.tables
	for _, p := range apart {
		if err := w.Set(p.Key, p.Value); err != nil {
			return fmt.Errorf("install: %w", errors.Join(err, w.finish()))
		}
	}
	if err := w.finish(); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := s.owner.Flush(); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	var err error
	if s.excise.Valid() {
		_, err = s.owner.db.IngestAndExcise(context.Background(), w.paths, nil, nil, s.excise)
	} else {
		err = s.owner.db.Ingest(context.Background(), w.paths)
	}
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}

// Drop closes the stage and removes its directory.
func (s *stage) Drop() error {
	if err := s.Close(); err != nil {
		return fmt.Errorf("drop stage: %w", err)
	}
	return s.owner.removeStage()
}

// removeStage removes the stage's directory. That goes under another name first: a stage of which only some files
// are left must not be taken for one.
func (e *Engine) removeStage() error {
	if err := e.removeDropped(); err != nil {
		return err
	}
	if err := e.options.FS.Rename(e.path(stageDir), e.path(droppedDir)); err != nil {
		return fmt.Errorf("drop stage: %w", err)
	}
	if err := e.syncDir(); err != nil {
		return fmt.Errorf("drop stage: %w", err)
	}
	return e.removeDropped()
}

// removeDropped removes what is left of a stage that was dropped.
func (e *Engine) removeDropped() error {
	if err := e.options.FS.RemoveAll(e.path(droppedDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the dropped stage: %w", err)
	}
	return nil
}

func (e *Engine) syncDir() error {
	dir, err := e.options.FS.OpenDir(e.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
