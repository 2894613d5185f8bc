package kv_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

const second = 1_000_000_000

// at applies one command at a log time, and returns its answer.
func (c *client) at(time uint64, kind kv.Kind, request []byte) kv.Answer {
	c.t.Helper()
	c.index++
	answers, err := c.store.Apply([]kv.Command{{Index: c.index, Time: time, Kind: kind, Request: request}})
	if err != nil {
		c.t.Fatal(err)
	}
	return answers[0]
}

func (c *client) grant(time uint64, id, ttl int64) kv.Code {
	c.t.Helper()
	return c.at(time, kv.KindLeaseGrant, kv.GrantRequest(id, ttl)).Err
}

func (c *client) putLeased(key string, lease int64) kv.Code {
	c.t.Helper()
	code, _ := c.apply(kv.KindPut, &pb.PutRequest{Key: []byte(key), Lease: lease}, &pb.PutResponse{})
	return code
}

// renew renews leases, and returns their times to live.
func (c *client) renew(time uint64, ids ...int64) []int64 {
	c.t.Helper()
	ttls, err := kv.ParseRenewed(c.at(time, kv.KindLeaseRenew, kv.LeaseList(ids)).Body, len(ids))
	if err != nil {
		c.t.Fatal(err)
	}
	return ttls
}

func (c *client) expire(time uint64, ids ...int64) (ended int, revision int64) {
	c.t.Helper()
	a := c.at(time, kv.KindLeaseExpire, kv.LeaseList(ids))
	ended, err := kv.ParseExpired(a.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return ended, a.Revision
}

func (c *client) leaseKeys(id int64) string {
	c.t.Helper()
	keys, err := c.store.LeaseKeys(id)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("%s", keys)
}

func TestLeaseIsGrantedAndRevoked(t *testing.T) {
	c := newClient(t)
	response := &pb.LeaseGrantResponse{}
	code, revision := c.apply(kv.KindLeaseGrant, &pb.LeaseGrantRequest{ID: 7, TTL: 10}, response)
	equal(t, "grant", fmt.Sprint(code, response.ID, response.TTL, revision), "ok 7 10 1")
	equal(t, "grant again", c.grant(0, 7, 10), kv.CodeLeaseExists)
	equal(t, "grant 0", c.grant(0, 0, 10), kv.CodeLeaseNotFound)
	equal(t, "grant for no time", c.grant(0, 8, 0), kv.CodeMalformed)
	equal(t, "grant for too long", c.grant(0, 8, kv.MaxLeaseTTL+1), kv.CodeLeaseTTLTooLarge)
	equal(t, "grant for as long as can be", c.grant(math.MaxUint64-1, 8, kv.MaxLeaseTTL), kv.CodeOK)
	equal(t, "grant with an id below zero", c.grant(math.MaxUint64-1, -9, 1), kv.CodeOK)
	equal(t, "leases", c.store.Leases(), "[{7 10 10000000000} {-9 1 18446744073709551615} {8 9000000000 18446744073709551615}]")

	equal(t, "put with no such lease", c.putLeased("b", 6), kv.CodeLeaseNotFound)
	for _, key := range []string{"b", "a\x00", "a"} {
		equal(t, "put", c.putLeased(key, 7), kv.CodeOK)
	}
	c.put("other", "x")
	equal(t, "keys", c.leaseKeys(7), "[a a\x00 b]")
	equal(t, "keys of another", c.leaseKeys(-9), "[]")
	code, revision = c.apply(kv.KindLeaseRevoke, &pb.LeaseRevokeRequest{ID: 7}, &pb.LeaseRevokeResponse{})
	equal(t, "revoke", fmt.Sprint(code, revision), "ok 6")
	equal(t, "what is left", c.keys(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}), "other")
	code, _ = c.apply(kv.KindLeaseRevoke, &pb.LeaseRevokeRequest{ID: 7}, &pb.LeaseRevokeResponse{})
	equal(t, "revoke again", code, kv.CodeLeaseNotFound)
	code, revision = c.apply(kv.KindLeaseRevoke, &pb.LeaseRevokeRequest{ID: -9}, &pb.LeaseRevokeResponse{})
	equal(t, "revoke one without keys", fmt.Sprint(code, revision), "ok 6")
	equal(t, "how many are left", c.store.LeaseCount(), 1)
}

