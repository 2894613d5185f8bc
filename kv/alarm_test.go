package kv_test

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// alarm asks for an alarm, and returns the members whose alarms are in the answer.
func (c *client) alarm(action pb.AlarmRequest_AlarmAction, member uint64, what pb.AlarmType) string {
	c.t.Helper()
	response := &pb.AlarmResponse{}
	code, _ := c.apply(kv.KindAlarm, &pb.AlarmRequest{Action: action, MemberID: member, Alarm: what}, response)
	if code != kv.CodeOK {
		return code.Error()
	}
	text := ""
	for _, a := range response.Alarms {
		text += fmt.Sprintf("%d %v, ", a.MemberID, a.Alarm)
	}
	return text
}

const (
	get, on, off          = pb.AlarmRequest_GET, pb.AlarmRequest_ACTIVATE, pb.AlarmRequest_DEACTIVATE
	all, noSpace, corrupt = pb.AlarmType_NONE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT
)

func TestAlarmsAreKeptUntilTheyAreTurnedOff(t *testing.T) {
	c := newClient(t)
	for _, step := range []struct {
		action pb.AlarmRequest_AlarmAction
		member uint64
		what   pb.AlarmType
		want   string
	}{
		{get, 0, all, ""},
		{off, 7, noSpace, ""},
		{on, 7, all, ""},
		{on, 7, noSpace, "7 NOSPACE, "},
		{on, 7, noSpace, "7 NOSPACE, "},
		{on, 1 << 63, noSpace, "9223372036854775808 NOSPACE, "},
		{on, 3, corrupt, "3 CORRUPT, "},
		{get, 0, all, "3 CORRUPT, 7 NOSPACE, 9223372036854775808 NOSPACE, "},
		{get, 0, noSpace, "7 NOSPACE, 9223372036854775808 NOSPACE, "},
		{off, 3, corrupt, "3 CORRUPT, "},
		{off, 7, corrupt, ""},
		{off, 7, noSpace, "7 NOSPACE, "},
		{get, 0, all, "9223372036854775808 NOSPACE, "},
		{3, 0, all, kv.CodeMalformed.Error()},
		{on, 7, 3, kv.CodeMalformed.Error()},
	} {
		equal(t, fmt.Sprint(step.action, step.member, step.what), c.alarm(step.action, step.member, step.what), step.want)
	}
	equal(t, "the revision", c.store.Revision(), 1)
}

func TestAlarmsOutliveARestart(t *testing.T) {
	engine := treekv.New()
	store, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: store}
	c.alarm(on, 7, noSpace)
	c.alarm(on, 8, noSpace)
	c.alarm(off, 8, noSpace)
	again, err := kv.Open(engine.Crash(func(batches int) int { return batches }), kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "alarms", again.Alarms(), store.Alarms())
	equal(t, "alarms", again.Alarms(), "[{7 NOSPACE}]")
}

func TestNumberOfAlarmsIsBounded(t *testing.T) {
	c := newClient(t)
	last := ""
	for member := range uint64(1025) {
		last = c.alarm(on, member, noSpace)
	}
	equal(t, "one too many", last, kv.CodeTooManyAlarms.Error())
}

func TestAlarmsRefuse(t *testing.T) {
	put := &pb.PutRequest{Key: []byte("a"), Value: []byte("1")}
	nested := &pb.TxnRequest{Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "1")}}}}}}
	takes := &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a", ""), deleteOp("x", "")}}
	malformed := &pb.PutRequest{}
	for _, c := range []struct {
		what             string
		kind             kv.Kind
		request          proto.Message
		noSpace, corrupt kv.Code
	}{
		{"a put", kv.KindPut, put, kv.CodeNoSpace, kv.CodeCorrupt},
		{"a put in the branch that is not taken, nested", kv.KindTxn, nested, kv.CodeNoSpace, kv.CodeCorrupt},
		{"a transaction without puts", kv.KindTxn, takes, kv.CodeOK, kv.CodeCorrupt},
		{"a delete", kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: []byte("x")}, kv.CodeOK, kv.CodeCorrupt},
		{"a compaction", kv.KindCompact, &pb.CompactionRequest{Revision: 1}, kv.CodeOK, kv.CodeCorrupt},
		{"what is wrong anyway", kv.KindPut, malformed, kv.CodeKeyNotProvided, kv.CodeCorrupt},
	} {
		for alarm, want := range map[pb.AlarmType]kv.Code{noSpace: c.noSpace, corrupt: c.corrupt, all: kv.CodeOK} {
			if alarm == all && c.request == malformed {
				continue
			}
			client := newClient(t)
			client.alarm(on, 7, alarm)
			got, _ := client.apply(c.kind, c.request, &pb.RangeRequest{}) // what comes back does not matter
			equal(t, fmt.Sprintf("%v: %s", alarm, c.what), got, want)
		}
	}
}

func TestCorruptionRefusesReads(t *testing.T) {
	c := newClient(t)
	c.put("a", "1")
	chunks, err := c.store.RangeChunks(marshal(t, rangeOf("a", "")))
	if err != nil {
		t.Fatal(err)
	}
	c.alarm(on, 7, corrupt)
	_, code, _ := c.get(rangeOf("a", ""))
	equal(t, "a range", code, kv.CodeCorrupt)
	piece, _ := chunks.Next(10, 1000)
	equal(t, "a range in pieces", piece.Err, kv.CodeCorrupt)
	answer, _ := c.store.ReadOnlyTxn(marshal(t, &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a", "")}}))
	equal(t, "a transaction that reads", answer.Err, kv.CodeCorrupt)
	c.alarm(off, 7, corrupt)
	_, code, _ = c.get(rangeOf("a", ""))
	equal(t, "a range afterwards", code, kv.CodeOK)
}

func TestCostIsThatOfTheDearerBranch(t *testing.T) {
	txn := &pb.TxnRequest{
		Success: []*pb.RequestOp{putOp("a", "1"), putOp("bb", "22"), deleteOp("c", "")},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Failure: []*pb.RequestOp{putOp("a", string(make([]byte, 1000)))}}}}},
	}
	equal(t, "cost", kv.Cost(kv.KindTxn, marshal(t, txn)), 256+1001)
	txn.Failure = nil
	equal(t, "cost", kv.Cost(kv.KindTxn, marshal(t, txn)), 256+2+256+4)
	equal(t, "cost of a delete", kv.Cost(kv.KindDeleteRange, marshal(t, &pb.DeleteRangeRequest{Key: []byte("a")})), 0)
}
