package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/sim"
)

// simFlags is what the command line of sim says.
type simFlags struct {
	batch         sim.Batch
	from          string // a number, or auto
	seed          uint64
	alone         bool // only the world of seed
	seconds       float64
	ledger        string
	chunk         int
	commit        string
	summary       bool
	traces, twice bool
	shrink        bool
	runs          int
	script        string // where to write what is left
	replay        string
	output        outputFlags
}

// auto, in place of the first seed, stands for the one behind the last of the ledger.
const auto = "auto"

func simCommand(w *world) *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:     "sim",
		GroupID: groupProof,
		Short:   "Run simulated clusters, with faults, and check that nothing goes wrong",
		Long: `Runs whole clusters in simulated time, each out of one seed: servers that crash and lose what was not
synced, a network that loses, repeats and cuts, clocks that drift, clients that read and write. Log,
replication and store are the code that ships. After every event it is checked that nothing is wrong.

With --seed it runs that one world and tells its story. The same seed always gives the same world;
--twice proves it, by running every world in two processes with different numbers of threads.

With --shrink it looks for a smaller world that fails like that of --seed, and prints it as a script, a
small text; --replay plays a script, and tells its story in detail.

With --ledger it adds what was seen to a file, a line for every chunk of worlds, and by default goes on
behind the seeds that are there already. What was finished stays if it is interrupted.`,
		Example: `  quorate sim --seeds 100                 # a hundred worlds of 30 simulated seconds
  quorate sim --seed 42                   # the story of world 42
  quorate sim --from 5000 --seeds 1000 --seconds 60 --output json
  quorate sim --seed 42 --shrink --script small.txt
  quorate sim --replay small.txt
  quorate sim --twice --seeds 1000        # the same again, bit by bit?
  quorate sim --ledger docs/results/simulation.jsonl --seeds 10000
  quorate sim --ledger docs/results/simulation.jsonl --summary`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return f.run(ctx, w)
		},
	}
	f.output.add(cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 0, "run this world alone, and tell its story")
	flags.StringVar(&f.from, "from", "1", "the first seed; "+auto+": the one behind all in the ledger, its default")
	flags.IntVar(&f.batch.Count, "seeds", 100, "how many worlds")
	flags.Float64Var(&f.seconds, "seconds", 30, "how long each lasts, in its own time")
	flags.IntVar(&f.batch.Workers, "workers", 0, "how many run side by side (default: one for each processor)")
	flags.BoolVar(&f.batch.StopAtFailure, "stop", false, "stop at the first failure")
	flags.StringVar(&f.ledger, "ledger", "", "add what was seen to this file")
	flags.IntVar(&f.chunk, "chunk", 500, "how many worlds make a line of the ledger")
	flags.StringVar(&f.commit, "commit", "", "the commit to write into the ledger (default: what the compiler was told)")
	flags.BoolVar(&f.summary, "summary", false, "add up the ledger, and run nothing")
	flags.BoolVar(&f.twice, "twice", false, "run every world in two processes, and compare")
	flags.BoolVar(&f.shrink, "shrink", false, "look for a smaller world that fails like that of --seed")
	flags.IntVar(&f.runs, "runs", 500, "how many worlds --shrink tries at most")
	flags.StringVar(&f.script, "script", "", "write the world that --shrink finds to this file")
	flags.StringVar(&f.replay, "replay", "", "play the world of this script, and tell its story")
	flags.BoolVar(&f.traces, "traces", false, "print the trace of every world, and nothing else")
	return cmd
}

