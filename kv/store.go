package kv

import (
	"fmt"
	//tidy:impure readers are other goroutines than the writer, and share views that are at rest
	"sync"
	//tidy:impure the current state is published to readers
	"sync/atomic"
)

// Store is the state machine: keys with all their versions since the last compaction.
//
// One goroutine, the writer, calls Apply, CompactStep and Close. Everything else may be called by
// any goroutine at any time between Open and Close.
type Store struct {
	engine   Engine
	options  Options
	current  atomic.Pointer[state] // as of the last commit
	pins     sync.Pool             // of *pinned that are not in use
	leases   leases                // the writer's; others may look
	sessions sessions              // the same
	views    views                 // what peers are served out of
	sums     sums                  // what is told to other servers
	plan     atomic.Pointer[plan]  // of what is staged; nil: nothing is
	swap     sync.RWMutex          // held to open a view and look at current, and to replace both

	// The writer's.
	write    writer
	fresh    bool // the engine has no format record yet: the first batch brings it
	cache    *metaCache
	progress progress
	failed   error // the first error of an apply; after it nothing more is applied

	staging staging // belongs to whoever stages
}

// Open opens the store in an engine, which may be empty. The store owns the engine from now on,
// also if Open fails.
//
// Errors: ErrOtherCluster, ErrNewerFormat, ErrCorrupt, and whatever the engine reports.
func Open(engine Engine, o Options) (*Store, error) {
	s, err := open(engine, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", joinClose(err, engine.Close))
	}
	return s, nil
}

func open(engine Engine, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s := &Store{engine: engine, options: o, cache: newMetaCache(o.CacheBytes)}
	s.pins.New = func() any { return &pinned{pool: &s.pins} }
	s.write.store = s
	now, removed := initialState(), progress{target: -1}
	it, err := engine.NewIterator(nil, nil)
	if err != nil {
		return nil, err
	}
	s.fresh, err = s.loadRecords(it, &now, &removed)
	if err = joinClose(err, it.Close); err != nil {
		return nil, err
	}
	s.current.Store(&now)
	s.progress = removed
	return s, s.loadStage()
}

// loadRecords reads the records of the meta and local spaces; those that are not there are left as
// they are. It reports whether the engine is fresh.
func (s *Store) loadRecords(it Iterator, now *state, removed *progress) (fresh bool, err error) {
	value, ok := find(it, formatKey())
	if !ok {
		// Empty, or crashed before its first flush. Keys without a format are somebody else's.
		if it.First() {
			return false, fmt.Errorf("keys but no format record: %w", ErrCorrupt)
		}
		return true, it.Error()
	}
	if err := checkFormat(value, s.options.Cluster); err != nil {
		return false, err
	}
	if value, ok := find(it, appliedKey()); ok {
		if *now, err = parseState(value); err != nil {
			return false, err
		}
	}
	if now.alarms, err = loadAlarms(it); err != nil {
		return false, err
	}
	if now.tokens, err = loadTokens(it); err != nil {
		return false, err
	}
	if err = s.leases.load(it); err != nil {
		return false, err
	}
	if err = s.sessions.load(it); err != nil {
		return false, err
	}
	if value, ok := find(it, positionKey()); ok {
		now.position = append([]byte{}, value...)
	}
	if value, ok := find(it, progressKey()); ok {
		if *removed, err = parseProgress(value); err != nil {
			return false, err
		}
	}
	return false, it.Error()
}

// newBatch returns a batch, into which the format goes if it is the engine's first.
func (s *Store) newBatch() Batch {
	b := s.engine.NewBatch()
	if s.fresh {
		b.Set(formatKey(), appendFormat(nil, s.options.Cluster))
	}
	return b
}

// commit commits a batch of newBatch's.
func (s *Store) commit(b Batch) error {
	if err := b.Commit(); err != nil {
		return err
	}
	s.fresh = false
	return nil
}

