package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// Of what changes while a server is away, in percent: updates, deletions and new keys, and how many of the puts
	// belong to a lease.
	lagUpdates = 50
	lagDeletes = 20
	lagLeased  = 10
	// lagLeases share the leased keys; they live for lagTTL seconds, longer than the run.
	lagLeases = 100
	lagTTL    = 24 * 3600
	// lagPoll is how often it is looked how far a transfer has come, for a cut at half way.
	lagPoll = 2 * time.Millisecond
	// hashTimeout bounds a hash of everything.
	hashTimeout = 5 * time.Minute
)

// peerReceived is how servers count what other servers have sent them.
const peerReceived = "etcd_network_peer_received_bytes_total"

// runLagging stores so many keys, ends a server, changes 1 % of the keys and lets the log move on; then the server comes
// back. Once without anything in between; once the server is killed at half way, and once a server that may be feeding
// it, the leader.
func runLagging(ctx context.Context, b *bed, r *report.Run) error {
	if b.size < 100*bulkOps {
		return fmt.Errorf("the size of lagging is a number of keys, and %d at least", 100*bulkOps)
	}
	l := &lagging{bed: b, run: r, keys: b.size - b.size%changedPart}
	if err := b.load(ctx, r, b.size, b.putInOrder(b.size)); err != nil {
		return err
	}
	if err := l.grant(ctx); err != nil {
		return err
	}
	b.target = "leader" // from here on some server is often away
	whole, err := l.episode(ctx, "", nil)
	if err != nil {
		return err
	}
	half := whole / 2
	if _, err := l.episode(ctx, ", receiver killed at half way", l.killed(half, func() int { return l.away })); err != nil {
		return err
	}
	if _, err := l.episode(ctx, ", leader killed at half way", l.killed(half, func() int { return b.cluster.Leader })); err != nil {
		return err
	}
	return b.inspect(ctx, r)
}

// lagging is one run of it.
type lagging struct {
	bed    *bed
	run    *report.Run
	keys   int // stored at first; new ones have numbers above, in a space of their own
	turn   int
	made   int // new keys
	leases []clientv3.LeaseID
	away   int // the server that is ended
	// received is what the server that was away has been sent by processes of its that have been killed since.
	received float64
}

// grant grants the leases that keys will belong to.
func (l *lagging) grant(ctx context.Context) error {
	for range lagLeases {
		bounded, cancel := context.WithTimeout(ctx, askTimeout)
		lease, err := l.bed.asker.Grant(bounded, lagTTL)
		cancel()
		if err != nil {
			return fmt.Errorf("grant a lease: %w", err)
		}
		l.leases = append(l.leases, lease.ID)
	}
	return nil
}

