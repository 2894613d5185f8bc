package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/proc"
	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// changedPart of a state changes before it is made durable, one in so many keys; then sameBytes of it, however large it is.
	changedPart = 100
	sameBytes   = 1_000_000
	// flushWrites puts of flushValue bytes over few keys are made at a time until a server makes its state durable by
	// itself, if it does so by the size of its log; and flushPuts small ones if it does so by their number.
	flushKeys   = 16
	flushValue  = 64 << 10
	flushWrites = 16
	flushPuts   = 11_000
	// smallValue is the size of values that are written to move a log on, and for nothing else.
	smallValue = 8
	// quietFor is how long the servers must have written nothing until they count as quiet, and quietTimeout bounds
	// the wait for it.
	quietFor     = 2 * time.Second
	quietTimeout = 3 * time.Minute
	// flushPause is how long clients put until their puts are made durable in the state once more.
	flushPause = 500 * time.Millisecond
	// flushTimeout bounds the wait until the state is durable.
	flushTimeout = 2 * time.Minute
	// copyTimeout bounds a copy of the whole state.
	copyTimeout = 20 * time.Minute
)

// runSnapshot makes a state of so many MB, changes 1 % of it, and measures what it costs the leader to make that durable,
// so that its log is not needed any more; then what a copy of the whole state costs (Maintenance.Snapshot). Clients put
// in the window of each of these, and in one before.
func runSnapshot(ctx context.Context, b *bed, r *report.Run) error {
	keys := b.size * 1_000_000 / (len(keyName(0)) + b.options.valueBytes)
	if keys <= bulkOps*changedPart/10 || keys > maxKeys {
		return fmt.Errorf("%d MB are %d keys of %d bytes of value: choose others, it must be from %d to %d keys", b.size, keys, b.options.valueBytes, bulkOps*changedPart/10+1, maxKeys)
	}
	s := &snapshots{bed: b, run: r, keys: keys}
	loading := report.Run{Case: r.Case}
	if err := b.load(ctx, &loading, keys, b.putInOrder(keys)); err != nil {
		return err
	}
	if err := s.untilQuiet(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.alone, s.copy, s.underLoad} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return b.inspect(ctx, r)
}

// snapshots is one run of it.
type snapshots struct {
	bed  *bed
	run  *report.Run
	keys int
	turn int // of the changes
}

// change overwrites so many keys, spread over all of them, others each time.
func (s *snapshots) change(ctx context.Context, count int) error {
	s.turn++
	first, apart := s.turn*7919, max(s.keys/count, 1)
	_, err := s.bed.bulk(ctx, storers, count, func(i int) clientv3.Op {
		return clientv3.OpPut(keyName((first+i*apart)%s.keys), s.bed.bulkValue(first+i))
	})
	return err
}

// keyBytes is what a key and its value have.
func (s *snapshots) keyBytes() int64 { return int64(len(keyName(0)) + s.bed.options.valueBytes) }

// alone measures what making the state durable costs while nobody else does anything: after 1 % of it has changed, and after
// as much as in states of other sizes.
func (s *snapshots) alone(ctx context.Context) error {
	s.run.Add("state, MB", float64(s.bed.size))
	if err := s.durable(ctx, "1 % changed", max(s.keys/changedPart, 1)); err != nil {
		return err
	}
	return s.durable(ctx, "1 MB changed", max(int(sameBytes/s.keyBytes()), 1))
}

