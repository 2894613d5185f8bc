package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// plain is a codec of messages that are bytes: there is no generated code for these services here.
type plain struct{}

func (plain) Name() string { return "proto" }
func (plain) Marshal(v any) ([]byte, error) {
	return v.([]byte), nil
}
func (plain) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte{}, b...)
	return nil
}

// fields makes a message: bytes, strings and numbers at the places 1, 2, 3...; nil leaves one out.
func fields(values ...any) []byte {
	var b []byte
	for i, v := range values {
		num := protowire.Number(i + 1)
		switch v := v.(type) {
		case string:
			b = appendBytes(b, num, []byte(v))
		case []byte:
			b = appendBytes(b, num, v)
		case int64:
			b = appendVarint(b, num, uint64(v))
		}
	}
	return b
}

func (w *world) call(ctx context.Context, method string, request []byte) (answer []byte, err error) {
	err = w.conn.Invoke(ctx, method, request, &answer, grpc.ForceCodec(plain{}))
	return answer, err
}

// octetsAt returns the bytes at a place of a message.
func octetsAt(t *testing.T, b []byte, num protowire.Number) (found []byte) {
	t.Helper()
	if err := recipeFields(b, map[protowire.Number]*[]byte{num: &found}, nil); err != nil {
		t.Fatal(err)
	}
	return found
}

func intAt(t *testing.T, b []byte, num protowire.Number) (found int64) {
	t.Helper()
	if err := recipeFields(b, nil, map[protowire.Number]*int64{num: &found}); err != nil {
		t.Fatal(err)
	}
	return found
}

