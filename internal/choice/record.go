package choice

import (
	"fmt"
	"slices"
)

// Recorder passes questions on, and keeps the answers.
type Recorder struct {
	source  Source
	choices []Choice
}

// Record returns a source that answers as source does, and keeps what was chosen.
func Record(source Source) *Recorder { return &Recorder{source: source} }

// Choose implements Source.
func (r *Recorder) Choose(label string, n int) int {
	result := r.source.Choose(label, n)
	r.choices = append(r.choices, Choice{Label: label, N: n, Result: result})
	return result
}

// Choices returns what was chosen so far, first to last, as a copy.
func (r *Recorder) Choices() []Choice { return slices.Clone(r.choices) }

// Replayer repeats choices for as long as it is asked the same questions.
type Replayer struct {
	choices  []Choice
	at       int
	rest     Source
	diverged error // set once, at the first other question
}

// Replay returns a source that answers with choices, in their order. After the last of them, and from
// the first question on that is not the one which was recorded (another label, or among another
// number), rest answers; a nil rest always answers 0.
func Replay(choices []Choice, rest Source) *Replayer {
	return &Replayer{choices: slices.Clone(choices), rest: rest}
}

// Choose implements Source.
func (r *Replayer) Choose(label string, n int) int {
	mustBePositive(label, n)
	if r.diverged == nil && r.at < len(r.choices) {
		c := r.choices[r.at]
		if c.Label == label && c.N == n && c.Result >= 0 && c.Result < n {
			r.at++
			return c.Result
		}
		r.diverged = fmt.Errorf("choice %d was %s, and is now among %d for %s", r.at, c, n, label)
	}
	if r.rest == nil {
		return 0
	}
	return r.rest.Choose(label, n)
}

// Left returns how many of the choices have not been asked for (yet).
func (r *Replayer) Left() int { return len(r.choices) - r.at }

// Diverged returns nil if every question so far was the recorded one (or came after the last), and
// otherwise says which was the first that was not.
func (r *Replayer) Diverged() error { return r.diverged }
