package kv_test

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// A put comes in from a client, is checked, goes through the log, is applied, and is read back.
func Example() {
	store, err := kv.Open(treekv.New(), kv.Options{Cluster: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	put, _ := proto.Marshal(&pb.PutRequest{Key: []byte("greeting"), Value: []byte("hello")})
	if code := store.Check(kv.KindPut, put); code != kv.CodeOK {
		fmt.Println(code)
		return
	}
	answers, err := store.Apply([]kv.Command{{Index: 1, Kind: kv.KindPut, Request: put}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("put at revision", answers[0].Revision)

	get, _ := proto.Marshal(&pb.RangeRequest{Key: []byte("greeting")})
	answer, err := store.Range(get)
	if err != nil {
		fmt.Println(err)
		return
	}
	// The body is a RangeResponse without its header, which the API puts in front of it.
	var response pb.RangeResponse
	if err := proto.Unmarshal(answer.Body, &response); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, put %d time\n", response.Kvs[0].Value, response.Kvs[0].Version)
	fmt.Println(store.Close())
	// Output:
	// put at revision 2
	// hello, put 1 time
	// <nil>
}