// find returns the value of exactly key.
func find(it Iterator, key []byte) ([]byte, bool) {
	if it.SeekGE(key) && string(it.Key()) == string(key) {
		return it.Value(), true
	}
	return nil, false
}

// joinClose closes, and returns err, or else the error of closing.
func joinClose(err error, close func() error) error {
	if closing := close(); err == nil {
		return closing
	}
	return err
}

// AppliedIndex returns the index of the last command applied; 0 if none was.
func (s *Store) AppliedIndex() uint64 { return s.current.Load().applied }

// Revision returns the main revision of the last change; 1 in an empty store.
func (s *Store) Revision() int64 { return s.current.Load().revision }

// CompactRevision returns the revision of the last compaction: reads below it are refused. It is -1
// before the first compaction.
func (s *Store) CompactRevision() int64 { return s.current.Load().compact }

// Time returns the log time of the last command, in nanoseconds.
func (s *Store) Time() uint64 { return s.current.Load().time }

// Digest returns the digest after the last command, together with that command's index.
func (s *Store) Digest() (Digest, uint64) {
	now := s.current.Load()
	return now.digest, now.applied
}

// DurableIndex returns the applied index that would be left if the machine lost power now: after a
// crash, Open finds this index or a later one, and exactly the state that belongs to it; a restart
// applies the commands after it again. It reads the disk.
func (s *Store) DurableIndex() (uint64, error) {
	value, ok, err := s.engine.GetDurable(appliedKey())
	if err != nil || !ok {
		return 0, err
	}
	durable, err := parseState(value)
	return durable.applied, err
}

// Flush makes everything applied so far durable, and waits for it.
func (s *Store) Flush() error { return s.engine.Flush() }

// Close closes the engine, without a flush: commands after the durable index are applied again. Whoever reads, is
// served or stages has ended before.
func (s *Store) Close() error {
	s.views.drop(func(int, int, *view) bool { return true })
	if s.staging.stage == nil {
		return s.engine.Close()
	}
	err := s.staging.stage.Close()
	s.staging.stage = nil
	return joinClose(err, s.engine.Close)
}

// Check is the package's Check with the limits of the store's options: for requests on their way
// in.
func (s *Store) Check(kind Kind, request []byte) Code {
	return Check(kind, request, s.options.Limits)
}

// pinned is a view of the engine and the revisions that may be read in it.
type pinned struct {
	reader
	iterator          Iterator
	lo, hi            []byte // its bounds
	revision, compact int64
	pool              *sync.Pool // where its memory came from
}

