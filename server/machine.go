package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// machine is the state machine that the group replicates: the store, and what has to be done for it
// besides applying. Its error path is fatal, which ends the server.
type machine struct {
	store *kv.Store
	feed  *etcdapi.Feed // gets what changes
	fatal func(error)
	// flushBytes is how much log may be applied without being durable in the state. It bounds what a
	// restart after a crash applies again.
	flushBytes int64

	// mu is held by whoever writes to the store: the applier, or one step of compaction. So each waits
	// for the other, for no longer than a batch or a step takes. It guards what follows.
	mu        sync.Mutex
	unflushed int64 // bytes of log applied since the last flush began
	commands  []kv.Command

	// durable is the index that a crash now would leave.
	durable  atomic.Uint64
	flushNow chan struct{} // holds one: flush
	compact  chan struct{} // holds one: look whether there is something to remove

	scrubbed    scrubbed
	removed     removed
	slowApplies atomic.Uint64
}

// removed tells up to which compaction everything superfluous is gone.
type removed struct {
	mu       sync.Mutex // guards what follows
	revision int64
	changed  chan struct{} // closed, and made anew, when revision changes
}

const (
	// entryBytes is what an entry of the log takes up beside its request, roughly.
	entryBytes = 128

	// A step of compaction looks at so many changes, which takes a millisecond or two, and then pauses
	// for three times as long as it took: applies may be delayed by one step, and compaction takes a
	// quarter of a processor at most.
	stepChanges   = 256
	pausePerStep  = 3
	shortestPause = time.Millisecond

	// slowApply is what etcd calls slow.
	slowApply = 100 * time.Millisecond

	// answerRoomBytes is what an answer takes up beside its body.
	answerRoomBytes = 1 + 10
)

func newMachine(store *kv.Store, flushBytes int64, fatal func(error)) *machine {
	m := &machine{
		store: store, flushBytes: flushBytes, fatal: fatal, feed: etcdapi.NewFeed(store.Revision(), store.CompactRevision()),
		flushNow: make(chan struct{}, 1), compact: make(chan struct{}, 1),
		removed: removed{revision: -1, changed: make(chan struct{})},
	}
	m.durable.Store(store.AppliedIndex()) // the store was opened just now: what it shows is on the disk
	signal(m.compact)                     // a compaction may have been under way
	return m
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// DurableIndex implements quorate.StateMachine.
func (m *machine) DurableIndex() quorate.Index { return quorate.Index(m.durable.Load()) }

// Apply implements quorate.StateMachine. If the store fails, it gives no answers, so that nobody is
// told of success.
func (m *machine) Apply(entries []quorate.Entry) [][]byte {
	began := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.commands)
	m.commands = m.commands[:0]
	for i := range entries {
		e := &entries[i]
		c := kv.Command{Index: uint64(e.Index), Time: e.Command.Time, Kind: kv.Kind(e.Command.Kind), Session: e.Command.Session}
		if c.Kind != kv.KindNone {
			c.Request = e.Command.Request
		}
		m.commands = append(m.commands, c)
		m.unflushed += int64(len(c.Request)) + entryBytes
	}
	compacted := m.store.CompactRevision()
	answers, err := m.applyAndTell()
	if err != nil {
		m.fatal(err)
		return nil
	}
	if m.unflushed > m.flushBytes {
		m.unflushed = 0
		signal(m.flushNow)
	}
	if m.store.CompactRevision() != compacted {
		signal(m.compact)
	}
	if time.Since(began) > slowApply {
		m.slowApplies.Add(1)
	}
	return encodeAnswers(answers)
}

// applyAndTell applies the commands, and leaves what they have changed for those who watch.
func (m *machine) applyAndTell() (answers []kv.Answer, err error) {
	var told *kv.Changes
	if m.feed.Wanted() {
		told = new(kv.Changes)
		answers, err = m.store.ApplyAndTell(m.commands, told)
	} else {
		answers, err = m.store.Apply(m.commands)
	}
	if err == nil {
		m.feed.Add(told, m.store.Revision(), m.store.CompactRevision())
	}
	return answers, err
}

// encodeAnswers encodes answers into one piece of memory.
func encodeAnswers(answers []kv.Answer) [][]byte {
	room := 0
	for i := range answers {
		room += answerRoomBytes + len(answers[i].Body)
	}
	memory := make([]byte, 0, room)
	encoded := make([][]byte, len(answers))
	for i := range answers {
		start := len(memory)
		memory = answers[i].Append(memory)
		encoded[i] = memory[start:len(memory):len(memory)]
	}
	return encoded
}

// flushNowAndWait makes what has been applied durable, and returns up to where that is. Flushes under way at once are as
// good as one: the engine puts them in a row.
func (m *machine) flushNowAndWait(context.Context) (index uint64, err error) {
	if err := m.flushOrEnd(); err != nil {
		return 0, err
	}
	return m.durable.Load(), nil
}

// flush makes what is applied durable whenever enough of it has gathered. It is the flusher's loop.
func (m *machine) flush(ctx context.Context) {
	for {
		select {
		case <-m.flushNow:
		case <-ctx.Done():
			return
		}
		switch err := m.flushOrEnd(); {
		case err == nil:
		case pebblekv.IsDiskFull(err):
			m.mu.Lock()
			m.unflushed = m.flushBytes // it is tried again with the next entry
			m.mu.Unlock()
		default:
			return
		}
	}
}

// flushOrEnd makes what is applied durable. If it cannot be, that ends the server, but for a full disk: then the engine
// tries again by itself.
func (m *machine) flushOrEnd() error {
	err := m.flushOnce()
	if err != nil && !pebblekv.IsDiskFull(err) {
		m.fatal(err)
	}
	return err
}

func (m *machine) flushOnce() error {
	if err := m.store.Flush(); err != nil {
		return err
	}
	durable, err := m.store.DurableIndex()
	if err != nil {
		return fmt.Errorf("read what is durable: %w", err)
	}
	for known := m.durable.Load(); durable > known && !m.durable.CompareAndSwap(known, durable); known = m.durable.Load() {
		// Somebody else has flushed meanwhile. What is durable never becomes less.
	}
	return nil
}

// remove removes what compactions have made superfluous, step by step. It is the remover's loop: while
// there is nothing to remove it does nothing.
func (m *machine) remove(ctx context.Context) {
	for {
		select {
		case <-m.compact:
		case <-ctx.Done():
			return
		}
		if err := m.removeAll(ctx); err != nil {
			m.fatal(err)
			return
		}
	}
}

func (m *machine) removeAll(ctx context.Context) error {
	for {
		began := time.Now()
		done, err := m.removeStep()
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(max(pausePerStep*time.Since(began), shortestPause)):
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *machine) removeStep() (done bool, err error) {
	m.mu.Lock()
	target := m.store.CompactRevision()
	done, err = m.store.CompactStep(stepChanges)
	m.mu.Unlock()
	if done && err == nil {
		m.removed.set(target)
	}
	return done, err
}

func (r *removed) set(revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if revision > r.revision {
		r.revision = revision
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// errStopping: the server closes.
var errStopping = errors.New("server is closing")

// wait waits until what the compaction at a revision has made superfluous is gone.
func (r *removed) wait(ctx context.Context, revision int64, stopping <-chan struct{}) error {
	for {
		r.mu.Lock()
		done, changed := r.revision >= revision, r.changed
		r.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-stopping:
			return errStopping
		}
	}
}
