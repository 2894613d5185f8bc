package transport

import (
	"sync"
	"time"
)

// throttleEvery is the shortest time between two log lines of one kind.
const throttleEvery = 10 * time.Second

// throttle lets a log line of each kind through now and then, and counts the others. It remembers
// one moment per kind; there are as many kinds as reasons times peers that were ever in the table.
type throttle struct {
	mu    sync.Mutex
	kinds map[throttleKey]throttled // never iterated
}

type throttled struct {
	last       time.Time
	suppressed int
}

// allow reports whether a line may be written, and how many of its kind were not since the last.
func (t *throttle) allow(key throttleKey, now time.Time) (suppressed int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds == nil {
		t.kinds = map[throttleKey]throttled{}
	}
	kind, seen := t.kinds[key]
	if seen && now.Sub(kind.last) < throttleEvery {
		kind.suppressed++
		t.kinds[key] = kind
		return 0, false
	}
	t.kinds[key] = throttled{last: now}
	return kind.suppressed, true
}
