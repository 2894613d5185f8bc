package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// sessions are the client's sessions: one at a time takes new requests. It is opened for the first write,
// and nobody keeps it alive: while nothing is under way, nothing is lost with it.
type sessions struct {
	client *Client

	mu      sync.Mutex // guards what follows, and all numberings
	current *numbering // nil: there is none
	opening chan struct{}
	plain   bool // the servers have none
}

// numbering gives a session's requests their numbers.
type numbering struct {
	opened       session.Opened
	last         uint64          // number given out
	acknowledged uint64          // all up to here have ended
	ended        map[uint64]bool // above that
	used         time.Time       // when a request of it was answered last, or it was opened
	gone         bool            // it has ended, as a server has said
	moved        chan struct{}   // closed when acknowledged moves, if somebody waits for it
}

// errPlain: the servers have no sessions. It never leaves the package.
var errPlain = errors.New("servers have no sessions")

// begin gives a request its number. It opens a session if there is none, and waits while too many requests
// are under way.
func (s *sessions) begin(ctx context.Context) (*numbering, uint64, error) {
	for {
		n, number, wait, err := s.tryBegin(ctx)
		if n != nil || err != nil {
			return n, number, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// tryBegin gives out a number, or says what to wait for. If there is no session, and nobody opens one, it
// does.
func (s *sessions) tryBegin(ctx context.Context) (n *numbering, number uint64, wait <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := s.current; {
	case s.plain:
		return nil, 0, nil, errPlain
	case s.opening != nil:
		return nil, 0, s.opening, nil
	case n == nil || n.gone || n.isForgotten():
		s.opening = make(chan struct{})
		s.mu.Unlock()
		err := s.open(ctx)
		s.mu.Lock()
		close(s.opening)
		s.opening = nil
		if err != nil {
			return nil, 0, nil, err
		}
		return s.current, s.current.next(), nil, nil
	case n.last-n.acknowledged >= n.opened.Window:
		if n.moved == nil {
			n.moved = make(chan struct{})
		}
		return nil, 0, n.moved, nil
	default:
		return n, n.next(), nil, nil
	}
}

func (n *numbering) next() uint64 {
	n.last++
	return n.last
}

// isForgotten tells whether the servers may soon have forgotten a session of which nothing is under way.
func (n *numbering) isForgotten() bool {
	return n.last == n.acknowledged && time.Since(n.used) > time.Duration(n.opened.TTL)*time.Second/2
}

// end notes that nobody needs the answer to a request any more: there is one, or the caller has given up.
func (s *sessions) end(n *numbering, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.ended[number] = true
	for n.ended[n.acknowledged+1] {
		n.acknowledged++
		delete(n.ended, n.acknowledged)
	}
	n.used = time.Now()
	if n.moved != nil {
		close(n.moved)
		n.moved = nil
	}
}

// goneIs notes that a session has ended: the next request gets another.
func (s *sessions) goneIs(n *numbering) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.gone = true
}

// metadata is what a copy of a request that is sent now carries.
func (s *sessions) metadata(n *numbering, number uint64) string {
	s.mu.Lock()
	named := wire.Session{ID: n.opened.ID, Sequence: number, Acknowledged: n.acknowledged}
	s.mu.Unlock()
	return string(session.AppendMetadata(nil, named, n.opened.Cluster))
}

// open opens a session.
func (s *sessions) open(ctx context.Context) error {
	ttl := (s.client.options.SessionTTL + time.Second - 1) / time.Second
	sent := time.Now()
	answer, err := s.ask(ctx, session.MethodOpen, session.OpenRequest(uint64(ttl)))
	if status.Code(err) == codes.Unimplemented {
		s.mu.Lock()
		s.plain = true
		s.mu.Unlock()
		return errPlain
	}
	if err != nil {
		return err
	}
	opened, err := session.ParseOpened(answer)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	s.mu.Lock()
	s.current = &numbering{opened: opened, ended: make(map[uint64]bool), used: sent}
	s.mu.Unlock()
	return nil
}

// ask calls a method of the service of sessions, at whichever server answers.
func (s *sessions) ask(ctx context.Context, method string, request []byte) (answer []byte, err error) {
	c := &call{"/" + session.Service + "/" + method, request, new([]byte), []grpc.CallOption{grpc.ForceCodecV2(bytesCodec{})}}
	err = s.client.read(ctx, c)
	return *c.response.(*[]byte), err
}

// close tells the servers that the session has ended, if there is one.
func (s *sessions) close(ctx context.Context) {
	s.mu.Lock()
	n := s.current
	open := n != nil && !n.gone
	s.mu.Unlock()
	if open {
		_, _ = s.ask(ctx, session.MethodClose, session.CloseRequest(n.opened.ID)) // or it ends by itself
	}
}

// bytesCodec leaves messages as they are: those of sessions have no generated types.
type bytesCodec struct{ encoding.CodecV2 }

// Name is the content subtype of etcd's messages, too.
func (bytesCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// Unmarshal implements encoding.CodecV2.
func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
