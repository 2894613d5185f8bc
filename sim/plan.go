package sim

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// plan is what kind of world a seed makes: how large, how tuned, and what goes wrong in it how often.
// Each kind of fault is left out of half of the worlds, because what goes wrong all the time hides
// what goes wrong rarely. (Groce and others, Swarm Testing, 2012.) Durations are nanoseconds.
type plan struct {
	calm    bool // nothing goes wrong at all
	servers int
	replica replica.Options // Boot and Member are each server's
	pace    pacePlan
	tick    int64

	segmentBytes int64
	disk         crashdisk.Options

	// Speeds that are no faults.
	minDelay, meanDelay int64 // of messages
	ordered             bool  // links keep the order of messages
	turnDelay           int64 // until a replica takes in what has happened
	syncTime            int64
	applyTime, readTime int64
	flushEvery          int64
	removeEvery         int64

	clients    int
	think      int64 // between an answer and a client's next request
	patience   int64 // until a client cancels; 0: never
	keys       int
	readShare  int // of a million requests
	staleShare int // of a million reads
	sticky     bool

	// Probabilities for each message, per million.
	drop, duplicate, repeat, reorder, flip int
	repeatAfter                            int64 // how much later a late duplicate arrives

	// Faults that begin now and then; 0: never.
	crashEvery, pauseEvery, cutEvery, clogEvery, slowEvery, stallEvery, errorEvery, driftEvery int64
	down, pause, cut, clog, slow, stall                                                        int64 // how long they last
	crashAtEvent, cutAtEvent                                                                   int   // per million of interesting moments
	crashInRecovery                                                                            int   // per million of starts
	crashAtOperation                                                                           int   // per million of crashes
	killShare                                                                                  int   // per million of crashes
	personality                                                                                crashdisk.Personality
	drift                                                                                      int // clocks are wrong by up to that much, per million

	leap     leapPlan
	watch    watchPlan
	lease    leasePlan
	session  sessionPlan
	churn    churnPlan
	prefer   preferPlan
	snapshot snapshotPlan
	sums     sumsPlan
	// afterLeases: what goes wrong, and is asked for, goes after leaders with leases.
	afterLeases bool

	rot       int // per million of starts that find their log damaged
	stateRots int // how often a state rots in the ending, one server's after another's; 0: once, or not

	ending endingKind
	links  graph // that remain in an ending of some links; nil: to be drawn when it begins
	storm  bool  // of reads, in the ending
}

// electionTimeout is the longest time that a server waits for a leader, with a clock at its slowest.
func (p *plan) electionTimeout() int64 {
	return 2 * p.longestDelay() * int64(million+p.drift) / million
}

// resendTicks is how long a request that was forwarded waits until it is sent again.
func (p *plan) resendTicks() int {
	return cmp.Or(p.replica.ResendTicks, 2*max(p.replica.Raft.ElectionTicks, 10))
}

// drawPlan draws the plan of a world.
func drawPlan(d dice) plan {
	p := plan{tick: int64(10 * time.Millisecond)}
	p.calm = d.chance("plan.calm", 25_000)
	p.servers = [...]int{1, 2, 3, 3, 3, 3, 3, 4, 5, 5}[d.below("plan.servers", 10)]
	p.drawReplica(d)
	p.drawSpeeds(d)
	p.drawClients(d)
	if !p.calm {
		p.drawNetworkFaults(d)
		p.drawServerFaults(d)
		p.drawLeaps(d)
		p.drawChurn(d)
		p.drawEnding(d)
		p.storm = p.ending != oneStaysGray && p.churn.spares == 0 && d.chance("plan.storm", 500_000)
	}
	p.drawReadLeases(d)
	p.drawWatches(d)
	p.drawLeases(d)
	p.drawSessions(d)
	p.drawSnapshots(d)
	p.drawSums(d)
	if !p.calm {
		p.drawPreference(d)
		p.drawRot(d)
	}
	return p
}

// drawEnding draws how the world ends. Two servers are both needed, so with them everything heals, and so it
// does where servers come and go. The others mostly keep something that is broken. Over all worlds it comes to
// two thirds for a full heal, a seventh for a core, an eighth for some links, and the rest for a gray server.
func (p *plan) drawEnding(d dice) {
	k := d.below("plan.ending", 20)
	switch {
	case p.servers < 3 || p.churn.spares > 0 || k < 1:
		p.ending = everythingHeals
	case k < 9:
		p.ending = coreRemains
	case k < 15:
		p.ending = someLinksRemain
	default:
		p.ending = oneStaysGray
	}
}

