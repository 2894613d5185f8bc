package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

const (
	// watchEvery is how many requests there are to one that is about watching.
	watchEvery = 8
	// progressAgain is after how long progress is asked for again: there is no answer while somebody
	// lags, and etcd lets those who begin in the past wait for up to 100 ms.
	progressAgain = 20 * time.Millisecond
	// pushAfter is after how many questions without an answer something is written: somebody may have to
	// begin at a revision to come.
	pushAfter = 10
)

// watching is a stream at each of the two, on which the same is asked.
type watching struct {
	etcd, quorate *watchEnd
	cancel        context.CancelFunc
}

// watchEnd is the stream at one of them.
type watchEnd struct {
	subject  *subject
	stream   pb.Watch_WatchClient
	received chan *pb.WatchResponse // closed when the stream has ended
	ended    map[int64]bool         // watchers that a compaction has ended, and the end of which we ask for
}

func openEnd(ctx context.Context, s *subject) (*watchEnd, error) {
	stream, err := pb.NewWatchClient(s.client.ActiveConnection()).Watch(ctx)
	if err != nil {
		return nil, err
	}
	e := &watchEnd{s, stream, make(chan *pb.WatchResponse, 100), map[int64]bool{}}
	go func() { // ends with the stream
		defer close(e.received)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			e.received <- r
		}
	}()
	return e, nil
}

// heard is what one end has been told between two comparisons.
type heard struct {
	answers  []*pb.WatchResponse       // to creates and cancels, in order
	events   map[int64][]*mvccpb.Event // by watcher
	canceled map[int64]int64           // by watcher: the compaction that ended it
	upTo     int64                     // the revision up to which this is everything; 0: nothing was heard yet
}

func newHeard() *heard {
	return &heard{events: map[int64][]*mvccpb.Event{}, canceled: map[int64]int64{}}
}

// watch asks something about watching, and compares what the two have told since the last time.
func (r *runner) watch(ctx context.Context) error {
	if r.watching == nil {
		if err := r.openWatching(ctx); err != nil {
			return err
		}
	}
	var request *pb.WatchRequest
	switch n := r.drawer.IntN(10); {
	case n < 5:
		request = &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r.drawer.watch()}}
	case n < 7:
		request = &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{
			CancelRequest: &pb.WatchCancelRequest{WatchId: r.drawer.Int64N(30) - 1}}}
	}
	if request != nil {
		r.asked++
		r.counts["/etcdserverpb.Watch/Watch"]++
		r.note("/etcdserverpb.Watch/Watch", request)
		for _, e := range []*watchEnd{r.watching.etcd, r.watching.quorate} {
			if err := e.stream.Send(request); err != nil {
				return fmt.Errorf("watch: %w", err)
			}
		}
	}
	return r.compareWatching(ctx)
}

func (r *runner) openWatching(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	etcd, err := openEnd(ctx, r.etcd)
	if err != nil {
		cancel()
		return err
	}
	quorate, err := openEnd(ctx, r.quorate)
	if err != nil {
		cancel()
		return err
	}
	r.watching = &watching{etcd, quorate, cancel}
	return nil
}

// compareWatching waits until both ends have told everything, and compares it. Now and then it closes the
// stream, so that there are never too many watchers.
func (r *runner) compareWatching(ctx context.Context) error {
	if r.watching == nil {
		return nil
	}
	defer r.stall(time.Now())
	etcd, quorate := newHeard(), newHeard()
	// To be heard, one may need something to be written, and then the other has more to tell.
	for etcd.upTo < r.drawer.revision || quorate.upTo < r.drawer.revision {
		if err := r.hear(ctx, r.watching.etcd, etcd); err != nil {
			return fmt.Errorf("watch at etcd, seed %d, request %d: %w\nafter%s", r.options.seed, r.asked, err, r.recent())
		}
		if err := r.hear(ctx, r.watching.quorate, quorate); err != nil {
			return fmt.Errorf("watch at quorate, seed %d, request %d: %w\nafter%s", r.options.seed, r.asked, err, r.recent())
		}
	}
	if err := r.sameHeard(etcd, quorate); err != nil {
		return err
	}
	if r.drawer.one(25) {
		r.watching.cancel()
		r.watching = nil
	}
	return nil
}