// pin opens a view of the versions of a range of keys.
//
// The order matters. The revision is loaded before the view is opened, so the view has everything
// up to it. The compaction revision is loaded after: whatever the view no longer has was removed
// for a compaction that is not newer than this one. If a compaction has meanwhile passed the
// revision itself, it is done again.
func (s *Store) pin(keys keyRange) (*pinned, error) {
	p := s.pins.Get().(*pinned)
	p.lo, p.hi = appendBounds(p.lo[:0], p.hi[:0], keys)
	for {
		s.swap.RLock()
		before := s.current.Load()
		it, err := s.engine.NewIterator(p.lo, p.hi)
		after := s.current.Load()
		s.swap.RUnlock()
		if err != nil {
			return nil, err
		}
		if before.revision >= after.compact {
			p.iterator, p.cursor = it, it
			p.revision, p.compact = before.revision, after.compact
			return p, nil
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
}

func (p *pinned) close() error {
	err := p.iterator.Close()
	p.iterator, p.cursor = nil, nil
	p.pool.Put(p)
	return err
}

// allKeys is every key.
func allKeys() keyRange { return keyRange{nil, []byte{0}} }

// appendBounds appends the engine's keys between which the versions of a range are.
func appendBounds(lo, hi []byte, keys keyRange) (_, _ []byte) {
	lo = appendKeyPrefix(lo, keys.key)
	if keys.isPoint() {
		return lo, append(append(hi, lo[:len(lo)-1]...), afterEndOfKey)
	}
	if hi = appendEnd(hi, keys); string(hi) < string(lo) {
		hi = append(hi[:0], lo...) // nothing
	}
	return lo, hi
}

// Range answers a RangeRequest from what is applied now. Whether that is recent enough is the
// caller's business. The error is the engine's.
func (s *Store) Range(request []byte) (Answer, error) {
	a := Answer{Revision: s.Revision()}
	if len(request) > s.options.Limits.RequestBytes {
		a.Err = CodeRequestTooLarge
		return a, nil
	}
	var r rangeRequest
	if a.Err = r.decode(request); a.Err == CodeOK {
		a.Err = r.check()
	}
	if a.Err == CodeOK {
		a.Err = s.readable()
	}
	if a.Err != CodeOK {
		return a, nil
	}
	p, err := s.pin(r.keyRange)
	if err != nil {
		return Answer{}, fmt.Errorf("range: %w", err)
	}
	a.Revision = p.revision
	at, code := resolve(r.revision, p.revision, p.compact)
	if a.Err = code; code == CodeOK {
		a.Body, err = p.appendRange(nil, &r, at)
	}
	if err = joinClose(err, p.close); err != nil {
		return Answer{}, fmt.Errorf("range: %w", err)
	}
	return a, nil
}

// IsReadOnlyTxn tells whether all operations of a transaction are ranges, in which case
// Store.ReadOnlyTxn can answer it without the log. As etcd has it, one with a nested transaction is
// not, and one without operations is. A malformed one is not.
func IsReadOnlyTxn(request []byte) bool {
	return eachRange(request, func(*rangeRequest) bool { return true })
}

// IsSerializable tells whether a range, or a read-only transaction, asks to be answered from what
// this server has, however old. A transaction asks so if all its ranges do.
//
// Differs: etcd also takes a transaction without operations as serializable, though its compares
// may then be answered from the past. Nobody asked for that, so here it is not.
func IsSerializable(kind Kind, request []byte) bool {
	if kind == KindRange {
		var r rangeRequest
		return r.decode(request) == CodeOK && r.serializable
	}
	some := false
	all := eachRange(request, func(r *rangeRequest) bool {
		some = true
		return r.serializable
	})
	return kind == KindTxn && some && all
}

// eachRange tells whether every operation in both branches is a range for which ok holds.
func eachRange(t txnRequest, ok func(*rangeRequest) bool) bool {
	for _, succeeded := range [...]bool{true, false} {
		code := t.each(branch(succeeded), func(body []byte) Code {
			var op requestOp
			var r rangeRequest
			if op.decode(body) != CodeOK || op.kind != opRange || r.decode(op.body) != CodeOK || !ok(&r) {
				return codeStop
			}
			return CodeOK
		})
		if code != CodeOK {
			return false
		}
	}
	return true
}

// ReadOnlyTxn answers a TxnRequest of which IsReadOnlyTxn is true, all of it at one revision. The
// error is the engine's.
func (s *Store) ReadOnlyTxn(request []byte) (Answer, error) {
	a := Answer{Revision: s.Revision()}
	if a.Err = s.Check(KindTxn, request); a.Err != CodeOK {
		return a, nil
	}
	if !IsReadOnlyTxn(request) {
		return Answer{}, errNotReadOnly
	}
	if a.Err = s.readable(); a.Err != CodeOK {
		return a, nil
	}
	p, err := s.pin(allKeys())
	if err != nil {
		return Answer{}, fmt.Errorf("read-only transaction: %w", err)
	}
	a.Revision = p.revision
	run := txnRun{read: &p.reader, revision: p.revision, compact: p.compact}
	a.Body, a.Err, err = run.run(nil, request)
	if err = joinClose(err, p.close); err != nil {
		return Answer{}, fmt.Errorf("read-only transaction: %w", err)
	}
	return a, nil
}
