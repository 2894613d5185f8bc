package etcdapi

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/watch"
)

// watchService describes etcdserverpb.Watch.
func (s *Server) watchService() *grpc.ServiceDesc {
	const name = "etcdserverpb.Watch"
	return &grpc.ServiceDesc{ServiceName: name, Streams: []grpc.StreamDesc{s.streaming(name, "Watch", bidiStream, s.serveWatch)}}
}

// errWatchCanceled: the client has gone; etcd's text.
var errWatchCanceled = status.Error(codes.Canceled, "etcdserver: watch canceled")

// watchStream is one client's stream.
type watchStream struct {
	batches  chan []watch.Response // holds one: to be sent
	accepted chan struct{}         // holds one: the client may ask for more
	failed   chan struct{}         // closed by the hub when it has given the stream up
	broken   chan error            // holds one: why nothing more can be received

	// The hub's:
	hubs    *watch.Stream // nil before it is open, and when it has ended
	sending bool          // a batch was given, and has not been sent yet
	waiting bool          // the client has asked for something, and may not ask for more yet
}

// serveWatch is the stream's sender; a goroutine beside it receives.
func (s *Server) serveWatch(stream grpc.ServerStream) error {
	if err := s.hasState(); err != nil {
		return err
	}
	ctx := stream.Context()
	w := &watchStream{
		batches: make(chan []watch.Response, 1), accepted: make(chan struct{}, 1),
		failed: make(chan struct{}), broken: make(chan error, 1),
	}
	if !s.hub.ask(w, opened{}) {
		return errStopped
	}
	defer s.hub.ask(w, ended{})
	if !s.start(func() { s.receiveWatch(stream, w) }) { // ends with the stream, which ends when this returns
		return errStopped
	}
	return s.sendWatch(ctx, stream, w)
}

// start starts a goroutine that Close waits for, unless it has begun.
func (s *Server) start(run func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.context.Err() != nil {
		return false
	}
	s.running.Go(run)
	return true
}

// receiveWatch hands to the hub what the client asks for, and takes no more than the hub has room for.
func (s *Server) receiveWatch(stream grpc.ServerStream, w *watchStream) {
	for {
		request := new(pb.WatchRequest)
		if err := stream.RecvMsg(request); err != nil {
			w.broken <- err
			return
		}
		if !s.hub.ask(w, request) {
			return
		}
		select {
		case <-w.accepted:
		case <-stream.Context().Done():
			return
		}
	}
}

// sendWatch sends what the hub has for the client until one of them, or the server, ends it.
func (s *Server) sendWatch(ctx context.Context, stream grpc.ServerStream, w *watchStream) error {
	// A tenth more at random, so that not all streams of a server tick at once.
	progress := time.NewTicker(s.options.WatchProgressInterval + rand.N(s.options.WatchProgressInterval/10))
	defer progress.Stop()
	leader := s.watchLeader(ctx)
	defer leader.Stop()
	for {
		select {
		case batch := <-w.batches:
			for i := range batch {
				if err := s.sendWatchResponse(stream, &batch[i]); err != nil {
					return err
				}
			}
			s.hub.ask(w, sent{})
		case <-progress.C:
			s.hub.ask(w, tick{})
		case <-leader.C:
			if err := leader.check(); err != nil {
				return err
			}
		case err := <-w.broken:
			if !errors.Is(err, io.EOF) { // which only says that the client asks for nothing more
				return errWatchCanceled
			}
		case <-ctx.Done():
			return errWatchCanceled
		case <-w.failed:
			return errStore
		case <-s.closing:
			return errStopped
		}
	}
}

// Fields of etcd's WatchResponse.
const (
	watchID       = protowire.Number(2)
	watchCreated  = protowire.Number(3)
	watchCanceled = protowire.Number(4)
	watchCompact  = protowire.Number(5)
	watchReason   = protowire.Number(6)
	watchFragment = protowire.Number(7)
)

// watchRoomBytes is the largest a WatchResponse can be beside its reason and its events.
const watchRoomBytes = headerRoomBytes + 2*(1+10) + 3*(1+1)

// sendWatchResponse sends a response, in pieces if it is large and the client can put them together.
func (s *Server) sendWatchResponse(stream grpc.ServerStream, r *watch.Response) error {
	limit := s.options.MaxRequestBytes + receiveRoomBytes
	events := r.Events
	for r.Fragment && r.Count > 1 && len(events)+watchRoomBytes >= limit {
		piece := firstEvents(events, limit-watchRoomBytes)
		if len(piece) == len(events) {
			break
		}
		if err := stream.SendMsg(s.watchResponse(r, piece, true)); err != nil {
			return err
		}
		events = events[len(piece):]
	}
	return stream.SendMsg(s.watchResponse(r, events, false))
}

// firstEvents returns as many encoded events as are less than so many bytes; at least one.
func firstEvents(events []byte, limit int) []byte {
	size := 0
	for size < len(events) {
		_, _, n := protowire.ConsumeField(events[size:])
		if n < 0 || size > 0 && size+n >= limit {
			break
		}
		size += n
	}
	return events[:size]
}

// watchResponse encodes a response in front of its events, which are shared with others.
func (s *Server) watchResponse(r *watch.Response, events []byte, fragment bool) *response {
	room := watchRoomBytes + len(r.Reason)
	if len(events) <= joinBytes {
		room += len(events) // the codec joins them
	}
	b := s.headers.append(make([]byte, 0, room), r.Revision, s.term())
	b = appendVarint(b, watchID, uint64(r.WatchID))
	b = appendFlag(b, watchCreated, r.Created)
	b = appendFlag(b, watchCanceled, r.Canceled)
	b = appendVarint(b, watchCompact, uint64(r.CompactRevision))
	if r.Reason != "" {
		b = protowire.AppendString(protowire.AppendTag(b, watchReason, protowire.BytesType), r.Reason)
	}
	b = appendFlag(b, watchFragment, fragment)
	return &response{header: b, body: events}
}

func appendFlag(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendVarint(b, num, 1)
}
