package etcdapi

import (
	"context"
	"encoding/binary"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

const (
	// maxSnapshots is how many snapshots are sent at a time. Each pins what it began with, which stays on the
	// disk until it ends. One more is refused.
	maxSnapshots = 4
	// blobBytes is the size of what is sent at once. The client's limit for a message may be as low as 2 MiB.
	blobBytes = 256 << 10
)

var (
	errTooManySnapshots = status.Error(codes.ResourceExhausted, "quorate: too many snapshots are being sent already; try again when one has ended")
	errNothingYet       = status.Error(codes.Unavailable, "quorate: this server has nothing yet: ask another, or wait for a leader")
	errNoDefragment     = status.Error(codes.Unimplemented, "quorate: the state of this server has no files to be compacted")
)

// hash hashes everything replicated that this server holds, as of one moment: keys, leases, sessions, alarms. Of the
// hash's 128 bits etcd's message has room for 32. Servers that have applied the same say the same; which entry
// was the last, the header cannot tell. It is not etcd's hash, which is made of how etcd lays out its file.
func (s *Server) hash(context.Context, *pb.HashRequest) (*pb.HashResponse, error) {
	if err := s.hasState(); err != nil {
		return nil, err
	}
	h, err := s.store.HashState()
	if err != nil {
		s.storeFailed(err)
		return nil, errStore
	}
	return &pb.HashResponse{Header: s.headers.message(h.Revision, s.term()), Hash: binary.BigEndian.Uint32(h.Hash[:])}, nil
}

// defragment compacts the files of this server's state, which it serves beside that. It ends with its caller's
// patience, and what was done by then stays done.
func (s *Server) defragment(ctx context.Context, _ *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	if s.options.Defragment == nil {
		return nil, errNoDefragment
	}
	select {
	case s.defragmenting <- struct{}{}: // one at a time: the second would do it all again
		defer func() { <-s.defragmenting }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-s.closing:
		return nil, errStopped
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.context, cancel)() // Close does not wait for it
	err := s.options.Defragment(ctx)
	switch {
	case err == nil:
		return &pb.DefragmentResponse{Header: s.headers.message(s.store.Revision(), s.term())}, nil
	case s.context.Err() != nil:
		return nil, errStopped
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	s.storeFailed(err)
	return nil, errStore
}

// snapshot sends a copy of everything, as of when it begins. What it is made of is this server's own state, whoever
// leads: as in etcd, it may lack what was written last. It never is of a state that was begun anew and lacks what
// this server had: nobody would see from the file that it is of long ago.
func (s *Server) snapshot(stream grpc.ServerStream) error {
	if err := stream.RecvMsg(new(pb.SnapshotRequest)); err != nil {
		return err
	}
	if err := s.hasState(); err != nil {
		return err
	}
	select {
	case s.snapshots <- struct{}{}:
		defer func() { <-s.snapshots }()
	default:
		return errTooManySnapshots
	}
	total, _ := s.options.Size()
	w := &blobWriter{server: s, stream: stream, left: uint64(max(total, 1))}
	_, err := s.store.WriteSnapshot(w)
	switch {
	case w.err != nil:
		return w.err // the client is gone, or the server closes
	case errors.Is(err, kv.ErrSnapshotBehind):
		return errNothingYet
	case err != nil:
		s.storeFailed(err)
		return errStore
	}
	return w.last()
}

// blobWriter sends what is written to it in blobs, the last one when it is told that it is the last.
type blobWriter struct {
	server  *Server
	stream  grpc.ServerStream
	pending []byte
	left    uint64 // of what the whole is estimated at, so that clients see how far it is
	err     error  // of the stream
}

// Write implements io.Writer.
func (w *blobWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(w.pending) == blobBytes {
			w.left -= min(w.left-1, blobBytes) // it never comes to 0, which is the last
			if err := w.send(w.left); err != nil {
				return 0, err
			}
		}
		part := min(len(b), blobBytes-len(w.pending))
		w.pending, b = append(w.pending, b[:part]...), b[part:]
	}
	return n, nil
}

func (w *blobWriter) send(left uint64) error {
	w.err = w.stream.SendMsg(&pb.SnapshotResponse{
		Header:         w.server.headers.message(w.server.store.Revision(), w.server.term()),
		RemainingBytes: left, Blob: w.pending, Version: clusterVersion,
	})
	w.pending = w.pending[:0] // it has been encoded
	return w.err
}

func (w *blobWriter) last() error { return w.send(0) }
