package pebblekv

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/kv"
)

// Engine is a kv.Engine in a directory.
type Engine struct {
	db         *pebble.DB
	dir        string
	options    Options
	fatal      func(message string)
	background func(err error)
	unwatch    func() error // ends the watch over the disk; nil: there is none
	scheduler  *scheduler

	mu     sync.Mutex
	failed chan struct{} // guarded by mu; closed, and made anew, when something in the background fails
	cause  error         // guarded by mu; what failed last
}

var _ kv.Engine = (*Engine)(nil)

// Open opens the engine in a directory, which is created if it is not there.
func Open(dir string, o Options) (*Engine, error) {
	o = o.withDefaults()
	var unwatch func() error
	if o.Stuck != nil {
		watch := stuck{tell: o.Stuck, found: map[string]time.Time{}}
		o.FS, unwatch = watch.watch(o.FS, o.StuckAfter)
	}
	if o.DiskFull != nil {
		o.FS = vfs.OnDiskFull(o.FS, o.DiskFull)
	}
	e, err := openEngine(dir, o)
	if err != nil {
		return nil, errors.Join(err, ended(unwatch))
	}
	e.unwatch = unwatch
	if o.ReadOnly {
		return e, nil
	}
	if err := e.removeDropped(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// openEngine opens a directory. Pebble panics where it does not know any more what is on the disk. While it opens,
// that is an error like others.
func openEngine(dir string, o Options) (e *Engine, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, fmt.Errorf("open pebble in %s: %v", dir, p)
		}
	}()
	e = &Engine{dir: dir, options: o, fatal: o.Fatal, background: o.Background, failed: make(chan struct{}),
		scheduler: newScheduler(o.HoldCompactions)}
	db, err := pebble.Open(dir, e.pebbleOptions(o))
	if err != nil {
		return nil, unopened(dir, err)
	}
	e.db = db
	return e, nil
}

// Close closes the directory. It does not flush.
func (e *Engine) Close() error {
	if err := errors.Join(e.db.Close(), ended(e.unwatch)); err != nil {
		return fmt.Errorf("close pebble: %w", err)
	}
	return nil
}

// LetCompact ends what Options.HoldCompactions began.
func (e *Engine) LetCompact() { e.scheduler.release() }

func ended(unwatch func() error) error {
	if unwatch == nil {
		return nil
	}
	return unwatch()
}

// backgroundError is called by Pebble with its mutex held: it must not call back.
func (e *Engine) backgroundError(err error) {
	e.mu.Lock()
	e.cause = err
	close(e.failed)
	e.failed = make(chan struct{})
	e.mu.Unlock()
	if e.background == nil {
		logger{fatal: e.fatal}.Fatalf("in the background: %v", err)
	}
	e.background(err)
}

// Flush writes all memory tables to disk and waits for it. It returns the error of a flush that
// fails meanwhile (or of a compaction: Pebble does not say which); Pebble itself goes on trying.
func (e *Engine) Flush() error {
	e.mu.Lock()
	failed := e.failed
	e.mu.Unlock()
	flushed, err := e.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	select {
	case <-flushed:
		return nil
	case <-failed:
		e.mu.Lock()
		defer e.mu.Unlock()
		return fmt.Errorf("flush: %w", e.cause)
	}
}

// GetDurable reads through an iterator that passes over the memory tables: tables on disk are
// synced, and named in a synced manifest, before they are shown.
func (e *Engine) GetDurable(key []byte) (value []byte, ok bool, err error) {
	it, err := e.db.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true})
	if err != nil {
		return nil, false, fmt.Errorf("read what is durable: %w", err)
	}
	if it.SeekGE(key) && string(it.Key()) == string(key) {
		if value, err = it.ValueAndErr(); err == nil {
			value, ok = slices.Clone(value), true
		}
	}
	if closing := it.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, false, fmt.Errorf("read what is durable: %w", err)
	}
	return value, ok, nil
}

// NewIterator opens an iterator, which pins the tables and memory tables of now.
func (e *Engine) NewIterator(lo, hi []byte) (kv.Iterator, error) {
	it, err := e.db.NewIter(iterOptions(lo, hi))
	if err != nil {
		return nil, fmt.Errorf("open iterator: %w", err)
	}
	return &iterator{Iterator: it}, nil
}

func iterOptions(lo, hi []byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: lo, UpperBound: hi, UseL6Filters: true}
}

// iterator is Pebble's, with the value's error moved to where the other errors are.
type iterator struct {
	*pebble.Iterator
	valueErr error
}

func (it *iterator) Clone(lo, hi []byte) (kv.Iterator, error) {
	c, err := it.Iterator.Clone(pebble.CloneOptions{IterOptions: iterOptions(lo, hi)})
	if err != nil {
		return nil, fmt.Errorf("clone iterator: %w", err)
	}
	return &iterator{Iterator: c}, nil
}

func (it *iterator) SeekPrefix(key []byte) bool { return it.SeekPrefixGE(key) }

// Value reads the value. If that fails, the iterator has an error and the value is empty, which is
// no valid record.
func (it *iterator) Value() []byte {
	value, err := it.ValueAndErr()
	if err != nil && it.valueErr == nil {
		it.valueErr = err
	}
	return value
}

func (it *iterator) Error() error {
	if it.valueErr != nil {
		return damaged(it.valueErr)
	}
	return damaged(it.Iterator.Error())
}

// damaged adds kv.ErrCorrupt to an error that is about damage on the disk.
func damaged(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	}
	return err
}

func (it *iterator) Close() error {
	err := it.Iterator.Close()
	if it.valueErr != nil {
		err = it.valueErr
	}
	if err != nil {
		return fmt.Errorf("iterate: %w", damaged(err))
	}
	return nil
}

// NewBatch returns an empty batch.
func (e *Engine) NewBatch() kv.Batch { return &batch{batch: e.db.NewBatch()} }

type batch struct {
	batch *pebble.Batch
	err   error // the first of a write
}

func (b *batch) Set(key, value []byte) { b.note(b.batch.Set(key, value, nil)) }
func (b *batch) Delete(key []byte)     { b.note(b.batch.Delete(key, nil)) }

func (b *batch) note(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Commit applies the batch to the memory table; it does not sync, there being no log to sync.
func (b *batch) Commit() error {
	b.note(b.batch.Commit(pebble.NoSync))
	b.note(b.batch.Close())
	if b.err != nil {
		return fmt.Errorf("commit batch: %w", b.err)
	}
	return nil
}

func (b *batch) Discard() {
	// Nothing was promised, and nothing is lost with a batch that is dropped.
	_ = b.batch.Close()
}
