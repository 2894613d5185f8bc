package client

import (
	"sync"
	"time"
)

// Patience that is measured is twice the slowest answer of the last half minute or so, within these bounds.
const (
	leastPatience  = 300 * time.Millisecond
	mostPatience   = time.Second
	patienceFactor = 2
	slowestFor     = 15 * time.Second
	// longestSilence bounds what patience grows to when it is measured, and maxPatienceFactor when it is not.
	longestSilence    = 8 * time.Second
	maxPatienceFactor = 8
)

// patience is for how long a server may be silent. A server that is stopped says nothing, and one that is only
// slow should not be asked to do everything again elsewhere: which of the two it is, only time tells, so it
// is held against the time that answers have taken of late.
type patience struct {
	fixed time.Duration // 0: it is measured

	mu          sync.Mutex // guards what follows
	turned      time.Time
	now, before time.Duration // the slowest answer since turned, and in the time before that
}

// answered notes how long an answer has taken.
func (p *patience) answered(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(time.Now())
	p.now = max(p.now, took)
}

// turn forgets what is too long ago.
func (p *patience) turn(now time.Time) {
	switch since := now.Sub(p.turned); {
	case since >= 2*slowestFor:
		p.turned, p.now, p.before = now, 0, 0
	case since >= slowestFor:
		p.turned, p.now, p.before = now, 0, p.now
	}
}

// after returns how long to wait for an answer, when so many servers have been silent to the same call: half
// as long again for each.
func (p *patience) after(silent int) time.Duration {
	least, most := p.fixed, maxPatienceFactor*p.fixed
	if least == 0 {
		p.mu.Lock()
		p.turn(time.Now())
		least, most = min(max(patienceFactor*max(p.now, p.before), leastPatience), mostPatience), longestSilence
		p.mu.Unlock()
	}
	for range silent {
		if least += least / 2; least >= most {
			return most
		}
	}
	return least
}
