package replica

import (
	"cmp"
	"fmt"

	"github.com/quorate/quorate/raft"
)

// PaceOptions let the campaign delay follow what is measured. The zero value: it is Raft.ElectionTicks,
// always.
type PaceOptions struct {
	// MinTicks and MaxTicks bound it. MinTicks should be the window and a heartbeat at least, for then
	// the others do not refuse any more when the first campaigns.
	MinTicks, MaxTicks int
}

// Pace says how long this server waits for its leader before it campaigns, and, if it leads, for the
// answers of a majority; and what it knows that bears on it. Spans are nanoseconds, and the longest of
// the last half minute or so.
type Pace struct {
	// Tuned: the delay follows what is measured. Otherwise it is what the options say.
	Tuned bool
	// Delay is what is in force, and Wanted what the measurements ask for, both in ticks.
	Delay, Wanted int
	// Why is what asks for most.
	Why Measure
	// Silence is how long nothing came from the leader, until something did; at the leader, from a
	// majority. Sync is how long a write took to be durable. What the server slept through is in neither.
	Silence, Sync uint64
	// Stall is by how much a tick came late, if it was not stopped for much longer.
	Stall uint64
	// RoundTrip is how long messages take to a majority and back.
	RoundTrip uint64
	// Stalls and SlowSyncs are those since the start that could have been taken for the death of a leader.
	Stalls, SlowSyncs Slow
	// Attempts is in how many elections this server has stood since it knew of a leader.
	Attempts int
}

// Hurried reports whether the delay in force is shorter than the worst that was measured: then leaders may
// be deposed who are only slow, and elections come to nothing.
func (p *Pace) Hurried() bool { return p.Wanted > delayFactor*p.Delay }

// Slow counts what took too long, and has the longest of it, in nanoseconds.
type Slow struct{ Count, Longest uint64 }

func (s *Slow) add(lasted uint64) { s.Count, s.Longest = s.Count+1, max(s.Longest, lasted) }

// Measure is one of those that the campaign delay follows.
type Measure uint8

const (
	// AtRest: nothing asks for more than the least.
	AtRest Measure = iota
	// BySilence: of the leader, or of the majority.
	BySilence
	// ByStall: ticks come late.
	ByStall
	// ByBroadcast: round trip and sync.
	ByBroadcast
	// ByAttempts: elections that came to nothing.
	ByAttempts
)

func (m Measure) String() string {
	return [...]string{"nothing was slow", "silence", "late ticks", "round trips and syncs", "elections that came to nothing"}[m]
}

// Hurried tells that the campaign delay in force is shorter than the worst that was measured.
type Hurried struct {
	// Delay and Wanted are nanoseconds.
	Delay, Wanted uint64
	Why           Measure
}

func (e Hurried) String() string {
	return fmt.Sprintf("a leader may be missed that is only slow: the campaign delay is %d ms, and %d ms are needed, by %v",
		e.Delay/1e6, e.Wanted/1e6, e.Why)
}

// Stalled tells that this server did nothing, or its disk made nothing durable, for so long that somebody
// could take a leader for dead: every election without a failure should have one of these before it.
type Stalled struct {
	// Sync: it was the disk.
	Sync   bool
	Lasted uint64 // nanoseconds
}

func (e Stalled) String() string {
	if e.Sync {
		return fmt.Sprintf("a write took %d ms to be durable", e.Lasted/1e6)
	}
	return fmt.Sprintf("this server did nothing for %d ms: it had no processor, or was stopped", e.Lasted/1e6)
}

const (
	// maxStall is the longest stall that a delay follows: a process that stands still for longer was stopped,
	// or its machine was, and that is no measure of what is to come.
	maxStall = 250_000_000
	// delayFactor is how many times longer than the worst of late the delay is.
	delayFactor = 2
	// tripFactor is how many round trips count like one sync. Syncs are the longest of many, round trips
	// are smoothed, so that they vary more than they seem to.
	tripFactor = 5
	// freeAttempts is after how many attempts each further one doubles the delay: once, votes may have been
	// split. After that they may come too late, from a disk that the candidate knows nothing of.
	freeAttempts = 2
	// peakNanoseconds is for how long the longest is remembered, at least; and at most twice that.
	peakNanoseconds = 30_000_000_000
)

// pace measures, and finds the campaign delay.
type pace struct {
	ticks  int // taken in: time that this server has not slept through
	turnAt int // in ticks: when the peaks turned

	silence, stall, sync peak
	roundTrip            uint64

	heardAt     int  // in ticks: when the leader was last heard
	unanswered  int  // in ticks: for how long a majority had not answered, at the last tick
	writing     bool // a write is under way
	syncSince   int  // in ticks: since when
	attempts    int  // elections that this server has stood in, since it knew of a leader
	toldHurried bool // since turnAt
	stalls      Slow
	slowSyncs   Slow
	found       Pace
}

// peak is the largest of late.
type peak struct{ now, before uint64 }

func (p *peak) note(v uint64)   { p.now = max(p.now, v) }
func (p *peak) turn()           { p.before, p.now = p.now, 0 }
func (p *peak) largest() uint64 { return max(p.now, p.before) }

// tick takes a tick in, and returns the delay that goes with it.
func (p *pace) tick(r *Replica, in *Tick, passed uint64) int {
	p.ticks++
	p.roundTrip = in.RoundTrip
	p.noteStall(r, passed)
	if p.writing { // a disk that hangs is to be seen while it does
		p.sync.note(p.lasted(r))
	}
	p.noteQuorum(r)
	if uint64(p.ticks-p.turnAt)*r.options.TickNanoseconds >= peakNanoseconds {
		p.turnAt, p.toldHurried = p.ticks, false
		p.silence.turn()
		p.stall.turn()
		p.sync.turn()
	}
	p.found = p.find(&r.options)
	if in.Delay != 0 {
		p.found.Delay = in.Delay
	}
	p.tell(r)
	return p.found.Delay
}

