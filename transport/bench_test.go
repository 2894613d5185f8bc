//go:build unix

package transport

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"sync/atomic"

	"github.com/quorate/quorate/raft"
)

// BenchmarkLink keeps a window of messages under way, over TLS on loopback, both ends in one process.
// cpu-ns/msg is the processor time of both ends together, system calls and TLS included.
func BenchmarkLink(b *testing.B) {
	for _, c := range []struct{ size, window int }{{300, 16}, {300, 2048}, {64 << 10, 256}} {
		b.Run(fmt.Sprintf("%dB/window=%d", c.size, c.window), func(b *testing.B) {
			var batches atomic.Int64
			window := make(chan struct{}, c.window) // A token for each message under way.
			sender, _ := tcpPair(b, func(_ raft.ServerID, _ uint64, m [][]byte) {
				batches.Add(1)
				for range m {
					<-window
				}
			})
			message := make([]byte, c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.ResetTimer()
			before := processorTime(b)
			for range b.N {
				window <- struct{}{}
				if !sender.Send(2, message) {
					b.Fatal("a message was dropped: ", sender.Status()[0].Error)
				}
			}
			for range c.window {
				window <- struct{}{} // Until the last one has arrived.
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/msg")
			b.ReportMetric(float64(b.N)/float64(batches.Load()), "msg/frame")
		})
	}
}

// BenchmarkRoundTrip sends one message at a time and waits for its answer.
func BenchmarkRoundTrip(b *testing.B) {
	var far *Transport
	answered := make(chan struct{}, 1)
	near := tcpServer(b, 1, func(o *Options) {
		o.Handler = func(raft.ServerID, uint64, [][]byte) { answered <- struct{}{} }
	})
	far = tcpServer(b, 2, func(o *Options) {
		o.Handler = func(_ raft.ServerID, _ uint64, m [][]byte) { far.Send(1, append([]byte(nil), m[0]...)) }
	})
	for _, of := range []struct{ tr, other *Transport }{{near, far}, {far, near}} {
		row := Peer{ID: of.other.self.ID, Key: of.other.self.Key, Addresses: []string{of.other.Addr().String()}}
		if err := of.tr.SetPeers([]Peer{row}); err != nil {
			b.Fatal(err)
		}
	}
	for near.Status()[0].ConnectedSince.IsZero() || far.Status()[0].ConnectedSince.IsZero() {
		runtime.Gosched()
	}
	before := processorTime(b)
	for b.Loop() {
		near.Send(2, make([]byte, 300))
		<-answered
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
