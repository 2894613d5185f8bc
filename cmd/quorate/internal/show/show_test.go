package show

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: 7, MemberId: 10, Revision: 5, RaftTerm: 2}
}

func pair(key, value string) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: 2, ModRevision: 4, Version: 3, Lease: 255}
}

func status(id, leader, term uint64) *pb.StatusResponse {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 7, MemberId: id, Revision: 5, RaftTerm: term}, Version: "3.7.3",
		StorageVersion: "3.7.0", DbSize: 20480, DbSizeInUse: 16384, DbSizeQuota: 2 << 30,
		Leader: leader, RaftIndex: 14, RaftTerm: term, RaftAppliedIndex: 13}
}

func hash(hash uint32, revision, compact int64) *pb.HashKVResponse {
	return &pb.HashKVResponse{Header: header(), Hash: hash, HashRevision: revision, CompactRevision: compact}
}

// report is that of the first of three servers, which reaches so many.
func report(reached int) *doctor.Report {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	v := &doctor.View{
		Pace: &doctor.Pace{Tuned: true, Delay: 220 * time.Millisecond, Wanted: 220 * time.Millisecond, Why: "silence", Silence: 110 * time.Millisecond},
		Now:  began.Add(time.Hour), Started: began, ElectionTimeout: time.Second, Cluster: 7, ID: 8, Role: raft.PreCandidate,
		Term: 2, Commit: 14, Applied: 13, LeaderlessSince: began.Add(time.Minute), Configuration: &wire.Configuration{}}
	if reached >= 2 {
		v.Role, v.Leader, v.LeaderlessSince = raft.Follower, 9, time.Time{}
	}
	for i := range 3 {
		id := raft.ServerID(8 + i)
		v.Configuration.Members = append(v.Configuration.Members, wire.Member{ID: id, Name: fmt.Sprint("s", i+1), Roles: wire.RoleVoter})
		direction := doctor.Direction{Up: i < reached, Since: began.Add(time.Minute)}
		v.Links = append(v.Links, doctor.Link{ID: id, Sending: direction, Receiving: direction, WasUp: true})
	}
	return doctor.Examine(v)
}

var errRefused = errors.New("connection refused")

