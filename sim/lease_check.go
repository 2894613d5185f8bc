package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/kv"
)

// leaseApplied looks at every request that takes effect, for what it does to leases.
func (w *world) leaseApplied(q check.Request, response *check.Response) {
	switch q := q.(type) {
	case check.Renew:
		for _, id := range q.IDs {
			if held := w.leasing.held[id]; held != nil {
				held.applied = w.now
			}
		}
	case check.Revoke:
		if response.Code == kv.CodeOK {
			w.counts.LeasesEnded++
			delete(w.leasing.held, q.ID)
		}
	case check.Expire:
		w.counts.LeasesEnded += int(response.Count)
		w.counts.LeasesExpired += int(response.Count)
		for _, id := range q.IDs {
			if held := w.leasing.held[id]; held != nil && !w.check.Model().HasLease(id) {
				delete(w.leasing.held, id)
				w.leaseExpired(id, held)
			}
		}
	}
}

// leaseExpired checks that a lease has lived for its time: since its holder made the last request that was
// answered well, by a clock that is right. The leaders' may be faster, by as much as the plan says; each
// leader counts in ticks, and so may be one ahead of the other. What a leap has added is theirs, too.
func (w *world) leaseExpired(id int64, held *heldLease) {
	lived := w.now - held.sent
	changes := w.counts.LeaderChanges - held.changes
	owed := held.ttl*second/million*int64(million-w.plan.lease.drift) - int64(changes+2)*w.plan.tick - w.aheadSince(held.sent)
	if lived < owed {
		w.check.Fail("F2", "lease %x of %d s has ended %v after its last renewal was asked for, though clocks are wrong by %.1f %% at most",
			id, held.ttl, time.Duration(lived), float64(w.plan.lease.drift)/10_000)
	}
	if over := w.now - held.applied - held.ttl*second; w.plan.calm && over > w.longestOver() {
		w.check.Fail("F3", "lease %x of %d s lives %v too long, though nothing had happened", id, held.ttl, time.Duration(over))
	}
	if w.counts.LeaderChanges > held.granted && held.changes > held.granted {
		w.mark(leaseOutlivesLeader)
	}
	if w.counts.Crashes > held.crashes {
		w.mark(leaseOutlivesRestart)
	}
	if changes > 0 {
		w.mark(leaseEndsAtNextLeader)
	}
}

// longestOver is how much longer than its time a lease may live when nothing happens.
func (w *world) longestOver() int64 {
	p := &w.plan.lease
	return int64(p.lessor.Slack+p.lessor.Grace) + w.looks(4) + 2*second
}

// beginExpire begins the part of an ending in which all leases end: nobody renews them any more.
func (w *world) beginExpire() {
	p := &w.plan.lease
	w.end.deadline += int64(p.ttl+2)*second + int64(p.lessor.Slack+p.lessor.Grace+p.lessor.Mark) + w.looks(10)
}

// looks is how long a lessor takes for so many looks, and as many more as all leases need if each batch
// is asked for twice.
func (w *world) looks(some int64) int64 {
	p := &w.plan.lease
	return 3 * (some + int64(2*w.check.Model().Leases()/max(p.lessor.Batch, 1))) * p.interval
}

func (w *world) wantingExpire() string {
	if n := w.check.Model().Leases(); n > 0 {
		return fmt.Sprintf("%d leases live: %s", n, w.describeServers())
	}
	return ""
}
