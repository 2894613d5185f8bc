package etcdapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestPutsStayOutOfTheLogWhileAnyServerHasNoSpace: whoever raised the alarm, and though there is room here.
func TestPutsStayOutOfTheLogWhileAnyServerHasNoSpace(t *testing.T) {
	w := newWorld(t, nil)
	raise := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: testMember + 1, Alarm: pb.AlarmType_NOSPACE}
	if _, err := pb.NewMaintenanceClient(w.conn).Alarm(testContext(t), raise); err != nil {
		t.Fatal(err)
	}
	_, before := w.group.counts()
	_, err := pb.NewKVClient(w.conn).Put(testContext(t), &pb.PutRequest{Key: []byte("a")})
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace) {
		t.Errorf("a put: %v", err)
	}
	if _, after := w.group.counts(); after != before {
		t.Errorf("%d proposals", after-before)
	}
}

func TestStateThatOutgrowsItsQuotaRaisesTheAlarm(t *testing.T) {
	var size atomic.Int64
	w := newWorld(t, func(o *Options, _ *fakeGroup) {
		o.QuotaBytes, o.Size = 10_000, func() (int64, int64) { return size.Load(), 0 }
	})
	client := clientv3.NewCtxClient(testContext(t))
	kvClient := clientv3.NewKVFromKVClient(pb.NewKVClient(w.conn), client)
	maintenance := pb.NewMaintenanceClient(w.conn)
	put := func(value string) error {
		_, err := kvClient.Put(testContext(t), "a", value)
		return err
	}
	size.Store(9000)
	if err := put(strings.Repeat("x", 700)); err != nil {
		t.Fatalf("a put within the quota: %v", err)
	}
	if err := put(strings.Repeat("x", 800)); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatalf("a put beyond the quota: got %v, want %v", err, rpctypes.ErrNoSpace)
	}
	// Who asks again and again does not fill the log with alarms.
	_, before := w.group.counts()
	if err := put(strings.Repeat("x", 800)); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("another put beyond the quota: got %v, want %v", err, rpctypes.ErrNoSpace)
	}
	if _, after := w.group.counts(); after != before {
		t.Errorf("%d more proposals", after-before)
	}
	// The alarm is on now, for all.
	size.Store(0)
	if err := put("x"); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("a put under the alarm: got %v, want %v", err, rpctypes.ErrNoSpace)
	}
	if _, err := kvClient.Get(testContext(t), "a"); err != nil {
		t.Errorf("a read under the alarm: %v", err)
	}
	if _, err := kvClient.Delete(testContext(t), "a"); err != nil {
		t.Errorf("a delete under the alarm: %v", err)
	}
	status, err := maintenance.Status(testContext(t), &pb.StatusRequest{})
	if err != nil || status.DbSizeQuota != 10_000 || len(status.Errors) != 1 || !strings.HasSuffix(status.Errors[0], " alarm:NOSPACE") {
		t.Errorf("status: %v, %v", status, err)
	}
	if code, body := w.page("/health"); code != http.StatusServiceUnavailable || !strings.Contains(body, `"reason":"ALARM NOSPACE"`) {
		t.Errorf("/health: %d, %s", code, body)
	}
	if code, body := w.page("/health?exclude=NOSPACE"); code != http.StatusOK {
		t.Errorf("/health without the alarm: %d, %s", code, body)
	}
	list, err := maintenance.Alarm(testContext(t), &pb.AlarmRequest{})
	if err != nil || len(list.Alarms) != 1 || list.Alarms[0].MemberID != testMember || list.Alarms[0].Alarm != pb.AlarmType_NOSPACE {
		t.Fatalf("alarms: %v, %v", list, err)
	}
	off := &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: testMember, Alarm: pb.AlarmType_NOSPACE}
	if _, err := maintenance.Alarm(testContext(t), off); err != nil {
		t.Fatal(err)
	}
	if err := put("x"); err != nil {
		t.Errorf("a put after the alarm: %v", err)
	}
}

func TestCorruptionAlarmEndsService(t *testing.T) {
	w := newWorld(t, nil)
	on := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 7, Alarm: pb.AlarmType_CORRUPT}
	if _, err := pb.NewMaintenanceClient(w.conn).Alarm(testContext(t), on); err != nil {
		t.Fatal(err)
	}
	_, err := pb.NewKVClient(w.conn).Range(testContext(t), &pb.RangeRequest{Key: []byte("a")})
	if rpctypes.Error(err) != rpctypes.Error(rpctypes.ErrGRPCCorrupt) {
		t.Errorf("a read: got %v", err)
	}
	if code, body := w.page("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "[-]data_corruption failed: alarm activated: CORRUPT") {
		t.Errorf("/readyz: %d, %s", code, body)
	}
}

// page gets one of the pages beside the API.
func (w *world) page(path string) (int, string) {
	recorder := httptest.NewRecorder()
	w.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}
