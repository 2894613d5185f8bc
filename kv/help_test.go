package kv_test

import (
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func protoValue(m proto.Message) protoreflect.Value {
	return protoreflect.ValueOfMessage(m.ProtoReflect())
}

// client asks a store one request at a time and decodes what it answers.
type client struct {
	t     *testing.T
	store *kv.Store
	index uint64
}

func newClient(t *testing.T) *client {
	t.Helper()
	store, err := kv.Open(treekv.New(), kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &client{t: t, store: store}
}

// apply applies one command and decodes the body into response; it returns code and revision.
func (c *client) apply(kind kv.Kind, request, response proto.Message) (kv.Code, int64) {
	c.t.Helper()
	c.index++
	answers, err := c.store.Apply([]kv.Command{{Index: c.index, Kind: kind, Request: marshal(c.t, request)}})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := proto.Unmarshal(answers[0].Body, response); err != nil {
		c.t.Fatal(err)
	}
	return answers[0].Err, answers[0].Revision
}

// The methods below fail the test unless the request succeeds.

func (c *client) put(key, value string) (rev int64) {
	c.t.Helper()
	code, rev := c.apply(kv.KindPut, &pb.PutRequest{Key: []byte(key), Value: []byte(value)}, &pb.PutResponse{})
	c.want(code, kv.CodeOK)
	return rev
}

func (c *client) delete(key, end string) (deleted, rev int64) {
	c.t.Helper()
	response := &pb.DeleteRangeResponse{}
	code, rev := c.apply(kv.KindDeleteRange, &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)}, response)
	c.want(code, kv.CodeOK)
	return response.Deleted, rev
}

func (c *client) compact(rev int64) {
	c.t.Helper()
	code, _ := c.apply(kv.KindCompact, &pb.CompactionRequest{Revision: rev}, &pb.CompactionResponse{})
	c.want(code, kv.CodeOK)
}

func (c *client) txn(request *pb.TxnRequest) (*pb.TxnResponse, int64) {
	c.t.Helper()
	response := &pb.TxnResponse{}
	code, rev := c.apply(kv.KindTxn, request, response)
	c.want(code, kv.CodeOK)
	return response, rev
}

func (c *client) get(request *pb.RangeRequest) (*pb.RangeResponse, kv.Code, int64) {
	c.t.Helper()
	a, err := c.store.Range(marshal(c.t, request))
	if err != nil {
		c.t.Fatal(err)
	}
	response := &pb.RangeResponse{}
	if err := proto.Unmarshal(a.Body, response); err != nil {
		c.t.Fatal(err)
	}
	return response, a.Err, a.Revision
}

// keys returns the keys of a successful range as one string.
func (c *client) keys(request *pb.RangeRequest) string {
	c.t.Helper()
	response, code, _ := c.get(request)
	c.want(code, kv.CodeOK)
	var keys []string
	for _, pair := range response.Kvs {
		keys = append(keys, string(pair.Key))
	}
	return strings.Join(keys, " ")
}

func (c *client) want(got, want kv.Code) {
	c.t.Helper()
	if got != want {
		c.t.Fatalf("code %v, want %v", got, want)
	}
}

// equal fails the test unless two values print the same.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// pair prints a key-value pair.
func pair(p *mvccpb.KeyValue) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprintf("%s=%s create %d mod %d version %d lease %d", p.Key, p.Value, p.CreateRevision, p.ModRevision, p.Version, p.Lease)
}
