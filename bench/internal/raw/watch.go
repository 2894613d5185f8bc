package raw

import (
	"context"
	"encoding/binary"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Answer is what a WatchResponse says.
type Answer struct {
	ID                int64
	Revision          int64 // of the header
	Created, Canceled bool
	Compacted         int64 // a watcher that is canceled for it needed what is compacted
	Reason            string
	Events            int
	// First and Last are the revisions of the first event and of the last. Gaps counts where the
	// revision of an event is neither that of the one before it nor the next.
	First, Last int64
	Gaps        int
	// Stamp is what the value of the first event begins with; see Stamped. Zero: nothing of the kind.
	Stamp time.Time
}

// Watch is one stream of the Watch service.
type Watch struct{ stream grpc.ClientStream }

// OpenWatch opens a stream, which ends with ctx.
func OpenWatch(ctx context.Context, connection *grpc.ClientConn) (*Watch, error) {
	description := &grpc.StreamDesc{StreamName: "Watch", ServerStreams: true, ClientStreams: true}
	stream, err := connection.NewStream(ctx, description, "/etcdserverpb.Watch/Watch", options...)
	if err != nil {
		return nil, err
	}
	return &Watch{stream}, nil
}

// Create asks for a watcher of the keys from key to end, from a revision on; 0: from now on.
func (w *Watch) Create(key, end string, revision int64) error {
	return w.stream.SendMsg(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte(key), RangeEnd: []byte(end), StartRevision: revision},
	}})
}

// Receive waits for the next response.
func (w *Watch) Receive(a *Answer) error {
	*a = Answer{}
	return w.stream.RecvMsg(a)
}

// Stamped is a value that begins with a time, of the size of value but at least that of the time.
func Stamped(at time.Time, value string) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, max(stampBytes, len(value))), uint64(at.UnixNano()))
	if len(value) > stampBytes {
		b = append(b, value[stampBytes:]...)
	}
	return string(b)
}

const stampBytes = 8

// parse reads etcdserverpb.WatchResponse.
func (a *Answer) parse(b []byte) error {
	return each(b, func(number protowire.Number, value uint64, bytes []byte) error {
		switch number {
		case 1:
			return each(bytes, func(number protowire.Number, value uint64, _ []byte) error {
				if number == 3 {
					a.Revision = int64(value)
				}
				return nil
			})
		case 2:
			a.ID = int64(value)
		case 3:
			a.Created = value != 0
		case 4:
			a.Canceled = value != 0
		case 5:
			a.Compacted = int64(value)
		case 6:
			a.Reason = string(bytes)
		case 11:
			return a.event(bytes)
		}
		return nil
	})
}

// event reads mvccpb.Event, and of its KeyValue the revision.
func (a *Answer) event(b []byte) error {
	revision := int64(0)
	err := each(b, func(number protowire.Number, _ uint64, bytes []byte) error {
		if number != 2 {
			return nil
		}
		return each(bytes, func(number protowire.Number, value uint64, bytes []byte) error {
			switch {
			case number == 3:
				revision = int64(value)
			case number == 5 && a.Events == 0 && len(bytes) >= stampBytes:
				a.Stamp = time.Unix(0, int64(binary.BigEndian.Uint64(bytes)))
			}
			return nil
		})
	})
	if a.Events == 0 {
		a.First = revision
	} else if revision != a.Last && revision != a.Last+1 {
		a.Gaps++
	}
	a.Events++
	a.Last = revision
	return err
}
