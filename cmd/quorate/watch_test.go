package main

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Watch tells of two events and of progress, and then that the rest is compacted.
func (f *fakeServer) Watch(stream pb.Watch_WatchServer) error {
	request, err := stream.Recv()
	if err != nil {
		return err
	}
	f.take(request.GetCreateRequest())
	header := &pb.ResponseHeader{Revision: 9}
	for _, r := range []*pb.WatchResponse{
		{Header: header, Created: true},
		{Header: header, Events: []*mvccpb.Event{
			{Kv: &mvccpb.KeyValue{Key: []byte("a"), Value: []byte("2")}, PrevKv: &mvccpb.KeyValue{Key: []byte("a"), Value: []byte("1")}},
			{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte("b")}}}},
		{Header: header},
		{Header: header, Canceled: true, CompactRevision: 12},
	} {
		if err := stream.Send(r); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

func TestWatchPrintsWhatItIsTold(t *testing.T) {
	f := startFake(t)
	r := runOf("watch", "--endpoints", f.address, "--prefix", "a", "--rev", "5", "--prev-kv", "--progress-notify")
	if want := "PUT\na\n1\na\n2\nDELETE\nb\n\nprogress notify: 9\n"; r.out != want {
		t.Errorf("printed %q, want %q", r.out, want)
	}
	r.expect(t, "a compacted watch", exitFailed, "The oldest revision that can be watched is 12")
	got := lastRequest[*pb.WatchCreateRequest](t, f)
	if string(got.Key) != "a" || string(got.RangeEnd) != "b" || got.StartRevision != 5 || !got.PrevKv || !got.ProgressNotify {
		t.Errorf("asked for %v", got)
	}
	runOf("watch", "--endpoints", f.address, "a", "c", "--print-value-only")
	if got := lastRequest[*pb.WatchCreateRequest](t, f); string(got.RangeEnd) != "c" || got.StartRevision != 0 || got.PrevKv {
		t.Errorf("asked for %v", got)
	}
}

func TestWatchRefusesWhatMakesNoSense(t *testing.T) {
	for _, words := range [][]string{{}, {"a", "b", "c"}, {"a", "--rev", "-1"}, {"a", "b", "--prefix"}, {"a", "-w", "table"}} {
		runOf(append([]string{"watch"}, words...)...).expect(t, "watch", exitUsage, "watch")
	}
}