// check brings the flags together, or says why they do not fit.
func (f *simFlags) check(cmd *cobra.Command) (err error) {
	given := cmd.Flags().Changed
	only := 0 // of the kinds of runs
	for _, kind := range []bool{given("seed"), given("ledger"), given("replay"), f.twice, f.traces} {
		if kind {
			only++
		}
	}
	switch {
	case only > 1:
		return usage("--seed, --ledger, --replay, --twice and --traces exclude each other")
	case given("seed") && (given("seeds") || given("from")):
		return usage("--seed is one world; --from and --seeds are many")
	case f.shrink && !given("seed"):
		return usage("--shrink needs a --seed that fails")
	case f.script != "" && !f.shrink:
		return usage("--script is where --shrink writes")
	case f.runs < 1:
		return usage("--runs is %d, must be at least 1", f.runs)
	case f.summary && f.ledger == "":
		return usage("--summary needs a --ledger")
	case f.chunk < 1:
		return usage("--chunk is %d, must be at least 1", f.chunk)
	case f.ledger != "" && f.batch.StopAtFailure:
		return usage("--stop does not go with --ledger: a chunk is whole")
	}
	if f.ledger != "" && !given("from") {
		f.from = auto
	}
	if f.from == auto && f.ledger == "" {
		return usage("--from %s needs a --ledger", auto)
	}
	if f.from != auto {
		if f.batch.From, err = strconv.ParseUint(f.from, 10, 64); err != nil {
			return usage("--from is %q, must be a number or %s", f.from, auto)
		}
	}
	if given("seed") {
		f.alone, f.batch.From, f.batch.Count = true, f.seed, 1
	}
	f.batch.Options.Simulated = time.Duration(f.seconds * float64(time.Second))
	if err := f.batch.Validate(); err != nil {
		return usage("%w", err)
	}
	_, err = f.output.format(show.Simple)
	return err
}

// run does what the flags say.
func (f *simFlags) run(ctx context.Context, w *world) error {
	format, err := f.output.format(show.Simple)
	if os.Getenv("GOGC") == "" {
		// A world lives on little memory and makes much garbage: a fifth of the time went into collecting it.
		debug.SetGCPercent(300)
	}
	switch {
	case err != nil:
		return err
	case f.summary:
		return summarize(w, f.ledger, format)
	case f.ledger != "":
		return f.runIntoLedger(ctx, w)
	case f.twice:
		return f.runTwice(ctx, w)
	case f.traces:
		return printTraces(ctx, w, f.batch)
	case f.shrink:
		return f.shrinkWorld(ctx, w)
	case f.replay != "":
		return replayScript(w, f.replay)
	case f.alone:
		f.batch.Options.Story = w.out
	}
	return runWorlds(ctx, w, f.batch, format)
}

// progress tells every few seconds how far a run is.
type progress struct {
	w              *world
	worlds         int
	done, failures int
	told           time.Time
}

// add counts a world, and tells of its failure.
func (p *progress) add(_ sim.Result, err error) {
	p.done++
	if err != nil {
		p.failures++
		fmt.Fprintln(p.w.err, err)
	}
	if time.Since(p.told) > 2*time.Second {
		p.told = time.Now()
		fmt.Fprintf(p.w.err, "%d of %d worlds, %d failed\n", p.done, p.worlds, p.failures)
	}
}

// runWorlds runs the batch, and tells what there was to be seen.
func runWorlds(ctx context.Context, w *world, b sim.Batch, format show.Format) error {
	began, p := time.Now(), progress{w: w, worlds: b.Count, told: time.Now()}
	var simulated time.Duration
	var trace [16]byte
	counts, err := sim.Many(ctx, b, func(r sim.Result, err error) {
		simulated += r.Simulated
		trace = r.Trace
		p.add(r, err)
	})
	var world *sim.Failure
	if err != nil && !errors.As(err, &world) {
		return failed(err)
	}
	if format == show.JSON {
		b, err := json.Marshal(map[string]any{
			"worlds": p.done, "failures": p.failures, "simulatedSeconds": simulated.Seconds(),
			"lastTrace": hex.EncodeToString(trace[:]), "counts": counts,
		})
		if err != nil {
			return failed(err)
		}
		fmt.Fprintf(w.out, "%s\n", b)
	} else {
		took := time.Since(began)
		fmt.Fprintf(w.out, "%s\n%d worlds, %v simulated in %v (%.0f times faster than real time), %d failed\n", counts.String(),
			p.done, simulated.Round(time.Second), took.Round(time.Millisecond), simulated.Seconds()/took.Seconds(), p.failures)
		if b.Options.Story != nil {
			fmt.Fprintf(w.out, "trace %x\n", trace)
		}
	}
	return p.verdict()
}

// verdict is the exit status of a run: each failure has been told.
func (p *progress) verdict() error {
	if p.failures > 0 {
		return &failure{status: exitFailed}
	}
	return nil
}
