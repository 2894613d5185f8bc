package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/quorate/quorate/client"
)

// newSessionClient makes a client with sessions of all servers, that goes to one of them first.
func newSessionClient(t *testing.T, servers []*serverProcess, first int) *client.Client {
	t.Helper()
	config := clientv3.Config{Logger: clientv3.NewCtxClient(context.Background()).GetLogger()} // one that is silent
	for i := range servers {
		config.Endpoints = append(config.Endpoints, "http://"+servers[(first+i)%len(servers)].clientAddress())
	}
	c, err := client.New(config, client.Options{Patience: electionTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// sessionLoad is what clients with sessions do to a cluster until they are told to stop. They are not told
// what happens to the servers, and have no excuse: no request fails, but for those that are given no time.
type sessionLoad struct {
	crowd
	done atomic.Int64

	guard       sync.Mutex
	history     []porcupine.Operation
	failures    []string
	unknown     int // writes that were given no time, and whose outcome is unknown
	notHappened int // of which the client says that they have not happened
}

const (
	sessionClients = 4
	perClient      = 3 // operations at a time, in one session
)

func startSessionLoad(t *testing.T, servers []*serverProcess, seed uint64) *sessionLoad {
	t.Helper()
	l := new(sessionLoad)
	var clients []*client.Client
	for i := range sessionClients {
		clients = append(clients, newSessionClient(t, servers, i))
	}
	l.start(t, sessionClients*perClient, seed, func(id int, random *rand.Rand) { l.once(id, clients[id/perClient], random) })
	return l
}

// once does one operation, and records it. One in twelve is given hardly any time.
func (l *sessionLoad) once(id int, c *client.Client, random *rand.Rand) {
	limit, hasty := patience, random.IntN(12) == 0
	if hasty {
		limit = time.Duration(1+random.IntN(20)) * time.Millisecond / 4
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	call := time.Since(l.began)
	in, out, err := mixedOperation(ctx, asKV{c}, id, random)
	record := porcupine.Operation{ClientId: id, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(l.began))}

	l.guard.Lock()
	defer l.guard.Unlock()
	switch {
	case err == nil:
		l.done.Add(1)
		l.history = append(l.history, record)
	case hasty && errors.Is(err, client.ErrOutcomeUnknown):
		l.unknown++
		record.Output, record.Return = outcome{unknown: true}, int64(1)<<62
		l.history = append(l.history, record)
	case hasty && errors.Is(err, context.DeadlineExceeded):
		// The client says that it has not happened. If it has, the history shows it: nobody has done it.
		if in.kind != opGet && in.kind != opScan {
			l.notHappened++
		}
	default:
		l.failures = append(l.failures, fmt.Sprintf("operation %+v, given %v: %v", in, limit, err))
	}
}

func (l *sessionLoad) waitProgress(t *testing.T, more int64) {
	t.Helper()
	waitMore(t, more, "operations are answered", l.done.Load)
}

// expectExactlyOnce stops the clients, and judges the history: the model has revisions and versions, so
// what was done twice is in no order, and what was done by nobody has no place.
func (l *sessionLoad) expectExactlyOnce(t *testing.T, servers []*serverProcess) {
	t.Helper()
	l.stop()
	reportFailures(t, l.failures)
	last := sameEverywhere(t, servers)
	began := time.Now()
	if err := checkLinearizable(l.history, last); err != nil {
		t.Error(err)
	}
	t.Logf("%d operations (%d unknown, %d that did not happen), %d revisions, checked in %v",
		len(l.history), l.unknown, l.notHappened, last-1, time.Since(began).Round(time.Millisecond))
}

// asKV is a client with sessions as the generated client that loads use.
type asKV struct{ *client.Client }

func (k asKV) Range(ctx context.Context, r *pb.RangeRequest, _ ...grpc.CallOption) (*pb.RangeResponse, error) {
	answer, err := k.Do(ctx, rangeOp(r))
	return (*pb.RangeResponse)(answer.Get()), err
}

func (k asKV) Put(ctx context.Context, r *pb.PutRequest, _ ...grpc.CallOption) (*pb.PutResponse, error) {
	answer, err := k.Do(ctx, putOp(r))
	return (*pb.PutResponse)(answer.Put()), err
}

func (k asKV) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest, _ ...grpc.CallOption) (*pb.DeleteRangeResponse, error) {
	answer, err := k.Do(ctx, clientv3.OpDelete(string(r.Key), clientv3.WithPrevKV()))
	return (*pb.DeleteRangeResponse)(answer.Del()), err
}

func (k asKV) Txn(ctx context.Context, r *pb.TxnRequest, _ ...grpc.CallOption) (*pb.TxnResponse, error) {
	txn := k.Client.Txn(ctx)
	for _, c := range r.Compare {
		txn = txn.If(clientv3.Compare(clientv3.ModRevision(string(c.Key)), "=", c.GetModRevision()))
	}
	ops := func(list []*pb.RequestOp) (ops []clientv3.Op) {
		for _, op := range list {
			if put := op.GetRequestPut(); put != nil {
				ops = append(ops, putOp(put))
			} else {
				ops = append(ops, rangeOp(op.GetRequestRange()))
			}
		}
		return ops
	}
	answer, err := txn.Then(ops(r.Success)...).Else(ops(r.Failure)...).Commit()
	return (*pb.TxnResponse)(answer), err
}

func (k asKV) Compact(context.Context, *pb.CompactionRequest, ...grpc.CallOption) (*pb.CompactionResponse, error) {
	panic("no load compacts")
}

func (k asKV) RangeStream(context.Context, *pb.RangeRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[pb.RangeStreamResponse], error) {
	panic("no load reads streams")
}

func rangeOp(r *pb.RangeRequest) clientv3.Op {
	var options []clientv3.OpOption
	if len(r.RangeEnd) > 0 {
		options = append(options, clientv3.WithRange(string(r.RangeEnd)))
	}
	if r.Serializable {
		options = append(options, clientv3.WithSerializable())
	}
	return clientv3.OpGet(string(r.Key), options...)
}

func putOp(r *pb.PutRequest) clientv3.Op {
	if r.PrevKv {
		return clientv3.OpPut(string(r.Key), string(r.Value), clientv3.WithPrevKV())
	}
	return clientv3.OpPut(string(r.Key), string(r.Value))
}

// Leaders are killed and paused, and writes are sent again by whoever was not answered: each takes effect
// once, and no request fails.
func TestProcessWritesThatAreSentAgainTakeEffectOnce(t *testing.T) {
	rounds := 2
	if askedForByName() {
		rounds = max(4, min(*processKills, killsEach))
	}
	servers := startServers(t, 3, quick...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := startSessionLoad(t, servers, seed)
	for range rounds {
		l.waitProgress(t, 150)
		leader := waitLeader(t, servers)
		leader.kill(t)
		l.waitProgress(t, 150) // There is a new one.
		leader.start(t)
		leader.waitServing(t)
		waitCaughtUp(t, leader, waitLeader(t, servers))

		l.waitProgress(t, 100)
		sleeper := waitLeader(t, servers)
		sleeper.pause(t)
		<-time.After(2 * electionTimeout) // It is no pause otherwise.
		waitLeader(t, others(servers, sleeper))
		l.waitProgress(t, 150)
		sleeper.resume(t)
		waitCaughtUp(t, sleeper, waitLeader(t, servers))
	}
	l.waitProgress(t, 150)
	l.expectExactlyOnce(t, servers)
}

// counting is a client that puts its own key, again and again.
type counting struct {
	key          string
	acknowledged int64
}

// All servers are restarted, one after the other, and none of 64 clients has a request fail.
func TestProcessRollingRestartFailsNoRequest(t *testing.T) {
	const clients = 64
	rounds := 1
	if askedForByName() {
		rounds = 2
	}
	servers := startServers(t, 3, quick...)
	var running sync.WaitGroup
	var done, failed atomic.Int64
	stop := make(chan struct{})
	turns := time.NewTicker(time.Millisecond)
	defer turns.Stop()
	counters := make([]counting, clients)
	for i := range counters {
		own := &counters[i]
		own.key = fmt.Sprint("counter/", i)
		c := newSessionClient(t, servers, i)
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-turns.C:
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				put, err := c.Put(ctx, own.key, "", clientv3.WithPrevKV())
				cancel()
				switch {
				case err != nil:
					t.Errorf("%s: %v", own.key, err)
					failed.Add(1)
				case own.acknowledged > 0 && put.PrevKv.GetVersion() != own.acknowledged:
					t.Errorf("%s: before put %d there were %d", own.key, own.acknowledged+1, put.PrevKv.GetVersion())
				}
				own.acknowledged++
				done.Add(1)
			}
		})
	}
	stopAll := sync.OnceFunc(func() { close(stop); running.Wait() })
	t.Cleanup(stopAll)
	more := func(count int64) {
		t.Helper()
		waitMore(t, count, "requests are answered", done.Load)
	}
	more(1000)
	for range rounds {
		for _, s := range servers {
			if status, said := s.terminate(t); status != exitDone {
				t.Errorf("%s: exit status %d\n%s", s.name, status, tail(said, 2000))
			}
			s.disconnect()
			more(200)
			s.start(t)
			s.waitServing(t)
			waitCaughtUp(t, s, waitLeader(t, servers))
			more(200)
		}
	}
	stopAll()
	c := newSessionClient(t, servers, 0)
	for _, own := range counters {
		got, err := c.Get(t.Context(), own.key)
		if err != nil || len(got.Kvs) != 1 || got.Kvs[0].Version != own.acknowledged {
			t.Errorf("%s was put %d times: %v, %v", own.key, own.acknowledged, got, err)
		}
	}
	t.Logf("%d puts of %d clients, %d failed; %d restarts", done.Load(), clients, failed.Load(), rounds*len(servers))
}