// answers are what the golden files show.
var answers = []struct {
	name  string
	print func(p *Printer) error
}{
	{"put", func(p *Printer) error { return p.Put(&pb.PutResponse{Header: header()}) }},
	{"put-prev", func(p *Printer) error { return p.Put(&pb.PutResponse{Header: header(), PrevKv: pair("a", "1")}) }},
	{"get", func(p *Printer) error {
		return p.Range(&pb.RangeResponse{Header: header(), Count: 3, More: true, Kvs: []*mvccpb.KeyValue{
			pair("a", "1"), {Key: []byte("key with blanks"), Value: []byte("two\nlines"), CreateRevision: 3, ModRevision: 3, Version: 1},
			pair("\x00\xff", "")}}, false)
	}},
	{"get-none", func(p *Printer) error { return p.Range(&pb.RangeResponse{Header: header()}, false) }},
	{"get-count", func(p *Printer) error { return p.Range(&pb.RangeResponse{Header: header(), Count: 3}, true) }},
	{"del", func(p *Printer) error {
		return p.Delete(&pb.DeleteRangeResponse{Header: header(), Deleted: 1, PrevKvs: []*mvccpb.KeyValue{pair("a", "1")}})
	}},
	{"watch", func(p *Printer) error {
		return p.Watch(&pb.WatchResponse{Header: header(), Events: []*mvccpb.Event{
			{Kv: pair("a", "1"), PrevKv: pair("a", "0")},
			{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte("b"), ModRevision: 5}}}})
	}},
	{"watch-progress", func(p *Printer) error { return p.Watch(&pb.WatchResponse{Header: header()}) }},
	{"lease-granted", func(p *Printer) error {
		return p.Granted(&pb.LeaseGrantResponse{Header: header(), ID: 0x1234, TTL: 60})
	}},
	{"lease-revoked", func(p *Printer) error { return p.Revoked(-1, &pb.LeaseRevokeResponse{Header: header()}) }},
	{"lease-kept", func(p *Printer) error {
		return p.KeptAlive(&pb.LeaseKeepAliveResponse{Header: header(), ID: 0x1234, TTL: 60})
	}},
	{"lease-left", func(p *Printer) error {
		return p.TimeToLive(&pb.LeaseTimeToLiveResponse{Header: header(), ID: 0x1234, GrantedTTL: 60, TTL: 7, Keys: [][]byte{[]byte("a"), []byte("b\n")}}, true)
	}},
	{"lease-ended", func(p *Printer) error {
		return p.TimeToLive(&pb.LeaseTimeToLiveResponse{Header: header(), ID: 0x1234, TTL: -1}, false)
	}},
	{"leases", func(p *Printer) error {
		return p.Leases(&pb.LeaseLeasesResponse{Header: header(), Leases: []*pb.LeaseStatus{{ID: 0x1234}, {ID: -1}}})
	}},
	{"compact", func(p *Printer) error { return p.Compact(4, &pb.CompactionResponse{Header: header()}) }},
	{"txn", func(p *Printer) error {
		return p.Txn(&pb.TxnResponse{Header: header(), Succeeded: true, Responses: []*pb.ResponseOp{
			{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{}}},
			{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{pair("a", "1")}, Count: 1}}},
			{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Count: 9}}},
			{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{Deleted: 2}}},
			{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: &pb.TxnResponse{Succeeded: true}}},
		}}, func(response int) bool { return response == 2 })
	}},
	{"txn-failure", func(p *Printer) error { return p.Txn(&pb.TxnResponse{Header: header()}, nil) }},
	{"members", func(p *Printer) error {
		return p.Members(&pb.MemberListResponse{Header: header(), Members: []*pb.Member{
			{ID: 10, Name: "s1", PeerURLs: []string{"http://a:2380", "http://b:2380"}, ClientURLs: []string{"http://a:2379"}},
			{ID: 11, PeerURLs: []string{"http://c:2380"}, IsLearner: true}}})
	}},
	{"member-added", func(p *Printer) error {
		added := &pb.Member{ID: 12, PeerURLs: []string{"http://d:2380", "http://e:2380"}, IsLearner: true}
		return p.MemberAdded("s3", &pb.MemberAddResponse{Header: header(), Member: added, Members: []*pb.Member{
			{ID: 10, Name: "s1", PeerURLs: []string{"http://a:2380", "http://b:2380"}, ClientURLs: []string{"http://a:2379"}},
			{ID: 0xab, PeerURLs: []string{"http://c:2380"}, IsLearner: true}, added}})
	}},
	{"member-removed", func(p *Printer) error {
		return p.MemberChanged(11, "removed from", &pb.MemberRemoveResponse{Header: header(), Members: []*pb.Member{
			{ID: 10, Name: "s1", PeerURLs: []string{"http://a:2380"}, ClientURLs: []string{"http://a:2379"}}}})
	}},
	{"leader-moved", func(p *Printer) error { return p.LeaderMoved(10, 11) }},
	{"statuses", func(p *Printer) error {
		noLeader := status(12, 0, 2)
		noLeader.Errors = []string{"etcdserver: no leader"}
		learner := status(13, 10, 2)
		learner.IsLearner = true
		return p.Statuses([]Endpoint{{Address: "127.0.0.1:1379", Status: status(9, 10, 2), Report: report(3)}, {Address: "127.0.0.1:1380", Status: status(8, 0, 2), Report: report(1)},
			{Address: "127.0.0.1:2379", Status: status(10, 10, 2)}, {Address: "127.0.0.1:22379", Status: status(11, 10, 2)},
			{Address: "127.0.0.1:32379", Err: errRefused}, {Address: "127.0.0.1:42379", Status: noLeader}, {Address: "127.0.0.1:52379", Status: learner}})
	}},
	{"diagnosis", func(p *Printer) error {
		return p.Diagnosis(doctor.Combine([]doctor.Answer{{Endpoint: "127.0.0.1:1380", Report: report(1)}, {Endpoint: "127.0.0.1:2379", Error: "connection \x1b[2Jrefused"}}))
	}},
	{"diagnosis-well", func(p *Printer) error {
		return p.Diagnosis(doctor.Combine([]doctor.Answer{{Endpoint: "127.0.0.1:1379", Report: report(3)}}))
	}},
	{"alarms", func(p *Printer) error {
		return p.Alarms(&pb.AlarmResponse{Header: header(), Alarms: []*pb.AlarmMember{{MemberID: 10, Alarm: pb.AlarmType_NOSPACE}}})
	}},
	{"healths", func(p *Printer) error {
		return p.Healths([]Health{{Address: "127.0.0.1:2379", Took: 1234567}, {Address: "127.0.0.1:22379", Took: 5e9, Err: errRefused}})
	}},
	{"hashes", func(p *Printer) error {
		return p.Hashes([]Hash{{Address: "127.0.0.1:2379", Answer: hash(7, 5, -1)}, {Address: "127.0.0.1:22379", Err: errRefused}})
	}},
	{"perf", func(p *Printer) error {
		return p.Perf(&Perf{Load: "s", Limit: 150, Clients: 50, Took: 60e9, Writes: 8994, Slowest: 43210 * 1e3, Stddev: 3210 * 1e3})
	}},
	{"perf-fails", func(p *Printer) error {
		return p.Perf(&Perf{Load: "s", Limit: 150, Clients: 50, Took: 60e9, Writes: 7380, Slowest: 1165067 * 1e3, Stddev: 227173 * 1e3,
			Errors: map[string]int{"etcdserver: request timed out": 2, "etcdserver: leader changed": 1}})
	}},
	{"perf-none", func(p *Printer) error { return p.Perf(&Perf{Load: "s", Limit: 150, Clients: 50}) }},
}

