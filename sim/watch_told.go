package sim

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/check/watchcheck"
	"github.com/quorate/quorate/watch"
)

// told takes in what a client has read from a stream. If that got lost, the stream breaks.
func (c *watchClient) told(s *watchStream, batch []watch.Response) {
	w := c.world
	if s.left {
		return
	}
	if w.dice.chance(c.labels.loss, w.plan.watch.loss) {
		s.reach(evStreamEnds, nil)
		c.breaks("what the server sends is lost")
		return
	}
	for i := range batch {
		r := &batch[i]
		w.counts.WatchResponses++
		w.trace.add(uint64(r.Revision)<<8 ^ uint64(r.WatchID))
		w.trace.addBytes(r.Events)
		if w.options.Detailed {
			w.tell(s.server, "tells stream %d: %s", s.number, describeResponse(r))
		}
		if wrong := s.receive(r); wrong != "" {
			w.check.Fail("E2", "stream %d of client %d at server %d: %s: %s", s.number, c.index+1, s.server.id, wrong, describeResponse(r))
			return
		}
	}
}

// receive takes in a response, and says what is wrong with it as an answer to what was asked; "" if
// nothing is.
func (s *watchStream) receive(r *watch.Response) (wrong string) {
	switch {
	case r.Created:
		return s.created(r)
	case r.WatchID == allWatchers:
		return s.progressed(r)
	}
	at := slices.IndexFunc(s.open, func(x *watcher) bool { return x.id == r.WatchID })
	ended := slices.Index(s.ended, r.WatchID)
	switch {
	case r.Canceled && r.CompactRevision == 0 && ended >= 0: // the client had canceled it, too
		s.ended = slices.Delete(s.ended, ended, ended+1)
		return ""
	case at < 0:
		return "told of a watcher that is not open"
	case r.Canceled:
		x := s.open[at]
		s.open = slices.Delete(s.open, at, at+1)
		return x.canceled(r)
	}
	return s.open[at].receive(r)
}

// allWatchers is the id of a response that is for all watchers of a stream.
const allWatchers = -1

// created takes in that a watcher was created: the first of those that were asked for.
func (s *watchStream) created(r *watch.Response) (wrong string) {
	switch {
	case len(s.creating) == 0:
		return "created what nobody has asked for"
	case r.Canceled:
		return fmt.Sprintf("%s was refused", s.creating[0])
	case slices.ContainsFunc(s.open, func(x *watcher) bool { return x.id == r.WatchID }):
		return "created under an id that is taken"
	}
	x := s.creating[0]
	s.creating = s.creating[1:]
	s.open = append(s.open, x)
	x.id, x.state = r.WatchID, openWatcher
	if x.told.Start == 0 {
		x.told.Start = r.Revision + 1
		x.bookmark = true
	}
	x.through, x.seen = x.told.Start-1, x.told.Start-1
	x.goesOn()
	return ""
}

// progressed takes in how far all watchers of a stream have been told.
func (s *watchStream) progressed(r *watch.Response) (wrong string) {
	if s.asked == 0 {
		return "told of progress that nobody has asked for"
	}
	s.asked--
	s.client.world.mark(progressTold)
	for _, x := range s.open {
		if wrong := x.headed(r); wrong != "" {
			return wrong
		}
	}
	return ""
}

// receive takes in events, or progress that a watcher wanted to be told of.
func (x *watcher) receive(r *watch.Response) (wrong string) {
	if r.Count == 0 {
		if !x.create.Notify {
			return "told of progress that was not wanted"
		}
		x.client.world.mark(progressNotified)
		return x.headed(r)
	}
	events, err := decodeEvents(r.Events)
	if err != nil || len(events) != r.Count {
		return fmt.Sprintf("%d events that are announced as %d: %v", len(events), r.Count, err)
	}
	if last := events[len(events)-1].Mod; r.Revision < last {
		return fmt.Sprintf("the header is of revision %d, and an event of %d", r.Revision, last)
	}
	x.sees(events)
	x.told.Responses = append(x.told.Responses, watchcheck.Response{Revision: r.Revision, Events: events})
	x.through, x.bookmark = max(x.through, r.Revision), false
	x.goesOn()
	if len(x.told.Responses) >= checkedAtOnce {
		x.checked()
	}
	return ""
}

