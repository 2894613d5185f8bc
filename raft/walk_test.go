package raft_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

var (
	walkSeed = flag.Uint64("walk.seed", 0, "walk only with this seed, and tell everything (0: all seeds)")
	walkFrom = flag.Uint64("walk.from", 1, "the seed of the first walk")
	walkRuns = flag.Int("walk.runs", 0, "how many walks (0: as many as every change must pass)")
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
		if raft.RaceEnabled {
			runs /= 10
		}
	}
	events, changes, fed := 0, 0, 0
	for seed := *walkFrom; seed < *walkFrom+uint64(runs); seed++ {
		w := newWalk(seed)
		w.run()
		events += w.events
		changes += w.changes()
		fed += w.fed
		if w.Broken != "" {
			t.Fatalf("%s\nafter\n%s\nto see all of it: go test ./raft -run TestRandomWalk -v -walk.seed=%d",
				w.Broken, lastLines(seed, 40), seed)
		}
	}
	t.Logf("%d walks, %d events, %d changes of voters, %d states given", runs, events, changes, fed)
	if changes < runs/10 || fed < runs/10 {
		t.Errorf("only %d changes of voters and %d states given in %d walks", changes, fed, runs)
	}
}

// changes counts the changes of voters that were completed.
func (w *walk) changes() int {
	count, joint := 0, false
	for i := range w.History.Committed {
		if c := w.History.Committed[i].Configuration; c != nil {
			count += countIf(joint && !c.Joint())
			joint = c.Joint()
		}
	}
	return count
}

