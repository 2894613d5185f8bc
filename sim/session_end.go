package sim

import "fmt"

// beginSessionsEnd gives the sessions that are left the time to end by themselves.
func (w *world) beginSessionsEnd() {
	p := &w.plan.session
	if p.clients == 0 {
		return
	}
	looks := 3 * (10 + int64(2*w.check.Model().Sessions()/max(p.lessor.Batch, 1))) * p.interval
	w.end.deadline += int64(max(p.ttl, 5)+2)*second*5/4 + int64(p.lessor.Slack+p.lessor.Grace+p.lessor.Mark) + looks
}

func (w *world) wantingSessionsEnd() string {
	if n := w.check.Model().Sessions(); n > 0 {
		return fmt.Sprintf("%d sessions live: %s", n, w.describeServers())
	}
	return ""
}