// hear adds to what was heard what one end tells, up to an answer to a question for progress that comes
// after all that has happened. A create of its own marks the end of the answers.
func (r *runner) hear(ctx context.Context, e *watchEnd, h *heard) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ask := func(r *pb.WatchRequest) error { return e.stream.Send(r) }
	// One that watches what never happens: without any watcher, there is no answer about progress.
	fence := &pb.WatchCreateRequest{Key: []byte("~nothing"), WatchId: fenceID}
	if err := ask(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: fence}}); err != nil {
		return err
	}
	progress := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	if err := ask(progress); err != nil {
		return err
	}
	fenced, answered := false, false
	for tries := 0; !fenced || !answered; {
		select {
		case told, ok := <-e.received:
			switch {
			case !ok:
				return fmt.Errorf("the stream has ended")
			case told.WatchId == fenceID:
				fenced = fenced || told.Created // and not the last one's end
			case told.WatchId == -1 && !told.Created:
				answered = fenced && told.Header.Revision >= r.drawer.revision
			default:
				if err := h.add(told, e); err != nil {
					return err
				}
			}
		case <-time.After(progressAgain):
			if tries++; tries%pushAfter == 0 {
				if err := r.compare(ctx, "/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte("k1")}); err != nil {
					return err
				}
			}
			if err := ask(progress); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("no answer about progress up to revision %d: %w", r.drawer.revision, context.Cause(ctx))
		}
	}
	h.upTo = r.drawer.revision
	return ask(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: fenceID}}})
}

const fenceID = 1 << 40

// add adds a response. A watcher that a compaction has ended is canceled by the client, too: at etcd, it
// would keep the stream from being told of progress. When that is acknowledged is a matter of chance.
func (h *heard) add(r *pb.WatchResponse, e *watchEnd) error {
	e.subject.ids.fromEnd(r)
	switch {
	case r.CompactRevision != 0:
		h.canceled[r.WatchId] = r.CompactRevision
		e.ended[r.WatchId] = true
		return e.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: r.WatchId}}})
	case r.Canceled && e.ended[r.WatchId]:
		delete(e.ended, r.WatchId)
	case r.Created || r.Canceled:
		r.Header.ClusterId, r.Header.MemberId, r.Header.RaftTerm = 0, 0, 0
		h.answers = append(h.answers, r)
	default:
		h.events[r.WatchId] = append(h.events[r.WatchId], r.Events...)
	}
	return nil
}

// sameHeard compares what the two have told.
func (r *runner) sameHeard(etcd, quorate *heard) error {
	if !slices.EqualFunc(etcd.answers, quorate.answers, func(a, b *pb.WatchResponse) bool { return proto.Equal(a, b) }) {
		return r.differs("answers of a watch", etcd.answers, quorate.answers)
	}
	if !maps.Equal(etcd.canceled, quorate.canceled) {
		return r.differs("watchers canceled by a compaction", etcd.canceled, quorate.canceled)
	}
	for id := range maps.Keys(merged(etcd.events, quorate.events)) {
		if !slices.EqualFunc(etcd.events[id], quorate.events[id], func(a, b *mvccpb.Event) bool { return proto.Equal(a, b) }) {
			return r.differs(fmt.Sprintf("events of watcher %d", id), etcd.events[id], quorate.events[id])
		}
		r.events += len(etcd.events[id])
	}
	return nil
}

func merged(a, b map[int64][]*mvccpb.Event) map[int64][]*mvccpb.Event {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// watch draws what to watch.
func (d *drawer) watch() *pb.WatchCreateRequest {
	r := &pb.WatchCreateRequest{Key: d.key(), RangeEnd: d.end(), PrevKv: d.one(2), Fragment: d.one(3)}
	if d.one(2) {
		r.StartRevision = d.past()
	}
	if d.one(8) {
		r.WatchId = 1 + d.Int64N(6)
	}
	for _, filter := range []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT, pb.WatchCreateRequest_NODELETE} {
		if d.one(8) {
			r.Filters = append(r.Filters, filter)
		}
	}
	return r
}
