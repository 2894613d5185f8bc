package etcdapi

import (
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/wire"
)

// renewer gathers what all streams want renewed. While one command is on its way through the log, the
// next gathers: so a server renews ten thousand leases with a few dozen commands, and one lease at once.
type renewer struct {
	server *Server
	mu     sync.Mutex // guards everything below
	// waiting are batches that are not on their way, all but the last of them full. Streams bound how much
	// they ask for.
	waiting []*renewal
	busy    bool // a goroutine takes from waiting
}

// renewal is one command that renews leases.
type renewal struct {
	ids []int64
	// done is closed when what follows is set.
	done     chan struct{}
	ttls     []int64
	revision int64
	err      error
}

// add asks for a lease to be renewed: it is the one at place in a renewal. False if the server closes.
func (r *renewer) add(id int64) (batch *renewal, place int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.waiting); n == 0 || len(r.waiting[n-1].ids) == kv.MaxLeasesPerCommand {
		r.waiting = append(r.waiting, &renewal{done: make(chan struct{})})
	}
	if !r.busy {
		if !r.server.start(r.run) {
			return nil, 0, false
		}
		r.busy = true
	}
	batch = r.waiting[len(r.waiting)-1]
	batch.ids = append(batch.ids, id)
	return batch, len(batch.ids) - 1, true
}

// run carries out renewals until there are no more.
func (r *renewer) run() {
	for {
		r.mu.Lock()
		if len(r.waiting) == 0 {
			r.busy = false
			r.mu.Unlock()
			return
		}
		batch := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.mu.Unlock()
		r.server.renew(batch)
		close(batch.done)
	}
}

func (s *Server) renew(batch *renewal) {
	answer, err := s.replicate(s.context, wire.Command{Kind: uint8(kv.KindLeaseRenew), Request: kv.LeaseList(batch.ids)})
	if err == nil && answer.Err != kv.CodeOK {
		err = refusal(answer.Err)
	}
	if err == nil {
		if batch.ttls, err = kv.ParseRenewed(answer.Body, len(batch.ids)); err != nil {
			err = errAnswer
		}
	}
	batch.revision, batch.err = answer.Revision, err
}

// keepAliveWindow is how many requests of a stream are under way at a time. Those beyond wait in the
// client, by HTTP/2's flow control.
const keepAliveWindow = 1024

// keepAlive is one request of a stream.
type keepAlive struct {
	id    int64
	batch *renewal
	place int
}

// leaseKeepAlive renews leases, as often as the client asks, and answers in the order in which it has
// asked. A lease that is not there has a time to live of 0.
func (s *Server) leaseKeepAlive(stream grpc.ServerStream) error {
	ctx := stream.Context()
	asked := make(chan keepAlive, keepAliveWindow)
	broken := make(chan error, 1) // why nothing more can be received
	if !s.start(func() { broken <- s.receiveKeepAlives(stream, asked) }) {
		return errStopped
	}
	leader := s.watchLeader(ctx)
	defer leader.Stop()
	for {
		select {
		case k := <-asked:
			if err := s.answerKeepAlive(stream, &k); err != nil {
				return err
			}
		case <-leader.C:
			if err := leader.check(); err != nil {
				return err
			}
		case err := <-broken:
			return s.finishKeepAlives(stream, asked, err)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.closing:
			return errStopped
		}
	}
}

// finishKeepAlives answers what a client that asks for nothing more has asked for.
func (s *Server) finishKeepAlives(stream grpc.ServerStream, asked chan keepAlive, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	for {
		select {
		case k := <-asked:
			if err := s.answerKeepAlive(stream, &k); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// receiveKeepAlives takes requests from a stream until it ends.
func (s *Server) receiveKeepAlives(stream grpc.ServerStream, asked chan<- keepAlive) error {
	for {
		request := new(pb.LeaseKeepAliveRequest)
		if err := stream.RecvMsg(request); err != nil {
			return err
		}
		batch, place, ok := s.renewer.add(request.ID)
		if !ok {
			return errStopped
		}
		select {
		case asked <- keepAlive{request.ID, batch, place}:
		case <-stream.Context().Done():
			return status.Error(codes.Canceled, "quorate: the stream has ended")
		}
	}
}

func (s *Server) answerKeepAlive(stream grpc.ServerStream, k *keepAlive) error {
	select {
	case <-k.batch.done:
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	}
	if k.batch.err != nil {
		return k.batch.err
	}
	return stream.SendMsg(s.keepAliveResponse(k))
}

func (s *Server) keepAliveResponse(k *keepAlive) *response {
	const id, ttl = 2, 3 // fields of LeaseKeepAliveResponse
	b := s.headers.append(make([]byte, 0, headerRoomBytes+2*(1+10)), k.batch.revision, s.term())
	b = appendVarint(b, id, uint64(k.id))
	return &response{header: appendVarint(b, ttl, uint64(k.batch.ttls[k.place]))}
}
