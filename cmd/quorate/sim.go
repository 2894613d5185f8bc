package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/sim"
)

func simCommand(w *world) *cobra.Command {
	var output outputFlags
	b := sim.Batch{From: 1}
	var seed uint64
	var seconds float64
	cmd := &cobra.Command{
		Use:     "sim",
		GroupID: groupProof,
		Short:   "Run simulated clusters, with faults, and check that nothing goes wrong",
		Long: `Runs whole clusters in simulated time, each out of one seed: servers that crash and lose what was not
synced, a network that loses, repeats and cuts, clocks that drift, clients that read and write. Log,
replication and store are the code that ships. After every event it is checked that nothing is wrong.

With --seed it runs that one world and tells its story. The same seed always gives the same world.`,
		Example: `  quorate sim --seeds 100                 # a hundred worlds of 30 simulated seconds
  quorate sim --seed 42                   # the story of world 42
  quorate sim --from 5000 --seeds 1000 --seconds 60 --output json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := output.format(show.Simple)
			if err != nil {
				return err
			}
			b.Options.Simulated = time.Duration(seconds * float64(time.Second))
			if cmd.Flags().Changed("seed") {
				if cmd.Flags().Changed("seeds") || cmd.Flags().Changed("from") {
					return usage("--seed is one world; --from and --seeds are many")
				}
				b.From, b.Count, b.Options.Story = seed, 1, w.out
			}
			if err := b.Validate(); err != nil {
				return usage("%w", err)
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runWorlds(ctx, w, b, format)
		},
	}
	output.add(cmd)
	cmd.Flags().Uint64Var(&seed, "seed", 0, "run this world alone, and tell its story")
	cmd.Flags().Uint64Var(&b.From, "from", b.From, "the first seed")
	cmd.Flags().IntVar(&b.Count, "seeds", 100, "how many worlds")
	cmd.Flags().Float64Var(&seconds, "seconds", 30, "how long each lasts, in its own time")
	cmd.Flags().IntVar(&b.Workers, "workers", 0, "how many run side by side (default: one for each processor)")
	cmd.Flags().BoolVar(&b.StopAtFailure, "stop", false, "stop at the first failure")
	return cmd
}

// runWorlds runs the batch, with a line of progress every few seconds.
func runWorlds(ctx context.Context, w *world, b sim.Batch, format show.Format) error {
	began, told, done, failures := time.Now(), time.Now(), 0, 0
	var simulated time.Duration
	var trace [16]byte
	counts, err := sim.Many(ctx, b, func(r sim.Result, err error) {
		done++
		simulated += r.Simulated
		trace = r.Trace
		if err != nil {
			failures++
			fmt.Fprintln(w.err, err)
		}
		if time.Since(told) > 2*time.Second && b.Options.Story == nil {
			told = time.Now()
			fmt.Fprintf(w.err, "%d of %d worlds, %d failed\n", done, b.Count, failures)
		}
	})
	var world *sim.Failure
	if err != nil && !errors.As(err, &world) {
		return failed(err)
	}
	if format == show.JSON {
		b, err := json.Marshal(map[string]any{
			"worlds": done, "failures": failures, "simulatedSeconds": simulated.Seconds(),
			"lastTrace": hex.EncodeToString(trace[:]), "counts": counts,
		})
		if err != nil {
			return failed(err)
		}
		fmt.Fprintf(w.out, "%s\n", b)
	} else {
		took := time.Since(began)
		fmt.Fprintf(w.out, "%s\n%d worlds, %v simulated in %v (%.0f times faster than real time), %d failed\n", counts.String(),
			done, simulated.Round(time.Second), took.Round(time.Millisecond), simulated.Seconds()/took.Seconds(), failures)
		if b.Options.Story != nil {
			fmt.Fprintf(w.out, "trace %x\n", trace)
		}
	}
	if failures > 0 {
		return &failure{status: exitFailed} // each has been told
	}
	return nil
}
