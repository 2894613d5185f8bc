package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// dialKV returns clients made of the generated stubs, each with a connection of its own.
func dialKV(b *testing.B, s *Server, connections int) []pb.KVClient {
	b.Helper()
	clients := make([]pb.KVClient, connections)
	for i := range clients {
		conn, err := grpc.NewClient(s.ClientAddrs()[0].String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		clients[i] = pb.NewKVClient(conn)
	}
	return clients
}

// benchmarkCalls makes b.N calls, so many at a time, from clients in this process.
func benchmarkCalls(b *testing.B, servers, callers int, call func(ctx context.Context, client pb.KVClient, i int) error) {
	options := clusterOptions(b, servers)
	for i := range options {
		options[i].HeartbeatInterval, options[i].ElectionTimeout = 100*time.Millisecond, time.Second
	}
	all := startAll(b, options)
	// A linearizable read waits for the first leader; whoever it is, gets the load.
	if _, err := connect(b, all[0]).Get(testContext(b), "x"); err != nil {
		b.Fatal(err)
	}
	target := all[0]
	for _, s := range all {
		if s.Host().ID() == all[0].Group().Status().Raft.Leader {
			target = s
		}
	}
	clients := dialKV(b, target, min(callers, 16))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := call(ctx, clients[0], 0); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var running sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	for c := range callers {
		running.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := call(ctx, clients[c%len(clients)], int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// processorTime is what this process has used: on a machine that others use too, this is what can be
// compared.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func putOne(ctx context.Context, client pb.KVClient, i int) error {
	_, err := client.Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "%08d", i*7919%100000), Value: benchValue[:]})
	return err
}

var benchValue [256]byte

func rangeOne(ctx context.Context, client pb.KVClient, i int) error {
	_, err := client.Range(ctx, &pb.RangeRequest{Key: fmt.Appendf(nil, "%08d", i*7919%100000)})
	return err
}

// BenchmarkPut: clients, and all servers, are in this process and on its disk.
func BenchmarkPut(b *testing.B) {
	for _, servers := range []int{1, 3} {
		for _, callers := range []int{1, 256} {
			b.Run(fmt.Sprintf("servers=%d/callers=%d", servers, callers), func(b *testing.B) { benchmarkCalls(b, servers, callers, putOne) })
		}
	}
}

// BenchmarkRange reads one key, linearizably.
func BenchmarkRange(b *testing.B) {
	for _, servers := range []int{1, 3} {
		for _, callers := range []int{1, 256} {
			b.Run(fmt.Sprintf("servers=%d/callers=%d", servers, callers), func(b *testing.B) { benchmarkCalls(b, servers, callers, rangeOne) })
		}
	}
}
