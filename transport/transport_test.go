package transport

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/raft"
)

func TestMessagesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		for _, m := range []string{"one", "two", "", "three"} {
			if !a.Send(2, []byte(m)) {
				t.Errorf("message %q was not taken", m)
			}
		}
		b.Send(1, []byte("four"))
		b.wantReceived("1/1 one", "1/1 two", "1/1 ", "1/1 three")
		a.wantReceived("2/1 four")
	})
}

func TestLargeAndManyMessagesArriveWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		var want []string
		for i := range 5000 {
			m := bytes.Repeat([]byte{byte(i)}, i%7*100)
			if i%1000 == 500 {
				m = bytes.Repeat([]byte{byte(i)}, 3<<20)
			}
			for !a.Send(2, m) {
				letPass(time.Millisecond)
			}
			want = append(want, fmt.Sprintf("1/1 %s", m))
		}
		if got := b.got(); !slices.Equal(got, want) {
			t.Errorf("%d messages arrived, and not all as they were sent", len(got))
		}
	})
}

// While one batch is being written the next one gathers, and is one frame.
func TestWhatGathersIsOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		gate := make(chan struct{})
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := start(t, n, 2, func(o *Options) {
			o.Handler = func(_ raft.ServerID, _ uint64, m [][]byte) {
				sizes = append(sizes, len(m))
				<-gate
			}
		})
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(time.Second)
		for i := range 10 {
			a.Send(2, fmt.Append(nil, i))
			if i < 2 {
				synctest.Wait() // The first is with the handler now, the second being written.
			}
		}
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if fmt.Sprint(sizes) != "[1 1 8]" {
			t.Errorf("batches of %v", sizes)
		}
	})
}

func TestSlowPeerNeverDelaysTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		n := newFakeNet()
		a := start(t, n, 1, func(o *Options) { o.QueueMessages = 100 })
		b := start(t, n, 2, func(o *Options) {
			o.Handler = func(raft.ServerID, uint64, [][]byte) { <-gate }
		})
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(time.Second)
		a.Send(2, []byte("the handler waits with this"))
		synctest.Wait()
		a.Send(2, make([]byte, 1<<20)) // The connection does not take all of this.
		synctest.Wait()
		began, taken := time.Now(), 0
		for range 1000 {
			if a.Send(2, make([]byte, 1000)) {
				taken++
			}
		}
		if time.Since(began) > 0 {
			t.Error("Send waited")
		}
		if s := a.status(2); taken != 99 || s.Dropped != 901 || s.QueuedMessages != 100 || s.QueuedBytes != 99000+1<<20 {
			t.Errorf("%d taken, want 99 beside the long one; status %+v", taken, s)
		}
		close(gate)
	})
}

func TestSendToNobodyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, nil)
		if a.Send(9, []byte("x")) || a.Send(1, []byte("to itself")) {
			t.Error("a message for nobody was taken")
		}
	})
}

func TestRemovedPeerIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		sender := a.find(2)
		a.setPeers()
		if sender.ctx.Err() == nil {
			t.Error("the sender of a removed peer goes on")
		}
		if a.Send(2, []byte("x")) {
			t.Error("a message for a removed peer was taken")
		}
		b.Send(1, []byte("still there?"))
		letPass(10 * time.Second)
		a.wantReceived()
		b.wantReceived()
		b.wantError(1, "server 2 is not a peer of server 1")
		b.wantLog("server 2 is no longer a peer of server 1")
		a.wantLog("server 2 is no longer a peer of server 1")
		if len(a.Status()) != 0 {
			t.Errorf("status still has %+v", a.Status())
		}
		a.setPeers(peerRow(b)) // A removal is no ban.
		letPass(5 * time.Second)
		a.wantConnected(2, true)
		b.wantConnected(1, true)
	})
}

func TestReplacedKeyStopsWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		row := peerRow(b)
		row.Key = testIdentity(77).Public()
		a.setPeers(row)
		letPass(10 * time.Second)
		a.wantConnected(2, false)
		b.wantConnected(1, false)
		b.Send(1, []byte("x"))
		a.wantReceived()
		b.wantError(1, "server 2 is known to server 1 by key "+row.Key.Fingerprint())
	})
}

func TestNothingIsHandedOutAfterTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled atomic.Int32
		gate := make(chan struct{})
		n := newFakeNet()
		a := start(t, n, 1, nil)
		b := start(t, n, 2, func(o *Options) {
			o.Handler = func(raft.ServerID, uint64, [][]byte) {
				handled.Add(1)
				<-gate
			}
		})
		a.setPeers(peerRow(b))
		b.setPeers(peerRow(a))
		letPass(time.Second)
		a.Send(2, []byte("one"))
		synctest.Wait()
		for range 100 {
			a.Send(2, []byte("more"))
			synctest.Wait()
		}
		b.setPeers()
		close(gate)
		synctest.Wait()
		if got := handled.Load(); got != 1 {
			t.Errorf("the handler was called %d times, want 1", got)
		}
	})
}

