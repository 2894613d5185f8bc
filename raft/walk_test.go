package raft

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var (
	walkSeed = flag.Uint64("walk.seed", 0, "walk only with this seed, and tell everything (0: all seeds)")
	walkRuns = flag.Int("walk.runs", 0, "how many walks, from seed 1 on (0: as many as every change must pass)")
)

// TestRandomWalk lets chance decide what happens next, in thousands of short lives of small groups,
// and looks for a broken invariant after every step. Each life ends well: everything is mended, and
// then the group must elect a leader and go on. What chance does is a function of the seed.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	if *walkSeed != 0 {
		if broken := walkOnce(*walkSeed, t.Logf); broken != "" {
			t.Error(broken)
		}
		return
	}
	runs := *walkRuns
	if runs == 0 {
		runs = defaultWalks
		if raceEnabled {
			runs /= 10
		}
	}
	events := 0
	for seed := uint64(1); seed <= uint64(runs); seed++ {
		w := newWalk(seed)
		w.run()
		events += w.events
		if w.broken != "" {
			t.Fatalf("%s\nafter\n%s\nto see all of it: go test ./raft -run TestRandomWalk -v -walk.seed=%d",
				w.broken, lastLines(seed, 40), seed)
		}
	}
	t.Logf("%d walks, %d events", runs, events)
}

