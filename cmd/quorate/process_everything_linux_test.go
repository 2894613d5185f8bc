package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	processOperations = flag.Int("process.operations", 0, "how many operations the history under everything at once has; 0: some thousands")
	processSeed       = flag.Uint64("process.seed", 0, "the seed of its clients and faults; 0: a new one. The order of what happens is not the seed's")
)

// TestProcessHistoriesHoldUnderEverythingAtOnce: servers are killed, paused, cut off, replaced by others, moved to
// another leader and to other times, several of it at once, while clients with sessions count and write. Each of
// their writes takes effect once, none fails, and every key's history is linearizable, at whichever server.
func TestProcessHistoriesHoldUnderEverythingAtOnce(t *testing.T) {
	operations := 500
	if askedForByName() {
		operations = 4000
	}
	if *processOperations > 0 {
		operations = *processOperations
	}
	entry := everythingEntry{When: time.Now().UTC().Format(time.RFC3339), Test: "everything at once", Seed: *processSeed}
	if entry.Seed == 0 {
		entry.Seed = rand.Uint64()
	}
	t.Logf("seed %d", entry.Seed)

	const founders = 3
	all := newServers(t, founders, quick...)
	for i := range 1 + operations/2000 {
		s := newcomer(t, fmt.Sprint("n", i+1), quick...)
		s.arguments = append(s.arguments, "--initial-advertise-peer-urls", localURL(s.peerPort))
		all = append(all, s)
	}
	m := &nemesis{t: t, random: rand.New(rand.NewPCG(entry.Seed, 1<<32)), network: newNetwork(t, all),
		members: all[:founders:founders], spares: all[founders:], struck: map[string]int{}}
	m.giveClocks(all)
	startAll(t, m.members)
	m.load = startKeysLoad(t, all, entry.Seed)
	glass := startHourglass(t, m.members)
	began := time.Now()
	t.Cleanup(func() {
		entry.Operations, entry.Unknown, entry.Faults, entry.Passed = len(m.load.history), m.load.unknown, m.struck, !t.Failed()
		entry.Seconds, entry.Commit = time.Since(began).Seconds(), presentCommit(t)
		addToLedger(t, &entry)
	})
	for m.load.done.Load() < int64(operations) {
		m.round()
	}
	m.load.expectExactlyOnce(t, m.members)
	glass.expectRightTime(t, m.members)
	t.Logf("in %v: %v", time.Since(began).Round(time.Second), m)
	for _, kind := range append(slices.Clone(faultKinds), kindReplace) {
		if askedForByName() && m.struck[kind] == 0 {
			t.Errorf("nothing was shown about this: %s", kind)
		}
	}
}

// everythingEntry is a line of the ledger.
type everythingEntry struct {
	When       string         `json:"when"`
	Commit     string         `json:"commit"`
	Test       string         `json:"test"`
	Seed       uint64         `json:"seed"`
	Faults     map[string]int `json:"faults"`
	Operations int            `json:"operations"`
	Unknown    int            `json:"unknown"` // operations without an answer
	Seconds    float64        `json:"seconds"`
	Passed     bool           `json:"passed"`
}

// nemesis is what goes wrong, one round after the other. In a round up to four faults begin, each while those
// before it last, and then they end in any order. At the end of each all is well, and the clients must go on.
type nemesis struct {
	t       *testing.T
	random  *rand.Rand
	network *network
	load    *keysLoad

	members []*serverProcess // those who vote, when all is well
	spares  []*serverProcess // those who have not joined yet
	walls   map[*serverProcess]*wallClock
	boots   bool // monotonic clocks can be moved

	struck map[string]int // faults, by kind
	deck   []string       // the kinds that come next
	rounds int
	// Of the round:
	absent    []*serverProcess // killed or paused
	restarted []*serverProcess // and not known to serve yet
	ends      []func()         // of the faults that last
}

