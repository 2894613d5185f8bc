package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
)

const (
	loadClients = 8
	// loadInterval is the time between two operations of all clients together. It keeps a history of a
	// minute at a size that can be checked.
	loadInterval = 2500 * time.Microsecond
)

// load is what clients do to a cluster until they are told to stop: operations at all servers, one
// after the other for each client, with a record of all of them.
type load struct {
	servers []*serverProcess
	do      func(ctx context.Context, kv pb.KVClient, client int, random *rand.Rand) (operation, outcome, error)

	acknowledged atomic.Int64
	began        time.Time
	stopped      chan struct{}
	running      sync.WaitGroup

	guard    sync.Mutex
	history  []porcupine.Operation
	failures []string // operations that failed at a server that lived
}

// startLoad starts clients. Their choices come from the seed, though not the order of what happens.
func startLoad(t *testing.T, servers []*serverProcess, seed uint64,
	do func(context.Context, pb.KVClient, int, *rand.Rand) (operation, outcome, error)) *load {
	t.Helper()
	l := &load{servers: servers, do: do, began: time.Now(), stopped: make(chan struct{})}
	turns := time.NewTicker(loadInterval)
	for client := range loadClients {
		l.running.Go(func() { l.run(client, rand.New(rand.NewPCG(seed, uint64(client))), turns.C) })
	}
	t.Cleanup(func() {
		l.stop()
		turns.Stop()
	})
	return l
}

// stop waits until the last operation is answered.
func (l *load) stop() {
	l.guard.Lock()
	select {
	case <-l.stopped:
	default:
		close(l.stopped)
	}
	l.guard.Unlock()
	l.running.Wait()
}

func (l *load) run(client int, random *rand.Rand, turns <-chan time.Time) {
	for {
		select {
		case <-l.stopped:
			return
		case <-turns:
		}
		server := l.servers[random.IntN(len(l.servers))]
		if conn, life, up := server.present(); up {
			l.once(client, server, conn, life, random)
		}
	}
}

// once does one operation, and records it. What fails must have been under way at a server that was
// killed meanwhile: then a write is unknown, and a read is nothing.
func (l *load) once(client int, server *serverProcess, conn *grpc.ClientConn, life int, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	call := time.Since(l.began)
	in, out, err := l.do(ctx, pb.NewKVClient(conn), client, random)
	end := time.Since(l.began)

	l.guard.Lock()
	defer l.guard.Unlock()
	record := porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(end)}
	if err == nil {
		l.acknowledged.Add(1)
		l.history = append(l.history, record)
		return
	}
	if _, now, _ := server.present(); now == life {
		l.failures = append(l.failures, fmt.Sprintf("%s, which lived, after %v: operation %+v: %v", server.name, end-call, in, err))
	}
	if in.kind != opGet && in.kind != opScan {
		record.Output, record.Return = outcome{unknown: true}, int64(1)<<62
		l.history = append(l.history, record)
	}
}

// waitProgress waits until more operations have been answered.
func (l *load) waitProgress(t *testing.T, more int64) {
	t.Helper()
	goal := l.acknowledged.Load() + more
	eventually(t, fmt.Sprintf("%d more operations are answered", more), func() error {
		if now := l.acknowledged.Load(); now < goal {
			return fmt.Errorf("%d are missing", goal-now)
		}
		return nil
	})
}

// finish stops the clients, reports what failed at servers that lived, and returns the history.
func (l *load) finish(t *testing.T) []porcupine.Operation {
	t.Helper()
	l.stop()
	for i, failure := range l.failures {
		if i == 10 {
			t.Errorf("and %d more", len(l.failures)-i)
			break
		}
		t.Error(failure)
	}
	return l.history
}

func modelKey(key int) []byte { return []byte("key" + strconv.Itoa(key)) }

