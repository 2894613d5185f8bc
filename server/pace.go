package server

import (
	"cmp"
	"time"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/replica"
)

// isTuned reports whether the campaign delay follows measurements: the operator has not said what it is to be.
func (o *Options) isTuned() bool { return o.ElectionTimeout == 0 && o.HeartbeatInterval == 0 }

// electionSpan is the election timeout in which other spans are reckoned: the operator's, or etcd's.
func (o *Options) electionSpan() time.Duration { return cmp.Or(o.ElectionTimeout, defaultElection) }

// paceOf says how long this server waits for its leader, and why.
func (s *Server) paceOf(p *replica.Pace) *doctor.Pace {
	tick := s.host.TickInterval()
	return &doctor.Pace{
		Tuned: p.Tuned, Delay: time.Duration(p.Delay) * tick, Wanted: time.Duration(p.Wanted) * tick, Why: p.Why.String(), Hurried: p.Hurried(),
		Silence: time.Duration(p.Silence), Stall: time.Duration(p.Stall), Sync: time.Duration(p.Sync), RoundTrip: time.Duration(p.RoundTrip),
		Stalls: p.Stalls.Count, LongestStall: time.Duration(p.Stalls.Longest),
		SlowSyncs: p.SlowSyncs.Count, LongestSync: time.Duration(p.SlowSyncs.Longest),
	}
}

// collectPace tells how long this server waits for its leader, and what that follows.
func (c *collector) collectPace(gauge, counter emit) {
	s := c.server
	now := s.forClients.Status()
	p := s.paceOf(&now.Pace)
	gauge(oneIf(p.Tuned), "quorate_campaign_delay_tuned", "Whether the campaign delay follows what is measured: 1, or 0.")
	gauge(p.Delay.Seconds(), "quorate_campaign_delay_seconds", "How long this server waits for its leader, at least, before it campaigns.")
	gauge(p.Wanted.Seconds(), "quorate_campaign_delay_wanted_seconds", "How long it should, by what is measured: twice the worst.")
	gauge(oneIf(p.Hurried), "quorate_campaign_delay_too_short", "Whether it waits less than was measured, so that a leader may be deposed that is only slow: 1, or 0.")
	gauge(p.Silence.Seconds(), "quorate_leader_silence_seconds", "The longest silence of late of the leader; at the leader, of a majority.")
	gauge(p.Stall.Seconds(), "quorate_tick_delay_seconds", "By how much the clock's ticks came late at most, of late.")
	gauge(p.Sync.Seconds(), "quorate_log_sync_seconds", "How long a write to the log took at most, of late, until it was durable.")
	gauge(p.RoundTrip.Seconds(), "quorate_majority_round_trip_seconds", "How long messages take to a majority and back; 0: not known.")
	counter(float64(p.Stalls), "quorate_stalls_total", "How often this server stood still for so long that a leader could be taken for dead.")
	gauge(p.LongestStall.Seconds(), "quorate_stall_longest_seconds", "The longest of them.")
	counter(float64(p.SlowSyncs), "quorate_slow_syncs_total", "How often a write to the log took that long.")
	gauge(p.LongestSync.Seconds(), "quorate_slow_sync_longest_seconds", "The longest of them.")
}