// grantTest grants leases with given ids.
func grantTest(t *testing.T, w *world, ids ...int64) {
	t.Helper()
	for _, id := range ids {
		if _, err := pb.NewLeaseClient(w.conn).LeaseGrant(testContext(t), &pb.LeaseGrantRequest{ID: id, TTL: 60}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockIsHeldByOneAfterTheOther(t *testing.T) {
	w := newWorld(t, nil)
	grantTest(t, w, 7, 8)
	first, err := w.call(testContext(t), "/v3lockpb.Lock/Lock", fields("l", int64(7)))
	if err != nil || string(octetsAt(t, first, 2)) != "l/7" || intAt(t, octetsAt(t, first, 1), 3) != 2 {
		t.Fatalf("locked: %q, %v", first, err)
	}
	again, err := w.call(testContext(t), "/v3lockpb.Lock/Lock", fields("l", int64(7)))
	if err != nil || string(octetsAt(t, again, 2)) != "l/7" {
		t.Errorf("locked again by its owner: %q, %v", again, err)
	}
	type result struct {
		answer []byte
		err    error
	}
	second := make(chan result)
	ctx := testContext(t)
	go func() {
		answer, err := w.call(ctx, "/v3lockpb.Lock/Lock", fields("l", int64(8)))
		second <- result{answer, err}
	}()
	client := clientv3.NewCtxClient(ctx)
	watcher := clientv3.NewWatchFromWatchClient(pb.NewWatchClient(w.conn), client)
	for told := range watcher.Watch(ctx, "l/8", clientv3.WithRev(2)) { // it waits in the queue now
		if len(told.Events) > 0 {
			break
		}
	}
	select {
	case r := <-second:
		t.Fatalf("two hold the lock: %q, %v", r.answer, r.err)
	default:
	}
	if _, err := w.call(ctx, "/v3lockpb.Lock/Unlock", fields("l/7")); err != nil {
		t.Fatal(err)
	}
	if r := <-second; r.err != nil || string(octetsAt(t, r.answer, 2)) != "l/8" {
		t.Errorf("locked: %q, %v", r.answer, r.err)
	}
	if _, err := w.call(ctx, "/v3lockpb.Lock/Lock", fields("l", int64(99))); !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) || status.Code(err) != codes.NotFound {
		t.Errorf("with no such lease: %v", err)
	}
	if _, err := w.call(ctx, "/v3lockpb.Lock/Lock", []byte{0xff}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("garbage: %v", err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.call(gone, "/v3lockpb.Lock/Lock", fields("l", int64(7))); status.Code(err) != codes.Canceled {
		t.Errorf("a caller who is gone: %v", err)
	}
}

func TestLockWithoutALeaseGetsOne(t *testing.T) {
	w := newWorld(t, nil)
	locked, err := w.call(testContext(t), "/v3lockpb.Lock/Lock", fields("l"))
	if err != nil {
		t.Fatal(err)
	}
	leases, err := pb.NewLeaseClient(w.conn).LeaseLeases(testContext(t), &pb.LeaseLeasesRequest{})
	if err != nil || len(leases.Leases) != 1 || string(octetsAt(t, locked, 2)) != fmt.Sprintf("l/%x", leases.Leases[0].ID) {
		t.Errorf("%q with leases %v, %v", locked, leases, err)
	}
}

func TestElection(t *testing.T) {
	w := newWorld(t, nil)
	grantTest(t, w, 7, 8)
	ctx := testContext(t)
	if _, err := w.call(ctx, "/v3electionpb.Election/Leader", fields("e")); status.Code(err) != codes.Unknown {
		t.Errorf("nobody is elected: %v", err)
	}
	observer, err := w.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/v3electionpb.Election/Observe", grpc.ForceCodec(plain{}))
	if err == nil {
		err = observer.SendMsg(fields("e"))
	}
	if err != nil {
		t.Fatal(err)
	}
	observed := func() string {
		t.Helper()
		var answer []byte
		if err := observer.RecvMsg(&answer); err != nil {
			t.Fatal(err)
		}
		return elected(t, answer)
	}
	won, err := w.call(ctx, "/v3electionpb.Election/Campaign", fields("e", int64(7), "one"))
	key := octetsAt(t, won, 2)
	if err != nil || string(octetsAt(t, key, 1)) != "e" || string(octetsAt(t, key, 2)) != "e/7" || intAt(t, key, 3) != 2 || intAt(t, key, 4) != 7 {
		t.Fatalf("elected: %q, %v", won, err)
	}
	if got := observed(); got != "e/7=one" {
		t.Errorf("observed %s", got)
	}
	if _, err := w.call(ctx, "/v3electionpb.Election/Proclaim", fields(key, "uno")); err != nil {
		t.Error(err)
	}
	if got := observed(); got != "e/7=uno" {
		t.Errorf("observed %s", got)
	}
	if answer, err := w.call(ctx, "/v3electionpb.Election/Leader", fields("e")); err != nil || elected(t, answer) != "e/7=uno" {
		t.Errorf("elected: %q, %v", answer, err)
	}
	next := make(chan error, 1)
	go func() {
		_, err := w.call(ctx, "/v3electionpb.Election/Campaign", fields("e", int64(8), "two"))
		next <- err
	}()
	if answer, err := w.call(ctx, "/v3electionpb.Election/Resign", fields(key)); err != nil || len(octetsAt(t, answer, 1)) == 0 {
		t.Error(answer, err)
	}
	if err := <-next; err != nil {
		t.Error(err)
	}
	if got := observed(); got != "e/8=two" {
		t.Errorf("observed %s", got)
	}
	if _, err := w.call(ctx, "/v3electionpb.Election/Proclaim", fields(key, "x")); status.Code(err) != codes.Unknown {
		t.Errorf("who is not elected any more proclaims: %v", err)
	}
	for _, method := range []string{"Proclaim", "Resign"} {
		if _, err := w.call(ctx, "/v3electionpb.Election/"+method, nil); status.Convert(err).Message() != errNoLeaderKey.Error() {
			t.Errorf("%s without a leader: %v", method, err)
		}
	}
}

// elected reads a LeaderResponse.
func elected(t *testing.T, answer []byte) string {
	t.Helper()
	var pair mvccpb.KeyValue
	if err := proto.Unmarshal(octetsAt(t, answer, 2), &pair); err != nil {
		t.Fatal(err)
	}
	return string(pair.Key) + "=" + string(pair.Value)
}

// TestRecipesEndWithTheServer closes a server at which many wait for a lock, and for an election. Each takes
// back its key when it is broken off; nobody may wait for that.
func TestRecipesEndWithTheServer(t *testing.T) {
	w := newWorld(t, nil)
	const waiting = 32
	leases := []int64{7}
	for i := range int64(2 * waiting) {
		leases = append(leases, 8+i)
	}
	grantTest(t, w, leases...)
	const lock, campaign = "/v3lockpb.Lock/Lock", "/v3electionpb.Election/Campaign"
	for _, method := range []string{lock, campaign} {
		if _, err := w.call(testContext(t), method, fields("l"+method, int64(7))); err != nil {
			t.Fatal(err)
		}
	}
	ctx := testContext(t)
	client := clientv3.NewCtxClient(ctx)
	watched := clientv3.NewWatchFromWatchClient(pb.NewWatchClient(w.conn), client).Watch(ctx, "l", clientv3.WithPrefix(), clientv3.WithRev(2))
	waits := make(chan error, 2*waiting)
	for i, lease := range leases[1:] {
		go func() {
			method := []string{lock, campaign}[i%2]
			_, err := w.call(ctx, method, fields("l"+method, lease))
			waits <- err
		}()
	}
	put := 0
	for told := range watched {
		if put += len(told.Events); put >= 2+2*waiting {
			break
		}
	}
	w.Close()
	for range 2 * waiting {
		if err := <-waits; status.Code(err) != codes.Unavailable {
			t.Errorf("a lock or an election that somebody else has: %v", err)
		}
	}
	if _, err := w.recipes.open(); err != nil && !errors.Is(err, errStopped) {
		t.Error(err)
	}
}
