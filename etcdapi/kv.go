package etcdapi

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/wire"
)

// kvService describes etcdserverpb.KV: the methods in which a server spends its time.
func (s *Server) kvService() *grpc.ServiceDesc {
	const name = "etcdserverpb.KV"
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{
		s.unary(name, "Range", s.rangeKeys),
		s.unary(name, "Put", func(ctx context.Context, request []byte) (*response, error) {
			return s.write(ctx, kv.KindPut, request)
		}),
		s.unary(name, "DeleteRange", func(ctx context.Context, request []byte) (*response, error) {
			return s.write(ctx, kv.KindDeleteRange, request)
		}),
		s.unary(name, "Txn", s.txn),
		s.unary(name, "Compact", s.compact),
	}, Streams: []grpc.StreamDesc{
		s.streaming(name, "RangeStream", serverStream, s.rangeStream),
	}}
}

// write checks a request, replicates it as it is, and returns what it came to.
func (s *Server) write(ctx context.Context, kind kv.Kind, request []byte) (*response, error) {
	number, err := s.sessionOf(ctx)
	if err != nil {
		return nil, err
	}
	if code := s.store.Check(kind, request); code != kv.CodeOK {
		return nil, refusal(code)
	}
	if err := s.checkQuota(ctx, kind, request); err != nil {
		return nil, err
	}
	answer, err := s.replicate(ctx, wire.Command{Kind: uint8(kind), Session: number, Request: request})
	if err != nil {
		return nil, err
	}
	if number.ID != 0 && answer.Err != kv.CodeOK {
		if err := grpc.SetTrailer(ctx, sessionAnswer(answer.Err)); err != nil {
			return nil, err
		}
	}
	return s.respond(answer)
}

// replicate replicates a request that has been checked, and returns what it came to.
func (s *Server) replicate(ctx context.Context, c wire.Command) (kv.Answer, error) {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	encoded, err := s.group.ProposeCommand(bounded, c)
	if err != nil {
		s.failedWrites.Add(1)
		return kv.Answer{}, waitError(ctx, err)
	}
	answer, err := kv.ParseAnswer(encoded)
	if err != nil {
		s.options.Logger.Error("answer of the state machine is damaged", "kind", c.Kind, "err", err)
		return kv.Answer{}, errAnswer
	}
	return answer, nil
}

// rangeKeys answers from the store, once it shows everything that was answered to anybody before the
// request came; or at once, if the client takes what is there.
func (s *Server) rangeKeys(ctx context.Context, request []byte) (*response, error) {
	if code := s.store.Check(kv.KindRange, request); code != kv.CodeOK {
		return nil, refusal(code)
	}
	if err := s.awaitState(ctx, kv.KindRange, request); err != nil {
		return nil, err
	}
	return s.read(s.store.Range(request))
}

// txn carries out a transaction: one that only reads is answered as a Range is, without the log.
//
// Differs: etcd answers a transaction of compares without operations from what the server has, however
// old. Nobody asked for that, so here it is linearizable.
func (s *Server) txn(ctx context.Context, request []byte) (*response, error) {
	if !kv.IsReadOnlyTxn(request) {
		return s.write(ctx, kv.KindTxn, request)
	}
	if code := s.store.Check(kv.KindTxn, request); code != kv.CodeOK {
		return nil, refusal(code)
	}
	if err := s.awaitState(ctx, kv.KindTxn, request); err != nil {
		return nil, err
	}
	return s.read(s.store.ReadOnlyTxn(request))
}

// compact makes revisions unreadable. If the client asks for it, the answer waits until what they held
// is removed on this server; the others remove it at their own pace.
func (s *Server) compact(ctx context.Context, request []byte) (*response, error) {
	answer, err := s.write(ctx, kv.KindCompact, request)
	if err != nil || s.options.Compacted == nil {
		return answer, err
	}
	var asked pb.CompactionRequest
	if err := proto.Unmarshal(request, &asked); err != nil || !asked.Physical {
		return answer, nil // the compaction is done; there is nothing to wait for
	}
	if err := s.options.Compacted(ctx, asked.Revision); err != nil {
		if ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		return nil, errStopped
	}
	return answer, nil
}

// bounded bounds how long a call waits for the group. A caller who gives it less time is left alone:
// a context within a context is a dozen allocations.
func (s *Server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= s.options.RequestTimeout {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.options.RequestTimeout)
}

// awaitState waits until the store may be asked this: if it takes what is there, that is now, or never.
func (s *Server) awaitState(ctx context.Context, kind kv.Kind, request []byte) error {
	if kv.IsSerializable(kind, request) {
		return s.hasState()
	}
	return s.awaitRead(ctx)
}

// hasState is an error while the store is not what this server has applied: it has lost that, and must have another's.
func (s *Server) hasState() error {
	if s.group.Status().Snapshots.Missing {
		return errNoState
	}
	return nil
}

// awaitRead waits until the store may be read linearizably.
func (s *Server) awaitRead(ctx context.Context) error {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.group.Read(bounded); err != nil {
		s.failedReads.Add(1)
		return waitError(ctx, err)
	}
	return nil
}

// read turns what the store has answered into a response.
func (s *Server) read(answer kv.Answer, err error) (*response, error) {
	if err != nil {
		s.storeFailed(err)
		return nil, errStore
	}
	return s.respond(answer)
}

// storeFailed tells that the store could not be read, and logs it; not each time, for every request may meet it.
func (s *Server) storeFailed(err error) {
	if s.options.Unread != nil {
		s.options.Unread(err)
	}
	if s.mayComplain() {
		s.options.Logger.Error("the store cannot be read", "err", err, "damaged", errors.Is(err, kv.ErrCorrupt))
	}
}

// respond puts the header in front of an answer.
func (s *Server) respond(answer kv.Answer) (*response, error) {
	if answer.Err != kv.CodeOK {
		return nil, refusal(answer.Err)
	}
	room := headerRoomBytes
	if len(answer.Body) <= joinBytes {
		room += len(answer.Body) // the codec joins them
	}
	header := s.headers.append(make([]byte, 0, room), answer.Revision, s.term())
	return &response{header: header, body: answer.Body}, nil
}

// term is the current term, as this server knows it.
func (s *Server) term() uint64 { return uint64(s.group.Status().Raft.CurrentTerm) }
