package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/quorate/quorate/sim"
)

// printTraces prints a line for every world, in the order of their seeds: seed, trace and events.
func printTraces(ctx context.Context, w *world, b sim.Batch) error {
	out := bufio.NewWriter(w.out)
	ended := map[uint64]sim.Result{} // those that wait for one before them
	next := b.From
	p := progress{w: w, worlds: b.Count}
	_, err := sim.Many(ctx, b, func(r sim.Result, err error) {
		if err != nil {
			p.failures++ // its trace ends there
			fmt.Fprintln(w.err, err)
		}
		ended[r.Seed] = r
		for ; ; next++ {
			r, ok := ended[next]
			if !ok {
				return
			}
			fmt.Fprintf(out, "%d %x %d\n", r.Seed, r.Trace, r.Counts.Events)
			delete(ended, next)
		}
	})
	var world *sim.Failure
	if err != nil && !errors.As(err, &world) {
		return failed(err)
	}
	if err := out.Flush(); err != nil {
		return failed(fmt.Errorf("print the traces: %w", err))
	}
	return p.verdict()
}

// The two processes of --twice have as many threads as this.
var threads = [2]int{1, 3}

// runTwice runs the batch in two processes, and compares their traces as they come.
func (f *simFlags) runTwice(ctx context.Context, w *world) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lines [2]*bufio.Scanner
	var wait [2]func() error
	for i := range lines {
		out, ended, err := f.startTraces(ctx, w, threads[i])
		if err != nil {
			return failed(err)
		}
		lines[i], wait[i] = bufio.NewScanner(out), ended
	}
	same, different := 0, 0
	for lines[0].Scan() && lines[1].Scan() {
		if a, b := lines[0].Text(), lines[1].Text(); a == b {
			same++
		} else {
			different++
			fmt.Fprintf(w.err, "with %d threads: %s\nwith %d threads: %s\n", threads[0], a, threads[1], b)
		}
	}
	if same+different < f.batch.Count {
		stop() // one of them has ended early: the other shall not wait for somebody who reads
	}
	err := errors.Join(lines[0].Err(), lines[1].Err(), wait[0](), wait[1]())
	fmt.Fprintf(w.out, "%d of %d worlds are the same with %d and with %d threads\n", same, f.batch.Count, threads[0], threads[1])
	switch {
	case err != nil:
		return failed(fmt.Errorf("run the worlds twice: %w", err))
	case different > 0 || same != f.batch.Count:
		return &failure{status: exitFailed}
	}
	return nil
}

// startTraces starts a process that prints the traces of the batch. ended waits for its end.
func (f *simFlags) startTraces(ctx context.Context, w *world, threads int) (out io.Reader, ended func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	number := strconv.Itoa(threads)
	child := exec.CommandContext(ctx, program, "sim", "--traces", "--from", f.from, "--seeds", strconv.Itoa(f.batch.Count),
		"--seconds", strconv.FormatFloat(f.seconds, 'g', -1, 64), "--workers", number)
	child.Env = append(os.Environ(), "GOMAXPROCS="+number)
	child.Stderr = w.err
	if out, err = child.StdoutPipe(); err != nil {
		return nil, nil, fmt.Errorf("run the worlds: %w", err)
	}
	if err := child.Start(); err != nil {
		return nil, nil, fmt.Errorf("run the worlds: %w", err)
	}
	return out, child.Wait, nil
}
