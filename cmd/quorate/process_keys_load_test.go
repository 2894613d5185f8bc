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
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/quorate/quorate/client"
)

// keysLoad is clients that count, and write, read and delete registers. Those that write have sessions and go
// wherever they are answered: none of their requests may fail, but for those that are given hardly any time. Beside
// them there are some that only read, at a server that they choose, and wait there for long: a server that was
// paused or cut off answers these late, if at all.
type keysLoad struct {
	crowd
	servers []*serverProcess // read at directly, while they are up
	done    atomic.Int64

	guard       sync.Mutex
	history     []porcupine.Operation
	failures    []string
	unknown     int // puts whose outcome the client does not know
	notHappened int // of which it says that they have not happened
	noAnswer    int // reads at one server
}

const (
	counters  = 4
	registers = 8
	readers   = 6
)

func startKeysLoad(t *testing.T, servers []*serverProcess, seed uint64) *keysLoad {
	t.Helper()
	l := &keysLoad{servers: servers}
	var clients []*client.Client
	for i := range sessionClients {
		clients = append(clients, newSessionClient(t, servers, i))
	}
	l.start(t, sessionClients*perClient+readers, seed, func(id int, random *rand.Rand) {
		if id >= sessionClients*perClient {
			l.readDirectly(id, random)
			return
		}
		l.once(id, clients[id/perClient], random)
	})
	return l
}

// once does one operation of a client with a session.
func (l *keysLoad) once(id int, c *client.Client, random *rand.Rand) {
	in := keyInput{key: anyKey(random), value: fmt.Sprintf("%d-%x", id, random.Uint64())}
	switch dice := random.IntN(100); {
	case dice < 30:
		in.kind = keyRead
	case dice < 40 && !in.key.counter:
		in.kind = keyDelete
	default:
		in.kind = keyPut
	}
	limit, hasty := patience, in.kind == keyPut && random.IntN(12) == 0
	if hasty {
		limit = time.Duration(1+random.IntN(20)) * time.Millisecond / 4
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	call := time.Since(l.began)
	out, err := performOnKey(ctx, asKV{c}, in)
	switch {
	case err == nil:
		l.note(id, call, in, out)
	case hasty && errors.Is(err, client.ErrOutcomeUnknown):
		l.note(id, call, in, keyOutput{unknown: true})
	case hasty && errors.Is(err, context.DeadlineExceeded):
		// The client says that it has not happened. If it has, somebody sees what nobody has written.
		l.guard.Lock()
		defer l.guard.Unlock()
		l.notHappened++
	default:
		l.guard.Lock()
		defer l.guard.Unlock()
		l.failures = append(l.failures, fmt.Sprintf("operation %+v, given %v: %v", in, limit, err))
	}
}

// readDirectly reads at one server. No answer is no failure: it may be down, or removed.
func (l *keysLoad) readDirectly(id int, random *rand.Rand) {
	s, in := l.servers[random.IntN(len(l.servers))], keyInput{key: anyKey(random)}
	conn, _, up := s.present()
	if !up {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	call := time.Since(l.began)
	out, err := performOnKey(ctx, pb.NewKVClient(conn), in)
	if err == nil {
		l.note(id, call, in, out)
		return
	}
	l.guard.Lock()
	defer l.guard.Unlock()
	l.noAnswer++
}

func anyKey(random *rand.Rand) keyName {
	keys := allKeys()
	return keys[random.IntN(len(keys))]
}

func allKeys() (keys []keyName) {
	for n := range counters {
		keys = append(keys, keyName{counter: true, number: n})
	}
	for n := range registers {
		keys = append(keys, keyName{number: n})
	}
	return keys
}

// note adds an operation to the history. One without an answer has no end.
func (l *keysLoad) note(id int, call time.Duration, in keyInput, out keyOutput) {
	record := porcupine.Operation{ClientId: id, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(l.began))}
	l.guard.Lock()
	defer l.guard.Unlock()
	if out.unknown {
		l.unknown++
		record.Return = int64(1) << 62
	} else {
		l.done.Add(1)
	}
	l.history = append(l.history, record)
}

// performOnKey does an operation at a server.
func performOnKey(ctx context.Context, kv pb.KVClient, in keyInput) (out keyOutput, err error) {
	key := []byte(in.key.String())
	switch in.kind {
	case keyRead:
		answer, err := kv.Range(ctx, &pb.RangeRequest{Key: key})
		return keyOutput{found: in.key.cellOf(cellOf(answer.GetKvs()))}, err
	case keyDelete:
		answer, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: key, PrevKv: true})
		return keyOutput{found: in.key.cellOf(cellOf(answer.GetPrevKvs()))}, err
	}
	answer, err := kv.Put(ctx, &pb.PutRequest{Key: key, Value: []byte(in.value), PrevKv: true})
	if err != nil {
		return keyOutput{}, err
	}
	var before []*mvccpb.KeyValue
	if answer.PrevKv != nil {
		before = append(before, answer.PrevKv)
	}
	found := cellOf(before)
	made := cell{value: in.value, version: found.version + 1, changed: answer.GetHeader().GetRevision()}
	return keyOutput{found: in.key.cellOf(found), made: in.key.cellOf(made)}, nil
}

func (l *keysLoad) waitProgress(t *testing.T, more int64) {
	t.Helper()
	waitMore(t, more, "operations are answered", l.done.Load)
}

// expectExactlyOnce stops the clients, has every key read at each server, and judges the history.
func (l *keysLoad) expectExactlyOnce(t *testing.T, servers []*serverProcess) {
	t.Helper()
	l.stop()
	reportFailures(t, l.failures)
	for _, s := range servers {
		conn, _, _ := s.present()
		for _, key := range allKeys() {
			in := keyInput{key: key}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			call := time.Since(l.began)
			out, err := performOnKey(ctx, pb.NewKVClient(conn), in)
			if err != nil {
				t.Fatalf("read %v at %s: %v", key, s.name, err)
			}
			l.note(sessionClients*perClient+readers, call, in, out)
		}
	}
	began := time.Now()
	if err := checkKeys(time.Minute, l.history); err != nil {
		t.Error(err)
	}
	t.Logf("%d operations on %d keys (%d unknown, %d that did not happen, %d reads without an answer), checked in %v", len(l.history),
		len(allKeys()), l.unknown, l.notHappened, l.noAnswer, time.Since(began).Round(time.Millisecond))
}
