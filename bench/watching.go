package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/hist"
	"github.com/quorate/quorate/bench/internal/raw"
)

const (
	// watchStreams is on how many streams watchers are, each of a connection of its own: four at each
	// server. It is what a few clients with many watchers each would have; one stream for each watcher
	// would measure gRPC.
	watchStreams = 12
	// createTimeout bounds how long creating all watchers may take.
	createTimeout = time.Minute
)

// watching is many watchers on a few streams, and what they are told.
type watching struct {
	complete    bool        // each watcher must be told of every revision
	counting    atomic.Bool // within the window
	connections []*clientv3.Client
	streams     []*watchStream
	running     sync.WaitGroup
	cancel      context.CancelFunc
}

// watchStream is one stream. Its fields belong to the goroutine that receives, until that is gone.
type watchStream struct {
	watch   *raw.Watch
	last    []int64 // of each watcher, by its id: the revision that it was told of last
	delay   hist.Histogram
	events  int64
	created chan error // holds one: all watchers are there, or why not
	err     error
}

// watch creates watchers, dealt to the streams in turn, and waits until all are there. Watcher i is
// of the keys of interval(i); complete says that these are all keys that are put. The caller must stop it.
func (b *bed) watch(ctx context.Context, watchers int, interval func(int) (key, end string), complete bool) (*watching, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watching{complete: complete, cancel: cancel}
	streams := min(watchers, watchStreams)
	for i := range streams {
		s, err := b.openWatch(ctx, w, i)
		if err != nil {
			return nil, errors.Join(err, w.stop())
		}
		var own [][2]string
		for watcher := i; watcher < watchers; watcher += streams {
			key, end := interval(watcher)
			own = append(own, [2]string{key, end})
		}
		w.running.Go(func() { s.create(own) })
		w.running.Go(func() { s.receive(ctx, w, len(own)) })
	}
	timer := time.NewTimer(createTimeout)
	defer timer.Stop()
	for _, s := range w.streams {
		var err error
		select {
		case err = <-s.created:
		case <-timer.C:
			err = fmt.Errorf("%d watchers were not created within %v", watchers, createTimeout)
		}
		if err != nil {
			return nil, errors.Join(err, w.stop())
		}
	}
	return w, nil
}

// openWatch opens stream number i on a connection of its own.
func (b *bed) openWatch(ctx context.Context, w *watching, i int) (*watchStream, error) {
	targets := b.targets()
	connection, err := cluster.Dial(targets[i%len(targets)])
	if err != nil {
		return nil, err
	}
	w.connections = append(w.connections, connection)
	watch, err := raw.OpenWatch(ctx, connection.ActiveConnection())
	if err != nil {
		return nil, err
	}
	s := &watchStream{watch: watch, created: make(chan error, 1)}
	w.streams = append(w.streams, s)
	return s, nil
}

// create asks for watchers. What goes wrong, the receiver sees, too.
func (s *watchStream) create(intervals [][2]string) {
	for _, i := range intervals {
		if s.watch.Create(i[0], i[1], 0) != nil {
			return
		}
	}
}

// receive receives until the stream ends.
func (s *watchStream) receive(ctx context.Context, w *watching, watchers int) {
	var a raw.Answer
	for {
		err := s.watch.Receive(&a)
		if err == nil {
			err = s.take(&a, w.complete, w.counting.Load())
		}
		if err != nil {
			if ctx.Err() == nil {
				s.err = err
			}
			if len(s.last) < watchers {
				s.created <- err
			}
			return
		}
		if a.Created && len(s.last) == watchers {
			s.created <- nil
		}
	}
}

// take counts a response, and checks its order: if the watchers are of all keys that are put, one
// revision must come after the other.
func (s *watchStream) take(a *raw.Answer, complete, counting bool) error {
	switch {
	case a.Canceled:
		return fmt.Errorf("watcher %d was canceled: %q, compacted %d", a.ID, a.Reason, a.Compacted)
	case a.Created:
		if a.ID != int64(len(s.last)) {
			return fmt.Errorf("watcher %d was created, it is number %d of its stream", a.ID, len(s.last))
		}
		s.last = append(s.last, a.Revision)
		return nil
	case a.Events == 0:
		return nil // progress
	case a.ID < 0 || a.ID >= int64(len(s.last)):
		return fmt.Errorf("events for watcher %d, which there is not", a.ID)
	case a.First <= s.last[a.ID] || complete && (a.Gaps > 0 || a.First != s.last[a.ID]+1):
		return fmt.Errorf("watcher %d was told of revisions %d to %d with %d gaps, after %d", a.ID, a.First, a.Last, a.Gaps, s.last[a.ID])
	}
	s.last[a.ID] = a.Last
	if counting {
		s.events += int64(a.Events)
		s.delay.Add(time.Since(a.Stamp))
	}
	return nil
}

// edge is called at both ends of the window.
func (w *watching) edge() { w.counting.Store(!w.counting.Load()) }

// stop ends all streams and returns what went wrong with one of them.
func (w *watching) stop() error {
	w.cancel()
	w.running.Wait()
	closeAll(w.connections)
	for i, s := range w.streams {
		if s.err != nil {
			return fmt.Errorf("watch stream %d: %w", i, s.err)
		}
	}
	return nil
}

// told returns how many events came within the window, and how long after the put of each response's
// first event had begun. It may be called when the streams have been stopped.
func (w *watching) told() (events int64, delay *hist.Histogram) {
	delay = &hist.Histogram{}
	for _, s := range w.streams {
		events += s.events
		delay.Merge(&s.delay)
	}
	return events, delay
}
