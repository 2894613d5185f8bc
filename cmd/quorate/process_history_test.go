package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
	do      operate
	// pinned makes each client keep to one server: what hangs there holds up nobody else.
	pinned bool

	acknowledged map[*serverProcess]*atomic.Int64 // by the server that answered; the map does not change
	crowd

	guard    sync.Mutex
	history  []porcupine.Operation
	asked    int      // by ask: each is a client of its own
	failures []string // operations that failed at a server that lived
	unknown  int      // operations without an answer; counted at the end
}

// crowd is clients that do something in turn, until they are told to stop.
type crowd struct {
	began   time.Time
	stopped chan struct{}
	ending  sync.Once
	running sync.WaitGroup
}

// start lets each client do something whenever it is its turn: with so many of them, once in a loadInterval. They are
// stopped with the test at the latest.
func (c *crowd) start(t *testing.T, clients int, seed uint64, do func(client int, random *rand.Rand)) {
	t.Helper()
	c.began, c.stopped = time.Now(), make(chan struct{})
	turns := time.NewTicker(loadInterval)
	for client := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		c.running.Go(func() {
			for {
				select {
				case <-c.stopped:
					return
				case <-turns.C:
					do(client, random)
				}
			}
		})
	}
	t.Cleanup(func() {
		c.stop()
		turns.Stop()
	})
}

// stop waits until the last operation is answered.
func (c *crowd) stop() {
	c.ending.Do(func() { close(c.stopped) })
	c.running.Wait()
}

// operate does one operation of a client, and returns what was asked for and what was answered.
type operate func(ctx context.Context, kv pb.KVClient, client int, random *rand.Rand) (operation, outcome, error)

// startLoad starts clients that go from server to server. Their choices come from the seed, though not
// the order of what happens.
func startLoad(t *testing.T, servers []*serverProcess, seed uint64, do operate) *load {
	t.Helper()
	l := &load{servers: servers, do: do}
	l.begin(t, seed)
	return l
}

// startPinnedLoad starts clients that keep to one server each.
func startPinnedLoad(t *testing.T, servers []*serverProcess, seed uint64, do operate) *load {
	t.Helper()
	l := &load{servers: servers, do: do, pinned: true}
	l.begin(t, seed)
	return l
}

func (l *load) begin(t *testing.T, seed uint64) {
	t.Helper()
	l.acknowledged = map[*serverProcess]*atomic.Int64{}
	for _, s := range l.servers {
		l.acknowledged[s] = new(atomic.Int64)
	}
	l.start(t, loadClients, seed, func(client int, random *rand.Rand) {
		server := l.servers[random.IntN(len(l.servers))]
		if l.pinned {
			server = l.servers[client%len(l.servers)]
		}
		if conn, life, up := server.present(); up {
			l.once(client, server, conn, life, random, l.do)
		}
	})
}

// ask has operations done at one server, all at the same time, and returns what waits for the answers.
func (l *load) ask(server *serverProcess, count int, do operate) (wait func()) {
	var answers sync.WaitGroup
	conn, life, _ := server.present()
	for range count {
		l.guard.Lock()
		l.asked++
		client := loadClients + l.asked
		l.guard.Unlock()
		answers.Go(func() {
			l.once(client, server, conn, life, rand.New(rand.NewPCG(uint64(client), 0)), do)
		})
	}
	return answers.Wait
}

// faults returns a number that changes whenever something happens to a server, and whether all is well.
func (l *load) faults() (count int, well bool) {
	well = true
	for _, s := range l.servers {
		n, unwell := s.faults()
		count += n
		well = well && !unwell
	}
	return count, well
}

// once does one operation, and records it. What fails has an excuse, or the test fails: it was under
// way at a server that was killed, or it was not answered in time while a server was in trouble. Then
// a write is unknown, and a read is nothing.
func (l *load) once(client int, server *serverProcess, conn *grpc.ClientConn, life int, random *rand.Rand, do operate) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	faults, well := l.faults()
	doomed := server.isDoomed()
	call := time.Since(l.began)
	in, out, err := do(ctx, pb.NewKVClient(conn), client, random)
	end := time.Since(l.began)

	l.guard.Lock()
	defer l.guard.Unlock()
	record := porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(end)}
	if err == nil {
		l.acknowledged[server].Add(1)
		l.history = append(l.history, record)
		return
	}
	_, lifeNow, _ := server.present()
	faultsNow, _ := l.faults()
	late := isTimeout(err) && (!well || faults != faultsNow)
	if lifeNow == life && !doomed && !late {
		l.failures = append(l.failures, fmt.Sprintf("%s, which lived, after %v: operation %+v: %v", server.name, end-call, in, err))
	}
	if in.kind != opGet && in.kind != opScan {
		record.Output, record.Return = outcome{unknown: true}, int64(1)<<62
		l.history = append(l.history, record)
	}
}

// isTimeout reports whether a request was not answered in time, by its own deadline or the server's.
func isTimeout(err error) bool {
	answer := status.Convert(err)
	return answer.Code() == codes.DeadlineExceeded || answer.Code() == codes.Unavailable && strings.Contains(answer.Message(), "request timed out")
}

// answeredBy counts the operations that some servers have answered; without any, that all have.
func (l *load) answeredBy(servers ...*serverProcess) (count int64) {
	if len(servers) == 0 {
		servers = l.servers
	}
	for _, s := range servers {
		count += l.acknowledged[s].Load()
	}
	return count
}

// waitProgress waits until more operations have been answered, by some servers or by any.
func (l *load) waitProgress(t *testing.T, more int64, by ...*serverProcess) {
	t.Helper()
	waitMore(t, more, "operations are answered", func() int64 { return l.answeredBy(by...) })
}

// waitMore waits until a count is higher by so many.
func waitMore(t *testing.T, more int64, what string, count func() int64) {
	t.Helper()
	goal := count() + more
	eventually(t, fmt.Sprintf("%d more %s", more, what), func() error {
		if now := count(); now < goal {
			return fmt.Errorf("%d are missing", goal-now)
		}
		return nil
	})
}

// finish stops the clients, reports what failed at servers that lived, and returns the history.
func (l *load) finish(t *testing.T) []porcupine.Operation {
	t.Helper()
	l.stop()
	reportFailures(t, l.failures)
	return l.history
}

// reportFailures reports the first ones, and how many there are.
func reportFailures(t *testing.T, failures []string) {
	t.Helper()
	for i, failure := range failures {
		if i == 10 {
			t.Errorf("and %d more", len(failures)-i)
			break
		}
		t.Error(failure)
	}
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

// readOperation reads one key, or all of them.
func readOperation(ctx context.Context, kv pb.KVClient, _ int, random *rand.Rand) (operation, outcome, error) {
	in := operation{kind: opGet, key: random.IntN(modelKeys)}
	if random.IntN(2) == 0 {
		in = operation{kind: opScan}
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