// lastLines walks once more with a listener and returns the last lines of what happened.
func lastLines(seed uint64, n int) string {
	var lines []string
	walkOnce(seed, func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func walkOnce(seed uint64, tell func(format string, args ...any)) string {
	w := newWalk(seed)
	w.Tell = tell
	w.run()
	return w.Broken
}

// walk is one life of a group.
type walk struct {
	*rafttest.Cluster
	random *rand.Rand
	// weights of what may happen. Most lives leave some of it out: a group in which everything goes
	// wrong all the time never gets far enough for the rarer mistakes.
	weights [happenings]int
	cut     [][2]raft.ServerID // links that are down, by from and to
	asked   uint64             // proposals and reads so far
	churn   bool               // servers come and go
	leased  bool               // voters make promises, and leaders answer reads by leases
	tuned   bool               // each server has a campaign delay of its own, which changes
	delays  []int              // those, by id; none where it is that of the options
	events  int
	fed     int // how often a server was given another's state
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
	transferFromLeader
	persistOne
	persistEverything
	crashOne
	restartOne
	cutLinks
	mendLinks
	campaignSomewhere
	compactOne
	installOne
	happenings
)

func newWalk(seed uint64) *walk {
	w := &walk{random: rand.New(rand.NewPCG(seed, 1))}
	configuration := rafttest.Voters([]int{1, 2, 3, 3, 3, 4, 5, 5}[w.random.IntN(8)])
	if w.random.IntN(4) == 0 {
		configuration.Learners = []raft.ServerID{raft.ServerID(len(configuration.Voters) + 1)}
	}
	options := raft.Options{
		ElectionTicks:       2 + w.random.IntN(4),
		MaxAppendBytes:      1 + w.random.IntN(8),
		MaxInflightMessages: 1 + w.random.IntN(4),
		MaxInflightBytes:    1 + w.random.IntN(16),
		MaxUncommittedBytes: 8 + w.random.IntN(64),
		MaxWaitingReads:     1 + w.random.IntN(8),
	}
	options.HeartbeatTicks = 1 + w.random.IntN(options.ElectionTicks-1)
	if w.tuned = w.random.IntN(3) == 0; w.tuned {
		options.ElectionTicks *= 2
		options.WindowTicks = options.HeartbeatTicks + 1 + w.random.IntN(options.ElectionTicks-options.HeartbeatTicks)
	}
	if w.leased = w.random.IntN(4) == 0; w.leased {
		options.LeaseReads = true
		options.PromiseTicks = 1 + w.random.IntN(options.ElectionTicks)
	}
	var spare []raft.ServerID
	if w.churn = w.random.IntN(3) == 0; w.churn {
		for range 1 + w.random.IntN(2) {
			spare = append(spare, raft.ServerID(len(configuration.Members())+len(spare)+1))
		}
	}
	w.Cluster = rafttest.New(options, configuration, spare...)
	w.delays = make([]int, len(w.Servers)+1)
	w.Connected = func(from, to raft.ServerID) bool { return !slices.Contains(w.cut, [2]raft.ServerID{from, to}) }
	w.Fewer = func(n int) int { return w.random.IntN(n + 1) }
	w.weights = [happenings]int{
		tickOne: 20, tickAll: 6, deliverOldest: 60, deliverAny: 30, deliverTwice: 5, dropAny: 8,
		proposeSomewhere: 2, proposeToLeader: 10, readSomewhere: 1, readFromLeader: 5, configureLeader: 1, transferFromLeader: 2,
		persistOne: 20, persistEverything: 20, crashOne: 3, restartOne: 6, cutLinks: 2, mendLinks: 2, campaignSomewhere: 2,
		compactOne: 6, installOne: 2,
	}
	for _, what := range []int{deliverAny, deliverTwice, dropAny, persistEverything, crashOne, cutLinks, campaignSomewhere, tickAll, readFromLeader, compactOne, installOne} {
		switch w.random.IntN(4) {
		case 0:
			w.weights[what] = 0
		case 1:
			w.weights[what] *= 3
		}
	}
	if w.churn {
		w.weights[configureLeader] = 25
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
		if w.Broken != "" {
			return
		}
	}
	w.endWell()
}

// up returns a server that is up, chosen by chance; nil if there is none.
func (w *walk) up() *rafttest.Server {
	var up []*rafttest.Server
	for _, s := range w.Servers {
		if s.Core != nil {
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
		for _, s := range w.Servers {
			if s.Core != nil {
				w.tick(s)
			}
		}
	case deliverOldest, deliverAny, deliverTwice:
		w.deliverSome(what)
	case dropAny:
		if len(w.Network) > 0 {
			w.Take(w.random.IntN(len(w.Network)))
		}
	case proposeSomewhere, proposeToLeader, readSomewhere, readFromLeader, configureLeader, transferFromLeader:
		w.ask(what, s)
	case persistOne:
		if len(s.Writes) > 0 {
			w.note("the disk of %d gets on", s.ID)
			w.Persist(s, s.Writes[w.random.IntN(len(s.Writes))].Ticket)
		}
	case persistEverything:
		for _, s := range w.Servers {
			if s.Core != nil {
				w.PersistAll(s)
			}
		}
	case crashOne:
		keep := w.random.IntN(len(s.Writes) + 1)
		w.note("%d crashes; %d of %d writes reach its disk", s.ID, keep, len(s.Writes))
		w.Crash(s, keep)
		if w.tuned {
			w.unlink(s.ID)
		}
	case restartOne:
		if s := w.Servers[w.random.IntN(len(w.Servers))]; s.Core == nil {
			w.note("%d restarts", s.ID)
			w.Restart(s)
		}
	case cutLinks, mendLinks:
		w.changeLinks(what)
	case compactOne:
		w.note("%d compacts its log at %d", s.ID, s.Applied)
		w.Compact(s)
	case installOne:
		w.feed(s)
	case campaignSomewhere:
		w.note("%d is told to campaign", s.ID)
		w.stepTwice(s, raft.Campaign{})
		if w.tuned {
			w.unlink(w.anyone())
		}
	}
}

// feed gives a server the state of another that is ahead, if there is one.
func (w *walk) feed(s *rafttest.Server) {
	first := w.random.IntN(len(w.Servers))
	for i := range w.Servers {
		if from := w.Servers[(first+i)%len(w.Servers)]; from.Core != nil && from.Applied > s.Applied {
			w.note("%d is given the state of %d, at %d", s.ID, from.ID, from.Applied)
			w.InstallState(s, from)
			w.fed++
			return
		}
	}
}

func (w *walk) note(format string, args ...any) {
	if w.Tell != nil {
		w.Tell("-- "+format, args...)
	}
}

func (w *walk) tick(s *rafttest.Server) {
	if w.leased && w.random.IntN(len(w.Servers)) == 0 {
		w.note("the clocks go on")
		w.Pass(1)
	}
	w.note("%d ticks", s.ID)
	w.stepTwice(s, w.nextTick(s.ID))
}

// nextTick makes a tick. Where delays are tuned, it may bring another, none longer than ElectionTicks.
func (w *walk) nextTick(id raft.ServerID) raft.Tick {
	if w.tuned && w.random.IntN(8) == 0 {
		w.delays[id] = 1 + w.random.IntN(w.Servers[0].Options.ElectionTicks)
	}
	return raft.Tick{Random: w.random.Uint64(), Delay: w.delays[id]}
}

// unlink tells some of the others, or all, that the links of a server have broken.
func (w *walk) unlink(id raft.ServerID) {
	for _, s := range w.Servers {
		if s.Core != nil && s.ID != id && w.random.IntN(2) == 0 {
			w.stepTwice(s, raft.Unlinked{Peer: id})
		}
	}
}

// stepTwice takes a step, and sometimes lets a clone take it first: that must change nothing here,
// and both must do the same.
func (w *walk) stepTwice(s *rafttest.Server, batch ...raft.Input) {
	if w.random.IntN(16) > 0 {
		w.Step(s, batch...)
		return
	}
	twin := s.Core.Clone()
	start := twin.AppendState(nil)
	will := twin.Step(batch)
	if !bytes.Equal(s.Core.AppendState(nil), start) {
		w.Fail("server %d: stepping its clone changes it", s.ID)
	}
	did := w.Step(s, batch...)
	if w.Broken == "" && (!reflect.DeepEqual(will, did) || !bytes.Equal(twin.AppendState(nil), s.Core.AppendState(nil))) {
		w.Fail("server %d: its clone did something else with the same batch", s.ID)
	}
}

// deliverSome hands one server a batch of messages, in an order of chance.
func (w *walk) deliverSome(what int) {
	if len(w.Network) == 0 {
		return
	}
	i := 0
	if what != deliverOldest {
		i = w.random.IntN(len(w.Network))
	}
	first := w.Network[i].Envelope
	if what != deliverTwice {
		w.Take(i)
	}
	batch := []raft.Input{raft.Receive{first}}
	for i := 0; i < len(w.Network) && w.random.IntN(3) == 0; {
		if w.Network[i].To != first.To {
			i++
			continue
		}
		batch = append(batch, raft.Receive{w.Take(i)})
	}
	s := w.Server(first.To)
	if s.Core == nil {
		return
	}
	if len(s.Writes) > 0 && w.random.IntN(4) == 0 { // the disk's word arrives in the same batch
		ticket := s.Writes[0].Ticket
		w.Sync(s, ticket)
		batch = slices.Insert(batch, w.random.IntN(len(batch)+1), raft.Input(raft.Persisted{ticket}))
	}
	if w.random.IntN(8) == 0 {
		batch = append(batch, w.nextTick(s.ID))
	}
	if w.Tell != nil {
		for _, in := range batch {
			if r, ok := in.(raft.Receive); ok {
				w.note("%d receives from %d: %s", r.Envelope.To, r.Envelope.From, rafttest.SayMessage(&r.Envelope))
			} else {
				w.note("%d: %T%v", first.To, in, in)
			}
		}
	}
	w.stepTwice(s, batch...)
}

// ask proposes or reads.
func (w *walk) ask(what int, s *rafttest.Server) {
	if what != proposeSomewhere && what != readSomewhere {
		if s = w.anyLeader(); s == nil {
			return
		}
	}
	w.asked++
	switch what {
	case proposeSomewhere, proposeToLeader:
		in := raft.Propose{ID: w.asked}
		for i := range 1 + w.random.IntN(3) {
			in.Entries = append(in.Entries, rafttest.Command(fmt.Sprintf("%d%c", w.asked, 'a'+i)))
		}
		w.note("%d is asked to append %s", s.ID, in.Entries[0].Data)
		w.Step(s, in)
	case readSomewhere, readFromLeader:
		w.note("%d is asked for read %d", s.ID, w.asked)
		w.stepTwice(s, raft.ReadIndex{ID: w.asked})
	case transferFromLeader:
		to := w.anyone()
		w.note("%d is asked to hand over to %d", s.ID, to)
		w.Step(s, raft.TransferLeadership{ID: w.asked, To: to})
	case configureLeader:
		w.configure(s, w.drawConfiguration(*s.Core.Configuration().Configuration))
	}
}

func (w *walk) configure(s *rafttest.Server, next *raft.Configuration) {
	next.Data = fmt.Appendf(nil, "%d", w.asked)
	w.note("%d is asked for configuration %v > %v, learners %v", s.ID, next.OldVoters, next.Voters, next.Learners)
	w.Step(s, raft.ProposeConfiguration{ID: w.asked, Entry: rafttest.ConfigurationEntry(next)})
}

// drawConfiguration draws one that may follow now; and, rarely, one that may not.
func (w *walk) drawConfiguration(now raft.Configuration) *raft.Configuration {
	if !w.churn {
		return &now
	}
	if now.Joint() && w.random.IntN(3) > 0 {
		now.OldVoters = nil
		return &now
	}
	if !now.Joint() && w.random.IntN(8) > 0 {
		now.OldVoters = now.Voters
	}
	now.Voters, now.Learners = nil, nil
	for _, s := range w.Servers {
		switch w.random.IntN(5) {
		case 0, 1, 2:
			now.Voters = append(now.Voters, s.ID)
		case 3:
			now.Learners = append(now.Learners, s.ID)
		}
	}
	return &now
}

// completeChange lets a leader leave a joint configuration, and returns the servers that then count: all
// members.
func (w *walk) completeChange() []*rafttest.Server {
	var leader *rafttest.Server
	for _, s := range w.Servers {
		if s.Core.Role() == raft.Leader && (leader == nil || s.Core.CurrentTerm() > leader.Core.CurrentTerm()) {
			leader = s
		}
	}
	if leader == nil {
		return nil
	}
	now := *leader.Core.Configuration().Configuration
	if now.Joint() {
		now.OldVoters = nil
		w.asked++
		w.configure(leader, &now)
		w.Settle()
		return nil
	}
	var members []*rafttest.Server
	for _, id := range now.Members() {
		members = append(members, w.Server(id))
	}
	return members
}

// anyLeader returns one of the servers that believe to lead, be it true or not.
func (w *walk) anyLeader() *rafttest.Server {
	var leaders []*rafttest.Server
	for _, s := range w.Servers {
		if s.Core != nil && s.Core.Role() == raft.Leader {
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
		link := [2]raft.ServerID{w.anyone(), w.anyone()}
		w.note("link from %d to %d is cut", link[0], link[1])
		w.cut = append(w.cut, link)
	case 1:
		w.partition(w.random.IntN(1 << len(w.Servers)))
	default:
		if leader := w.anyLeader(); leader != nil {
			w.partition(1 << slices.Index(w.Servers, leader))
		}
	}
}

// partition cuts all links between the servers in side, a set of bits, and the others.
func (w *walk) partition(side int) {
	w.note("partition %b", side)
	for i, s := range w.Servers {
		for j, other := range w.Servers {
			if side>>i&1 != side>>j&1 {
				w.cut = append(w.cut, [2]raft.ServerID{s.ID, other.ID})
			}
		}
	}
}

func (w *walk) anyone() raft.ServerID { return w.Servers[w.random.IntN(len(w.Servers))].ID }

// endWell mends everything, or only what a majority of the voters needs: then the others stay down,
// or half cut off, for good. Either way those that are well must have a leader within a few
// elections, keep it, and go on.
func (w *walk) endWell() {
	w.cut = nil
	well := w.chooseWell()
	w.note("from now on %d are well", idsOf(well))
	for _, s := range well {
		if s.Core == nil {
			w.Restart(s)
		}
	}
	w.Settle()
	ticks := w.Servers[0].Options.ElectionTicks
	quiet := 0
	for range 40 * ticks {
		w.tickAndSettle()
		if w.Broken != "" {
			return
		}
		if w.churn {
			if well = w.completeChange(); well == nil {
				continue
			}
		}
		if leader := w.leaderOf(well); leader == nil {
			quiet = 0
		} else if quiet++; quiet > 2*ticks {
			w.serveOnce(leader, well)
			return
		}
	}
	w.Fail("no leader that all follow, %d ticks after everything is mended", 40*ticks)
}

// chooseWell returns all servers, or a majority; then it leaves the others half broken.
func (w *walk) chooseWell() []*rafttest.Server {
	voters := len(w.Servers[0].Disk.First.Voters)
	if w.churn || w.random.IntN(2) == 0 {
		return w.Servers
	}
	order := w.random.Perm(voters)
	well := make([]*rafttest.Server, 0, voters)
	for i := range voters/2 + 1 {
		well = append(well, w.Servers[order[i]])
	}
	for _, s := range w.Servers {
		if slices.Contains(well, s) {
			continue
		}
		how := w.random.IntN(4)
		w.note("%d is not: %s", s.ID, [...]string{"down", "cut off", "is not heard", "does not hear"}[how])
		for _, other := range w.Servers {
			if how == 1 || how == 2 {
				w.cut = append(w.cut, [2]raft.ServerID{s.ID, other.ID})
			}
			if how == 1 || how == 3 {
				w.cut = append(w.cut, [2]raft.ServerID{other.ID, s.ID})
			}
		}
		if how == 0 && s.Core != nil {
			w.Crash(s, 0)
		} else if how != 0 && s.Core == nil {
			w.Restart(s)
		}
	}
	return well
}

func idsOf(servers []*rafttest.Server) []raft.ServerID {
	var ids []raft.ServerID
	for _, s := range servers {
		ids = append(ids, s.ID)
	}
	return ids
}

// leaderOf returns the one of these servers that all of them follow, if there is one.
func (w *walk) leaderOf(servers []*rafttest.Server) *rafttest.Server {
	leader := w.Server(servers[0].Core.Leader())
	if leader == nil || leader.Core == nil || !slices.Contains(servers, leader) || leader.Core.Role() != raft.Leader {
		return nil
	}
	for _, s := range servers {
		if s.Core.CurrentTerm() != leader.Core.CurrentTerm() || s.Core.Leader() != leader.ID {
			return nil
		}
	}
	return leader
}

func (w *walk) tickAndSettle() {
	for _, s := range w.Servers {
		if s.Core != nil {
			w.tick(s)
		}
	}
	w.Settle()
	if leader := w.anyLeader(); leader != nil {
		for _, p := range leader.Core.AppendPeers(nil) {
			if s := w.Server(p.ID); p.Stranded && s.Core != nil && w.Connected(leader.ID, p.ID) {
				w.feed(s)
			}
		}
	}
	w.Settle()
}

// serveOnce proposes and reads once, and looks at what the servers have then.
func (w *walk) serveOnce(leader *rafttest.Server, well []*rafttest.Server) {
	term := leader.Core.CurrentTerm()
	w.Step(leader, raft.Propose{ID: w.asked + 1, Entries: []raft.Entry{rafttest.Command("last")}}, raft.ReadIndex{ID: w.asked + 2})
	w.Settle()
	for range 3*leader.Options.HeartbeatTicks + 2*leader.Options.ElectionTicks {
		w.tickAndSettle()
	}
	if w.Broken != "" {
		return
	}
	if leader.Core.CurrentTerm() != term || leader.Core.Role() != raft.Leader {
		w.Fail("leader %d of term %d is %s of term %d: an election without a failure", leader.ID, term, leader.Core.Role(), leader.Core.CurrentTerm())
		return
	}
	end := leader.Core.LastIndex()
	for _, s := range well {
		if s.Applied != end || !rafttest.SamePrefix(s.Disk.Log, leader.View, end) || string(s.Disk.Log[end-1].Data) != "last" {
			w.Fail("server %d has applied %d of %d entries", s.ID, s.Applied, end)
		}
		if p := leader.Core.Peer(s.ID); p.ID != 0 && (p.Probing || p.Inflight > 0 || p.MatchIndex != end) {
			w.Fail("leader %d at rest: peer %d matches up to %d of %d, probing %t, %d on their way", leader.ID, p.ID, p.MatchIndex, end, p.Probing, p.Inflight)
		}
	}
	for _, q := range w.History.Questions {
		if q.Server == leader.ID {
			w.Fail("leader %d never answers question %d", q.Server, q.ID)
		}
	}
}

// defaultWalks is how many walks every change must pass.
const defaultWalks = 8000