// drawReplica draws the options of the replicas. Small bounds are reached sooner.
func (p *plan) drawReplica(d dice) {
	small := func(name string, low, high, usual int64) int {
		if d.either("plan.small." + name) {
			return int(d.scale("plan."+name, low, high))
		}
		return int(usual)
	}
	p.replica = replica.Options{
		Group:             group,
		TickNanoseconds:   uint64(p.tick),
		MaxPending:        small("pending", 2, 1024, 0),
		MaxIntakeBytes:    small("intake", 64, 1<<16, 0),
		MaxBatchBytes:     small("batchBytes", 128, 1<<14, 0),
		MaxBatchCommands:  small("batchCommands", 1, 64, 0),
		MaxWritesInFlight: small("writes", 1, 8, 0),
		MaxApplyBytes:     small("applyBytes", 128, 1<<14, 0),
		MaxApplyEntries:   small("applyEntries", 1, 64, 0),
		TailBytes:         small("tail", 1, 1<<14, 0),
		StuckTicks:        small("stuck", 100, 1000, 0),
		ResendTicks:       small("resend", 2, 200, 0),
		CatchUp: replica.CatchUpOptions{
			Lag:    small("catchUp.lag", 1, 64, 0),
			Free:   small("catchUp.free", 1, 1<<10, 0),
			Least:  small("catchUp.least", 16, 1<<14, 0),
			States: small("catchUp.states", 16, 1<<12, 0),
		},
		Raft: raft.Options{
			MaxAppendBytes:      small("appendBytes", 64, 1<<14, 0),
			MaxInflightBytes:    small("inflightBytes", 64, 1<<15, 0),
			MaxInflightMessages: small("inflight", 1, 16, 0),
			MaxUncommittedBytes: small("uncommitted", 256, 1<<16, 0),
			MaxWaitingReads:     small("waitingReads", 1, 16, 0),
		},
	}
	p.drawPace(d)
	p.drawPromises(d)
	p.segmentBytes = d.scale("plan.segment", 4, 64) * 4096
	p.disk = crashdisk.Options{SectorBytes: [...]int{512, 4096}[d.below("plan.sector", 2)], DamageNeighbours: d.either("plan.neighbours"), KeepOperations: 16}
	p.personality = crashdisk.Personality(d.below("plan.personality", 3))
}

// drawSpeeds draws how fast things are that work.
func (p *plan) drawSpeeds(d dice) {
	const us, ms = int64(time.Microsecond), int64(time.Millisecond)
	timeout := p.shortestDelay()
	p.minDelay = d.scale("plan.minDelay", 20*us, 2*ms)
	p.meanDelay = d.scale("plan.meanDelay", 50*us, timeout/16)
	p.ordered = d.chance("plan.ordered", 500_000)
	if d.either("plan.turns") {
		p.turnDelay = d.scale("plan.turnDelay", 10*us, 2*ms)
	}
	p.syncTime = d.scale("plan.sync", 100*us, timeout/16)
	if p.calm { // nobody shall miss a leader who is only slow
		p.minDelay, p.meanDelay, p.syncTime = min(p.minDelay, timeout/64), min(p.meanDelay, timeout/64), min(p.syncTime, timeout/64)
	}
	p.applyTime = d.scale("plan.apply", 10*us, 20*ms)
	p.readTime = d.scale("plan.read", 10*us, 20*ms)
	p.flushEvery = d.scale("plan.flush", 200*ms, 30_000*ms)
	p.removeEvery = d.scale("plan.remove", 100*ms, 10_000*ms)
}

// maxRate bounds the requests per second of all clients of a world together. More of the same finds
// little, and a tenth of the worlds took half of the time.
const maxRate = 40

func (p *plan) drawClients(d dice) {
	const ms = int64(time.Millisecond)
	p.clients = d.between("plan.clients", 1, 8)
	p.think = max(d.scale("plan.think", 20*ms, 1000*ms), int64(p.clients)*second/maxRate)
	p.keys = d.between("plan.keys", 1, 12)
	p.readShare = d.between("plan.reads", 100_000, 800_000)
	p.staleShare = d.between("plan.stale", 0, 300_000)
	p.sticky = d.either("plan.sticky")
	if !p.calm {
		p.patience = d.scale("plan.patience", 50*ms, 5000*ms)
	}
}

// rarely draws how often, per million, something goes wrong, or that it never does.
func rarely(d dice, name string, low, high int64) int {
	if d.either("plan.has." + name) {
		return int(d.scale("plan."+name, low, high))
	}
	return 0
}

// now and then: how far apart faults of a kind are, or 0 for never.
func nowAndThen(d dice, name string, low, high time.Duration) int64 {
	if d.either("plan.has." + name) {
		return d.scale("plan."+name, int64(low), int64(high))
	}
	return 0
}

