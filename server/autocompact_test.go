package server

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestRetentionIsReadAsEtcdReadsIt(t *testing.T) {
	for _, c := range []struct {
		mode, text string
		want       retention
		interval   time.Duration
		ok         bool
	}{
		{"", "", retention{}, 0, true},
		{"periodic", "0", retention{}, 0, true},
		{"periodic", "8", retention{time: 8 * time.Hour}, 6 * time.Minute, true},
		{"periodic", "30m", retention{time: 30 * time.Minute}, 3 * time.Minute, true},
		{"periodic", "8760h", retention{time: 8760 * time.Hour}, 8760 * time.Hour / 1000, true},
		{"revision", "1000", retention{revisions: 1000}, 5 * time.Minute, true},
		{"revision", "", retention{}, 0, true},
		{"periodic", "10ms", retention{}, 0, false},
		{"periodic", "-1", retention{}, 0, false},
		{"periodic", "9223372036854775807", retention{}, 0, false},
		{"periodic", "soon", retention{}, 0, false},
		{"revision", "1h", retention{}, 0, false},
		{"revision", "-5", retention{}, 0, false},
		{"always", "1", retention{}, 0, false},
	} {
		got, err := parseRetention(c.mode, c.text)
		if (err == nil) != c.ok || got != c.want || got.interval() != c.interval {
			t.Errorf("%s %q: got %+v, every %v, %v", c.mode, c.text, got, got.interval(), err)
		}
	}
}

// A revision is written every minute, so that what was current a time ago is the number of minutes then.
func TestCompactorKeepsTheTimeItWasTold(t *testing.T) {
	for _, keep := range []time.Duration{30 * time.Minute, 8 * time.Hour} {
		c := compactor{keep: retention{time: keep}}
		count, last := 0, time.Duration(0)
		for now := time.Duration(0); now < 48*time.Hour; now += c.keep.interval() {
			to := c.look(now, int64(now/time.Minute))
			if len(c.notes) > maxNotes+2 {
				t.Fatalf("%d notes", len(c.notes))
			}
			if to == 0 {
				continue
			}
			if written := time.Duration(to) * time.Minute; now-written < keep || now-written > keep+c.keep.interval()+time.Minute {
				t.Fatalf("after %v compacted to what was written at %v", now, written)
			}
			if count > 0 && now-last != min(keep, time.Hour) {
				t.Fatalf("compacted at %v and at %v", last, now)
			}
			c.acted = now
			count, last = count+1, now
		}
		if want := int((48*time.Hour - keep) / min(keep, time.Hour)); count < want-1 || count > want {
			t.Errorf("%v kept: %d compactions in two days, want about %d", keep, count, want)
		}
	}
	// What failed, or is not this server's to do, is tried again at once.
	c := compactor{keep: retention{time: time.Hour}}
	c.look(0, 7)
	if first, second := c.look(time.Hour, 8), c.look(time.Hour+time.Minute, 9); first != 7 || second != 7 {
		t.Errorf("got %d, and then %d", first, second)
	}
}

func TestCompactorKeepsTheRevisionsItWasTold(t *testing.T) {
	c := compactor{keep: retention{revisions: 100}}
	if few, many := c.look(0, 90), c.look(1, 250); few != 0 || many != 150 {
		t.Errorf("got %d of 90, %d of 250", few, many)
	}
}

func TestServerCompactsByItself(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.AutoCompactionRetention = "1s"
	s := start(t, o)
	client := connect(t, s)
	for range 3 {
		if _, err := client.Put(testContext(t), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.machine.removed.wait(testContext(t), 3, s.context.Done()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(testContext(t), "k", clientv3.WithRev(2)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("got %v, want %v", err, rpctypes.ErrCompacted)
	}
	if err := s.compactTo(testContext(t), 2); err != nil {
		t.Errorf("compacted already: %v", err)
	}
	if err := s.compactTo(testContext(t), 1000); err == nil {
		t.Error("the future was compacted")
	}
}
