package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

// Sizes of what a performance check writes, in bytes; etcdctl's.
const (
	perfKeyBytes   = 256 // behind the prefix
	perfValueBytes = 1024
)

// perfLoad is what a performance check asks of a cluster.
type perfLoad struct {
	name     string
	limit    int // writes a second
	clients  int
	duration time.Duration
	prefix   string
	timeout  time.Duration // of one write
}

// perfAnswer is what came of one write.
type perfAnswer struct {
	took time.Duration
	err  error
}

// run makes the load until its time is over or ctx ends, waits for the last answer, and says what came of
// all. tell is told how far it is, twice a second.
func (l *perfLoad) run(ctx context.Context, clients []*clientv3.Client, tell func(string)) *show.Perf {
	began := time.Now()
	writing, cancel := context.WithTimeout(ctx, l.duration)
	defer cancel()
	turns := make(chan struct{})                   // holds none: a turn begins when a client is free
	answers := make(chan perfAnswer, len(clients)) // a client waits while it is full
	var running sync.WaitGroup
	running.Go(func() { l.pace(writing, began, turns) })
	for _, client := range clients {
		running.Go(func() {
			for range turns {
				answers <- l.once(client)
			}
		})
	}
	go func() { // ends with the last client
		running.Wait()
		close(answers)
	}()
	outcome := l.collect(answers, began, tell)
	outcome.Took = time.Since(began)
	return outcome
}

// pace gives turns at the load's rate. When all clients are busy, turns are late, and not lost.
func (l *perfLoad) pace(ctx context.Context, began time.Time, turns chan<- struct{}) {
	defer close(turns)
	interval := time.Second / time.Duration(l.limit)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := began; ; due = due.Add(interval) {
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

var perfValue = strings.Repeat("x", perfValueBytes)

// once makes one write. It is waited for even if the check is interrupted: what comes after the keys were
// deleted would stay.
func (l *perfLoad) once(client *clientv3.Client) perfAnswer {
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	began := time.Now()
	_, err := client.Put(ctx, l.prefix+fmt.Sprintf("%0*x", perfKeyBytes, rand.Uint64()), perfValue)
	return perfAnswer{time.Since(began), err}
}

// collect adds up the answers.
func (l *perfLoad) collect(answers <-chan perfAnswer, began time.Time, tell func(string)) *show.Perf {
	outcome := &show.Perf{Load: l.name, Limit: l.limit, Clients: l.clients, Errors: map[string]int{}}
	news := time.NewTicker(time.Second / 2)
	defer news.Stop()
	var spread spread
	for {
		select {
		case answer, ok := <-answers:
			if !ok {
				outcome.Stddev = time.Duration(spread.stddev())
				return outcome
			}
			if answer.err != nil {
				outcome.Errors[kindOf(outcome.Errors, answer.err)]++
				continue
			}
			outcome.Writes++
			outcome.Slowest = max(outcome.Slowest, answer.took)
			spread.add(float64(answer.took))
		case <-news.C:
			tell(fmt.Sprintf("%.0f of %.0f s, %d writes", time.Since(began).Seconds(), l.duration.Seconds(), outcome.Writes))
		}
	}
}

// errorKinds bounds how many errors are told apart: some name a port, and no two are the same.
const errorKinds = 10

// kindOf returns under which words an error is counted.
func kindOf(counted map[string]int, err error) string {
	said := err.Error()
	if _, known := counted[said]; !known && len(counted) >= errorKinds {
		return "others"
	}
	return said
}

// spread is the standard deviation of numbers that come one by one, without keeping them (Welford's way).
type spread struct {
	count        int
	mean, square float64 // square is the sum of the squares of distances from the mean
}

func (s *spread) add(x float64) {
	s.count++
	distance := x - s.mean
	s.mean += distance / float64(s.count)
	s.square += distance * (x - s.mean)
}

func (s *spread) stddev() float64 {
	if s.count == 0 {
		return 0
	}
	return math.Sqrt(s.square / float64(s.count))
}
