package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/internal/choice"
)

// ErrNotFailing: the world to shrink does not fail.
var ErrNotFailing = errors.New("nothing is wrong in this world")

// Shrinking says which world to shrink, and how long to try.
type Shrinking struct {
	// Options are those of a world that fails.
	Options Options
	// Runs bounds how many worlds are tried. Default 500.
	Runs int
	// Progress is told of each smaller world that still fails; nil: nobody is.
	Progress func(runs int, what string, size Size)
}

// Size says how large a world is.
type Size struct {
	Faults   int // as Counts.Faults, up to where it fails
	Lost     int // messages that were lost, repeated, late or damaged by choice
	Requests int
	Events   int
	Servers  int
}

func (s Size) String() string {
	return fmt.Sprintf("%d faults, %d messages tampered with, %d requests, %d events, %d servers", s.Faults, s.Lost, s.Requests, s.Events, s.Servers)
}

// Shrunk is what became of a failing world.
type Shrunk struct {
	Script        *Script
	Failure       *Failure // of the small world
	Before, After Size
	Runs          int
}

const defaultRuns = 500

// Shrink looks for a smaller world that fails the same check: with fewer servers and clients, default
// options and even latencies, then with fewer faults and requests, each of which is a choice that can
// be fixed. It tries one thing after the other, keeps what still fails, and starts over until nothing
// helps any more (Zeller and Hildebrandt, 2002). The error is ErrNotFailing, or that of ctx or the options.
func Shrink(ctx context.Context, s Shrinking) (*Shrunk, error) {
	if err := s.Options.Validate(); err != nil {
		return nil, fmt.Errorf("shrink: %w", err)
	}
	if s.Runs == 0 {
		s.Runs = defaultRuns
	}
	s.Options = s.Options.withDefaults()
	s.Options.Story = nil
	k := &shrinker{Shrinking: s, ctx: ctx, fixed: s.Options.Rules}
	first := k.run(s.Options)
	if first.failure == nil {
		return nil, fmt.Errorf("shrink seed %d: %w", s.Options.Seed, ErrNotFailing)
	}
	k.check = first.failure.Violation.Check
	k.adopt(s.Options, &first)
	before := first.size
	for size := (Size{}); size != k.best.size && k.mayRun(); {
		size = k.best.size
		k.simplify()
		k.leaveOut()
		k.hasten()
		k.shorten()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("shrink seed %d: %w", s.Options.Seed, err)
	}
	k.tidyUp()
	f := k.best.failure
	return &Shrunk{Before: before, After: k.best.size, Runs: k.runs, Failure: f, Script: &Script{
		Seed: s.Options.Seed, Simulated: k.options.Simulated, Check: k.check, Rules: k.options.Rules,
		Head: []string{"Fails: " + f.Violation.Error()},
	}}, nil
}

// shrinker is a world that is being shrunk.
type shrinker struct {
	Shrinking
	ctx   context.Context
	check string // that must fail
	runs  int

	// The smallest world so far.
	options Options
	best    attempt
	// fixed are the rules of its options that fix what kind of world it is. The others, which are
	// made anew from kept, say which of the things that can be left out happen.
	fixed []choice.Rule
	kept  []happening // nil: the seed decides
}

// attempt is what a world that was tried has come to.
type attempt struct {
	failure  *Failure
	size     Size
	happened []happening
}

// happening is something that can be left out: a choice of a label that said yes.
type happening struct {
	class  string
	label  string
	number int
}

func (k *shrinker) mayRun() bool { return k.runs < k.Runs && k.ctx.Err() == nil }

// run runs a world, and notes what happened that could be left out.
func (k *shrinker) run(o Options) attempt {
	k.runs++
	recorder := choice.Record(sourceOf(o))
	w := newWorldOf(o, recorder)
	plan := w.plan // as it was drawn: the ending changes it
	stack := w.run()
	a := attempt{failure: w.failure(stack), happened: happenings(recorder.Choices(), &plan), size: Size{
		Faults: w.counts.Faults(), Requests: w.counts.Requests, Events: w.counts.Events, Servers: plan.servers,
	}}
	for _, h := range a.happened {
		if strings.HasPrefix(h.class, "net.") {
			a.size.Lost++
		}
	}
	return a
}

// try runs a world with other rules, and adopts it if it still fails the same check.
func (k *shrinker) try(what string, simulated time.Duration, fixed []choice.Rule, kept []happening) bool {
	if !k.mayRun() {
		return false
	}
	o := k.options
	o.Simulated = simulated
	o.Rules = slices.Concat(fixed, rulesFor(kept))
	a := k.run(o)
	if a.failure == nil || a.failure.Violation.Check != k.check {
		return false
	}
	k.fixed, k.kept = fixed, kept
	k.adopt(o, &a)
	if k.Progress != nil {
		k.Progress(k.runs, what, a.size)
	}
	return true
}

