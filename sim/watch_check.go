package sim

import (
	"fmt"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/check/watchcheck"
)

// watching is what a world knows of those who watch: the clients, and what they are to be told.
type watching struct {
	clients []*watchClient
	streams int // opened so far
	// history is what has happened, according to the model: revisions that any server has applied.
	history *watchcheck.History
}

// beginWatching begins it.
func (w *world) beginWatching() {
	if w.plan.watch.clients == 0 {
		return
	}
	w.counts.Watched = 1
	w.watching.history = watchcheck.NewHistory(w.check.Model().Revision(), nil)
	for i := range w.plan.watch.clients {
		c := newWatchClient(w, i)
		w.watching.clients = append(w.watching.clients, c)
		c.openLater(w.dice.spread(c.labels.retry, w.plan.watch.act))
		c.actLater()
	}
}

// learn adds to the history what has been applied for the first time.
func (g *watching) learn(model *check.Model) {
	if g.history == nil {
		return
	}
	for revision := g.history.Last() + 1; revision <= model.Revision(); revision++ {
		var events []watchcheck.Event
		for _, c := range model.Changes(revision) {
			e := watchcheck.Event{Pair: pairOf(&c.KeyValue), Deleted: c.Deleted}
			if c.Before != nil {
				before := pairOf(c.Before)
				e.Previous = &before
			}
			events = append(events, e)
		}
		g.history.Add(events...)
	}
}

func pairOf(k *check.KeyValue) watchcheck.Pair {
	return watchcheck.Pair{Key: k.Key, Value: k.Value, Create: k.Create, Mod: k.Mod, Version: k.Version, Lease: k.Lease}
}

// checkedAtOnce is after how many responses they are checked, and forgotten: nobody needs them any more.
const checkedAtOnce = 64

// checked checks what a watcher was told since it was checked last.
func (x *watcher) checked() {
	w := x.client.world
	x.told.Compacted = w.check.Model().Compacted()
	if found := watchcheck.Check(w.watching.history, &x.told); len(found) > 0 {
		w.check.Fail("E1", "%s: %s: %s", x, found[0].Promise, found[0].What)
	}
	x.told.Start, x.told.Responses = max(x.told.Start, x.through+1), x.told.Responses[:0]
}

// unknownRevision: it is still to be found out.
const unknownRevision = -1

// beginInform forgets what everybody must have been told of: now nothing more is going to change.
func (w *world) beginInform() {
	// Somebody may have begun to read slowly just before the ending began.
	w.end.deadline += 12 * w.plan.watch.slowness
	for _, c := range w.watching.clients {
		for _, x := range c.watchers {
			x.last = unknownRevision
		}
	}
}

// wantingInform says who has not been told of everything. Whoever watches at a server that has an excuse
// has it, too.
func (w *world) wantingInform() string {
	for _, c := range w.watching.clients {
		if c.stream == nil {
			return fmt.Sprintf("client %d has no stream for watching: %s", c.index+1, w.describeServers())
		}
		if s := c.stream.server; !w.mustComeRight(s) {
			continue
		}
		for _, x := range c.watchers {
			if wanting := x.wanting(); wanting != "" {
				return wanting + ": " + c.stream.server.informer.describe()
			}
		}
	}
	return ""
}

// wanting says what a watcher has not been told of; "" if nothing is left.
func (x *watcher) wanting() string {
	if x.state != openWatcher {
		return fmt.Sprintf("%s is not open", x)
	}
	if x.last == unknownRevision {
		x.last = x.client.world.watching.history.LastFor(&x.told)
	}
	if told := max(x.seen, x.through); told < x.last {
		return fmt.Sprintf("%s has been told up to revision %d, and not of %d", x, told, x.last)
	}
	return ""
}

// endInform checks that whoever must have been told of everything has been.
func (w *world) endInform() {
	for _, c := range w.watching.clients {
		if !w.mustComeRight(c.stream.server) {
			continue
		}
		for _, x := range c.watchers {
			x.told.Through = w.watching.history.Last()
			x.checked()
			x.told.Through = 0
		}
	}
}

// endWatching checks what was told since.
func (w *world) endWatching() {
	for _, c := range w.watching.clients {
		for _, x := range c.watchers {
			if x.state == openWatcher || x.state == canceling {
				x.checked()
			}
		}
	}
}
