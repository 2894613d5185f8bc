package client

import (
	"sync"
	"time"
)

// Patience that is measured is within these bounds.
const (
	leastForWrites = 100 * time.Millisecond
	leastForReads  = 300 * time.Millisecond
	mostPatience   = time.Second
	slowestFor     = 15 * time.Second
	// longestSilence bounds what patience grows to when it is measured, and maxPatienceFactor when it is not.
	longestSilence    = 8 * time.Second
	maxPatienceFactor = 8
)

// patience is for how long a server may be silent. A server that is stopped says nothing, and one that is only
// slow should not be asked to do everything again elsewhere: which of the two it is, only time tells, so it
// is held against the time that answers have taken of late.
//
// Writes are much alike, and a copy too many costs little: theirs is the mean and four times the deviation from
// it, as TCP waits for an acknowledgement (RFC 6298). Some reads take a hundred times as long as
// others, and all of it again at the next server: theirs is twice the slowest of the last quarter to half of a minute.
type patience struct {
	fixed time.Duration // 0: it is measured

	mu              sync.Mutex // guards what follows
	mean, deviation time.Duration
	turned          time.Time
	now, before     time.Duration // the slowest answer to a read since turned, and in the time before that
}

// wrote notes how long the answer to a write has taken.
func (p *patience) wrote(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 {
		p.mean, p.deviation = took, took/2
		return
	}
	p.deviation += (max(took-p.mean, p.mean-took) - p.deviation) / 4
	p.mean += (took - p.mean) / 8
}

// read notes how long the answer to a read has taken.
func (p *patience) read(took time.Duration) {
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

// forWrite and forRead return how long to wait for an answer, when so many servers have been silent to the same
// call: half as long again for each. If all have been asked there is nobody left who might do better.
func (p *patience) forWrite(silent int, all bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.grown(max(p.mean+4*p.deviation, leastForWrites), silent, all)
}

func (p *patience) forRead(silent int, all bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(time.Now())
	return p.grown(max(2*max(p.now, p.before), leastForReads), silent, all)
}

func (p *patience) grown(measured time.Duration, silent int, all bool) time.Duration {
	d, most := min(measured, mostPatience), longestSilence
	if all {
		d = mostPatience
	}
	if p.fixed > 0 {
		d, most = p.fixed, maxPatienceFactor*p.fixed
	}
	for range silent {
		if d += d / 2; d >= most {
			return most
		}
	}
	return d
}