func TestLeaseEndsOnlyAfterItsDeadline(t *testing.T) {
	c := newClient(t)
	for id := range int64(3) {
		c.want(c.grant(5*second, id+1, 10), kv.CodeOK)
		c.want(c.putLeased(fmt.Sprint("k", id+1), id+1), kv.CodeOK)
	}
	equal(t, "due too early", c.store.DueLeases(15*second-1, 10), "[]")
	equal(t, "due", c.store.DueLeases(15*second, 2), "[1 2]")
	equal(t, "due again: nobody has ended them", c.store.DueLeases(15*second, 10), "[1 2 3]")
	equal(t, "renewed", c.renew(12*second, 2, 99, 2), "[10 0 10]")
	equal(t, "due after one was renewed", c.store.DueLeases(21*second, 10), "[1 3]")

	// Whoever found them due may not have known of the renewal.
	ended, revision := c.expire(15*second-1, 1, 2, 3)
	equal(t, "ended too early", fmt.Sprint(ended, revision), "0 4")
	ended, revision = c.expire(15*second, 1, 2, 3, 99)
	equal(t, "ended", fmt.Sprint(ended, revision), "2 6")
	equal(t, "what is left", c.keys(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}), "k2")
	equal(t, "due", c.store.DueLeases(22*second, 10), "[2]")
	changes, through, _, err := c.store.Changes(kv.ChangesQuery{
		From: 5, To: 7, MaxChanges: 10, MaxBytes: 1000, Wants: func([]byte) (bool, bool) { return true, false },
	})
	if err != nil || through != 6 || len(changes.List) != 2 || changes.List[0].Revision != 5 || changes.List[1].Revision != 6 {
		t.Errorf("each lease must end in a revision of its own: %v through %d, %v", changes.List, through, err)
	}
	// A time that goes back is none: the latest counts.
	ended, _ = c.expire(0, 2)
	equal(t, "ended", ended, 0)
	c.put("x", "")
	equal(t, "time", c.store.Time(), 15*second)
}

func TestTooManyLeasesInOneCommand(t *testing.T) {
	c := newClient(t)
	list := kv.LeaseList(make([]int64, kv.MaxLeasesPerCommand+1))
	equal(t, "renew", c.at(0, kv.KindLeaseRenew, list).Err, kv.CodeRequestTooLarge)
	equal(t, "expire", c.at(0, kv.KindLeaseExpire, list).Err, kv.CodeRequestTooLarge)
	equal(t, "renew as many as can be", len(c.renew(0, make([]int64, kv.MaxLeasesPerCommand)...)), kv.MaxLeasesPerCommand)
	equal(t, "a list that is none", c.at(0, kv.KindLeaseRenew, []byte{0x10, 1}).Err, kv.CodeUnknownField)
}

func TestTransactionsKnowLeases(t *testing.T) {
	c := newClient(t)
	c.want(c.grant(0, 7, 10), kv.CodeOK)
	put := func(key string, lease int64) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Lease: lease}}}
	}
	response := &pb.TxnResponse{}
	code, revision := c.apply(kv.KindTxn, &pb.TxnRequest{Success: []*pb.RequestOp{put("a", 7), put("b", 8)}}, response)
	equal(t, "with a lease that is not there", fmt.Sprint(code, revision), fmt.Sprint(kv.CodeLeaseNotFound, 1))
	c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{put("a", 7), put("b", 7)}, Failure: []*pb.RequestOp{put("c", 8)}})
	equal(t, "keys", c.leaseKeys(7), "[a b]")
	held := &pb.Compare{
		Key: []byte("a"), Target: pb.Compare_LEASE, Result: pb.Compare_EQUAL, TargetUnion: &pb.Compare_Lease{Lease: 7},
	}
	taken, _ := c.txn(&pb.TxnRequest{Compare: []*pb.Compare{held}, Success: []*pb.RequestOp{put("a", 0)}})
	equal(t, "compare", taken.Succeeded, true)
	equal(t, "keys", c.leaseKeys(7), "[b]")
}

func TestRange_KeysOnlyTellsTheLeaseWhereItSortsByValue(t *testing.T) {
	c := newClient(t)
	c.want(c.grant(0, 7, 10), kv.CodeOK)
	c.txn(&pb.TxnRequest{Success: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), Value: []byte("1"), Lease: 7}}},
	}})
	for target := range pb.RangeRequest_SortTarget_name {
		r := &pb.RangeRequest{Key: []byte("a"), KeysOnly: true, SortTarget: pb.RangeRequest_SortTarget(target)}
		want := "a= create 2 mod 2 version 1 lease 0"
		if r.SortTarget == pb.RangeRequest_VALUE {
			want = "a= create 2 mod 2 version 1 lease 7"
		}
		response, _, _ := c.get(r)
		equal(t, "sorted by "+r.SortTarget.String(), pair(response.Kvs[0]), want)
	}
}