// episode lets a server miss something, and returns how many bytes it was sent until it had it. disturb is called as soon
// as it is back; nil: it is left alone.
func (l *lagging) episode(ctx context.Context, name string, disturb func(ctx context.Context, revision int64) error) (float64, error) {
	b := l.bed
	state, err := b.cluster.WaitWhole(ctx)
	if err != nil {
		return 0, err
	}
	l.away, l.received = (state.Leader+1)%len(b.cluster.Servers), 0
	from, err := b.askRevision(ctx)
	if err != nil {
		return 0, err
	}
	if err := b.cluster.Terminate(ctx, l.away); err != nil {
		return 0, err
	}
	changed, err := l.change(ctx)
	if err != nil {
		return 0, err
	}
	now, err := b.askRevision(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := b.cluster.Restart(l.away); err != nil {
		return 0, err
	}
	if disturb != nil {
		if err := disturb(ctx, now); err != nil {
			return 0, err
		}
	}
	if err := untilServes(ctx, b.cluster.Servers[l.away], keyName(1), now); err != nil {
		return 0, err
	}
	took := time.Since(began)
	page, err := scrape(ctx, b.cluster.Servers[l.away])
	if err != nil {
		return 0, err
	}
	sent := l.received + page[peerReceived]
	l.run.Add("until it has all"+name+", ms", millis(took))
	l.run.Add("it was sent"+name+", MB", sent/1e6)
	l.run.Add("had changed"+name+", MB", float64(changed)/1e6)
	l.run.Add("sent over changed"+name, sent/float64(changed))
	b.tell("away%s: %.1f MB had changed, %.1f MB were sent, back after %v; %s", name, float64(changed)/1e6, sent/1e6, rounded(took), told(page))
	return sent, l.same(ctx, from, now)
}

// told is what a server says of states that it has installed, whatever it calls that.
func told(page metrics) string {
	var words []string
	for _, name := range []string{"quorate_snapshots_installed_total", "quorate_states_installed_total", "etcd_network_snapshot_receive_success",
		"etcd_debugging_snap_save_total_duration_seconds_count"} {
		if value, found := page[name]; found {
			words = append(words, fmt.Sprintf("%s %.0f", name, value))
		}
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// change changes 1 % of the keys, lets the log move on, and returns the bytes of what has changed: keys and values.
func (l *lagging) change(ctx context.Context) (bytes int64, err error) {
	b, count := l.bed, l.keys/changedPart
	updates, deletes := count*lagUpdates/100, count*lagDeletes/100
	l.turn++
	first, madeFirst := l.turn*7919, l.made
	// Keys to change are a hundred apart, and no two the same; those deleted are no others the next time.
	key := func(i int) string { return keyName((first + i*changedPart) % l.keys) }
	op := func(i int) clientv3.Op {
		var options []clientv3.OpOption
		if i%(100/lagLeased) == 0 {
			options = append(options, clientv3.WithLease(l.leases[i%len(l.leases)]))
		}
		switch {
		case i < updates:
			return clientv3.OpPut(key(i), b.bulkValue(first+i), options...)
		case i < updates+deletes:
			return clientv3.OpDelete(key(i))
		default:
			return clientv3.OpPut(fmt.Sprintf("new%08d", madeFirst+i-updates-deletes), b.bulkValue(first+i), options...)
		}
	}
	if _, err := b.bulk(ctx, storers, count, op); err != nil {
		return 0, err
	}
	made := count - updates - deletes
	l.made += made
	bytes = int64(updates+made)*int64(len(keyName(0))+b.options.valueBytes) + int64(deletes*len(keyName(0)))
	overwrites, err := b.overwrite(ctx, b.options.overwrites, 1, smallValue)
	return bytes + overwrites, err
}

// killed returns what kills a server once the one that was away has received so many bytes, or has all by then.
func (l *lagging) killed(bytes float64, which func() int) func(ctx context.Context, revision int64) error {
	return func(ctx context.Context, revision int64) error {
		b := l.bed
		var last float64
		began := time.Now()
		for ctx.Err() == nil && time.Since(began) < servingTimeout {
			// Metrics are served late by some, so that a page that cannot be had says nothing.
			if page, err := scrape(ctx, b.cluster.Servers[l.away]); err == nil {
				last = page[peerReceived]
			}
			if last >= bytes || l.hasAll(ctx, revision) {
				break
			}
			pauseFor(ctx, lagPoll)
		}
		server := which()
		b.tell("killing %s after %.1f of %.1f MB, it has all by then: %v", b.cluster.Servers[server].Name, last/1e6, 2*bytes/1e6, l.hasAll(ctx, revision))
		b.cluster.Kill(server)
		if server == l.away {
			l.received = last
		}
		return b.cluster.Restart(server)
	}
}

// hasAll reports whether the server that was away shows a revision by itself.
func (l *lagging) hasAll(ctx context.Context, revision int64) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	now, err := l.bed.cluster.Revision(ctx, l.away)
	return err == nil && now >= revision
}

// same makes sure that all servers hold the same, history included, as of several revisions.
func (l *lagging) same(ctx context.Context, from, to int64) error {
	b := l.bed
	if _, err := b.cluster.WaitWhole(ctx); err != nil {
		return err
	}
	for _, revision := range []int64{from, from + (to-from)/2, to} {
		var hashes []*clientv3.HashKVResponse
		for _, server := range b.cluster.Servers {
			hash, err := hashOf(ctx, server, revision)
			if err != nil {
				return fmt.Errorf("ask %s for its hash as of revision %d: %w", server.Name, revision, err)
			}
			hashes = append(hashes, hash)
		}
		if err := compareHashes(revision, b.cluster.Servers, hashes); err != nil {
			return err
		}
	}
	return nil
}

func hashOf(ctx context.Context, server *cluster.Server, revision int64) (*clientv3.HashKVResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, hashTimeout)
	defer cancel()
	asker, err := cluster.Dial(server.URL)
	if err != nil {
		return nil, err
	}
	hash, err := asker.HashKV(ctx, server.URL, revision)
	return hash, errors.Join(err, asker.Close())
}

// askRevision returns the revision of the store by a linearizable read at whichever server leads.
func (b *bed) askRevision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	got, err := readOnce(ctx, b.cluster.Servers[b.cluster.Leader], keyName(0))
	if err != nil {
		return 0, fmt.Errorf("ask for the revision: %w", err)
	}
	return got.Header.Revision, nil
}
