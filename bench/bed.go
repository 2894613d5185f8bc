package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
)

const (
	// keyPrefix and seven digits make a key of 8 bytes.
	keyPrefix = "k"
	// maxConnections is where clients begin to share connections.
	maxConnections = 16
	// poolBytes is how many random bytes values are cut from, besides the size of one value.
	poolBytes = 1 << 20
	// storeTimeout bounds storing all keys; storers transactions are under way at a time, each of at
	// most storePuts keys (etcd allows 128) and of about storeBytes (it allows 1.5 MiB).
	storeTimeout = 5 * time.Minute
	storers      = 8
	storePuts    = 100
	storeBytes   = 1 << 20
	// askTimeout bounds a single question outside the load.
	askTimeout = 10 * time.Second
)

// bed is what one run has: three servers that hold all keys, and what is asked of them.
type bed struct {
	options *options
	target  string // where clients connect: one of targets
	size    int    // of the scenario; what it counts is the scenario's business
	cluster *cluster.Cluster
	asker   *clientv3.Client // to the leader, for what is not part of the load
	pool    string           // random bytes; the same in every run
	seed    uint64
	profile string // file for a CPU profile of the leader; empty: none
	warn    func(format string, args ...any)
	tell    func(format string, args ...any) // a line of progress, for what takes long
}

// fill makes the pool of random bytes that values are cut from. Random, lest a subject that
// compresses gain by it; cut from a pool, because making them costs the client CPU.
func (b *bed) fill() {
	chance := rand.NewChaCha8([32]byte{1})
	pool := make([]byte, poolBytes+b.options.valueBytes)
	_, _ = chance.Read(pool) // never fails
	b.pool = string(pool)
}

func keyName(i int) string { return fmt.Sprintf(keyPrefix+"%07d", i) }

func (b *bed) key(chance *rand.Rand) string { return keyName(chance.IntN(b.options.keys)) }

func (b *bed) value(chance *rand.Rand) string {
	at := chance.IntN(poolBytes + 1)
	return b.pool[at : at+b.options.valueBytes]
}

// store puts all keys, in transactions because that is quick, and makes sure that they are there.
func (b *bed) store(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errors.New("storing the keys took too long"))
	defer cancel()
	perTxn := max(1, min(storePuts, storeBytes/b.options.valueBytes))
	errs := make([]error, storers)
	var running sync.WaitGroup
	for i := range storers {
		running.Go(func() {
			chance := rand.New(rand.NewPCG(b.seed, uint64(i)))
			for from := i * perTxn; from < b.options.keys && errs[i] == nil; from += storers * perTxn {
				errs[i] = b.storeRange(ctx, chance, from, min(from+perTxn, b.options.keys))
			}
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store keys: %w", err)
	}
	// Every server must have them: what a watcher at one that lags is told first would be these puts.
	for _, url := range b.cluster.URLs() {
		if err := b.countKeys(ctx, url); err != nil {
			return err
		}
	}
	return nil
}

// countKeys makes sure that a server has all keys, by a linearizable read.
func (b *bed) countKeys(ctx context.Context, url string) error {
	connection, err := cluster.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	got, err := connection.Get(ctx, keyPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("count keys at %s: %w", url, err)
	}
	if got.Count != int64(b.options.keys) {
		return fmt.Errorf("stored %d keys, but %s counts %d", b.options.keys, url, got.Count)
	}
	return nil
}

func (b *bed) storeRange(ctx context.Context, chance *rand.Rand, from, to int) error {
	var puts []clientv3.Op
	for i := from; i < to; i++ {
		puts = append(puts, clientv3.OpPut(keyName(i), b.value(chance)))
	}
	_, err := b.asker.Txn(ctx).Then(puts...).Commit()
	return err
}

// revision returns the revision of the store, by a linearizable read.
func (b *bed) revision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	got, err := b.asker.Get(ctx, keyPrefix, clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("ask for the revision: %w", err)
	}
	return got.Header.Revision, nil
}

// targets returns the URLs that connections are dealt to in turn: the leader alone, the follower behind
// it alone, or all servers and the leader first. The order matters with fewer clients than servers: the
// only client of a run would else pay for being forwarded or not by chance.
func (b *bed) targets() []string {
	urls := b.cluster.URLs()
	leader := urls[b.cluster.Leader]
	switch b.target {
	case "leader":
		return []string{leader}
	case "follower":
		return []string{urls[(b.cluster.Leader+1)%len(urls)]}
	}
	return slices.Insert(slices.Delete(urls, b.cluster.Leader, b.cluster.Leader+1), 0, leader)
}

// connect returns one connection per client, up to maxConnections. The caller closes them.
func (b *bed) connect(clients int) ([]*clientv3.Client, error) {
	targets := b.targets()
	var connections []*clientv3.Client
	for i := range min(clients, maxConnections) {
		connection, err := cluster.Dial(targets[i%len(targets)])
		if err != nil {
			closeAll(connections)
			return nil, err
		}
		connections = append(connections, connection)
	}
	return connections, nil
}

func closeAll(connections []*clientv3.Client) {
	for _, connection := range connections {
		connection.Close() // its only error is that of a cancelled context: ours
	}
}