func TestAnswersLookAsInTheGoldenFiles(t *testing.T) {
	formats := map[string]Printer{
		"simple": {Format: Simple}, "hex": {Format: Simple, Hex: true}, "values": {Format: Simple, ValueOnly: true},
		"json": {Format: JSON}, "table": {Format: Table}, "tablehex": {Format: Table, Hex: true},
	}
	for format, printer := range formats {
		var all bytes.Buffer
		for _, a := range answers {
			all.WriteString("== " + a.name + "\n")
			printer.Out = &all
			if err := a.print(&printer); err != nil {
				t.Errorf("%s as %s: %v", a.name, format, err)
			}
		}
		golden := filepath.Join("testdata", format+".golden")
		if *update {
			if err := os.WriteFile(golden, all.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(all.Bytes(), want) {
			t.Errorf("%s differs (rewrite with -update, and review):\n%s", golden, all.Bytes())
		}
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	for _, format := range []Format{Simple, JSON, Table} {
		for _, a := range answers {
			if err := a.print(&Printer{Out: broken{}, Format: format}); !errors.Is(err, errRefused) {
				t.Errorf("%s as %s: got error %v", a.name, format, err)
			}
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errRefused }

func TestFormatsOfEtcdctlThatAreMissingAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"simple": "", "json": "", "table": "",
		"fields":   "output format fields of etcdctl is not supported yet: want simple, json or table",
		"protobuf": "output format protobuf of etcdctl is not supported yet: want simple, json or table",
		"xml":      `there is no output format "xml": want simple, json or table`,
		"":         `there is no output format "": want simple, json or table`,
	} {
		format, err := ParseFormat(name)
		if got := errorText(err); got != want || (want == "") != (string(format) == name && name != "") {
			t.Errorf("%q: got %q, %q; want error %q", name, format, got, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSizesHaveTwoDigits(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9950: "10 kB", 20480: "20 kB",
		2 << 30: "2.1 GB", 999_999: "1000 kB", 1e18: "1.0 EB", 1<<63 - 1: "9.2 EB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestTextThatATerminalWouldObeyIsQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "two words": "two words", "é": "é",
		"": `""`, " a": `" a"`, "a\tb": `"a\tb"`, "\x1b[2J": `"\x1b[2J"`, "\xff": `"\xff"`, "a\u200bb": `"a\u200bb"`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestServersAreJudgedTogether(t *testing.T) {
	at := func(address string, s *pb.StatusResponse) Endpoint { return Endpoint{Address: address, Status: s} }
	dead := func(address string) Endpoint { return Endpoint{Address: address, Err: errRefused} }
	stranger := status(12, 12, 2)
	stranger.Header.ClusterId = 8
	for _, test := range []struct {
		name      string
		endpoints []Endpoint
		want      string
		well      bool
	}{
		{"all well", []Endpoint{at("a", status(10, 11, 2)), at("b", status(11, 11, 2)), at("c", status(12, 11, 2))},
			"3 of 3 answer; b leads.", true},
		{"the leader was not asked", []Endpoint{at("a", status(10, 11, 2))}, "1 of 1 answer; server b leads.", true},
		{"one is dead", []Endpoint{at("a", status(10, 10, 2)), at("b", status(11, 10, 2)), dead("c")},
			"2 of 3 answer, not c; a leads.", false},
		{"the leader is dead", []Endpoint{at("a", status(10, 0, 2)), at("b", status(11, 0, 2)), dead("c")},
			"2 of 3 answer, not c; there is no leader, so nothing can be written. A majority of all servers must run and reach each other.", false},
		{"two are dead", []Endpoint{at("a", status(10, 0, 2)), dead("b"), dead("c")},
			"1 of 3 answer, not b and c; there is no leader, so nothing can be written. A majority of all servers must run and reach each other.", false},
		{"all are dead", []Endpoint{dead("a"), dead("b")},
			"No server answers: are they running? (quorate up starts three.)", false},
		{"one is behind", []Endpoint{at("a", status(10, 10, 2)), at("b", status(11, 11, 3)), at("c", status(12, 11, 3))},
			"3 of 3 answer; they do not agree yet on who leads (an election may be under way: ask again).", false},
		{"one has none yet", []Endpoint{at("a", status(10, 10, 2)), at("b", status(11, 0, 2))},
			"2 of 2 answer; they do not agree yet on who leads (an election may be under way: ask again).", false},
		{"two clusters", []Endpoint{at("a", status(10, 10, 2)), at("b", stranger)},
			"2 of 2 answer; they belong to different clusters.", false},
	} {
		verdict, well := Judge(test.endpoints)
		if verdict != test.want || well != test.well {
			t.Errorf("%s: got %q, %v; want %q, %v", test.name, verdict, well, test.want, test.well)
		}
	}
}

func TestHashesThatDifferAreToldFromThoseThatCannotBeCompared(t *testing.T) {
	for _, test := range []struct {
		what    string
		hashes  []Hash
		verdict string
		well    bool
	}{
		{"equal", []Hash{{Answer: hash(1, 5, 2)}, {Answer: hash(1, 5, 2)}, {Answer: hash(1, 5, 2)}}, "3 servers hold the same.", true},
		{"different", []Hash{{Address: "a", Answer: hash(1, 5, 2)}, {Address: "b", Answer: hash(2, 5, 2)}}, "a and b DIFFER at revision 5", false},
		{"of different revisions", []Hash{{Answer: hash(1, 5, 2)}, {Answer: hash(2, 6, 2)}}, "--rev", true},
		{"of different compactions", []Hash{{Answer: hash(1, 5, 2)}, {Answer: hash(2, 5, 3)}}, "--rev", true},
		{"different, and another elsewhere", []Hash{{Answer: hash(9, 4, 2)}, {Answer: hash(1, 5, 2)}, {Answer: hash(2, 5, 2)}}, "DIFFER", false},
		{"one", []Hash{{Answer: hash(1, 5, 2)}}, "--cluster", true},
		{"one is silent", []Hash{{Answer: hash(1, 5, 2)}, {Err: errRefused}}, "1 of 2 answer.", false},
	} {
		if verdict, well := JudgeHashes(test.hashes); !strings.Contains(verdict, test.verdict) || well != test.well {
			t.Errorf("%s: %q, %v; want %q, %v", test.what, verdict, well, test.verdict, test.well)
		}
	}
}

func TestPerfPassesOnlyIfAllIsWell(t *testing.T) {
	well := Perf{Limit: 100, Took: 10 * time.Second, Writes: 901, Slowest: slowestWanted, Stddev: stddevWanted}
	if !well.Passed() {
		t.Errorf("%+v does not pass", well)
	}
	for what, spoil := range map[string]func(*Perf){
		"throughput": func(r *Perf) { r.Writes = 900 },
		"slowest":    func(r *Perf) { r.Slowest++ },
		"stddev":     func(r *Perf) { r.Stddev++ },
		"errors":     func(r *Perf) { r.Errors = map[string]int{"x": 1} },
	} {
		r := well
		if spoil(&r); r.Passed() {
			t.Errorf("%s: %+v passes", what, r)
		}
	}
}