// durable measures it after so many keys were changed. What had changed before that is durable when it begins.
func (s *snapshots) durable(ctx context.Context, what string, keys int) error {
	if _, err := s.flush(ctx); err != nil {
		return err
	}
	var stored [4]int64
	note := func(at int) (err error) { stored[at], err = s.stored(); return err }
	if err := errors.Join(s.untilQuiet(ctx), note(0)); err != nil {
		return err
	}
	if err := errors.Join(s.change(ctx, keys), s.untilQuiet(ctx), note(1)); err != nil {
		return err
	}
	began := time.Now()
	written, err := s.flush(ctx)
	took := time.Since(began)
	if err := errors.Join(err, note(2), s.untilQuiet(ctx), note(3)); err != nil {
		return err
	}
	mb := func(bytes int64) float64 { return float64(bytes) / 1e6 }
	changed := mb(int64(keys) * s.keyBytes())
	s.run.Add(what+": MB that changed", changed)
	s.run.Add(what+": stored by the leader for the change itself, MB", mb(stored[1]-stored[0]))
	s.run.Add(what+": until it is durable in the state, ms", millis(took))
	s.run.Add(what+": put for that, MB", mb(written))
	s.run.Add(what+": stored by the leader until then, MB", mb(stored[2]-stored[1]))
	s.run.Add(what+": stored by the leader until it is quiet, MB", mb(stored[3]-stored[1]))
	s.run.Add(what+": stored in all over what changed", mb(stored[3]-stored[0])/changed)
	return nil
}

// flush writes over a few keys until the leader's state is durable up to where it was at first.
func (s *snapshots) flush(ctx context.Context) (written int64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, flushTimeout, errors.New("took too long"))
	defer cancel()
	leader := s.bed.cluster.Servers[s.bed.cluster.Leader]
	page, err := scrape(ctx, leader)
	if err != nil {
		return 0, err
	}
	_, bySize := page["quorate_durable_index"]
	goal := page["etcd_server_proposals_applied_total"]
	if asked, err := askToFlush(ctx, leader, goal); asked || err != nil {
		return 0, err
	}
	if !bySize {
		// etcd does so after a number of entries. Its state is durable at all times: what this measures is what
		// it does with its log then.
		return s.bed.overwrite(ctx, flushPuts, 1, smallValue)
	}
	for ctx.Err() == nil {
		n, err := s.bed.overwrite(ctx, flushWrites, 8, flushValue)
		if written += n; err != nil {
			return written, err
		}
		page, err := scrape(ctx, leader)
		if err != nil {
			return written, err
		}
		if page["quorate_durable_index"] >= goal {
			return written, nil
		}
	}
	return written, fmt.Errorf("wait until the state is durable: %w", context.Cause(ctx))
}

// askToFlush asks a server to make its state durable (POST /quorate/flush), if it can be asked.
func askToFlush(ctx context.Context, server *cluster.Server, goal float64) (asked bool, err error) {
	code, body, err := askForPage(ctx, http.MethodPost, server.URL+"/quorate/flush")
	if err != nil {
		return false, err
	}
	if code == http.StatusNotFound {
		return false, nil
	}
	var flushed struct {
		Index float64 `json:"index,string"`
	}
	if err := json.Unmarshal(body, &flushed); err != nil {
		return true, fmt.Errorf("ask %s to flush: %d: %s: %w", server.Name, code, body, err)
	}
	if flushed.Index < goal {
		return true, fmt.Errorf("asked to flush, %s is durable up to %.0f, and had applied %.0f", server.Name, flushed.Index, goal)
	}
	return true, nil
}

// overwrite carries out so many puts of so many bytes over a few keys, some to a transaction, and returns their bytes.
func (b *bed) overwrite(ctx context.Context, count, perTxn, bytes int) (int64, error) {
	clients, err := b.connect(storers)
	if err != nil {
		return 0, err
	}
	defer closeAll(clients)
	errs := make([]error, storers)
	var running sync.WaitGroup
	for c := range storers {
		running.Go(func() {
			for i := c * perTxn; i < count && errs[c] == nil; i += storers * perTxn {
				var ops []clientv3.Op
				for k := range perTxn {
					at := (i + k) * 4099 % (poolBytes - bytes)
					ops = append(ops, clientv3.OpPut(fmt.Sprintf("flush%d", (i+k)%flushKeys), b.pool[at:at+bytes]))
				}
				_, errs[c] = clients[c%len(clients)].Txn(ctx).Then(ops...).Commit()
			}
		})
	}
	running.Wait()
	return int64(count * (len("flush0") + bytes)), errors.Join(errs...)
}

