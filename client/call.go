package client

import (
	"context"
	"math/rand/v2"
	"path"
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
	method            string
	request, response any
	options           []grpc.CallOption
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

// tries send one call to one server after another.
type tries struct {
	client *Client
	call   *call
	number func() string // the metadata of a copy; nil: it is not numbered
	judge  func(t *tries, a *attempt) (verdict, error)

	// copies counts those that may have taken effect, or may still.
	copies int
	// round counts the tries since the last pause that came to nothing, pauses how often there was one,
	// and silent how often a server was.
	round, pauses, silent int
	faults                int
	last                  error
}

// run tries until there is an answer, or ctx ends, which is the verdict retry, with its error.
func (t *tries) run(ctx context.Context) (verdict, error) {
	for ctx.Err() == nil {
		conn, name, of, err := t.client.endpoints.pick()
		if err == ErrClosed || err == errNoEndpoints {
			return retry, err
		}
		a := attempt{err: err}
		if err == nil {
			t.attempt(ctx, conn, &a)
		}
		v, err := t.judge(t, &a)
		if v != retry && v != busy {
			return v, err
		}
		t.last = a.err
		if v == retry {
			t.client.endpoints.failed(name)
			t.round++
		}
		if v == busy || t.round >= of {
			t.round = 0
			if !t.pause(ctx) {
				break
			}
		}
	}
	return retry, ctx.Err()
}

// pause waits a little. Clients that have failed together do not come back together.
func (t *tries) pause(ctx context.Context) bool {
	d := min(shortestPause<<min(t.pauses, 10), longestPause)
	t.pauses++
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt is one copy of a call on its way to one server.
type attempt struct {
	sent   bool   // it has reached a connection
	answer string // the state machine's, if it is that
	err    error
	calls  int
}

type attemptKey struct{}

// attempt sends one copy and waits for the answer, for as long as the server may be silent.
func (t *tries) attempt(ctx context.Context, conn *grpc.ClientConn, a *attempt) {
	patience, answered := t.client.patience.forRead, t.client.patience.read
	if t.number != nil {
		patience, answered = t.client.patience.forWrite, t.client.patience.wrote
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, attemptKey{}, a), patience(t.silent))
	defer cancel()
	began := time.Now()
	if t.number != nil {
		ctx = metadata.AppendToOutgoingContext(ctx, session.MetadataKey, t.number())
	}
	var trailer metadata.MD
	// Etcd's connections wait for a server that is not there: that is as long as we wait for one that is silent.
	options := append(t.call.options[:len(t.call.options):len(t.call.options)], grpc.Trailer(&trailer), grpc.WaitForReady(false))
	if err := conn.Invoke(ctx, t.call.method, t.call.request, t.call.response, options...); err == nil || a.calls == 0 {
		a.err = err
	}
	if values := trailer.Get(session.AnswerKey); len(values) == 1 {
		a.answer = values[0]
	}
	switch {
	case a.err != nil && ctx.Err() != nil:
		t.silent++
	case a.err == nil:
		answered(time.Since(began))
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