// mixedOperation does any operation of the model, on few keys, so that clients meet.
func mixedOperation(ctx context.Context, kv pb.KVClient, client int, random *rand.Rand) (operation, outcome, error) {
	in := operation{key: random.IntN(modelKeys), value: fmt.Sprintf("%d-%x", client, random.Uint64())}
	switch dice := random.IntN(100); {
	case dice < 40:
		in.kind = opGet
	case dice < 50:
		in.kind = opScan
	case dice < 75:
		in.kind = opPut
	case dice < 85:
		in.kind = opDelete
	default:
		in.kind = opSwap
		in.other = (in.key + 1 + random.IntN(modelKeys-1)) % modelKeys
		// What it compares with has just been read, at this server or not: often it still holds.
		answer, err := kv.Range(ctx, &pb.RangeRequest{Key: modelKey(in.key), Serializable: true})
		if err != nil {
			return operation{kind: opGet}, outcome{}, err
		}
		in.ifChanged = cellOf(answer.Kvs).changed
	}
	out, err := perform(ctx, kv, in)
	return in, out, err
}

// perform does an operation of the model at a server.
func perform(ctx context.Context, kv pb.KVClient, in operation) (outcome, error) {
	key := modelKey(in.key)
	switch in.kind {
	case opGet:
		answer, err := kv.Range(ctx, &pb.RangeRequest{Key: key})
		return outcome{revision: answer.GetHeader().GetRevision(), found: []cell{cellOf(answer.GetKvs())}}, err
	case opScan:
		return scan(ctx, kv)
	case opPut:
		answer, err := kv.Put(ctx, &pb.PutRequest{Key: key, Value: []byte(in.value), PrevKv: true})
		before := cell{}
		if answer.GetPrevKv() != nil {
			before = cellOf([]*mvccpb.KeyValue{answer.PrevKv})
		}
		return outcome{revision: answer.GetHeader().GetRevision(), found: []cell{before}}, err
	case opDelete:
		answer, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: key, PrevKv: true})
		return outcome{revision: answer.GetHeader().GetRevision(), found: []cell{cellOf(answer.GetPrevKvs())}, done: answer.GetDeleted() > 0}, err
	case opSwap:
		return swap(ctx, kv, in)
	}
	panic("no such operation")
}

func scan(ctx context.Context, kv pb.KVClient) (outcome, error) {
	answer, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("key"), RangeEnd: []byte("kez")})
	found := make([]cell, modelKeys)
	for _, pair := range answer.GetKvs() {
		key, malformed := strconv.Atoi(string(pair.Key[len("key"):]))
		if malformed != nil || key >= modelKeys {
			return outcome{}, fmt.Errorf("the server has made up the key %q", pair.Key)
		}
		found[key] = cellOf([]*mvccpb.KeyValue{pair})
	}
	return outcome{revision: answer.GetHeader().GetRevision(), found: found}, err
}

func swap(ctx context.Context, kv pb.KVClient, in operation) (outcome, error) {
	put := func(key int) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: modelKey(key), Value: []byte(in.value)}}}
	}
	get := func(key int) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: modelKey(key)}}}
	}
	answer, err := kv.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{Target: pb.Compare_MOD, Result: pb.Compare_EQUAL, Key: modelKey(in.key),
			TargetUnion: &pb.Compare_ModRevision{ModRevision: in.ifChanged}}},
		Success: []*pb.RequestOp{put(in.key), put(in.other)},
		Failure: []*pb.RequestOp{get(in.key), get(in.other)},
	})
	out := outcome{revision: answer.GetHeader().GetRevision(), done: answer.GetSucceeded()}
	if err == nil && !out.done {
		for _, response := range answer.Responses {
			out.found = append(out.found, cellOf(response.GetResponseRange().GetKvs()))
		}
	}
	return out, err
}

func cellOf(pairs []*mvccpb.KeyValue) cell {
	if len(pairs) == 0 {
		return cell{}
	}
	p := pairs[0]
	return cell{value: string(p.Value), created: p.CreateRevision, changed: p.ModRevision, version: p.Version}
}
