package main

import (
	"fmt"
	"io"
	"time"
)

// longRun tells of what takes long, on a line of its own that is written again and again.
type longRun struct {
	out   io.Writer
	began time.Time
	told  time.Time
	wide  int
}

const (
	longRunAfter = 2 * time.Second
	longRunEvery = 200 * time.Millisecond
)

func newLongRun(out io.Writer) *longRun { return &longRun{out: out, began: time.Now()} }

func (p *longRun) tell(what string, done, total int64) {
	now := time.Now()
	if now.Sub(p.began) < longRunAfter || now.Sub(p.told) < longRunEvery {
		return
	}
	p.told = now
	text := what
	switch {
	case total > 0:
		text += fmt.Sprintf(": %d of %d (%d %%)", done, total, done*100/total)
	case done > 0:
		text += fmt.Sprintf(": %d", done)
	}
	p.wide = max(p.wide, len(text))
	fmt.Fprintf(p.out, "\r%-*s", p.wide, text)
}

// end ends the line.
func (p *longRun) end() {
	if p.wide > 0 {
		fmt.Fprintf(p.out, "\r%-*s\r", p.wide, "")
		p.wide = 0
	}
}
