package doctor

import (
	"fmt"
	"time" //tidy:impure moments and spans are arguments here: nobody asks a clock
)

// Pace is how long a server waits for its leader, and what it has measured. What was slow is the longest of
// the last half minute or so.
type Pace struct {
	// Tuned: the delay follows what is measured. Otherwise the operator has said what it is.
	Tuned bool
	// Delay is how long the server waits at least before it campaigns, and Wanted how long it should. Why is
	// what asks for that.
	Delay, Wanted time.Duration
	Why           string
	// Hurried: the delay in force is shorter than what was measured.
	Hurried bool
	// Silence is of the leader, or at the leader of a majority; Stall how late ticks came; Sync how long
	// writes took to be durable; RoundTrip that of a majority.
	Silence, Stall, Sync, RoundTrip time.Duration
	// Stalls and SlowSyncs are how often, since the start, the server or its disk stood still for so long that
	// a leader could be taken for dead.
	Stalls, SlowSyncs         uint64
	LongestStall, LongestSync time.Duration
}

// Timeouts is Pace in a report, in seconds.
type Timeouts struct {
	Tuned     bool    `json:"tuned"`
	Delay     float64 `json:"campaign_delay_seconds"`
	Wanted    float64 `json:"campaign_delay_wanted_seconds"`
	Why       string  `json:"why"`
	Silence   float64 `json:"silence_seconds"`
	Stall     float64 `json:"tick_delay_seconds"`
	Sync      float64 `json:"log_sync_seconds"`
	RoundTrip float64 `json:"majority_round_trip_seconds"`
	Stalls    uint64  `json:"stalls"`
	Longest   float64 `json:"stall_longest_seconds"`
	SlowSyncs uint64  `json:"slow_syncs"`
	Slowest   float64 `json:"slow_sync_longest_seconds"`
}

// timeouts says it in a report; nil if it is not known.
func (v *View) timeouts() *Timeouts {
	p := v.Pace
	if p == nil {
		return nil
	}
	return &Timeouts{
		Tuned: p.Tuned, Delay: p.Delay.Seconds(), Wanted: p.Wanted.Seconds(), Why: p.Why,
		Silence: p.Silence.Seconds(), Stall: p.Stall.Seconds(), Sync: p.Sync.Seconds(), RoundTrip: p.RoundTrip.Seconds(),
		Stalls: p.Stalls, Longest: p.LongestStall.Seconds(), SlowSyncs: p.SlowSyncs, Slowest: p.LongestSync.Seconds(),
	}
}

// String says what is in force and why, in half a sentence.
func (t *Timeouts) String() string {
	how := "as it was told"
	if t.Tuned {
		how = "by measurement: " + t.Why
	}
	return fmt.Sprintf("waits %d ms for a leader, %s", millis(t.Delay), how)
}

func millis(seconds float64) int64 { return int64(seconds*1000 + 0.5) }

// TimeoutsShort is found where a leader may be deposed that is only slow.
const TimeoutsShort Code = "timeouts-short"

// findHurry finds a campaign delay that is too short, where there is anybody to elect.
func (r *Report) findHurry(v *View) {
	p := v.Pace
	if p == nil || !p.Hurried || len(r.Peers) == 0 {
		return
	}
	f := Finding{
		Code: TimeoutsShort, Severity: Warns, About: r.Name,
		Text: fmt.Sprintf("%s waits %d ms for a leader, and should wait %d ms: %s. A leader may be deposed that is only slow.",
			r.Name, p.Delay.Milliseconds(), p.Wanted.Milliseconds(), p.Why),
		Todo: "Give the server more processor, or a quicker disk or network.",
	}
	if !p.Tuned {
		f.Todo += " Or set a longer --election-timeout, the same on all servers; or neither that nor --heartbeat-interval, so that it is measured."
	}
	r.Findings = append(r.Findings, f)
}
