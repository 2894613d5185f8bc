package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

// comparison is a whole run of this program.
type comparison struct {
	options  *options
	subjects []cluster.Subject
	dir      string    // for everything on disk
	progress io.Writer // one line per run
}

// cases returns every run to make, in order. Subjects take turns as often as possible, so that a
// disturbance of the machine hits all of them.
func (o *options) cases(subjects []cluster.Subject) []report.Run {
	var runs []report.Run
	for round := 1; round <= o.rounds; round++ {
		for _, scenario := range o.scenarios {
			for _, clients := range o.clients {
				for _, target := range o.targets {
					for _, subject := range subjects {
						c := report.Case{Scenario: scenario, Clients: clients, Target: target, Subject: subject.Name}
						runs = append(runs, report.Run{Case: c, Round: round})
					}
				}
			}
		}
	}
	return runs
}

// compare makes every run and returns them with their figures, all of them or those up to the end of
// ctx.
func (c *comparison) compare(ctx context.Context) []report.Run {
	runs := c.options.cases(c.subjects)
	for i := range runs {
		r := &runs[i]
		fmt.Fprintf(c.progress, "[%d/%d] round %d: %s, %d clients, %s ... ", i+1, len(runs), r.Round, r.Scenario, r.Clients, where(r))
		// Cases end with the subject, so the subjects come round and round.
		err := c.run(ctx, c.subjects[i%len(c.subjects)], r)
		if ctx.Err() != nil {
			fmt.Fprintln(c.progress, "interrupted")
			return runs[:i]
		}
		c.outcome(err, r)
	}
	return runs
}

// where is the subject of a run and, unless it is all of them, the servers that are asked.
func where(r *report.Run) string {
	if r.Target == "all" {
		return r.Subject
	}
	return r.Subject + ", " + r.Target
}

// outcome notes how a run has ended, and tells of it.
func (c *comparison) outcome(err error, r *report.Run) {
	var skipped skip
	if errors.As(err, &skipped) {
		r.Skipped = skipped.reason
	} else if err != nil {
		r.Failure = err.Error()
	}
	fmt.Fprintln(c.progress, line(r))
}

func line(r *report.Run) string {
	if r.Failure != "" {
		return "FAILED: " + r.Failure
	}
	if r.Skipped != "" {
		return "skipped: " + r.Skipped
	}
	text := fmt.Sprintf("%.0f ops/s, p99 %.1f ms, %d errors", float64(r.Ops)/r.Seconds, r.P99Micros/1e3, r.Errors)
	for _, f := range r.More {
		text += fmt.Sprintf("; %s: %.4g", f.Name, f.Value)
	}
	return text
}

// skip says why a subject cannot be asked for what a scenario measures. It is no failure.
type skip struct{ reason string }

func (s skip) Error() string { return s.reason }

// run carries out one run on servers of its own and leaves nothing of them behind.
func (c *comparison) run(ctx context.Context, subject cluster.Subject, r *report.Run) error {
	scenario, err := findScenario(r.Scenario)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.dir, fmt.Sprintf("%s-%d-%s-", scenario.name, r.Clients, r.Subject))
	if err != nil {
		return err
	}
	defer c.clean(dir)
	servers, err := cluster.Start(ctx, subject, dir, scenario.serverCount())
	if err != nil {
		return err
	}
	defer servers.Close()
	ctx, cancel := servers.WhileAlive(ctx)
	defer cancel()
	asker, err := cluster.Dial(servers.URLs()[servers.Leader])
	if err != nil {
		return err
	}
	defer asker.Close()

	b := &bed{
		options: c.options,
		target:  r.Target,
		size:    scenario.size,
		cluster: servers,
		asker:   asker,
		seed:    uint64(r.Round), // the same for all subjects
		warn:    func(format string, args ...any) { fmt.Fprintf(c.progress, format+" ... ", args...) },
		tell:    func(format string, args ...any) { fmt.Fprintf(c.progress, format+"\n    ", args...) },
	}
	if c.options.profile != "" {
		b.profile = profileFile(c.options.profile, r)
	}
	b.fill()
	if !scenario.bare {
		err = b.store(ctx)
	}
	if err == nil {
		err = scenario.run(ctx, b, r)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // a server's death says more than what its clients saw of it
	}
	return err
}

// clean removes what a run has left on the disk and waits for the disk, which may have more to do for
// removed files than one thinks, so that the next run finds it idle.
func (c *comparison) clean(dir string) {
	if c.options.keep {
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintf(c.progress, "remove %s: %v\n", dir, err)
	}
	syscall.Sync()
}

// sentences says what every run of o does and what the columns mean.
func (o *options) sentences() []string {
	sentences := []string{
		fmt.Sprintf("every run: three fresh servers on loopback (one where the scenario says alone), sync on; %d keys of %d B with %d B of value stored beforehand; "+
			"closed loop; one connection per client up to %d; target all: dealt to all servers in turn, the leader first; "+
			"leader or follower: all of them to that one", o.keys, len(keyName(0)), o.valueBytes, maxConnections),
		fmt.Sprintf("%v warm-up, %v window, %d rounds, subjects in turn; figures are medians, spread is (max - min) / median of ops/s",
			o.warmup.Round(time.Millisecond), o.window.Round(time.Millisecond), o.rounds),
		"leader, followers (both), servers (all three), client: CPU seconds, user and system, per 100,000 operations; " +
			"anon, file: RSS of the three servers after the load; steal, other: CPUs taken in the window by the hypervisor " +
			"and by anything else on this machine; errors: of all runs together",
	}
	failing := func(name string) bool {
		s, err := findScenario(name)
		return err == nil && s.failing
	}
	if slices.ContainsFunc(o.scenarios, failing) {
		rate := "half as often as the clients came to just before"
		if o.rate > 0 {
			rate = fmt.Sprintf("%v times a second", o.rate)
		}
		sentences = append(sentences, fmt.Sprintf("failover, transfer: clients of all servers put evenly, %s, and one more puts one after another, as all do "+
			"in rolling, rollingonce and replace; each try has %v, and a request of Quorate's client %v; ops/s, p50, p99 are of acknowledged puts; all of these were read back at every server", rate, o.timeout, ownTimeout))
	}
	return sentences
}
