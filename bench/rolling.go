package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

// maxRollingClients is how many clients may write while servers are restarted: each has connections of
// its own to all of them.
const maxRollingClients = 1000

// runRolling restarts one server after the other, so many times around, while clients of etcd's write one put
// after another, and measures what they see of it.
func runRolling(ctx context.Context, b *bed, r *report.Run) error {
	if err := checkRolling(b, r); err != nil {
		return err
	}
	clients, err := b.plainClients(r.Clients)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	return b.roll(ctx, r, b.newWrites(time.Now()), clients)
}

// runRollingOnce is the same with Quorate's clients.
func runRollingOnce(ctx context.Context, b *bed, r *report.Run) error {
	if err := checkRolling(b, r); err != nil {
		return err
	}
	clients, err := b.ownClients(r.Clients)
	if err != nil {
		return err
	}
	defer clients.close()
	return b.roll(ctx, r, b.newOwnWrites(), clients.plain())
}

func checkRolling(b *bed, r *report.Run) error {
	if b.size < 1 || r.Clients > maxRollingClients {
		return fmt.Errorf("the size of rolling is how often all servers are restarted, 1 at least; it has up to %d clients", maxRollingClients)
	}
	return nil
}

// roll restarts the servers under writes, one writer for each of the clients.
func (b *bed) roll(ctx context.Context, r *report.Run, w *writes, clients []*clientv3.Client) error {
	l := &rolling{crowd: w.startCrowd(ctx, clients, len(clients)), run: r}
	spent, err := b.startMeter()
	err = errors.Join(err, l.settle(ctx)) // until all are connected, there are gaps that no restart makes
	began := l.all.Now()
	for i := 0; i < b.size*cluster.Servers && err == nil; i++ {
		err = l.restart(ctx, i)
	}
	ended := l.all.Now()
	err = errors.Join(err, spent.read(r))
	l.stop()
	if err != nil {
		return err
	}
	l.report(r, began, ended)
	if err := l.check(ctx, r); err != nil {
		return err
	}
	r.AddMedians()
	return nil
}

// rolling restarts servers under clients that each write one put after another.
type rolling struct {
	*crowd
	run *report.Run
}

// restart ends one server and starts it again, once all are whole and all clients have been answered.
func (l *rolling) restart(ctx context.Context, number int) error {
	if err := l.settle(ctx); err != nil {
		return err
	}
	server := number % cluster.Servers
	role := "a follower"
	if server == l.bed.cluster.Leader {
		role = "the leader"
	}
	began := time.Now()
	if err := l.bed.cluster.Terminate(ctx, server); err != nil {
		return err
	}
	down := time.Now()
	if err := l.bed.cluster.Restart(server); err != nil {
		return err
	}
	if err := l.settle(ctx); err != nil {
		return err
	}
	whole := time.Now()
	l.bed.tell("restart %d of %d, %s: ended after %v, whole again after %v", number+1, l.bed.size*cluster.Servers, role,
		down.Sub(began).Round(time.Millisecond), whole.Sub(down).Round(time.Millisecond))
	l.run.AddSample("from SIGTERM to its end, ms", millis(down.Sub(began)))
	l.run.AddSample("from its start to whole, ms", millis(whole.Sub(down)))
	return nil
}
