package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/watch"
)

// watchPlan is how it is watched in a world. Half of the worlds have no watchers.
type watchPlan struct {
	clients  int // those that watch; 0: nobody does
	watchers int // of each

	// Bounds. Small ones are reached sooner.
	hub        watch.Options
	feedBytes  int
	maxChanges int // that a read looks at

	delay    int64 // of what goes between a client and a server
	news     int64 // until a hub takes what was applied
	read     int64 // that a hub takes for a read
	slow     int   // of a million batches, those that a client is slow to read
	slowness int64 // how long it takes then
	act      int64 // between two things that a client does of its own accord
	tick     int64 // between two ticks of a stream
	loss     int   // of a million batches, those with which the stream breaks
}

// watched is how many of a million worlds have watchers.
const watched = 500_000

// drawWatches draws how it is watched. The choices are of labels of their own: worlds that nobody watches
// are what they would be if nobody could.
func (p *plan) drawWatches(d dice) {
	if !d.chance("plan.watch", watched) {
		return
	}
	const us, ms = int64(time.Microsecond), int64(time.Millisecond)
	small := func(name string, low, high int64) int64 {
		if d.chance("plan.watch.small."+name, 600_000) {
			return d.scale("plan.watch."+name, low, high)
		}
		return 0
	}
	p.watch = watchPlan{
		clients:  d.between("plan.watch.clients", 1, 3),
		watchers: d.between("plan.watch.watchers", 1, 3),
		hub: watch.Options{
			QueueBytes:      int(small("queue", 100, 4096)),
			ResponseBytes:   int(small("response", 1, 1024)),
			WindowRevisions: small("window", 1, 64),
		},
		feedBytes:  int(small("feed", 1, 1024)),
		maxChanges: int(small("changes", 1, 64)),
		delay:      d.scale("plan.watch.delay", 50*us, 5*ms),
		news:       d.scale("plan.watch.news", 20*us, 100*ms),
		read:       d.scale("plan.watch.read", 50*us, 10*ms),
		slow:       rarely(d, "watch.slow", 10_000, 400_000),
		slowness:   d.scale("plan.watch.slowness", 50*ms, 3000*ms),
		act:        d.scale("plan.watch.act", 200*ms, 3000*ms),
		tick:       d.scale("plan.watch.tick", 200*ms, 5000*ms),
	}
	if p.watch.feedBytes == 0 {
		p.watch.feedBytes = 4 << 20
	}
	if p.watch.maxChanges == 0 {
		p.watch.maxChanges = 2000
	}
	if !p.calm {
		p.watch.loss = rarely(d, "watch.loss", 1_000, 50_000)
	}
}

// calmDown lets everything be fast, and nothing be lost.
func (p *watchPlan) calmDown() {
	ms := int64(time.Millisecond)
	p.delay, p.news, p.read = min(p.delay, ms), min(p.news, ms), min(p.read, ms)
	p.slow, p.loss = 0, 0
}

func (p *watchPlan) String() string {
	return fmt.Sprintf("%d clients watch, %d things each", p.clients, p.watchers)
}