// The same for what had arrived already, and waits in the receiver's memory.
func TestWhatArrivedBeforeTheCutIsNotHandedOutAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, nil)
		l := linkOf(2, nil)
		defer l.stream.Close()
		w := newTestWriter()
		first, _ := w.pack(messages("one"))
		stream := bytes.Clone(first)
		second, _ := w.pack(messages("two"))
		l.reader = *newTestReader(append(stream, second...))
		a.options.Handler = func(raft.ServerID, uint64, [][]byte) { l.cut(refuse(ReasonRemoved, "gone")) }
		p := newPeer(context.Background(), 2, &a.options)
		if err := a.receiveAll(p, l); err != errInterrupted || p.messagesReceived.Load() != 1 {
			t.Errorf("%d messages were handed out, then %v; want 1, then the cut", p.messagesReceived.Load(), err)
		}
	})
}

func TestStatusSaysWhoIsMissingSinceWhenAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		a, b := pair(t, func(o *Options) { o.Features = 7 })
		a.setPeers(peerRow(b), unclaimed(3))
		letPass(time.Second)
		a.Send(2, []byte("12345"))
		b.Send(1, []byte("12"))
		rows := a.Status()
		if len(rows) != 2 || rows[0].ID != 2 || rows[1].ID != 3 {
			t.Fatalf("rows %+v", rows)
		}
		two := a.status(2)
		if two.ConnectedSince.IsZero() || !two.DownSince.IsZero() || two.Error != "" ||
			two.ReceivingSince.IsZero() || two.Key != b.identity.Public() || two.Boot != 1 || two.Features != 7 ||
			two.MessagesSent != 1 || two.MessagesReceived != 1 || two.BytesSent != 16+4+5 || two.RoundTrip == 0 {
			t.Errorf("row of a peer that is up: %+v", two)
		}
		three := a.status(3)
		if !three.ConnectedSince.IsZero() || three.DownSince.Sub(began) != time.Second ||
			!strings.Contains(three.Error, "connection refused") || three.ErrorAt.Before(three.DownSince) ||
			three.Address != addressOf(3) || !three.Key.IsZero() {
			t.Errorf("row of a peer that is missing: %+v", three)
		}
		down := time.Now()
		b.Close()
		letPass(time.Minute)
		two = a.status(2)
		if two.DownSince.Sub(down) > time.Second || !two.ConnectedSince.IsZero() || !two.ReceivingSince.IsZero() {
			t.Errorf("row of a peer that is gone: %+v", two)
		}
	})
}

func TestStatusTellsTheTwoDirectionsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		n := newFakeNet()
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		row := peerRow(b)
		row.Addresses = []string{addressOf(9)} // Nobody is there.
		a.setPeers(row)
		b.setPeers(peerRow(a))
		letPass(10 * time.Second)
		two := a.status(2)
		if two.DownSince.IsZero() || two.ReceivingSince.IsZero() || !two.ReceivingDownSince.IsZero() || two.ReceivingError != "" {
			t.Errorf("a peer that reaches us and is not reached: %+v", two)
		}
		one := b.status(1)
		if !one.DownSince.IsZero() || !one.ReceivingSince.IsZero() || one.ReceivingDownSince.Sub(began) != 0 || one.ReceivingError != "" {
			t.Errorf("a peer that is reached and has never reached us: %+v", one)
		}
		down := time.Now()
		b.Close()
		letPass(time.Minute)
		two = a.status(2)
		if got := two.ReceivingDownSince.Sub(down); got < 0 || got > time.Second || !two.ReceivingSince.IsZero() ||
			!strings.Contains(two.ReceivingError, "server 2 is stopping") {
			t.Errorf("a peer that reaches us no more: down after %v, %+v", got, two)
		}
	})
}

func TestOptionsTellEverythingThatIsWrong(t *testing.T) {
	_, err := New(Options{Trust: TrustLoopback, QueueBytes: -1, KeepAlive: time.Hour, RedialMin: time.Second, RedialMax: 1})
	for _, want := range []string{"Identity", "Cluster", "Self", "Boot", "Handler", "Listener", "Claim", "QueueBytes",
		"IdleTimeout", "RedialMax"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestTableOfPeersThatIsWrongChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		good := peerRow(b)
		for name, c := range map[string]struct {
			peers []Peer
			want  string
		}{
			"id 0":       {[]Peer{{ID: 0}}, "id 0"},
			"twice":      {[]Peer{good, good}, "there twice"},
			"same key":   {[]Peer{good, {ID: 3, Key: good.Key}}, "same key"},
			"our key":    {[]Peer{{ID: 3, Key: a.identity.Public()}}, "our own"},
			"other self": {[]Peer{{ID: 1, Key: good.Key}}, "this one"},
			"address":    {[]Peer{{ID: 3, Addresses: []string{""}}}, "empty address"},
			"too many":   {make([]Peer, MaxPeers+1), "at most 1024"},
		} {
			if err := a.SetPeers(c.peers); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q in it", name, err, c.want)
			}
		}
		a.wantConnected(2, true)
		self := Peer{ID: 1, Key: a.identity.Public(), Addresses: []string{addressOf(1)}}
		if err := a.SetPeers([]Peer{self, good}); err != nil {
			t.Errorf("a row for the server itself: %v", err)
		}
		a.wantConnected(2, true)
	})
}
