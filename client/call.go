package client

import (
	"context"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/session"
)

// call is what a caller wants done.
type call struct {
	method  string
	request any
	// response says by its type what the answer is put into: a pointer. Each copy has one of its own, and the
	// one of the copy that was answered is left here.
	response any
	options  []grpc.CallOption
}

// After all servers have failed, the next round of tries begins after a while, which grows.
const (
	shortestPause = 20 * time.Millisecond
	longestPause  = 500 * time.Millisecond
)

// read carries out a call that may be repeated as it is.
func (c *Client) read(ctx context.Context, call *call) error {
	t := tries{client: c, call: call, judge: judgeRead}
	_, err := t.run(ctx)
	return err
}

// write carries out a call that must not take effect twice. It is numbered, and all its copies have the same
// number. errPlain: the servers have no sessions; nothing was sent.
func (c *Client) write(ctx context.Context, call *call) error {
	for {
		n, number, err := c.sessions.begin(ctx)
		if err != nil {
			return err
		}
		t := tries{client: c, call: call, judge: judgeWrite}
		t.number = func() string { return c.sessions.metadata(n, number) }
		v, err := t.run(ctx)
		c.sessions.end(n, number)
		if v == ended || err == errSessionEnded {
			c.sessions.goneIs(n)
		}
		switch {
		case v == answered:
			return err
		case v == ended && t.copies == 0:
			continue // none that was sent took effect, and none will: it is safe in another session
		case v == ended:
			err = errSessionEnded
		case t.copies == 0 && v == retry:
			return err // it never got anywhere
		}
		return &OutcomeUnknownError{Method: path.Base(call.method), Cause: err, Last: t.last}
	}
}

// tries send one call to one server after another. Who is silent may still answer while the next is asked: each
// server has one copy at most under way, and the first answer counts.
type tries struct {
	client *Client
	call   *call
	number func() string // the metadata of a copy; nil: it is not numbered
	judge  func(t *tries, a *attempt) (verdict, error)

	flying []*attempt    // the oldest first
	landed chan *attempt // as they come back
	// copies counts those that have landed and may have taken effect, or may still.
	copies int
	// round counts the tries since the last pause that came to nothing, pauses how often there was one,
	// and silent how often a server was.
	round, pauses, silent int
	faults                int
	last                  error
}