// noteStall notes by how much a tick came late.
func (p *pace) noteStall(r *Replica, passed uint64) {
	o := &r.options
	if passed <= o.TickNanoseconds {
		return
	}
	late := passed - o.TickNanoseconds
	if late <= maxStall {
		p.stall.note(late)
	}
	if late+o.heartbeat() >= o.shortestDelay() {
		p.stalls.add(late)
		r.work.Events = append(r.work.Events, Stalled{Lasted: late})
	}
}

// heartbeat is how often an idle leader is heard.
func (o *Options) heartbeat() uint64 { return uint64(o.Raft.HeartbeatTicks) * o.TickNanoseconds }

// shortestDelay is the least that any server with these options waits for its leader.
func (o *Options) shortestDelay() uint64 { return uint64(o.shortestTicks()) * o.TickNanoseconds }

func (o *Options) shortestTicks() int { return cmp.Or(o.Pace.MinTicks, o.Raft.ElectionTicks) }

// heard notes a word from the leader. Only a silence that is over counts: if one that lasts made the wait
// longer, nobody would ever campaign.
func (p *pace) heard(r *Replica) {
	if n := p.ticks - p.heardAt - 1; n > 0 { // a tick may have come just before
		p.silence.note(uint64(n) * r.options.TickNanoseconds)
	}
	p.heardAt = p.ticks
}

// noteQuorum notes for how long a majority had not answered this leader, once it has.
func (p *pace) noteQuorum(r *Replica) {
	n := r.core.QuorumSilence()
	if n < p.unanswered {
		p.silence.note(uint64(p.unanswered) * r.options.TickNanoseconds)
	}
	p.unanswered = n
}

// leadershipChanged counts the elections that this server stands in, until there is a leader.
func (p *pace) leadershipChanged(r *Replica) {
	p.heardAt, p.unanswered = p.ticks, 0
	switch {
	case r.leader != 0:
		p.attempts = 0
	case r.role == raft.Candidate:
		p.attempts++
	}
}

// wrote notes that a write was handed out.
func (p *pace) wrote() {
	if !p.writing {
		p.writing, p.syncSince = true, p.ticks
	}
}

// persisted notes that what was under way is durable; with more, that the next is under way.
func (p *pace) persisted(r *Replica, more bool) {
	lasted := p.lasted(r)
	p.sync.note(lasted)
	if lasted >= r.options.shortestDelay() {
		p.slowSyncs.add(lasted)
		r.work.Events = append(r.work.Events, Stalled{Sync: true, Lasted: lasted})
	}
	p.writing, p.syncSince = more, p.ticks
}

// lasted returns for how long the write under way has lasted.
func (p *pace) lasted(r *Replica) uint64 {
	return uint64(p.ticks-p.syncSince) * r.options.TickNanoseconds
}

// find is the rule: the least, or so many times the worst of late, and longer the more elections were lost.
func (p *pace) find(o *Options) Pace {
	f := Pace{
		Tuned: o.Pace.MaxTicks > 0, Silence: p.silence.largest(), Stall: p.stall.largest(), Sync: p.sync.largest(),
		RoundTrip: p.roundTrip, Attempts: p.attempts, Stalls: p.stalls, SlowSyncs: p.slowSyncs, Delay: o.Raft.ElectionTicks,
	}
	if f.Tuned {
		f.Wanted = o.Pace.MinTicks
	}
	for _, m := range []struct {
		why   Measure
		worst uint64
	}{
		{BySilence, f.Silence},
		{ByStall, o.heartbeat() + f.Stall},
		{ByBroadcast, f.Sync + tripFactor*f.RoundTrip},
	} {
		if ticks := int((delayFactor*m.worst + o.TickNanoseconds - 1) / o.TickNanoseconds); ticks > f.Wanted {
			f.Wanted, f.Why = ticks, m.why
		}
	}
	if n := f.Attempts - freeAttempts; f.Tuned && n > 0 {
		f.Wanted, f.Why = max(f.Wanted, min(f.Wanted<<min(n, 16), o.Pace.MaxTicks)), ByAttempts
	}
	if f.Tuned {
		f.Delay = min(f.Wanted, o.Pace.MaxTicks)
	}
	return f
}

// withoutDisk returns the delay, in nanoseconds, that would be in force if this server's disk took no time: who gets no
// processor shall not blame its disk for that.
func (p *pace) withoutDisk(o *Options) uint64 {
	if o.Pace.MaxTicks == 0 {
		return o.shortestDelay()
	}
	wanted := delayFactor * max(p.silence.largest(), o.heartbeat()+p.stall.largest())
	return max(o.shortestDelay(), min(wanted, uint64(o.Pace.MaxTicks)*o.TickNanoseconds))
}

// tell tells when the delay is too short, not too often.
func (p *pace) tell(r *Replica) {
	if !p.found.Hurried() || p.toldHurried || len(r.configuration.Members) < 2 {
		return
	}
	p.toldHurried = true
	tick := r.options.TickNanoseconds
	r.work.Events = append(r.work.Events, Hurried{
		Delay: uint64(p.found.Delay) * tick, Wanted: uint64(p.found.Wanted) * tick, Why: p.found.Why,
	})
}
