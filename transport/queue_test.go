package transport

import (
	"fmt"
	"testing"
)

func wantQueue(t *testing.T, q *queue, messages, bytes int, dropped uint64) {
	t.Helper()
	s := q.status()
	if s.messages != messages || s.bytes != bytes || s.dropped != dropped {
		t.Errorf("queue has %d messages, %d bytes, %d dropped; want %d, %d, %d",
			s.messages, s.bytes, s.dropped, messages, bytes, dropped)
	}
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	q := newQueue(3, 100)
	q.setOpen(true)
	for i, c := range []struct {
		size int
		want bool
	}{
		{60, true}, {41, false}, {40, true}, {1, false}, {0, true}, {0, false}, // The last for want of a place.
	} {
		if got := q.put(make([]byte, c.size)); got != c.want {
			t.Errorf("message %d of %d bytes: taken %v, want %v", i, c.size, got, c.want)
		}
	}
	wantQueue(t, q, 3, 100, 3)
}

func TestBatchCountsUntilItIsWritten(t *testing.T) {
	q := newQueue(10, 100)
	q.setOpen(true)
	q.put(make([]byte, 100))
	batch := q.take(nil)
	if len(batch) != 1 || q.put(make([]byte, 1)) {
		t.Error("there was room while the batch was being written")
	}
	q.written(1, 100)
	if !q.put(make([]byte, 1)) {
		t.Error("there was no room once the batch was written")
	}
	wantQueue(t, q, 1, 1, 1)
}

func TestOneMessageAlwaysFitsIfAlone(t *testing.T) {
	q := newQueue(10, 100)
	q.setOpen(true)
	if !q.put(make([]byte, MaxMessageBytes)) || q.put(nil) {
		t.Error("want the long message taken, and nothing after it")
	}
	q.setOpen(true)
	if q.put(make([]byte, MaxMessageBytes+1)) {
		t.Error("a message that is too long was taken")
	}
	if got := q.status().droppedTooLong; got != 1 {
		t.Errorf("%d dropped for their length, want 1", got)
	}
}

func TestNothingWaitsForALinkThatIsDown(t *testing.T) {
	q := newQueue(10, 100)
	if q.put([]byte("early")) {
		t.Error("taken before there was a link")
	}
	q.setOpen(true)
	q.put([]byte("being written"))
	q.take(nil)
	q.put([]byte("waiting"))
	q.setOpen(false)
	if q.put([]byte("late")) {
		t.Error("taken after the link was gone")
	}
	wantQueue(t, q, 0, 0, 4)
	q.setOpen(true)
	if got := q.take(nil); len(got) != 0 {
		t.Errorf("%d messages of the old link are sent on the new one", len(got))
	}
}

// The sender sleeps until there is a token: no message may be left without one.
func TestWaitingMessageHasAToken(t *testing.T) {
	q := newQueue(10, 100)
	q.setOpen(true)
	var spare [][]byte
	var got []string
	for i := range 6 {
		q.put(fmt.Append(nil, i))
		if i%3 == 2 {
			<-q.ready
			spare = q.take(spare)
			got = append(got, fmt.Sprintf("%s", spare))
		}
	}
	if fmt.Sprint(got) != "[[0 1 2] [3 4 5]]" {
		t.Errorf("got %v", got)
	}
}