// giveClocks gives every server clocks that can be moved, where that is possible.
func (m *nemesis) giveClocks(all []*serverProcess) {
	if err := canMoveBootClock(); err != nil {
		lacking(m.t, "a time namespace", err, "restarted servers find the same monotonic clock")
	} else {
		m.boots = true
	}
	if !askedForByName() { // The program takes long to build.
		return
	}
	program, err := binaryWithWallClock()
	if err != nil {
		m.t.Fatal(err)
	}
	m.walls = map[*serverProcess]*wallClock{}
	for _, s := range all {
		m.walls[s] = giveWallClock(m.t, s, program)
	}
}

func (m *nemesis) String() string {
	text := ""
	for _, kind := range slices.Sorted(maps.Keys(m.struck)) {
		text += fmt.Sprintf("%s %d, ", kind, m.struck[kind])
	}
	return text + fmt.Sprintf("members at the end: %d", len(m.members))
}

// round lets some faults begin and end.
func (m *nemesis) round() {
	m.rounds++
	replaces := len(m.spares) > 0 && m.rounds%3 == 2
	if replaces {
		m.join()
	}
	if m.rounds%3 == 0 { // all is well: it is no wonder if others come to nothing
		waitLeader(m.t, m.members)
		m.transfer()
	}
	for range 1 + m.random.IntN(4) {
		m.strike()
		m.last()
	}
	m.random.Shuffle(len(m.ends), func(i, k int) { m.ends[i], m.ends[k] = m.ends[k], m.ends[i] })
	for _, end := range m.ends {
		end()
		if m.random.IntN(2) == 0 { // Otherwise two end in one moment.
			m.last()
		}
	}
	for _, s := range m.restarted {
		s.waitServing(m.t)
	}
	m.absent, m.restarted, m.ends = nil, nil, nil
	if replaces {
		m.leave()
	}
	m.load.waitProgress(m.t, 100)
}

// last lets what has begun last for a while: it is no fault otherwise. In half of the cases that is long enough for
// an election.
func (m *nemesis) last() {
	most := electionTimeout / 2
	if m.random.IntN(2) == 0 {
		most = 4 * electionTimeout
	}
	<-time.After(most/4 + time.Duration(m.random.Int64N(int64(3*most/4))))
}

// faultKinds are the faults that strike, as often as they are here: none comes again before all have come.
var faultKinds = []string{kindKill, kindKill, kindPause, kindPause, kindCutOff, kindDeaf, kindMute, kindCutLink, kindTransfer, kindWall, kindWall}

const (
	kindKill     = "kill -9"
	kindPause    = "pause"
	kindCutOff   = "cut off"
	kindDeaf     = "hears nobody"
	kindMute     = "is heard by nobody"
	kindCutLink  = "cut one link one way"
	kindTransfer = "transfer"
	kindWall     = "wall clock moved"
	kindBoot     = "restart with another monotonic clock"
	kindReplace  = "replacement"
)

// strike lets one fault begin.
func (m *nemesis) strike() {
	if len(m.deck) == 0 {
		m.deck = slices.Clone(faultKinds)
		m.random.Shuffle(len(m.deck), func(i, k int) { m.deck[i], m.deck[k] = m.deck[k], m.deck[i] })
	}
	victim := m.victim()
	if victim == nil {
		return // There is nobody left.
	}
	kind := m.deck[0]
	m.deck = m.deck[1:]
	switch kind {
	case kindKill:
		m.kill(victim)
	case kindPause:
		m.pause(victim)
	case kindTransfer:
		m.transfer()
	case kindWall:
		m.moveWalls()
	default:
		m.cut(kind, victim)
	}
}

// victim chooses a member that is there, the leader in half of the cases, because there most is at stake.
func (m *nemesis) victim() *serverProcess {
	present := others(m.members, m.absent...)
	if len(present) == 0 {
		return nil
	}
	victim := present[m.random.IntN(len(present))]
	if m.random.IntN(2) == 0 {
		if leader := m.leader(); leader != nil {
			victim = leader
		}
	}
	return victim
}

// leader returns who says that it leads, of those who are there: in the highest term, if there are several.
func (m *nemesis) leader() (leader *serverProcess) {
	var term uint64
	for _, s := range others(m.members, m.absent...) {
		state, err := s.status(m.t.Context())
		if err == nil && state.Leader == state.GetHeader().GetMemberId() && state.RaftTerm >= term {
			leader, term = s, state.RaftTerm
		}
	}
	return leader
}

