package kv_test

import (
	"fmt"
	"math/rand"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// cpu returns the processor time that the process has used, in nanoseconds: on a busy machine it
// says more than the clock, and it has Pebble's goroutines in it.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// reportCPU reports the processor time since start, per operation.
func reportCPU(b *testing.B, start int64) {
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
}

// engines are the two adapters, each opened empty.
var engines = []struct {
	name string
	open func(tb testing.TB) kv.Engine
}{
	{"tree", func(testing.TB) kv.Engine { return treekv.New() }},
	{"pebble", func(tb testing.TB) kv.Engine {
		e, err := pebblekv.Open("state", pebblekv.Options{FS: vfs.NewMem()})
		if err != nil {
			tb.Fatal(err)
		}
		return e
	}},
}

func BenchmarkApplyPut(b *testing.B) {
	for _, engine := range engines {
		for _, size := range []int{1, 64} {
			for _, keys := range []int{1_000, 1_000_000} {
				b.Run(fmt.Sprintf("%s/batch=%d/keys=%d", engine.name, size, keys), func(b *testing.B) {
					benchmarkPut(b, engine.open(b), size, keys, 0)
				})
				b.Run(fmt.Sprintf("%s/batch=%d/keys=%d/sessions", engine.name, size, keys), func(b *testing.B) {
					benchmarkPut(b, engine.open(b), size, keys, 64)
				})
			}
		}
	}
}

// benchmarkPut puts 256-byte values to random ones of a number of keys: few of them and the cache
// knows them all, many and most puts are of keys that are new. The puts may be of sessions, each with one
// request at a time.
func benchmarkPut(b *testing.B, engine kv.Engine, size, keys, sessions int) {
	s, err := kv.Open(engine, kv.Options{})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewSource(1))
	value := make([]byte, 256)
	rng.Read(value)
	commands := make([]kv.Command, size)
	requests := make([][]byte, 4096)
	for i := range requests {
		requests[i] = marshal(b, &pb.PutRequest{Key: []byte(fmt.Sprintf("/registry/pods/%08d", rng.Intn(keys))), Value: value})
	}
	index, unflushed := uint64(0), 0
	for range sessions {
		index++
		if _, err := s.Apply([]kv.Command{{Index: index, Kind: kv.KindSessionOpen, Request: session.OpenRequest(60)}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	start := cpu(b)
	b.ResetTimer()
	for n := 0; n < b.N; n += size {
		for i := range commands {
			index++
			// A fixed set of requests would be a fixed set of keys: vary the last digits.
			request := requests[rng.Intn(len(requests))]
			if keys > len(requests) {
				copy(request[2+15:], fmt.Sprintf("%08d", rng.Intn(keys)))
			}
			commands[i] = kv.Command{Index: index, Kind: kv.KindPut, Request: request}
			if keys > len(requests) { // the request must not change before the batch is applied
				commands[i].Request = append([]byte(nil), request...)
			}
			if sessions > 0 {
				number := (index - uint64(sessions) - 1) / uint64(sessions)
				commands[i].Session = wire.Session{ID: 1 + index%uint64(sessions), Sequence: number + 1, Acknowledged: number}
			}
		}
		answers, err := s.Apply(commands)
		if err != nil || answers[0].Err != kv.CodeOK {
			b.Fatal(answers, err)
		}
		if unflushed += size; unflushed > 200_000 {
			unflushed = 0
			if err := s.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	reportCPU(b, start)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// filled returns a store with 100,000 keys of 256-byte values, every tenth of them put five times.
func filled(b *testing.B, engine kv.Engine) *kv.Store {
	s, err := kv.Open(engine, kv.Options{})
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 256)
	var commands []kv.Command
	index := uint64(0)
	for i := range 100_000 {
		for range 1 + 4*((i+1)%10/9) {
			index++
			request := marshal(b, &pb.PutRequest{Key: []byte(fmt.Sprintf("/registry/pods/%08d", i)), Value: value})
			commands = append(commands, kv.Command{Index: index, Kind: kv.KindPut, Request: request})
		}
		if len(commands) > 1000 || i == 99_999 {
			if _, err := s.Apply(commands); err != nil {
				b.Fatal(err)
			}
			commands = commands[:0]
		}
	}
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkRange(b *testing.B) {
	for _, engine := range engines {
		s := filled(b, engine.open(b))
		b.Run(engine.name+"/one", func(b *testing.B) {
			benchmarkRange(b, s, func(i int) *pb.RangeRequest {
				return &pb.RangeRequest{Key: []byte(fmt.Sprintf("/registry/pods/%08d", i))}
			})
		})
		b.Run(engine.name+"/1000", func(b *testing.B) {
			benchmarkRange(b, s, func(i int) *pb.RangeRequest {
				i = i / 2
				return &pb.RangeRequest{
					Key:      []byte(fmt.Sprintf("/registry/pods/%08d", i)),
					RangeEnd: []byte(fmt.Sprintf("/registry/pods/%08d", i+1000)),
				}
			})
		})
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkRange(b *testing.B, s *kv.Store, request func(i int) *pb.RangeRequest) {
	rng := rand.New(rand.NewSource(1))
	requests := make([][]byte, 1000)
	for i := range requests {
		requests[i] = marshal(b, request(rng.Intn(100_000)))
	}
	b.ReportAllocs()
	start := cpu(b)
	b.ResetTimer()
	for n := range b.N {
		a, err := s.Range(requests[n%len(requests)])
		if err != nil || a.Err != kv.CodeOK || len(a.Body) == 0 {
			b.Fatal(a, err)
		}
	}
	reportCPU(b, start)
}
