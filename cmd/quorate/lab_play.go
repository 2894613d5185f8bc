package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/quorate/quorate/scenario"
)

// labPlayer tells a scenario as it plays.
type labPlayer struct {
	out     io.Writer
	colours bool
	// wait returns after the reader has asked for more; false if there is nothing more to be asked for.
	// nil: nobody is waited for.
	wait func() bool
}

// play plays the scenario to its end and says whether all of it was as expected.
func (p *labPlayer) play(s *scenario.Scenario) error {
	fmt.Fprintf(p.out, "%s\nShows %s.\n\n%s\n", p.styled(bold, s.Title), strings.Join(s.Claims, ", "), s.Introduction)
	commands, otherwise, first := 0, 0, 0
	for m, err := range s.Play() {
		if p.wait != nil && commands > 0 {
			fmt.Fprint(p.out, p.styled(dim, "\n[Enter]"))
			if !p.wait() {
				fmt.Fprintf(p.out, "\nStopped after %d commands.\n", commands)
				return &failure{status: exitFailed} // nobody knows how it would have ended
			}
		}
		commands++
		p.tell(&m)
		if err != nil {
			return failed(err)
		}
		if !m.AsExpected() {
			otherwise++
			if first == 0 {
				first = m.Line
			}
		}
	}
	if otherwise > 0 {
		fmt.Fprintf(p.out, "\n%s: %d of %d commands, the first in line %d of the script.\n",
			p.styled(red, "Not as expected"), otherwise, commands, first)
		return &failure{status: exitFailed} // the differences have been told
	}
	fmt.Fprintf(p.out, "\n%s: all %d commands, and every invariant held after every step.\n", p.styled(green, "As expected"), commands)
	return nil
}

// tell tells one command: what it is for, the command itself, and what it brought about.
func (p *labPlayer) tell(m *scenario.Moment) {
	fmt.Fprintln(p.out)
	if m.Comment != "" {
		fmt.Fprintf(p.out, "%s\n\n", m.Comment)
	}
	for line := range strings.SplitSeq(m.Command, "\n") {
		fmt.Fprintln(p.out, p.styled(bold, "> "+line))
	}
	for _, line := range difference(m.Expected, m.Happened) {
		text := string(line.sign) + " " + line.text
		switch {
		case line.sign == missing:
			text = p.styled(red, text)
		case line.sign == unexpected:
			text = p.styled(green, text)
		case strings.Contains(line.text, " -> "):
			text = p.styled(dim, text)
		}
		fmt.Fprintln(p.out, text)
	}
}

// diffLine is a line that happened as expected, that did not, or that was not expected.
type diffLine struct {
	sign rune
	text string
}

const (
	same       = ' '
	missing    = '-'
	unexpected = '+'
)

// difference sets what was expected beside what happened. Lines that agree at the beginning and at the
// end are told once; what is between them is told twice, for the order of events matters.
func difference(expected, happened []string) []diffLine {
	begin := 0
	for begin < len(expected) && begin < len(happened) && expected[begin] == happened[begin] {
		begin++
	}
	end := 0
	for end < len(expected)-begin && end < len(happened)-begin &&
		expected[len(expected)-1-end] == happened[len(happened)-1-end] {
		end++
	}
	var lines []diffLine
	add := func(sign rune, texts []string) {
		for _, text := range texts {
			lines = append(lines, diffLine{sign, text})
		}
	}
	add(same, happened[:begin])
	add(missing, expected[begin:len(expected)-end])
	add(unexpected, happened[begin:len(happened)-end])
	add(same, happened[len(happened)-end:])
	return lines
}

// Styles of a terminal.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

// styled puts a style on a text, if it goes to a terminal.
func (p *labPlayer) styled(style, text string) string {
	if !p.colours {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// playJSON plays the scenario and writes a line for each command.
func playJSON(w *world, s *scenario.Scenario) error {
	type line struct {
		Comment    string   `json:"comment,omitempty"`
		Command    string   `json:"command"`
		Happened   []string `json:"happened"`
		Expected   []string `json:"expected,omitempty"` // only if it is something else
		AsExpected bool     `json:"asExpected"`
	}
	to := json.NewEncoder(w.out)
	well := true
	for m, err := range s.Play() {
		l := line{Comment: m.Comment, Command: m.Command, Happened: m.Happened, AsExpected: m.AsExpected()}
		if l.Happened == nil {
			l.Happened = []string{}
		}
		if !l.AsExpected {
			l.Expected, well = m.Expected, false
		}
		if err != nil {
			return failed(err)
		}
		if err := to.Encode(l); err != nil {
			return failed(err)
		}
	}
	if !well {
		return &failure{status: exitFailed} // the lines say it
	}
	return nil
}