func (m *nemesis) kill(s *serverProcess) {
	m.struck[kindKill]++
	s.kill(m.t)
	m.absent = append(m.absent, s)
	m.ends = append(m.ends, func() {
		if s.wrapper = nil; m.boots {
			m.struck[kindBoot]++
			s.wrapper = bootClock(time.Duration(m.random.Int64N(int64(10_000 * time.Hour))))
		}
		s.start(m.t)
		m.restarted = append(m.restarted, s)
	})
}

func (m *nemesis) pause(s *serverProcess) {
	m.struck[kindPause]++
	s.pause(m.t)
	m.absent = append(m.absent, s)
	m.ends = append(m.ends, func() { s.resume(m.t) })
}

// cut cuts links of a server: all of them, those in one direction, or a single one. They are all mended at once.
func (m *nemesis) cut(kind string, s *serverProcess) {
	m.struck[kind]++
	rest, neighbours := others(m.network.servers, s), others(m.members, s)
	switch kind {
	case kindCutOff:
		m.network.separate([]*serverProcess{s}, rest)
	case kindDeaf:
		for _, other := range rest {
			m.network.cut(other, s)
		}
	case kindMute:
		for _, other := range rest {
			m.network.cut(s, other)
		}
	case kindCutLink:
		m.network.cut(s, neighbours[m.random.IntN(len(neighbours))])
	}
	m.ends = append(m.ends, m.network.mend)
}

// transfer asks the leader to hand over. It may refuse, or not be there.
func (m *nemesis) transfer() {
	leader := m.leader()
	present := others(m.members, append(slices.Clone(m.absent), leader)...)
	if leader == nil || len(present) == 0 {
		return
	}
	to, err := present[m.random.IntN(len(present))].status(m.t.Context())
	if err != nil {
		return
	}
	conn, _, up := leader.present()
	if !up {
		return
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*electionTimeout)
	defer cancel()
	if _, err := pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to.GetHeader().GetMemberId()}); err != nil {
		m.struck["transfer in vain"]++
		return
	}
	m.struck[kindTransfer]++
}

// moveWalls sets the clocks on the walls of all members, each by a second or by years, ahead or back.
func (m *nemesis) moveWalls() {
	for _, s := range m.members {
		if clock := m.walls[s]; clock != nil {
			m.struck[kindWall]++
			ahead := time.Second << m.random.IntN(29) // 8 years at most
			if m.random.IntN(2) == 0 {
				ahead = -ahead
			}
			clock.set(m.t, ahead)
		}
	}
}

// join lets another server join. While there are four, whatever happens happens.
func (m *nemesis) join() {
	s := m.spares[0]
	m.spares = m.spares[1:]
	s.join(m.t, m.members)
	m.members = append(m.members, s)
}

// leave removes the server that has been a member for longest.
func (m *nemesis) leave() {
	m.struck[kindReplace]++
	old := m.members[0]
	m.members = m.members[1:]
	old.leave(m.t, m.members)
}

// hourglass is a lease of an hour. What is left of it is what time it is in the group.
type hourglass struct {
	lease clientv3.LeaseID
	began time.Time
}

const hour = 3600 // seconds

func startHourglass(t *testing.T, servers []*serverProcess) hourglass {
	t.Helper()
	began := time.Now()
	lease, err := newSessionClient(t, servers, 0).Grant(t.Context(), hour)
	if err != nil {
		t.Fatal(err)
	}
	return hourglass{lease.ID, began}
}

// expectRightTime makes sure that time has gone on in the group as it has here, or more slowly: without a leader it
// stands still.
func (h hourglass) expectRightTime(t *testing.T, servers []*serverProcess) {
	t.Helper()
	left, err := newSessionClient(t, servers, 0).TimeToLive(t.Context(), h.lease)
	passed := int64(time.Since(h.began)/time.Second) + 2 // what is left is rounded
	if err != nil || left.TTL < hour-passed || left.TTL > hour {
		t.Errorf("of a lease of %d s, %d s after it was granted, there is left: %v, %v", hour, passed, left, err)
	}
}
