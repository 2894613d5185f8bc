package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/raw"
	"github.com/quorate/quorate/bench/internal/report"
)

// slowPause is how long a slow stream waits before it takes the next response.
const slowPause = 10 * time.Millisecond

// runUnread measures puts beside a stream of many watchers of all keys, which is not read any more once
// they are created. With size 0 there is no watcher: it shows what the memory does by itself.
func runUnread(ctx context.Context, b *bed, r *report.Run) error {
	return b.beside(ctx, r, &unread{bed: b})
}

// runSlow measures puts beside one that is read slowly.
func runSlow(ctx context.Context, b *bed, r *report.Run) error {
	return b.beside(ctx, r, &unread{bed: b, slowly: true})
}

// unread is a stream that is not read, or slowly.
type unread struct {
	bed     *bed
	slowly  bool
	leader  *leaderWatch
	running sync.WaitGroup
}

func (u *unread) start(ctx context.Context) error {
	var err error
	if u.leader, err = u.bed.watchLeader(ctx); err != nil {
		return err
	}
	defer time.AfterFunc(createTimeout, u.leader.hangUp).Stop()
	creating := make(chan error, 1)
	u.running.Go(func() { creating <- u.create() })
	var a raw.Answer
	for range u.bed.size {
		if err := u.leader.Receive(&a); err != nil || !a.Created {
			return fmt.Errorf("create %d watchers: got %+v: %w", u.bed.size, a, err)
		}
	}
	if u.slowly {
		u.running.Go(func() { u.read(ctx) })
	}
	return <-creating
}

func (u *unread) create() error {
	for i := range u.bed.size {
		key, end := allKeys(i)
		if err := u.leader.Create(key, end, 0); err != nil {
			return err
		}
	}
	return nil
}

// read reads slowly until the stream ends.
func (u *unread) read(ctx context.Context) {
	ticker := time.NewTicker(slowPause)
	defer ticker.Stop()
	var a raw.Answer
	for u.leader.Receive(&a) == nil {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (u *unread) edge() {}

func (u *unread) stop(*report.Run) error {
	if u.leader != nil {
		u.leader.hangUp()
	}
	u.running.Wait()
	return nil
}

// leaderWatch is one stream at the leader, where puts are ordered: what it costs, it costs most there.
type leaderWatch struct {
	*raw.Watch
	hangUp func()
}

func (b *bed) watchLeader(ctx context.Context) (*leaderWatch, error) {
	connection, err := cluster.Dial(b.cluster.URLs()[b.cluster.Leader])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	watch, err := raw.OpenWatch(ctx, connection.ActiveConnection())
	if err != nil {
		cancel()
		return nil, errors.Join(err, connection.Close())
	}
	return &leaderWatch{watch, func() { cancel(); connection.Close() }}, nil
}