// lastLines walks once more with a listener and returns the last lines of what happened.
func lastLines(seed uint64, n int) string {
	var lines []string
	walkOnce(seed, func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func walkOnce(seed uint64, tell func(format string, args ...any)) string {
	w := newWalk(seed)
	w.tell = tell
	w.run()
	return w.broken
}

// walk is one life of a group.
type walk struct {
	*cluster
	random *rand.Rand
	// weights of what may happen. Most lives leave some of it out: a group in which everything goes
	// wrong all the time never gets far enough for the rarer mistakes.
	weights [happenings]int
	cut     [][2]ServerID // links that are down, by from and to
	asked   uint64        // proposals and reads so far
	events  int
}

// What may happen.
const (
	tickOne = iota
	tickAll
	deliverOldest
	deliverAny
	deliverTwice
	dropAny
	proposeSomewhere
	proposeToLeader
	readSomewhere
	readFromLeader
	configureLeader
	persistOne
	persistEverything
	crashOne
	restartOne
	cutLinks
	mendLinks
	campaignSomewhere
	happenings
)

func newWalk(seed uint64) *walk {
	w := &walk{random: rand.New(rand.NewPCG(seed, 1))}
	configuration := votersOf([]int{1, 2, 3, 3, 3, 4, 5, 5}[w.random.IntN(8)])
	if w.random.IntN(4) == 0 {
		configuration.Learners = []ServerID{ServerID(len(configuration.Voters) + 1)}
	}
	options := Options{
		ElectionTicks:       2 + w.random.IntN(4),
		MaxAppendBytes:      1 + w.random.IntN(8),
		MaxInflightMessages: 1 + w.random.IntN(4),
		MaxInflightBytes:    1 + w.random.IntN(16),
		MaxUncommittedBytes: 8 + w.random.IntN(64),
		MaxWaitingReads:     1 + w.random.IntN(8),
	}
	options.HeartbeatTicks = 1 + w.random.IntN(options.ElectionTicks-1)
	w.cluster = newCluster(options, configuration)
	w.connected = func(from, to ServerID) bool { return !slices.Contains(w.cut, [2]ServerID{from, to}) }
	w.fewer = func(n int) int { return w.random.IntN(n + 1) }
	w.weights = [happenings]int{
		tickOne: 20, tickAll: 6, deliverOldest: 60, deliverAny: 30, deliverTwice: 5, dropAny: 8,
		proposeSomewhere: 2, proposeToLeader: 10, readSomewhere: 1, readFromLeader: 5, configureLeader: 1,
		persistOne: 20, persistEverything: 20, crashOne: 3, restartOne: 6, cutLinks: 2, mendLinks: 2, campaignSomewhere: 2,
	}
	for _, what := range []int{deliverAny, deliverTwice, dropAny, persistEverything, crashOne, cutLinks, campaignSomewhere, tickAll, readFromLeader} {
		switch w.random.IntN(4) {
		case 0:
			w.weights[what] = 0
		case 1:
			w.weights[what] *= 3
		}
	}
	return w
}

func (w *walk) run() {
	total := 0
	for _, weight := range w.weights {
		total += weight
	}
	for range 100 + w.random.IntN(400) {
		at := w.random.IntN(total)
		what := 0
		for at >= w.weights[what] {
			at -= w.weights[what]
			what++
		}
		w.happen(what)
		if w.broken != "" {
			return
		}
	}
	w.endWell()
}

// up returns a server that is up, chosen by chance; nil if there is none.
func (w *walk) up() *server {
	var up []*server
	for _, s := range w.servers {
		if s.core != nil {
			up = append(up, s)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[w.random.IntN(len(up))]
}

func (w *walk) happen(what int) {
	w.events++
	s := w.up()
	if s == nil {
		what = restartOne
	}
	switch what {
	case tickOne:
		w.tick(s)
	case tickAll:
		for _, s := range w.servers {
			if s.core != nil {
				w.tick(s)
			}
		}
	case deliverOldest, deliverAny, deliverTwice:
		w.deliverSome(what)
	case dropAny:
		if len(w.network) > 0 {
			w.take(w.random.IntN(len(w.network)))
		}
	case proposeSomewhere, proposeToLeader, readSomewhere, readFromLeader, configureLeader:
		w.ask(what, s)
	case persistOne:
		if len(s.writes) > 0 {
			w.note("the disk of %d gets on", s.id)
			w.persist(s, s.writes[w.random.IntN(len(s.writes))].Ticket)
		}
	case persistEverything:
		for _, s := range w.servers {
			if s.core != nil {
				w.persistAll(s)
			}
		}
	case crashOne:
		keep := w.random.IntN(len(s.writes) + 1)
		w.note("%d crashes; %d of %d writes reach its disk", s.id, keep, len(s.writes))
		w.crash(s, keep)
	case restartOne:
		if s := w.servers[w.random.IntN(len(w.servers))]; s.core == nil {
			w.note("%d restarts", s.id)
			w.restart(s)
		}
	case cutLinks, mendLinks:
		w.changeLinks(what)
	case campaignSomewhere:
		w.note("%d is told to campaign", s.id)
		w.stepTwice(s, Campaign{})
	}
}

func (w *walk) note(format string, args ...any) {
	if w.tell != nil {
		w.tell("-- "+format, args...)
	}
}

func (w *walk) tick(s *server) {
	w.note("%d ticks", s.id)
	w.stepTwice(s, Tick{Random: w.random.Uint64()})
}

// stepTwice takes a step, and sometimes lets a clone take it first: that must change nothing here,
// and both must do the same.
func (w *walk) stepTwice(s *server, batch ...Input) {
	if w.random.IntN(16) > 0 {
		w.step(s, batch...)
		return
	}
	twin := s.core.Clone()
	start := twin.AppendState(nil, nil)
	will := twin.Step(batch)
	if !bytes.Equal(s.core.AppendState(nil, nil), start) {
		w.fail("server %d: stepping its clone changes it", s.id)
	}
	did := w.step(s, batch...)
	if w.broken == "" && (!reflect.DeepEqual(will, did) || !bytes.Equal(twin.AppendState(nil, nil), s.core.AppendState(nil, nil))) {
		w.fail("server %d: its clone did something else with the same batch", s.id)
	}
}

// deliverSome hands one server a batch of messages, in an order of chance.
func (w *walk) deliverSome(what int) {
	if len(w.network) == 0 {
		return
	}
	i := 0
	if what != deliverOldest {
		i = w.random.IntN(len(w.network))
	}
	first := w.network[i].Envelope
	if what != deliverTwice {
		w.take(i)
	}
	batch := []Input{Receive{first}}
	for i := 0; i < len(w.network) && w.random.IntN(3) == 0; {
		if w.network[i].To != first.To {
			i++
			continue
		}
		batch = append(batch, Receive{w.take(i)})
	}
	s := w.server(first.To)
	if s.core == nil {
		return
	}
	if len(s.writes) > 0 && w.random.IntN(4) == 0 { // the disk's word arrives in the same batch
		ticket := s.writes[0].Ticket
		s.sync(ticket)
		batch = slices.Insert(batch, w.random.IntN(len(batch)+1), Input(Persisted{ticket}))
	}
	if w.random.IntN(8) == 0 {
		batch = append(batch, Tick{w.random.Uint64()})
	}
	if w.tell != nil {
		for _, in := range batch {
			if r, ok := in.(Receive); ok {
				w.note("%d receives from %d: %s", r.Envelope.To, r.Envelope.From, sayMessage(&r.Envelope))
			} else {
				w.note("%d: %T%v", first.To, in, in)
			}
		}
	}
	w.stepTwice(s, batch...)
}

// ask proposes or reads.
func (w *walk) ask(what int, s *server) {
	if what != proposeSomewhere && what != readSomewhere {
		if s = w.anyLeader(); s == nil {
			return
		}
	}
	w.asked++
	switch what {
	case proposeSomewhere, proposeToLeader:
		in := Propose{ID: w.asked}
		for i := range 1 + w.random.IntN(3) {
			in.Entries = append(in.Entries, command(fmt.Sprintf("%d%c", w.asked, 'a'+i)))
		}
		w.note("%d is asked to append %s", s.id, in.Entries[0].Data)
		w.step(s, in)
	case readSomewhere, readFromLeader:
		w.note("%d is asked for read %d", s.id, w.asked)
		w.stepTwice(s, ReadIndex{ID: w.asked})
	case configureLeader:
		configuration := *s.core.configuration()
		configuration.Data = fmt.Appendf(nil, "%d", w.asked)
		w.step(s, ProposeConfiguration{ID: w.asked, Entry: Entry{Kind: KindConfiguration, Configuration: &configuration, Data: configuration.Data}})
	}
}

// anyLeader returns one of the servers that believe to lead, be it true or not.
func (w *walk) anyLeader() *server {
	var leaders []*server
	for _, s := range w.servers {
		if s.core != nil && s.core.Role() == Leader {
			leaders = append(leaders, s)
		}
	}
	if len(leaders) == 0 {
		return nil
	}
	return leaders[w.random.IntN(len(leaders))]
}

// changeLinks cuts the group in two, sets one server apart, cuts a single direction of a link, or
// mends everything.
func (w *walk) changeLinks(what int) {
	if what == mendLinks {
		w.note("all links work")
		w.cut = nil
		return
	}
	switch w.random.IntN(4) {
	case 0:
		link := [2]ServerID{w.anyone(), w.anyone()}
		w.note("link from %d to %d is cut", link[0], link[1])
		w.cut = append(w.cut, link)
	case 1:
		w.partition(w.random.IntN(1 << len(w.servers)))
	default:
		if leader := w.anyLeader(); leader != nil {
			w.partition(1 << slices.Index(w.servers, leader))
		}
	}
}

// partition cuts all links between the servers in side, a set of bits, and the others.
func (w *walk) partition(side int) {
	w.note("partition %b", side)
	for i, s := range w.servers {
		for j, other := range w.servers {
			if side>>i&1 != side>>j&1 {
				w.cut = append(w.cut, [2]ServerID{s.id, other.id})
			}
		}
	}
}

func (w *walk) anyone() ServerID { return w.servers[w.random.IntN(len(w.servers))].id }

// endWell mends everything, or only what a majority of the voters needs: then the others stay down,
// or half cut off, for good. Either way those that are well must have a leader within a few
// elections, keep it, and go on.
func (w *walk) endWell() {
	w.cut = nil
	well := w.chooseWell()
	w.note("from now on %d are well", idsOf(well))
	for _, s := range well {
		if s.core == nil {
			w.restart(s)
		}
	}
	w.settle()
	ticks := w.servers[0].options.ElectionTicks
	quiet := 0
	for range 40 * ticks {
		w.tickAndSettle()
		if w.broken != "" {
			return
		}
		if leader := w.leaderOf(well); leader == nil {
			quiet = 0
		} else if quiet++; quiet > 2*ticks {
			w.serveOnce(leader, well)
			return
		}
	}
	w.fail("no leader that all follow, %d ticks after everything is mended", 40*ticks)
}

// chooseWell returns all servers, or a majority; then it leaves the others half broken.
func (w *walk) chooseWell() []*server {
	voters := len(w.servers[0].disk.first.Voters)
	if w.random.IntN(2) == 0 {
		return w.servers
	}
	order := w.random.Perm(voters)
	well := make([]*server, 0, voters)
	for i := range voters/2 + 1 {
		well = append(well, w.servers[order[i]])
	}
	for _, s := range w.servers {
		if slices.Contains(well, s) {
			continue
		}
		how := w.random.IntN(4)
		w.note("%d is not: %s", s.id, [...]string{"down", "cut off", "is not heard", "does not hear"}[how])
		for _, other := range w.servers {
			if how == 1 || how == 2 {
				w.cut = append(w.cut, [2]ServerID{s.id, other.id})
			}
			if how == 1 || how == 3 {
				w.cut = append(w.cut, [2]ServerID{other.id, s.id})
			}
		}
		if how == 0 && s.core != nil {
			w.crash(s, 0)
		} else if how != 0 && s.core == nil {
			w.restart(s)
		}
	}
	return well
}

func idsOf(servers []*server) []ServerID {
	var ids []ServerID
	for _, s := range servers {
		ids = append(ids, s.id)
	}
	return ids
}

// leaderOf returns the one of these servers that all of them follow, if there is one.
func (w *walk) leaderOf(servers []*server) *server {
	leader := w.server(servers[0].core.Leader())
	if leader == nil || leader.core == nil || !slices.Contains(servers, leader) || leader.core.Role() != Leader {
		return nil
	}
	for _, s := range servers {
		if s.core.CurrentTerm() != leader.core.CurrentTerm() || s.core.Leader() != leader.id {
			return nil
		}
	}
	return leader
}

func (w *walk) tickAndSettle() {
	for _, s := range w.servers {
		if s.core != nil {
			w.tick(s)
		}
	}
	w.settle()
}

// serveOnce proposes and reads once, and looks at what the servers have then.
func (w *walk) serveOnce(leader *server, well []*server) {
	term := leader.core.CurrentTerm()
	w.step(leader, Propose{ID: w.asked + 1, Entries: []Entry{command("last")}}, ReadIndex{ID: w.asked + 2})
	w.settle()
	for range 3*leader.options.HeartbeatTicks + 2*leader.options.ElectionTicks {
		w.tickAndSettle()
	}
	if w.broken != "" {
		return
	}
	if leader.core.CurrentTerm() != term || leader.core.Role() != Leader {
		w.fail("leader %d of term %d is %s of term %d: an election without a failure", leader.id, term, leader.core.Role(), leader.core.CurrentTerm())
		return
	}
	end := leader.core.LastIndex()
	for _, s := range well {
		if s.applied != end || !samePrefix(s.disk.log, leader.view, end) || string(s.disk.log[end-1].Data) != "last" {
			w.fail("server %d has applied %d of %d entries", s.id, s.applied, end)
		}
		p := leader.core.leadState.peer(s.id)
		if p != nil && (p.probing || len(p.inflight) > 0 || p.matchIndex != end) {
			w.fail("leader %d at rest: peer %d matches up to %d of %d, probing %t, %d on their way", leader.id, p.id, p.matchIndex, end, p.probing, len(p.inflight))
		}
	}
	for _, q := range w.history.questions {
		if q.server == leader.id {
			w.fail("leader %d never answers question %d", q.server, q.id)
		}
	}
}

// defaultWalks is how many walks every change must pass.
const defaultWalks = 8000
