package sim

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// Batch says which worlds to run.
type Batch struct {
	// Options are those of every world, but for the seed. If there is a story, the worlds are run one
	// by one.
	Options Options
	// From is the first seed, Count how many there are. Default 1.
	From  uint64
	Count int
	// Workers is how many worlds run side by side. Default GOMAXPROCS.
	Workers int
	// StopAtFailure ends the batch at the first failure, apart from worlds that are running already.
	StopAtFailure bool
}

// Validate reports everything that is wrong with the batch at once, or nil.
func (b Batch) Validate() error {
	err := b.Options.Validate()
	if b.Count < 0 {
		err = errors.Join(err, fmt.Errorf("option Count is %d, must not be negative", b.Count))
	}
	if b.Workers < 0 {
		err = errors.Join(err, fmt.Errorf("option Workers is %d, must not be negative", b.Workers))
	}
	return err
}

// Many runs a batch of worlds, and returns the sum of their counts. report gets every result and its
// error, a *Failure or nil, in no order of the seeds, one at a time. The error is that of the options
// or of ctx, or the *Failure with the lowest seed; worlds that fail do not end the batch unless it says so.
func Many(ctx context.Context, b Batch, report func(Result, error)) (Counts, error) {
	if err := b.Validate(); err != nil {
		return Counts{}, fmt.Errorf("simulate: %w", err)
	}
	if b.Count == 0 {
		b.Count = 1
	}
	if b.Workers == 0 {
		b.Workers = runtime.GOMAXPROCS(0)
	}
	if b.Options.Story != nil {
		b.Workers = 1
	}
	m := many{batch: b, report: report}
	ctx, m.stop = context.WithCancel(ctx)
	defer m.stop()
	var running sync.WaitGroup
	for range min(b.Workers, b.Count) {
		running.Go(func() { m.work(ctx) })
	}
	running.Wait()
	switch {
	case m.failure != nil:
		return m.counts, m.failure
	case m.started < b.Count:
		return m.counts, context.Cause(ctx)
	}
	return m.counts, nil
}

// many is a batch that is under way.
type many struct {
	batch  Batch
	report func(Result, error)
	stop   context.CancelFunc

	mu      sync.Mutex // guards the rest, and calls of report
	started int
	counts  Counts
	failure *Failure // that of the lowest seed
}

// work runs worlds until there are no more.
func (m *many) work(ctx context.Context) {
	for {
		seed, ok := m.next(ctx)
		if !ok {
			return
		}
		options := m.batch.Options
		options.Seed = seed
		m.done(Run(options))
	}
}

func (m *many) next(ctx context.Context) (seed uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started == m.batch.Count || ctx.Err() != nil {
		return 0, false
	}
	m.started++
	return m.batch.From + uint64(m.started-1), true
}

func (m *many) done(r Result, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Add(&r.Counts)
	var f *Failure
	if errors.As(err, &f) {
		if m.failure == nil || f.Seed < m.failure.Seed {
			m.failure = f
		}
		if m.batch.StopAtFailure {
			m.stop()
		}
	}
	if m.report != nil {
		m.report(r, err)
	}
}
