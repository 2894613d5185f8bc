package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/internal/choice"
)

// Script is a world in a small text: a seed, and what differs from it. Shrink writes scripts, and
// those of past failures are kept in testdata/corpus.
//
//	# What it once showed, in any number of lines.
//	seed 1742
//	simulated 4.512s
//	check C2
//	plan.servers = 2
//	fault.strikes crash = no
//	fault.strikes crash #3 = yes
type Script struct {
	// Head is the text before the world, without its signs.
	Head []string
	Seed uint64
	// Simulated is how long the world lasts before its ending.
	Simulated time.Duration
	// Check is what the world once failed, "" if it never did.
	Check string
	Rules []choice.Rule
}

// Options returns the options with which to run the world.
func (s *Script) Options() Options {
	return Options{Seed: s.Seed, Simulated: s.Simulated, Rules: s.Rules, Detailed: true}
}

// String writes the script. ParseScript reads it.
func (s *Script) String() string {
	var b strings.Builder
	for _, line := range s.Head {
		b.WriteString(strings.TrimSpace("# "+line) + "\n")
	}
	fmt.Fprintf(&b, "seed %d\nsimulated %v\n", s.Seed, s.Simulated)
	if s.Check != "" {
		fmt.Fprintf(&b, "check %s\n", s.Check)
	}
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "%s\n", r)
	}
	return b.String()
}

// ParseScript reads a script. What it cannot read it says by its line.
func ParseScript(text string) (*Script, error) {
	s := &Script{}
	seeds := 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, " ")
		var err error
		switch {
		case line == "":
		case key == "#":
			s.Head = append(s.Head, value)
		case strings.Contains(line, " = "):
			var r choice.Rule
			r, err = choice.ParseRule(line)
			s.Rules = append(s.Rules, r)
		case key == "seed":
			seeds++
			s.Seed, err = strconv.ParseUint(value, 10, 64)
		case key == "simulated":
			s.Simulated, err = time.ParseDuration(value)
		case key == "check" && value != "":
			s.Check = value
		default:
			err = fmt.Errorf("%q is neither a rule nor anything else", line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the script: %w", i+1, err)
		}
	}
	if seeds != 1 {
		return nil, errors.New("script must have one seed")
	}
	o := s.Options()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	return s, nil
}