func (p *plan) drawNetworkFaults(d dice) {
	p.drop = rarely(d, "drop", 1_000, 250_000)
	p.duplicate = rarely(d, "duplicate", 1_000, 250_000)
	p.repeat = rarely(d, "repeat", 1_000, 200_000)
	p.repeatAfter = d.scale("plan.repeatAfter", int64(50*time.Millisecond), int64(5*time.Second))
	p.reorder = rarely(d, "reorder", 1_000, 250_000)
	p.flip = rarely(d, "flip", 100, 20_000)
	p.cutEvery = nowAndThen(d, "cut", time.Second, 20*time.Second)
	p.cutAtEvent = rarely(d, "cutAtEvent", 100, 20_000)
	p.cut = d.scale("plan.cutFor", int64(100*time.Millisecond), int64(8*time.Second))
	p.clogEvery = nowAndThen(d, "clog", 500*time.Millisecond, 20*time.Second)
	p.clog = d.scale("plan.clogFor", int64(50*time.Millisecond), int64(4*time.Second))
}

func (p *plan) drawServerFaults(d dice) {
	p.crashEvery = nowAndThen(d, "crash", 500*time.Millisecond, 20*time.Second)
	p.crashAtEvent = rarely(d, "crashAtEvent", 100, 20_000)
	p.crashInRecovery = rarely(d, "crashInRecovery", 20_000, 300_000)
	p.crashAtOperation = rarely(d, "crashAtOperation", 100_000, 800_000)
	p.killShare = rarely(d, "kill", 50_000, 500_000)
	p.down = d.scale("plan.downFor", int64(10*time.Millisecond), int64(8*time.Second))
	p.pauseEvery = nowAndThen(d, "pause", time.Second, 20*time.Second)
	p.pause = d.scale("plan.pauseFor", int64(50*time.Millisecond), int64(4*time.Second))
	p.slowEvery = nowAndThen(d, "slow", time.Second, 20*time.Second)
	p.slow = d.scale("plan.slowFor", int64(200*time.Millisecond), int64(5*time.Second))
	p.stallEvery = nowAndThen(d, "stall", time.Second, 20*time.Second)
	p.stall = d.scale("plan.stallFor", int64(100*time.Millisecond), int64(8*time.Second))
	p.errorEvery = nowAndThen(d, "error", 2*time.Second, 30*time.Second)
	p.drift = rarely(d, "drift", 10_000, 300_000)
	if p.drift > 0 {
		p.driftEvery = nowAndThen(d, "driftEvery", time.Second, 20*time.Second)
	}
}

// String tells what kind of world it is, in a line.
func (p *plan) String() string {
	text := fmt.Sprintf("%d servers, %d clients, %s, messages take %v, syncs %v, segments of %d KiB",
		p.servers, p.clients, p.paceText(),
		time.Duration(p.minDelay+p.meanDelay).Round(time.Microsecond), time.Duration(p.syncTime).Round(time.Microsecond), p.segmentBytes>>10)
	if p.replica.Raft.PromiseTicks > 0 {
		text += ", " + p.promiseText()
	}
	if p.watch.clients > 0 {
		text += ", " + p.watch.String()
	}
	if p.lease.holders > 0 {
		text += ", " + p.lease.String()
	}
	if p.session.clients > 0 {
		text += ", " + p.session.String()
	}
	if p.churn.spares > 0 {
		text += ", " + p.churn.String()
	}
	if p.snapshot.compacts {
		text += ", " + p.snapshot.String()
	}
	if p.prefer.preferred != nil {
		text += ", " + p.prefer.String()
	}
	var faults []string
	for _, f := range []struct {
		on   bool
		name string
	}{
		{p.drop > 0, "loss"}, {p.duplicate > 0, "duplicates"}, {p.repeat > 0, "late duplicates"},
		{p.reorder > 0 || !p.ordered, "reordering"}, {p.flip > 0, "flipped bits"}, {p.cutEvery > 0 || p.cutAtEvent > 0, "partitions"},
		{p.clogEvery > 0, "clogged links"}, {p.crashEvery > 0 || p.crashAtEvent > 0, "crashes, " + p.personality.String() + " disks"},
		{p.pauseEvery > 0, "pauses"}, {p.slowEvery > 0, "slow disks"}, {p.stallEvery > 0, p.stallText()}, {p.errorEvery > 0, "disk errors"}, {p.drift > 0, "drifting clocks"},
		{p.rot > 0, "rot"}, {p.leap.every > 0, "clocks that leap and stand still"},
	} {
		if f.on {
			faults = append(faults, f.name)
		}
	}
	if p.calm {
		return text + "; calm"
	}
	if len(faults) == 0 {
		return text + "; no faults"
	}
	return text + "; " + strings.Join(faults, ", ")
}
