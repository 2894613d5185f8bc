package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/raft"
)

// gray is the comparison of a world with itself: how many writes are acknowledged while all is well,
// and how many in the same time while one server is gray: works, but badly.
type gray struct {
	loops    []*loadLoop
	running  bool
	server   *server
	leader   *server // when the phase began
	done     int
	wellDone int       // of the time without
	gaveWay  raft.Term // in which the gray server began to hand over last
}

// loadLoop is a closed loop: it writes, waits for the answer, rests a little, and writes again.
type loadLoop struct {
	server *server
	serial int
}

const (
	// loadTime is how long writes are counted.
	loadTime = int64(600 * time.Millisecond)
	// loadRest is the mean rest between an answer and the next write of its loop.
	loadRest = int64(3 * time.Millisecond)
	// lossyLink is how many of a million messages of a gray server are lost.
	lossyLink = 300_000
	// grayShare is how much of the throughput must be left, in percent, if the gray server does not lead.
	// Of 300 seeds the least was 84, and the median 95: as few as the chance of 600 ms lets them be.
	grayShare = 60
	// grayProgress is how many writes must be acknowledged at least, whoever is gray.
	grayProgress = 10
)

// beginLoad begins to count: without a gray server first, then with one.
func (w *world) beginLoad() {
	g := &w.end.gray
	if g.server == nil {
		g.server = w.servers[w.dice.below("end.gray.server", len(w.servers))]
		for _, s := range w.servers {
			if s != g.server {
				g.loops = append(g.loops, &loadLoop{server: s})
			}
		}
		w.tell(nil, "nobody waits any more; writes are counted for %v", time.Duration(loadTime))
		g.running = true
		for i := range g.loops {
			w.loadLater(i)
		}
	} else {
		w.strikeGray(g.server)
	}
	g.done, g.leader = 0, w.theLeader()
}

// strikeGray makes a server gray for ever.
func (w *world) strikeGray(s *server) {
	w.end.excused[s.index] = true
	if w.theLeader() == s {
		w.counts.GrayLeaders++
	}
	what := "has a slow disk"
	switch {
	case w.dice.below("end.gray.stalls", 3) == 0:
		what = "has a disk that stands still"
		s.stalled = true
	case w.dice.either("end.gray.lossy"):
		what = "loses messages"
		for _, l := range w.linksWhere(func(from, to int) bool { return from == s.index || to == s.index }) {
			l.loss = lossyLink
		}
	default:
		s.slow = graySlow
	}
	w.end.staying = fmt.Sprintf("everything has healed, but server %d %s", s.id, what)
	w.tell(nil, "%s; %d writes were acknowledged before", w.end.staying, w.end.gray.wellDone)
}

func (w *world) loadLater(loop int) {
	w.queue.add(event{at: w.now + 1 + w.dice.spread("end.gray.rest", loadRest), kind: evLoad, server: none, life: anyLife, number: uint64(loop)})
}

// loadNext lets a loop write.
func (w *world) loadNext(loop int) {
	if !w.end.gray.running {
		return
	}
	l := w.end.gray.loops[loop]
	l.serial++
	w.freshAt(l.server, &request{loop: loop + 1, Op: check.Op{Request: check.Put{
		Key: fmt.Sprintf("load%d", loop), Value: fmt.Sprintf("load %d.%d", loop, l.serial),
	}}})
}

// loadDone counts a write, if it is of a loop.
func (w *world) loadDone(r *request) {
	if r.loop > 0 && w.end.gray.running {
		w.end.gray.done++
		w.loadLater(r.loop - 1)
	}
}

// loadEnded lets a loop go on whose write did not happen, or may not have.
func (w *world) loadEnded(r *request) {
	if r.loop > 0 && w.end.gray.running {
		w.loadLater(r.loop - 1)
	}
}

// wantingLoad waits until the time is over, and until there was some progress.
func (w *world) wantingLoad() string {
	g := &w.end.gray
	if w.end.phases[0] == grayed {
		w.checkGivesWay()
	}
	if w.now < w.end.since+loadTime || g.done < grayProgress {
		return fmt.Sprintf("only %d writes are acknowledged: %s", g.done, w.describeServers())
	}
	return ""
}

// endLoad compares. While the gray server leads, only progress is asked for: no leader gives way
// because its links are bad, or its disk is only a little slow. A disk that stood still does so no longer.
func (w *world) endLoad() {
	g := &w.end.gray
	if w.end.phases[0] == reference {
		g.wellDone = g.done
		return // the loops go on
	}
	g.running = false
	g.server.unstall()
	w.tell(nil, "%d writes were acknowledged since", g.done)
	if g.leader != g.server && g.leader == w.theLeader() && 100*g.done < grayShare*g.wellDone {
		w.check.Fail("V4", "%s: %d writes were acknowledged in %v, and %d before", w.end.staying, g.done, time.Duration(loadTime), g.wellDone)
	}
}
