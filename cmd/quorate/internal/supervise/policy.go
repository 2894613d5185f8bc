package supervise

import "time"

// Policy says when a child that died is started again. The zero value is the defaults.
type Policy struct {
	// Pause is how long to wait after a death; it doubles with each quick one. Default: 1 s.
	Pause time.Duration
	// MaxPause bounds the pause. Default: 8 s.
	MaxPause time.Duration
	// Quick is the age at which a death no longer counts as one at the start. Default: 10 s.
	Quick time.Duration
	// GiveUp is how many quick deaths in a row are enough. Default: 5.
	GiveUp int
}

func (p Policy) withDefaults() Policy {
	if p.Pause == 0 {
		p.Pause = time.Second
	}
	if p.MaxPause == 0 {
		p.MaxPause = 8 * time.Second
	}
	if p.Quick == 0 {
		p.Quick = 10 * time.Second
	}
	if p.GiveUp == 0 {
		p.GiveUp = 5
	}
	return p
}

// record is what a policy remembers of a child: how many quick deaths in a row.
type record struct{ quick int }

// died notes a death at some age, and returns how long to wait, or that there is no point any more.
func (r *record) died(p Policy, age time.Duration) (pause time.Duration, giveUp bool) {
	if age >= p.Quick {
		r.quick = 0
	} else {
		r.quick++
	}
	if r.quick >= p.GiveUp {
		return 0, true
	}
	pause = p.Pause
	for i := 1; i < r.quick && pause < p.MaxPause; i++ {
		pause *= 2
	}
	return min(pause, p.MaxPause), false
}
