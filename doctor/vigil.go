package doctor

import (
	"time" //tidy:impure moments and spans are arguments here: nobody asks a clock
)

// Vigil says when a server should log that nothing is decided: when it has found that, again from time to
// time while it lasts, and when it is over.
type Vigil struct {
	// ElectionTimeout is how long a quorum must be missing, and a tenth of how long a leader, before
	// anything is said: elections, and starts one after the other, are everyday matters.
	ElectionTimeout time.Duration

	since time.Time // the first look that found it; zero: all is well
	said  time.Time // the last notice; zero: none
}

const (
	// noticeEvery is how often it is said again.
	noticeEvery = 30 * time.Second
	// leaderPatience is how many election timeouts an election may take.
	leaderPatience = 10
)

// Notice is what to log.
type Notice struct {
	// Over: something is decided again. Otherwise Finding says what is wrong.
	Over    bool
	Finding Finding
	// Lasted is how long nothing has been decided.
	Lasted time.Duration
}

// Look takes a report, and returns what to log now, if anything.
func (v *Vigil) Look(r *Report) (n Notice, say bool) {
	f := r.Blocking()
	if f == nil {
		n = Notice{Over: true, Lasted: r.Time.Sub(v.since)}
		say = !v.said.IsZero()
		v.since, v.said = time.Time{}, time.Time{}
		return n, say
	}
	if v.since.IsZero() {
		v.since = r.Time
	}
	lasted, patience := r.Time.Sub(v.since), v.ElectionTimeout
	if f.Code == NoLeader {
		patience *= leaderPatience
	}
	if lasted < patience || !v.said.IsZero() && r.Time.Sub(v.said) < noticeEvery {
		return Notice{}, false
	}
	v.said = r.Time
	return Notice{Finding: *f, Lasted: lasted}, true
}