// room is how long a world may take that is tried: what goes wrong before the ending may go wrong a
// bit later in a smaller world.
func (k *shrinker) room() time.Duration {
	if k.best.failure.At >= k.options.Simulated {
		return k.options.Simulated
	}
	return min(k.Options.Simulated, k.options.Simulated*3/2+500*time.Millisecond)
}

// adopt makes a world the smallest so far. What lies behind its failure is cut off.
func (k *shrinker) adopt(o Options, a *attempt) {
	if behind := (a.failure.At + time.Millisecond).Truncate(time.Millisecond); behind < o.Simulated {
		o.Simulated = behind
	}
	k.options, k.best = o, *a
	if k.kept != nil {
		k.kept = a.happened
		k.options.Rules = slices.Concat(k.fixed, rulesFor(k.kept))
	}
}

// simplify tries to make it a plainer kind of world.
func (k *shrinker) simplify() {
	for _, s := range simplifications {
		if slices.Contains(k.fixed, s.rule) || s.servers > 0 && s.servers >= k.best.size.Servers {
			continue
		}
		k.try(s.what, k.room(), append(slices.Clone(k.fixed), s.rule), k.kept)
	}
}

// leaveOut tries to leave out what happened: whole classes, then labels, halves, and in the end one by one, the
// latest first, because what is left out early changes what comes after it.
func (k *shrinker) leaveOut() {
	if k.kept == nil && !k.try("everything by its name", k.room(), k.fixed, k.best.happened) {
		return // it must be the same world; if not, there is nothing to hold on to
	}
	for _, c := range classes {
		ofClass := func(_ int, h happening) bool { return h.class == c.prefix }
		for _, share := range [...]int{8, 4, 2, 1, 0} {
			if k.without("no "+c.what, share, ofClass) {
				break
			}
		}
	}
	for i := len(k.kept) - 1; i >= 0; i = min(i, len(k.kept)) - 1 {
		if label := k.kept[i].label; !slices.ContainsFunc(k.kept[i+1:], func(h happening) bool { return h.label == label }) {
			k.without("no "+label, 8, func(_ int, h happening) bool { return h.label == label })
		}
	}
	for size := (len(k.kept) + 1) / 2; size > 0 && k.mayRun(); size /= 2 {
		for start := (len(k.kept) - 1) / size * size; start >= 0 && k.mayRun(); start -= size {
			k.without("less", 8, func(i int, _ happening) bool { return i >= start && i < start+size })
		}
	}
}

// without tries to leave out what is chosen, and reports whether there is none of it any more. What
// happens at a moment of a server is moved to that many eighths of the moments before it: without
// requests there are fewer.
func (k *shrinker) without(what string, eighths int, chosen func(int, happening) bool) bool {
	kept, moved := make([]happening, 0, len(k.kept)), false
	for i, h := range k.kept {
		if chosen(i, h) {
			continue
		}
		if eighths < 8 && (h.class == "server.cutNow" || h.class == "server.crashNow" || h.class == "server.tear") && h.number > 1 {
			h.number = 1 + (h.number-1)*eighths/8
			moved = true
		}
		kept = append(kept, h)
	}
	if len(kept) == len(k.kept) {
		return true
	}
	return (moved || eighths == 8) && k.try(what, k.room(), k.fixed, kept)
}

// hasten tries to let what is left happen at an earlier choice of its label. Much of what came before
// was needed only so that there were as many choices.
func (k *shrinker) hasten() {
	for i := 0; i < len(k.kept); i++ {
		if k.kept[i].class == "client.asks" || k.kept[i].class == "lease.asks" || k.kept[i].class == "session.asks" {
			continue // when one asks matters, but not how often it did before
		}
		for number := 1; i < len(k.kept) && number < k.kept[i].number && k.mayRun(); {
			kept := slices.Clone(k.kept)
			kept[i].number = number
			if k.try("sooner", k.room(), k.fixed, kept) {
				break
			}
			number += (k.kept[i].number - number + 1) / 2
		}
	}
}

// shorten tries to let the ending begin sooner, which matters to what goes wrong in it.
func (k *shrinker) shorten() {
	for step := k.options.Simulated / 2; step > 10*time.Millisecond && k.mayRun(); step /= 2 {
		if shorter := k.options.Simulated - step; shorter > 0 {
			k.try("shorter", shorter.Truncate(time.Millisecond), k.fixed, k.kept)
		}
	}
}

// tidyUp leaves out rules that make no difference to a world that is as small.
func (k *shrinker) tidyUp() {
	for i := len(k.fixed) - 1; i >= 0 && k.mayRun(); i-- {
		fixed := slices.Delete(slices.Clone(k.fixed), i, i+1)
		o := k.options
		o.Rules = slices.Concat(fixed, rulesFor(k.kept))
		a := k.run(o)
		if a.failure != nil && a.failure.Violation.Check == k.check && a.size == k.best.size {
			k.fixed = fixed
			k.adopt(o, &a)
		}
	}
}
