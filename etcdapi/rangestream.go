package etcdapi

import (
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/kv"
)

const (
	// fieldRangeResponse is the only field of a RangeStreamResponse.
	fieldRangeResponse = protowire.Number(1)

	// firstChunkKeys is how many keys come first: something, soon. Later pieces are bounded by bytes.
	firstChunkKeys = 10
	chunkKeys      = 1 << 20
)

// errUnordered is etcd's answer to a stream that it would have to sort or filter.
var errUnordered = status.Error(codes.Unimplemented,
	"quorate: RangeStream gives keys in their order, without sort and filters by revision: use Range")

// rangeStream answers a range in pieces, so that neither side must hold all of it.
func (s *Server) rangeStream(stream grpc.ServerStream) error {
	var request rawRequest
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	ctx := stream.Context()
	chunks, err := s.store.RangeChunks(request.bytes)
	var code kv.Code
	switch {
	case errors.As(err, &code):
		return refusal(code)
	case err != nil:
		return errUnordered
	}
	if err := s.awaitState(ctx, kv.KindRange, request.bytes); err != nil {
		return err
	}
	for keys := firstChunkKeys; !chunks.Done(); keys = chunkKeys {
		piece, err := chunks.Next(keys, s.options.MaxRequestBytes)
		switch {
		case err != nil:
			s.storeFailed(err)
			return errStore
		case piece.Err != kv.CodeOK:
			return refusal(piece.Err)
		}
		if err := stream.SendMsg(s.rangeStreamResponse(&piece, chunks.Done())); err != nil {
			return err
		}
	}
	return nil
}

// rangeStreamResponse wraps a piece; only the last one has a header.
func (s *Server) rangeStreamResponse(piece *kv.Answer, last bool) *response {
	var header []byte
	if last {
		header = s.headers.append(make([]byte, 0, headerRoomBytes), piece.Revision, s.term())
	}
	front := protowire.AppendTag(nil, fieldRangeResponse, protowire.BytesType)
	front = protowire.AppendVarint(front, uint64(len(header)+len(piece.Body)))
	return &response{header: append(front, header...), body: piece.Body}
}
