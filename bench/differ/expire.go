package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// What is here ends by itself, at a time of its own at each of the two, and leases that end at about the
// same time do so in any order. So it comes last: revisions may differ from here on, and times are not
// compared.

const (
	firstShort = 301 // the lease that is granted first
	expireKeys = "x/"
	expireEnd  = expireKeys + "~end" // is put once all that should end has ended
)

// short is a lease that is let end.
type short struct {
	ttl  int64 // asked for; each end has a shortest, and it is the same
	keys []string
}

// shorts are those leases. Of their keys, the first is detached again, where there are three or more.
var shorts = []short{
	{math.MinInt64, []string{"d", "c", "b", "a"}},
	{-1, []string{"only"}},
	{0, nil},
	{1, []string{"c", "a", "b"}},
	{2, []string{"b", "a"}},
	{1, nil},
}

// expire lets leases of the shortest time end, and compares what watchers are told and what is left.
func (r *runner) expire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*askTimeout)
	defer cancel()
	var ends [2]*watchEnd
	for i, s := range []*subject{r.etcd, r.quorate} {
		var err error
		if ends[i], err = openEnd(ctx, s); err != nil {
			return err
		}
		create := &pb.WatchCreateRequest{Key: []byte(expireKeys), RangeEnd: []byte("x0"), PrevKv: true}
		if err := ends[i].stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			return err
		}
		if told := <-ends[i].received; told == nil || !told.Created {
			return fmt.Errorf("watch what ends: got %v", told)
		}
	}
	for i, s := range shorts {
		if err := r.grantShort(ctx, firstShort+int64(i), &s); err != nil {
			return err
		}
	}
	for _, s := range []*subject{r.etcd, r.quorate} {
		if err := s.awaitEnds(ctx); err != nil {
			return err
		}
	}
	if err := r.compare(ctx, "/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte(expireEnd)}); err != nil {
		return err
	}
	if err := r.compareEnds(ctx, ends); err != nil {
		return err
	}
	return r.compareRemains(ctx)
}

// grantShort grants a lease and gives it its keys, quickly.
func (r *runner) grantShort(ctx context.Context, id int64, s *short) error {
	if err := r.compare(ctx, grantMethod, &pb.LeaseGrantRequest{ID: id, TTL: s.ttl}); err != nil {
		return err
	}
	if len(s.keys) == 0 {
		return nil
	}
	put := func(key string, lease int64) *pb.RequestOp {
		key = fmt.Sprintf("%s%d/%s", expireKeys, id, key)
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte("v"), Lease: lease}}}
	}
	all := &pb.TxnRequest{}
	for _, key := range s.keys {
		all.Success = append(all.Success, put(key, id))
	}
	if err := r.compare(ctx, "/etcdserverpb.KV/Txn", all); err != nil {
		return err
	}
	if len(s.keys) < 3 {
		return nil
	}
	return r.compare(ctx, "/etcdserverpb.KV/Txn", &pb.TxnRequest{Success: []*pb.RequestOp{put(s.keys[0], 0)}})
}

// awaitEnds waits until one end has no short lease any more.
func (s *subject) awaitEnds(ctx context.Context) error {
	for i := range shorts {
		for {
			a := s.ask(ctx, timeToLiveMethod, &pb.LeaseTimeToLiveRequest{ID: firstShort + int64(i)})
			if a.err != nil {
				return fmt.Errorf("wait for leases to end: %w", a.err)
			}
			if a.message.(*pb.LeaseTimeToLiveResponse).TTL < 0 {
				break
			}
			time.Sleep(progressAgain)
		}
	}
	return nil
}

// compareEnds compares what watchers were told: the keys of each lease in one revision, in their order.
func (r *runner) compareEnds(ctx context.Context, ends [2]*watchEnd) error {
	var told [2]string
	for i, e := range ends {
		events, err := e.untilEnd(ctx)
		if err != nil {
			return err
		}
		r.events += len(events)
		told[i] = sayRevisions(events)
	}
	if told[0] != told[1] {
		return r.differs("events of leases that have ended by themselves", told[0], told[1])
	}
	return nil
}

// untilEnd returns the events up to the one that comes last.
func (e *watchEnd) untilEnd(ctx context.Context) (events []*mvccpb.Event, err error) {
	for {
		select {
		case told, ok := <-e.received:
			if !ok {
				return nil, fmt.Errorf("watch what ends: the stream has ended")
			}
			events = append(events, told.Events...)
			if n := len(events); n > 0 && string(events[n-1].Kv.Key) == expireEnd {
				return events, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// sayRevisions says what happened, one line for each revision. The lines of deletions are sorted, behind
// those of puts, and they do not say in which revision.
func sayRevisions(events []*mvccpb.Event) string {
	var puts, deletions []string
	for len(events) > 0 {
		revision := events[0].Kv.ModRevision
		line := ""
		for len(events) > 0 && events[0].Kv.ModRevision == revision {
			event := proto.CloneOf(events[0])
			if event.Type == mvccpb.Event_DELETE || string(event.Kv.Key) == expireEnd {
				event.Kv.ModRevision, event.Kv.CreateRevision = 0, 0
			}
			line += "\n  " + say(event)
			events = events[1:]
		}
		if strings.Contains(line, "DELETE") {
			deletions = append(deletions, "\nrevision"+line)
		} else {
			puts = append(puts, "\nrevision"+line)
		}
	}
	slices.Sort(deletions)
	return strings.Join(append(puts, deletions...), "")
}

// compareRemains compares what is left: keys that were detached, and no lease.
func (r *runner) compareRemains(ctx context.Context) error {
	steps := []step{
		{"/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte(expireKeys), RangeEnd: []byte("x0")}, nil},
		{leasesMethod, &pb.LeaseLeasesRequest{}, nil},
	}
	for i := range shorts {
		id := firstShort + int64(i)
		steps = append(steps,
			step{keepAliveMethod, &pb.LeaseKeepAliveRequest{ID: id}, nil},
			step{timeToLiveMethod, &pb.LeaseTimeToLiveRequest{ID: id, Keys: true}, nil},
			step{revokeMethod, &pb.LeaseRevokeRequest{ID: id}, nil})
	}
	return r.steps(ctx, steps)
}