// headed takes in a header without events: everything up to its revision has been told.
func (x *watcher) headed(r *watch.Response) (wrong string) {
	if r.Revision < x.asked {
		return fmt.Sprintf("%s is told of progress", x)
	}
	x.told.Responses = append(x.told.Responses, watchcheck.Response{Revision: r.Revision})
	if r.Revision > x.through {
		x.through, x.bookmark = r.Revision, true
	}
	x.goesOn()
	return ""
}

// goesOn notes where the watcher is to begin if it must begin again.
func (x *watcher) goesOn() {
	x.create.Start = x.through + 1
	if x.client.byEvents {
		x.create.Start = x.seen + 1
	}
}

// sees notes events, for marks and for where to go on.
func (x *watcher) sees(events []watchcheck.Event) {
	w := x.client.world
	w.counts.WatchEvents += len(events)
	if x.future && !x.events {
		w.mark(futureReached)
	}
	x.events = true
	x.seen = max(x.seen, events[len(events)-1].Mod)
	for i := range events[1:] {
		if events[i].Mod == events[i+1].Mod {
			w.mark(toldOfManyAtOnce)
			return
		}
	}
}

// canceled takes in that a watcher is over: because the client wanted it, or because what it was to be
// told next is compacted. Then it begins again at what is left, or at the present.
func (x *watcher) canceled(r *watch.Response) (wrong string) {
	c := x.client
	w := c.world
	switch {
	case r.CompactRevision == 0:
		if x.state != canceling {
			return fmt.Sprintf("%s is canceled for no reason", x)
		}
		x.checked()
		c.makeUp(x)
		c.ask(x)
		return ""
	case r.CompactRevision > w.check.Model().Compacted():
		return fmt.Sprintf("%s is canceled, compacted is only %d", x, w.check.Model().Compacted())
	case x.through >= r.CompactRevision-1:
		return fmt.Sprintf("%s has been told up to %d, and is canceled by a compaction", x, x.through)
	}
	w.mark(watcherCompacted)
	c.stream.ended = append(c.stream.ended, x.id)
	x.checked()
	x.create.Start = r.CompactRevision
	if w.dice.either(c.labels.start) {
		x.create.Start = 0
	}
	if x.state == canceling {
		c.makeUp(x)
	}
	c.ask(x)
	return ""
}

func describeResponse(r *watch.Response) string {
	text := fmt.Sprintf("watcher %d, revision %d", r.WatchID, r.Revision)
	switch {
	case r.Created:
		text += ", created"
	case r.Canceled:
		text += fmt.Sprintf(", canceled, compacted at %d", r.CompactRevision)
	}
	events, err := decodeEvents(r.Events)
	if err != nil {
		return text + ", events that cannot be read"
	}
	for i := range events {
		e := &events[i]
		what := "put"
		if e.Deleted {
			what = "deleted"
		}
		text += fmt.Sprintf(", %s %s at %d", e.Key, what, e.Mod)
	}
	return text
}

// decodeEvents reads the events of a response, as etcd's clients get them.
func decodeEvents(b []byte) (events []watchcheck.Event, err error) {
	err = eachField(b, func(f *field) error {
		if !f.is(11, true) {
			return errResponse
		}
		var e watchcheck.Event
		err := eachField(f.bytes, func(f *field) (err error) {
			switch {
			case f.is(1, false):
				e.Deleted = f.number == 1
			case f.is(2, true):
				e.Pair, err = decodePair(f.bytes)
			case f.is(3, true):
				var before watchcheck.Pair
				before, err = decodePair(f.bytes)
				e.Previous = &before
			default:
				return errResponse
			}
			return err
		})
		events = append(events, e)
		return err
	})
	return events, err
}

func decodePair(b []byte) (p watchcheck.Pair, err error) {
	err = eachField(b, func(f *field) error {
		switch {
		case f.is(1, true):
			p.Key = string(f.bytes)
		case f.is(2, false):
			p.Create = int64(f.number)
		case f.is(3, false):
			p.Mod = int64(f.number)
		case f.is(4, false):
			p.Version = int64(f.number)
		case f.is(5, true):
			p.Value = string(f.bytes)
		case f.is(6, false):
			p.Lease = int64(f.number)
		default:
			return errResponse
		}
		return nil
	})
	return p, err
}
