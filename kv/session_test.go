package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// sessionAt opens a session at a log time.
func (c *client) sessionAt(time, ttl uint64) uint64 {
	c.t.Helper()
	opened, err := session.ParseOpened(c.at(time, kv.KindSessionOpen, session.OpenRequest(ttl)).Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return opened.ID
}

// ask applies a command of a session at a log time.
func (c *client) ask(time uint64, n wire.Session, kind kv.Kind, request proto.Message) kv.Answer {
	c.t.Helper()
	return c.askAll(command(c.t, time, n, kind, request))[0]
}

// askAll applies commands in one batch.
func (c *client) askAll(commands ...kv.Command) []kv.Answer {
	c.t.Helper()
	for i := range commands {
		c.index++
		commands[i].Index = c.index
	}
	answers, err := c.store.Apply(commands)
	if err != nil {
		c.t.Fatal(err)
	}
	return answers
}

func command(t *testing.T, time uint64, n wire.Session, kind kv.Kind, request proto.Message) kv.Command {
	t.Helper()
	return kv.Command{Time: time, Kind: kind, Request: marshal(t, request), Session: n}
}

func request(id, sequence, acknowledged uint64) wire.Session {
	return wire.Session{ID: id, Sequence: sequence, Acknowledged: acknowledged}
}

func putOf(key string) *pb.PutRequest { return &pb.PutRequest{Key: []byte(key), PrevKv: true} }

// version returns how often a key was put.
func (c *client) version(key string) int64 {
	c.t.Helper()
	response, _, _ := c.get(&pb.RangeRequest{Key: []byte(key)})
	if len(response.Kvs) == 0 {
		return 0
	}
	return response.Kvs[0].Version
}

func sameAnswer(t *testing.T, what string, got, want kv.Answer) {
	t.Helper()
	if got.Err != want.Err || got.Revision != want.Revision || !bytes.Equal(got.Body, want.Body) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func TestRepeatedCommandHasOneEffectAndTheSameAnswer(t *testing.T) {
	c := newClient(t)
	id := c.sessionAt(0, 60)
	c.put("k", "before")
	first := c.ask(0, request(id, 1, 0), kv.KindPut, putOf("k"))
	c.put("other", "x") // the answer's revision is that of the time
	sameAnswer(t, "again", c.ask(0, request(id, 1, 0), kv.KindPut, putOf("k")), first)
	equal(t, "puts", c.version("k"), 2)

	both := c.askAll(
		command(t, 0, request(id, 2, 0), kv.KindPut, putOf("k")),
		command(t, 0, wire.Session{}, kv.KindPut, putOf("other")),
		command(t, 0, request(id, 2, 0), kv.KindPut, putOf("k")),
	)
	sameAnswer(t, "again in one batch", both[2], both[0])
	equal(t, "puts", c.version("k"), 3)

	// A refusal is an answer, too: what it was refused for may have changed since.
	refused := c.ask(0, request(id, 3, 2), kv.KindPut, &pb.PutRequest{Key: []byte("new"), IgnoreValue: true})
	equal(t, "refused", refused.Err, kv.CodeKeyNotFound)
	c.put("new", "x")
	sameAnswer(t, "again", c.ask(0, request(id, 3, 2), kv.KindPut, &pb.PutRequest{Key: []byte("new"), IgnoreValue: true}), refused)
	equal(t, "acknowledged", c.ask(0, request(id, 2, 0), kv.KindPut, putOf("k")).Err, kv.CodeRequestStale)
	equal(t, "puts", c.version("k"), 3)

	for kind, request := range map[kv.Kind]proto.Message{
		kv.KindDeleteRange: &pb.DeleteRangeRequest{Key: []byte("k"), PrevKv: true},
		kv.KindTxn:         &pb.TxnRequest{Success: []*pb.RequestOp{putOp("k", "1")}},
		kv.KindCompact:     &pb.CompactionRequest{Revision: 3},
		kv.KindLeaseGrant:  &pb.LeaseGrantRequest{ID: 7, TTL: 10},
		kv.KindLeaseRevoke: &pb.LeaseRevokeRequest{ID: 7},
	} {
		if kind == kv.KindLeaseRevoke {
			c.grant(0, 7, 10)
		}
		n := wire.Session{ID: c.sessionAt(0, 60), Sequence: 1}
		first := c.ask(0, n, kind, request)
		equal(t, "a first time", first.Err, kv.CodeOK)
		sameAnswer(t, fmt.Sprintf("kind %d again", kind), c.ask(0, n, kind, request), first)
		if kind == kv.KindLeaseGrant {
			c.apply(kv.KindLeaseRevoke, &pb.LeaseRevokeRequest{ID: 7}, &pb.LeaseRevokeResponse{})
		}
	}
}

func TestNumberOfAnotherRequestIsRefused(t *testing.T) {
	c := newClient(t)
	id := c.sessionAt(0, 60)
	c.ask(0, request(id, 1, 0), kv.KindPut, putOf("a"))
	equal(t, "another key", c.ask(0, request(id, 1, 0), kv.KindPut, putOf("b")).Err, kv.CodeRequestMismatch)
	equal(t, "another kind", c.ask(0, request(id, 1, 0), kv.KindDeleteRange, putOf("a")).Err, kv.CodeRequestMismatch)
	equal(t, "the same", c.ask(0, request(id, 1, 0), kv.KindPut, putOf("a")).Err, kv.CodeOK)
	equal(t, "puts", c.version("b"), 0)
	// Servers may raise a lease's time each as it is set to.
	first := c.ask(0, request(id, 2, 0), kv.KindLeaseGrant, &pb.LeaseGrantRequest{ID: 7, TTL: 5})
	sameAnswer(t, "a lease with another time", c.ask(0, request(id, 2, 0), kv.KindLeaseGrant, &pb.LeaseGrantRequest{ID: 7, TTL: 9}), first)
	equal(t, "another lease", c.ask(0, request(id, 2, 0), kv.KindLeaseGrant, &pb.LeaseGrantRequest{ID: 8, TTL: 5}).Err, kv.CodeRequestMismatch)
}

func TestOnlyClientsWritesAreOfSessions(t *testing.T) {
	c := newClient(t)
	id := c.sessionAt(0, 60)
	for _, kind := range []kv.Kind{kv.KindNone, kv.KindRange, kv.KindLeaseRenew, kv.KindLeaseExpire, kv.KindAlarm, kv.KindSessionOpen,
		kv.KindSessionKeepAlive, kv.KindSessionClose, kv.KindSessionExpire, 99} {
		a := c.askAll(kv.Command{Kind: kind, Request: session.CloseRequest(id), Session: request(id, 1, 0)})[0]
		equal(t, fmt.Sprintf("kind %d", kind), a.Err, kv.CodeMalformed)
	}
	equal(t, "the number is not used up", c.ask(0, request(id, 1, 0), kv.KindPut, putOf("a")).Err, kv.CodeOK)
}

func TestAnswerThatIsTooLargeIsGoneButNotForgotten(t *testing.T) {
	c := newClient(t)
	id := c.sessionAt(0, 60)
	c.put("k", string(make([]byte, session.MaxAnswerBytes)))
	n := request(id, 1, 0)
	equal(t, "its length", len(c.ask(0, n, kv.KindPut, putOf("k")).Body) > session.MaxAnswerBytes, true)
	equal(t, "again", c.ask(0, n, kv.KindPut, putOf("k")).Err, kv.CodeAnswerDropped)
	equal(t, "puts", c.version("k"), 2)
}

func TestSessionIsFullUntilItAcknowledges(t *testing.T) {
	c := newClient(t)
	id := c.sessionAt(0, 60)
	n := request(id, session.Window+1, 0)
	equal(t, "beyond the window", c.ask(0, n, kv.KindPut, putOf("k")).Err, kv.CodeSessionFull)
	equal(t, "puts", c.version("k"), 0)
	equal(t, "sent again with an acknowledgement", c.ask(0, request(id, session.Window+1, 1), kv.KindPut, putOf("k")).Err, kv.CodeOK)
	equal(t, "puts", c.version("k"), 1)
}

func TestSessionEndsOnlyByLogTime(t *testing.T) {
	c := newClient(t)
	a, b := c.sessionAt(0, 10), c.sessionAt(0, 10)
	c.ask(10*second, request(a, 1, 0), kv.KindPut, putOf("k"))
	c.ask(10*second, request(b, 1, 0), kv.KindPut, putOf("k"))
	s, _ := c.store.Session(a)
	equal(t, "lives for its time after its last command", s.Deadline >= 20*second, true)
	equal(t, "due", c.store.DueSessions(s.Deadline, 10), fmt.Sprint([]uint64{a, b}))
	expire := func(time uint64, ids ...uint64) int {
		t.Helper()
		var list []int64
		for _, id := range ids {
			list = append(list, int64(id))
		}
		ended, err := kv.ParseExpired(c.at(time, kv.KindSessionExpire, kv.LeaseList(list)).Body)
		if err != nil {
			t.Fatal(err)
		}
		return ended
	}
	// Whoever found them due may not know of the last command.
	equal(t, "ended too early", expire(s.Deadline-1, a, b), 0)
	c.ask(s.Deadline-1, request(b, 1, 0), kv.KindPut, putOf("k")) // a repetition renews, too
	equal(t, "ended", expire(s.Deadline, a, b, 99), 1)
	equal(t, "of what has ended", c.ask(s.Deadline, request(a, 1, 0), kv.KindPut, putOf("k")).Err, kv.CodeSessionNotFound)
	equal(t, "a new request of it", c.ask(s.Deadline, request(a, 2, 0), kv.KindPut, putOf("k")).Err, kv.CodeSessionNotFound)
	equal(t, "of the other", c.ask(s.Deadline, request(b, 1, 0), kv.KindPut, putOf("k")).Err, kv.CodeOK)
	equal(t, "puts", c.version("k"), 2)

	keepAlive := func(id, acknowledged uint64) kv.Code {
		t.Helper()
		return c.at(s.Deadline+5*second, kv.KindSessionKeepAlive, session.KeepAliveRequest(id, acknowledged)).Err
	}
	equal(t, "kept alive", keepAlive(b, 1), kv.CodeOK)
	equal(t, "kept alive in vain", keepAlive(a, 1), kv.CodeSessionNotFound)
	equal(t, "acknowledged by that", c.ask(0, request(b, 1, 0), kv.KindPut, putOf("k")).Err, kv.CodeRequestStale)
	equal(t, "what is kept", c.store.SessionBytes(), 0)
	equal(t, "ended too early", expire(s.Deadline+14*second, b), 0)
	closeIt := func() kv.Code { return c.at(0, kv.KindSessionClose, session.CloseRequest(b)).Err }
	equal(t, "closed", fmt.Sprint(closeIt(), closeIt()), fmt.Sprint(kv.CodeOK, kv.CodeSessionNotFound))
	equal(t, "sessions", c.store.SessionCount(), 0)
	equal(t, "a new one's id", c.sessionAt(0, 10) > b, true)
}

// TestRestartInTheMiddleRepeatsNothing crashes a store after every command: each time the log is applied
// again from where the disk is, and then again from further on, as a client that repeats everything has it.
func TestRestartInTheMiddleRepeatsNothing(t *testing.T) {
	const requests = 20
	log := []kv.Command{{Index: 1, Kind: kv.KindSessionOpen, Request: session.OpenRequest(60)}}
	for i := range uint64(requests) {
		for range 2 { // each is in the log twice
			c := command(t, i*second, request(1, i+1, i-min(i, 3)), kv.KindPut, putOf("k"))
			c.Index = uint64(len(log) + 1)
			log = append(log, c)
		}
	}
	for kept := range 12 {
		engine := treekv.New()
		c := &client{t: t}
		answers := map[uint64]kv.Answer{}
		open := func() {
			t.Helper()
			store, err := kv.Open(engine, kv.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c.store = store
		}
		open()
		for end := 1; end <= len(log); end++ {
			for c.store.AppliedIndex() < uint64(end) {
				from := c.store.AppliedIndex()
				got, err := c.store.Apply(log[from:min(from+1+from%3, uint64(end))])
				if err != nil {
					t.Fatal(err)
				}
				for i, a := range got {
					n := log[from+uint64(i)].Session.Sequence
					if before, again := answers[n]; again {
						sameAnswer(t, fmt.Sprintf("request %d", n), a, before)
					}
					answers[n] = a
				}
			}
			if end%5 == 0 {
				if err := c.store.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			engine = engine.Crash(func(batches int) int { return min(batches, kept) })
			open()
		}
		for c.store.AppliedIndex() < uint64(len(log)) {
			if _, err := c.store.Apply(log[c.store.AppliedIndex():]); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "puts", c.version("k"), requests)
	}
}

func TestSessionsAreTheSameAfterARestart(t *testing.T) {
	engine := treekv.New()
	store, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: store}
	ids := []uint64{c.sessionAt(0, 10), c.sessionAt(0, 20), c.sessionAt(0, 30), c.sessionAt(0, 40)}
	for _, id := range ids {
		c.ask(0, request(id, 1, 0), kv.KindPut, putOf("k"))
		c.ask(0, request(id, 2, 0), kv.KindPut, putOf("k"))
	}
	c.ask(50*second, request(ids[0], 1, 0), kv.KindPut, putOf("k"))
	c.at(50*second, kv.KindSessionKeepAlive, session.KeepAliveRequest(ids[1], 0))
	c.at(0, kv.KindSessionKeepAlive, session.KeepAliveRequest(ids[2], 1))
	c.at(0, kv.KindSessionKeepAlive, session.KeepAliveRequest(ids[2], 2))
	c.at(0, kv.KindSessionClose, session.CloseRequest(ids[3]))
	all := func() (s string) {
		for _, id := range ids {
			row, found := c.store.Session(id)
			s += fmt.Sprintln(row, found)
		}
		return s + fmt.Sprint(c.store.SessionBytes())
	}
	before := all()
	if c.store, err = reopen(t, c, engine, kv.Options{}); err != nil {
		t.Fatal(err)
	}
	equal(t, "sessions", all(), before)
}

func TestDamagedRowsOfSessionsAreFound(t *testing.T) {
	for what, damage := range map[string]func(b kv.Batch){
		"a session":               func(b kv.Batch) { b.Set([]byte("\x40\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{9}) },
		"an answer":               func(b kv.Batch) { b.Set([]byte("\x41\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{1}) },
		"an answer of no session": func(b kv.Batch) { b.Delete([]byte("\x40\x00\x00\x00\x00\x00\x00\x00\x01")) },
	} {
		engine := treekv.New()
		store, err := kv.Open(engine, kv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, store: store}
		c.ask(0, request(c.sessionAt(0, 60), 1, 0), kv.KindPut, putOf("k"))
		b := engine.NewBatch()
		damage(b)
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, err := reopen(t, c, engine, kv.Options{}); !errors.Is(err, kv.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestMissingAnswerIsDamage: the table says that an answer is kept, and it is not.
func TestMissingAnswerIsDamage(t *testing.T) {
	engine := treekv.New()
	store, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: store}
	n := request(c.sessionAt(0, 60), 1, 0)
	c.ask(0, n, kv.KindPut, putOf("k"))
	b := engine.NewBatch()
	b.Delete([]byte("\x41\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	again := command(t, 0, n, kv.KindPut, putOf("k"))
	again.Index = 99
	if _, err := store.Apply([]kv.Command{again}); !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}
