package etcdapi

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// BenchmarkWatchers measures a put that so many watchers of one prefix are told of, over ten streams, until
// the last one has been told.
func BenchmarkWatchers(b *testing.B) {
	for _, many := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			const streams = 10
			w := newWorld(b, nil)
			told := make(chan struct{}, streams)
			for range streams {
				stream, err := pb.NewWatchClient(w.conn).Watch(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				for range many / streams {
					if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
						CreateRequest: &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l")}}}); err != nil {
						b.Fatal(err)
					}
				}
				for range many / streams {
					if _, err := stream.Recv(); err != nil {
						b.Fatal(err)
					}
				}
				go func() { // ends with the benchmark's context
					for n := 0; ; {
						r, err := stream.Recv()
						if err != nil {
							return
						}
						if n += len(r.Events); n == many/streams {
							n = 0
							told <- struct{}{}
						}
					}
				}()
			}
			value := string(make([]byte, 100))
			for b.Loop() {
				w.put(b, "k1", value)
				for range streams {
					<-told
				}
			}
			b.ReportMetric(float64(b.N*many)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