// run tries until there is an answer, or ctx ends, which is the verdict retry, with its error. When it returns, no
// copy is under way.
func (t *tries) run(ctx context.Context) (verdict, error) {
	t.landed = make(chan *attempt)
	copies, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for len(t.flying) > 0 {
			t.giveUp(<-t.landed)
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	silence := false // it is what next stands for
	for {
		select {
		case <-ctx.Done():
			return retry, ctx.Err()
		case <-next.C:
			if silence {
				t.silent++
				t.client.endpoints.failed(t.flying[len(t.flying)-1].name)
			}
			wait, err := t.launch(copies)
			if err != nil {
				return retry, err
			}
			silence = true
			next.Reset(wait)
		case a := <-t.landed:
			if a.dropped && a.err != nil {
				t.giveUp(a)
				continue
			}
			t.forget(a)
			v, err := t.judge(t, a)
			if v == answered {
				t.call.response = a.response
			}
			if v != retry && v != busy {
				return v, err
			}
			silence = false
			next.Reset(t.failed(a, v))
		}
	}
}

// failed notes that a copy has come to nothing, and returns how long to wait before the next.
func (t *tries) failed(a *attempt, v verdict) time.Duration {
	t.last = a.err
	if v == retry {
		t.client.endpoints.failed(a.name)
		t.round++
	}
	if v == busy || t.round >= a.of {
		t.round = 0
		return t.pause()
	}
	return 0
}

// pause is for how long to let the servers alone. Clients that have failed together do not come back together.
func (t *tries) pause() time.Duration {
	d := min(shortestPause<<min(t.pauses, 10), longestPause)
	t.pauses++
	return d/2 + rand.N(d)
}

// launch sends a copy to the next server that has none, and returns how long to wait for an answer before another is
// sent. If all have one, that of the server whose turn it is is dropped.
func (t *tries) launch(ctx context.Context) (time.Duration, error) {
	a := &attempt{response: reflect.New(reflect.TypeOf(t.call.response).Elem()).Interface()}
	conn, name, of, err := t.client.endpoints.pick(t.isAsked)
	if err == ErrClosed || err == errNoEndpoints {
		return 0, err
	}
	if old := t.at(name); old != nil {
		old.dropped = true
		old.cancel()
	}
	a.name, a.of, a.err = name, of, err
	ctx, a.cancel = context.WithCancel(context.WithValue(ctx, attemptKey{}, a))
	t.flying = append(t.flying, a)
	patience, answered := t.client.patience.forRead, t.client.patience.read
	if t.number != nil {
		ctx = metadata.AppendToOutgoingContext(ctx, session.MetadataKey, t.number())
		patience, answered = t.client.patience.forWrite, t.client.patience.wrote
	}
	go func() {
		defer a.cancel()
		if a.err == nil {
			began := time.Now()
			if t.send(ctx, conn, a); a.err == nil {
				answered(time.Since(began))
			}
		}
		t.landed <- a
	}()
	return patience(t.silent, t.allAreAsked(of)), nil
}

// at returns the copy that is under way to a server, or nil.
func (t *tries) at(name string) *attempt {
	for _, a := range t.flying {
		if a.name == name && !a.dropped {
			return a
		}
	}
	return nil
}

func (t *tries) isAsked(name string) bool { return t.at(name) != nil }

// allAreAsked tells whether so many servers have a copy.
func (t *tries) allAreAsked(of int) bool {
	n := 0
	for _, a := range t.flying {
		if !a.dropped {
			n++
		}
	}
	return n >= of
}

// giveUp counts a copy that is waited for no longer.
func (t *tries) giveUp(a *attempt) {
	t.forget(a)
	if (a.sent || a.err == nil) && !isBusy(a.err) {
		t.copies++
	}
	if t.last == nil {
		t.last = a.err
	}
}

func (t *tries) forget(a *attempt) {
	t.flying = slices.DeleteFunc(t.flying, func(b *attempt) bool { return a == b })
}

// mayHaveTakenEffect tells whether some other copy than the one that is being judged may have.
func (t *tries) mayHaveTakenEffect() bool { return t.copies+len(t.flying) > 0 }

// attempt is one copy of a call on its way to one server.
type attempt struct {
	name    string // of the endpoint
	of      int    // how many there are
	cancel  context.CancelFunc
	dropped bool // another copy has taken its place

	// What has come of it, once it has landed.
	response any
	sent     bool   // it has reached a connection
	answer   string // the state machine's, if it is that
	err      error
	calls    int
}

type attemptKey struct{}

// send sends a copy and waits for the answer.
func (t *tries) send(ctx context.Context, conn *grpc.ClientConn, a *attempt) {
	var trailer metadata.MD
	// Etcd's connections wait for a server that is not there: that is as long as we wait for one that is silent.
	options := append(t.call.options[:len(t.call.options):len(t.call.options)], grpc.Trailer(&trailer), grpc.WaitForReady(false))
	if err := conn.Invoke(ctx, t.call.method, t.call.request, a.response, options...); err == nil || a.calls == 0 {
		a.err = err
	}
	if values := trailer.Get(session.AnswerKey); len(values) == 1 {
		a.answer = values[0]
	}
}

// countCopies lets each attempt send one copy. Etcd's client has an interceptor around it that sends some
// calls again by itself: whether a first copy took effect is nothing that it asks.
func countCopies(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	if a == nil {
		return invoke(ctx, method, request, reply, conn, options...)
	}
	if a.calls > 0 && status.Code(a.err) != codes.Unauthenticated {
		return errOneCopy
	}
	a.calls++
	var p peer.Peer
	a.err = invoke(ctx, method, request, reply, conn, append(options[:len(options):len(options)], grpc.Peer(&p))...)
	a.sent = p.Addr != nil
	return a.err
}

var errOneCopy = status.Error(codes.Unavailable, "client: one copy of each try is enough")