func TestNoSpaceRefusesLeasesOnly(t *testing.T) {
	c := newClient(t)
	c.want(c.grant(0, 7, 10), kv.CodeOK)
	c.alarm(on, 1, noSpace)
	equal(t, "grant", c.grant(0, 8, 10), kv.CodeNoSpace)
	equal(t, "renew", c.renew(0, 7), "[10]")
	ended, _ := c.expire(10*second, 7)
	equal(t, "end", ended, 1)
}

// leaseModel is what leases and keys should be.
type leaseModel struct {
	deadlines map[int64]uint64
	keys      map[string]int64
	time      uint64
}

func (m *leaseModel) end(id int64) {
	delete(m.deadlines, id)
	for key, lease := range m.keys {
		if lease == id {
			delete(m.keys, key)
		}
	}
}

// randomCommand makes a command, and does to the model what it should do.
func (m *leaseModel) randomCommand(t *testing.T, r *rand.Rand) kv.Command {
	pick := func() int64 { return [...]int64{-1, 1, 2, 255}[r.IntN(4)] } // where intervals of ids end
	id, key := pick(), string("abcdef"[r.IntN(6)])
	ttl := id&3 + 1
	_, lives := m.deadlines[id]
	m.time += uint64(r.IntN(2 * second))
	c := kv.Command{Time: m.time}
	switch r.IntN(8) {
	case 0, 1:
		c.Kind, c.Request = kv.KindLeaseGrant, kv.GrantRequest(id, ttl)
		if !lives {
			m.deadlines[id] = m.time + uint64(ttl)*second
		}
	case 2, 3:
		c.Kind, c.Request = kv.KindPut, marshal(t, &pb.PutRequest{Key: []byte(key), Lease: id})
		if lives {
			m.keys[key] = id
		}
	case 4:
		c.Kind, c.Request = kv.KindDeleteRange, marshal(t, &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(key + "\xff")})
		delete(m.keys, key)
	case 5:
		c.Kind, c.Request = kv.KindLeaseRevoke, marshal(t, &pb.LeaseRevokeRequest{ID: id})
		m.end(id)
	case 6:
		c.Kind, c.Request = kv.KindLeaseRenew, kv.LeaseList([]int64{id})
		if lives {
			m.deadlines[id] = m.time + uint64(ttl)*second
		}
	case 7:
		other := pick()
		c.Kind, c.Request = kv.KindLeaseExpire, kv.LeaseList([]int64{id, other})
		for _, id := range []int64{id, other} {
			if deadline, lives := m.deadlines[id]; lives && deadline <= m.time {
				m.end(id)
			}
		}
	}
	return c
}

func (m *leaseModel) String() string {
	var lines []string
	for id, deadline := range m.deadlines {
		keys := []string{}
		for key, lease := range m.keys {
			if lease == id {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		lines = append(lines, fmt.Sprint(id, " ", deadline, " ", keys))
	}
	slices.Sort(lines)
	var keys []string
	for key, lease := range m.keys {
		keys = append(keys, fmt.Sprint(key, lease))
	}
	slices.Sort(keys)
	return strings.Join(append(lines, keys...), "\n")
}

// leasesOf describes a store as the model describes itself.
func leasesOf(c *client) string {
	var lines []string
	for _, l := range c.store.Leases() {
		lines = append(lines, fmt.Sprint(l.ID, " ", l.Deadline, " ", c.leaseKeys(l.ID)))
	}
	slices.Sort(lines)
	response, _, _ := c.get(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	for _, kv := range response.Kvs {
		lines = append(lines, fmt.Sprint(string(kv.Key), kv.Lease))
	}
	return strings.Join(lines, "\n")
}

func TestLeasesAgreeWithTheirModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		m := &leaseModel{deadlines: map[int64]uint64{}, keys: map[string]int64{}}
		engine := treekv.New()
		store, err := kv.Open(engine, kv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, store: store}
		for range 40 {
			commands := make([]kv.Command, 1+r.IntN(5))
			for i := range commands {
				commands[i] = m.randomCommand(t, r)
				c.index++
				commands[i].Index = c.index
			}
			if _, err := c.store.Apply(commands); err != nil {
				t.Fatal(err)
			}
			if got, want := leasesOf(c), m.String(); got != want {
				t.Fatalf("seed %d, after command %d: got\n%s\nwant\n%s", seed, c.index, got, want)
			}
			if r.IntN(8) == 0 { // a restart finds the same
				engine = engine.Crash(func(batches int) int { return batches })
				if c.store, err = kv.Open(engine, kv.Options{}); err != nil {
					t.Fatal(err)
				}
			}
			due := 0
			for _, deadline := range m.deadlines {
				if deadline <= m.time {
					due++
				}
			}
			equal(t, "how many are due", len(c.store.DueLeases(m.time, 100)), due)
		}
	}
}
