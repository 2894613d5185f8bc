package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Methods of the services for locks and elections.
const (
	lockMethod     = "/v3lockpb.Lock/Lock"
	unlockMethod   = "/v3lockpb.Lock/Unlock"
	campaignMethod = "/v3electionpb.Election/Campaign"
	proclaimMethod = "/v3electionpb.Election/Proclaim"
	leaderMethod   = "/v3electionpb.Election/Leader"
	resignMethod   = "/v3electionpb.Election/Resign"
	observeMethod  = "/v3electionpb.Election/Observe"
)

// Leases of these services; no request that is drawn names them.
const (
	firstHolder = 201 + iota
	secondHolder
	nobody // has never lived
)

// recipes asks a fixed sequence about locks and elections.
func (r *runner) recipes(ctx context.Context) error {
	for _, id := range []int64{firstHolder, secondHolder} {
		if err := r.compare(ctx, grantMethod, &pb.LeaseGrantRequest{ID: id, TTL: longSeconds}); err != nil {
			return err
		}
	}
	if err := r.locks(ctx); err != nil {
		return err
	}
	if err := r.lockWithoutLease(ctx); err != nil {
		return err
	}
	if err := r.elections(ctx); err != nil {
		return err
	}
	for _, id := range []int64{firstHolder, secondHolder} {
		if err := r.compare(ctx, revokeMethod, &pb.LeaseRevokeRequest{ID: id}); err != nil {
			return err
		}
	}
	return r.compare(ctx, "/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
}

// step is a request that is answered at once. If it has another behind it, that one waits for it: it is
// asked first, and answered once this one is.
type step struct {
	method  string
	request proto.Message
	waits   *waits
}

// waits is a request that waits in the line of those whose keys begin with a prefix.
type waits struct {
	method  string
	request proto.Message
	prefix  string
	line    int64 // how many keys there are once it waits
}

func (r *runner) steps(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if s.waits == nil {
			if err := r.compare(ctx, s.method, s.request); err != nil {
				return err
			}
			continue
		}
		if err := r.behind(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// behind carries out a step that somebody waits for.
func (r *runner) behind(ctx context.Context, s step) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	subjects := []*subject{r.etcd, r.quorate}
	var answers [2]chan answer
	for i, subject := range subjects {
		answers[i] = make(chan answer, 1)
		go func() { answers[i] <- subject.ask(ctx, s.waits.method, s.waits.request) }() // ends with ctx
		if err := subject.awaitLine(ctx, s.waits); err != nil {
			return err
		}
	}
	r.drawer.revision++ // by who has joined the line
	if err := r.compare(ctx, s.method, s.request); err != nil {
		return err
	}
	return r.judge(s.waits.method, s.waits.request, <-answers[0], <-answers[1])
}

// awaitLine waits until a line is as long as it will be.
func (s *subject) awaitLine(ctx context.Context, w *waits) error {
	end := w.prefix[:len(w.prefix)-1] + string(w.prefix[len(w.prefix)-1]+1)
	for {
		a := s.ask(ctx, "/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte(w.prefix), RangeEnd: []byte(end), CountOnly: true})
		if a.err != nil {
			return fmt.Errorf("%s: wait for it to wait: %w", w.method, a.err)
		}
		if a.message.(*pb.RangeResponse).Count == w.line {
			return nil
		}
		time.Sleep(progressAgain)
	}
}

func holderKey(prefix string, holder int64) []byte { return fmt.Appendf(nil, "%s/%x", prefix, holder) }

func (r *runner) locks(ctx context.Context) error {
	name := []byte("lock")
	lock := func(holder int64) *v3lockpb.LockRequest { return &v3lockpb.LockRequest{Name: name, Lease: holder} }
	unlock := func(key []byte) *v3lockpb.UnlockRequest { return &v3lockpb.UnlockRequest{Key: key} }
	second := &waits{lockMethod, lock(secondHolder), "lock/", 2}
	return r.steps(ctx, []step{
		{lockMethod, lock(firstHolder), nil},
		{lockMethod, lock(firstHolder), nil}, // has it already
		{lockMethod, lock(nobody), nil},
		{unlockMethod, unlock(holderKey("lock", firstHolder)), second},
		{unlockMethod, unlock(holderKey("lock", secondHolder)), nil},
		{unlockMethod, unlock(holderKey("lock", secondHolder)), nil}, // is free already
		{unlockMethod, unlock(nil), nil},
		{lockMethod, &v3lockpb.LockRequest{Lease: firstHolder}, nil}, // a lock without a name
		{unlockMethod, unlock(holderKey("", firstHolder)), nil},
		{lockMethod, lock(firstHolder), nil},
		{revokeMethod, &pb.LeaseRevokeRequest{ID: firstHolder}, second}, // it goes on to the next one
		{grantMethod, &pb.LeaseGrantRequest{ID: firstHolder, TTL: longSeconds}, nil},
		{unlockMethod, unlock(holderKey("lock", secondHolder)), nil},
	})
}

// lockWithoutLease locks without a lease: each of the two picks one, and with it the key.
func (r *runner) lockWithoutLease(ctx context.Context) error {
	request := &v3lockpb.LockRequest{Name: []byte("lock")}
	etcd, quorate := r.etcd.ask(ctx, lockMethod, request), r.quorate.ask(ctx, lockMethod, request)
	if etcd.err != nil || quorate.err != nil {
		return r.judge(lockMethod, request, etcd, quorate)
	}
	var leases [2]int64
	for i, a := range []answer{etcd, quorate} {
		key, _ := bytes.CutPrefix(a.message.(*v3lockpb.LockResponse).Key, []byte("lock/"))
		leases[i], _ = strconv.ParseInt(string(key), 16, 64)
	}
	key := holderKey("lock", r.name(leases[0], leases[1]))
	for i, a := range []answer{etcd, quorate} {
		if leases[i] != 0 {
			a.message.(*v3lockpb.LockResponse).Key = key
		}
	}
	if err := r.judge(lockMethod, request, etcd, quorate); err != nil {
		return err
	}
	// The keys differ, so both unlock by ending the lease.
	name := int64(firstName + r.named - 1)
	if err := r.compare(ctx, timeToLiveMethod, &pb.LeaseTimeToLiveRequest{ID: name}); err != nil {
		return err
	}
	return r.compare(ctx, revokeMethod, &pb.LeaseRevokeRequest{ID: name})
}

func (r *runner) elections(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	name := []byte("election")
	observed, err := r.observe(ctx, &v3electionpb.LeaderRequest{Name: name})
	if err != nil {
		return err
	}
	campaign := func(holder int64, value string) *v3electionpb.CampaignRequest {
		return &v3electionpb.CampaignRequest{Name: name, Lease: holder, Value: []byte(value)}
	}
	leader := &v3electionpb.LeaderRequest{Name: name}
	err = r.steps(ctx, []step{
		{leaderMethod, leader, nil}, // nobody is
		{campaignMethod, campaign(nobody, "x"), nil},
		{proclaimMethod, &v3electionpb.ProclaimRequest{Value: []byte("x")}, nil},
		{resignMethod, &v3electionpb.ResignRequest{}, nil},
		{campaignMethod, campaign(firstHolder, "one"), nil},
	})
	if err != nil {
		return err
	}
	// Both have answered with the same key, or the run has ended.
	first := &v3electionpb.LeaderKey{Name: name, Key: holderKey("election", firstHolder), Rev: r.drawer.revision, Lease: firstHolder}
	impostor := proto.CloneOf(first)
	impostor.Rev--
	told := []step{
		{campaignMethod, campaign(firstHolder, "one again"), nil}, // as if it proclaimed
		{proclaimMethod, &v3electionpb.ProclaimRequest{Leader: first, Value: []byte("one, louder")}, nil},
		{resignMethod, &v3electionpb.ResignRequest{Leader: first}, &waits{campaignMethod, campaign(secondHolder, "two"), "election/", 2}},
	}
	if err := observed(); err != nil {
		return err
	}
	for _, s := range told {
		if err := r.steps(ctx, []step{{leaderMethod, leader, nil}, s}); err != nil {
			return err
		}
		if err := observed(); err != nil {
			return err
		}
	}
	return r.steps(ctx, []step{
		{leaderMethod, leader, nil},
		{resignMethod, &v3electionpb.ResignRequest{Leader: first}, nil}, // has already
		{proclaimMethod, &v3electionpb.ProclaimRequest{Leader: first, Value: []byte("x")}, nil},
		{proclaimMethod, &v3electionpb.ProclaimRequest{Leader: impostor, Value: []byte("x")}, nil},
		{resignMethod, &v3electionpb.ResignRequest{Leader: impostor}, nil},
		{revokeMethod, &pb.LeaseRevokeRequest{ID: secondHolder}, nil},
		{leaderMethod, leader, nil},
		{grantMethod, &pb.LeaseGrantRequest{ID: secondHolder, TTL: longSeconds}, nil},
	})
}

// observe opens a stream at each of the two; what it returns compares the next that both tell.
func (r *runner) observe(ctx context.Context, request *v3electionpb.LeaderRequest) (next func() error, err error) {
	var streams [2]grpc.ServerStreamingClient[v3electionpb.LeaderResponse]
	for i, s := range []*subject{r.etcd, r.quorate} {
		streams[i], err = v3electionpb.NewElectionClient(s.client.ActiveConnection()).Observe(ctx, request)
		if err != nil {
			return nil, err
		}
	}
	return func() error {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		var answers [2]answer
		for i, stream := range streams {
			told := make(chan answer, 1)
			go func() { // ends with the stream
				message, err := stream.Recv()
				told <- answer{message, err}.anonymous()
			}()
			select {
			case answers[i] = <-told:
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", observeMethod, context.Cause(ctx))
			}
		}
		return r.judge(observeMethod, request, answers[0], answers[1])
	}, nil
}