// copy reads a copy of the whole state, if the subject gives one.
func (s *snapshots) copy(ctx context.Context) error {
	bytes, took, err := s.readCopy(ctx)
	if status.Code(err) == codes.Unimplemented {
		s.bed.tell("there is no Maintenance.Snapshot: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	s.run.Add("a copy of the state, ms", millis(took))
	s.run.Add("a copy of the state, MB", float64(bytes)/1e6)
	return nil
}

func (s *snapshots) readCopy(ctx context.Context) (bytes int64, took time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, copyTimeout, errors.New("took too long"))
	defer cancel()
	began := time.Now()
	reader, err := s.bed.asker.Snapshot(ctx)
	if err == nil {
		defer reader.Close()
		bytes, err = io.Copy(io.Discard, reader)
	}
	if err != nil {
		return bytes, 0, err
	}
	return bytes, time.Since(began), nil
}

// underLoad measures what clients that put see of it: without, while the state is made durable, while it is copied.
func (s *snapshots) underLoad(ctx context.Context) error {
	b, r := s.bed, s.run
	b.options = withKeys(b.options, s.keys)
	operations, hangUp, err := b.operations(r.Clients, b.put)
	if err != nil {
		return err
	}
	defer hangUp()
	calm, copied := report.Run{Case: r.Case}, report.Run{Case: r.Case}
	if _, err := b.measure(ctx, &calm, loop{operations: operations}); err != nil {
		return err
	}
	flushed, err := s.beside(ctx, r, loop{operations: operations}, func(ctx context.Context) error {
		pauseFor(ctx, flushPause)
		_, err := s.flush(ctx)
		return err
	})
	if err != nil {
		return err
	}
	copies, err := s.beside(ctx, &copied, loop{operations: operations}, func(ctx context.Context) error {
		_, _, err := s.readCopy(ctx)
		return err
	})
	r.Add("put p99 without, ms", calm.P99Micros/1e3)
	r.Add("put p99 while the state is made durable, ms", r.P99Micros/1e3)
	r.Add("put p99, durable over without", r.P99Micros/max(calm.P99Micros, 1))
	r.Add("times it was made durable in the window", float64(flushed))
	if status.Code(err) == codes.Unimplemented {
		return nil
	}
	r.Add("put p99 while it is copied, ms", copied.P99Micros/1e3)
	r.Add("put p99, copied over without", copied.P99Micros/max(calm.P99Micros, 1))
	r.Add("copies in the window", float64(copies))
	return err
}

// beside measures a load beside something that is done again and again, and returns how often it was.
func (s *snapshots) beside(ctx context.Context, r *report.Run, l loop, do func(context.Context) error) (times int, err error) {
	doing, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for doing.Err() == nil && err == nil {
			if err = do(doing); err == nil {
				times++
			}
		}
		if doing.Err() != nil {
			err = nil // it was we who ended it
		}
	})
	_, loadErr := s.bed.measure(ctx, r, l)
	cancel()
	running.Wait()
	return times, errors.Join(err, loadErr)
}

// withKeys returns options with another number of keys.
func withKeys(o *options, keys int) *options {
	other := *o
	other.keys = keys
	return &other
}

// stored is what the leader has sent towards the disk so far, in bytes.
func (s *snapshots) stored() (int64, error) {
	io, err := proc.ReadIO(s.bed.cluster.Servers[s.bed.cluster.Leader].PID)
	return io.Stored, err
}

// untilQuiet waits until the leader has written nothing worth mentioning for a while.
func (s *snapshots) untilQuiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, quietTimeout, errors.New("took too long"))
	defer cancel()
	for ctx.Err() == nil {
		before, err := s.stored()
		if err != nil {
			return err
		}
		pauseFor(ctx, quietFor)
		after, err := s.stored()
		if err != nil {
			return err
		}
		if after-before < quietBytes {
			return nil
		}
	}
	return fmt.Errorf("wait until %s is quiet: %w", s.bed.cluster.Servers[s.bed.cluster.Leader].Name, context.Cause(ctx))
}

// quietBytes is what a server writes that does nothing.
const quietBytes = 256 << 10
