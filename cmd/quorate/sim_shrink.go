package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/quorate/quorate/sim"
)

// shrinkWorld looks for a smaller world that fails like the one of the seed, and prints it.
func (f *simFlags) shrinkWorld(ctx context.Context, w *world) error {
	options := f.batch.Options
	options.Seed = f.seed
	small, err := sim.Shrink(ctx, sim.Shrinking{Options: options, Runs: f.runs, Progress: func(runs int, what string, size sim.Size) {
		fmt.Fprintf(w.err, "%4d of %d runs: %s: %v\n", runs, f.runs, what, size)
	}})
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(w.err, "in %d runs\nfrom %v\nto   %v\n", small.Runs, small.Before, small.After)
	if f.script == "" {
		fmt.Fprint(w.out, small.Script)
		return nil
	}
	if err := os.WriteFile(f.script, []byte(small.Script.String()), 0o644); err != nil {
		return failed(fmt.Errorf("write the script: %w", err))
	}
	fmt.Fprintf(w.out, "replay: quorate sim --replay %s\n", f.script)
	return nil
}

// replayScript plays the world of a script, and tells its story.
func replayScript(w *world, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return usage("read the script: %w", err)
	}
	script, err := sim.ParseScript(string(text))
	if err != nil {
		return usage("%s: %w", name, err)
	}
	for _, line := range script.Head {
		fmt.Fprintln(w.out, "#", line)
	}
	options := script.Options()
	options.Story = w.out
	result, err := sim.Run(options)
	var found *sim.Failure
	switch {
	case errors.As(err, &found) && found.Stack != "":
		fmt.Fprintln(w.out, found.Stack)
	case err != nil && found == nil:
		return failed(err)
	}
	fmt.Fprintf(w.out, "trace %x\n", result.Trace)
	if found != nil {
		return &failure{status: exitFailed} // the story has told it
	}
	if script.Check != "" {
		fmt.Fprintf(w.out, "it once failed %s, and does not any more\n", script.Check)
	}
	return nil
}
