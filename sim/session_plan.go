package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/lessor"
)

// sessionPlan is who has sessions in a world: somebody has, in every world, unless a script leaves them out.
type sessionPlan struct {
	clients  int // clients with sessions; 0: nobody has one
	inFlight int // how many requests each has under way
	copies   int // how often a request is sent at most; then it is given up
	ttl      int // of a session, in seconds
	lessor   lessor.Options
	interval int64 // between two looks of a server for sessions that are due
	pace     int64 // between two things that a client does
	hasty    int   // of a million things, those that are copies of what is under way still
}

const (
	// sessioned is how many of a million worlds have sessions: all, but that a choice of 0 leaves them out, by
	// which a failing world is made small.
	sessioned = million - 1
	// maxSessionRate bounds what all clients with sessions of a world do in a second. See maxRate.
	maxSessionRate = 8
)

// drawSessions draws who has sessions. The choices are of labels of their own.
func (p *plan) drawSessions(d dice) {
	if !d.chance("plan.session", sessioned) {
		return
	}
	const ms = int64(time.Millisecond)
	p.session = sessionPlan{
		clients:  d.between("plan.session.clients", 1, 3),
		inFlight: d.between("plan.session.inFlight", 1, 6),
		copies:   d.between("plan.session.copies", 1, 8),
		ttl:      d.between("plan.session.ttl", 1, 8),
		lessor: lessor.Options{
			Grace: uint64(d.scale("plan.session.grace", ms, 2000*ms)),
			Slack: uint64(d.scale("plan.session.slack", ms, 500*ms)),
			Mark:  uint64(d.scale("plan.session.mark", 100*ms, 5000*ms)),
			Batch: int(d.scale("plan.session.batch", 1, 64)),
		},
		interval: d.scale("plan.session.interval", 20*ms, 200*ms),
		pace:     d.scale("plan.session.pace", 50*ms, 500*ms),
		hasty:    rarely(d, "session.hasty", 50_000, 500_000),
	}
	p.session.pace = max(p.session.pace, int64(p.session.clients)*second/maxSessionRate)
}

func (p *sessionPlan) String() string {
	return fmt.Sprintf("%d clients have sessions of %d s, with %d requests at a time", p.clients, max(p.ttl, 5), p.inFlight)
}
