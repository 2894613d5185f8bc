package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

func main() {
	// Servers die with the thread that started them: this one, which lasts as long as we do.
	runtime.LockOSThread()
	options, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := run(options, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run makes the comparison and writes the report to stdout. An interrupt ends it in good order: no
// server and no directory is left behind, and what was measured so far is reported.
func run(o *options, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C then ends us at once, and the servers with us

	dir, err := makeDirs(o)
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(stderr, "data and logs stay in", dir)
	} else {
		defer os.RemoveAll(dir) // what is left of it; runs clean up behind themselves
	}
	subjects, err := o.subjects(ctx, dir, stderr)
	if err != nil {
		return err
	}
	r := &report.Report{
		Began:   time.Now().UTC().Format(time.RFC3339),
		Commit:  commit(ctx),
		Command: strings.Join(append([]string{"bench"}, os.Args[1:]...), " "),
		Machine: describeMachine(dir),
		Load:    o.sentences(),
	}
	if r.Subjects, err = describeSubjects(subjects); err != nil {
		return err
	}
	c := &comparison{options: o, subjects: subjects, dir: dir, progress: stderr}
	r.Runs = c.compare(ctx)
	r.Conclude()
	if ctx.Err() != nil {
		err = errors.New("interrupted: the report is of the runs before that")
	}
	return errors.Join(err, failures(r.Runs), r.Write(stdout, o.format), writeJSON(r, o.json))
}

// makeDirs makes the directories that o names and returns a fresh one for this run's data.
func makeDirs(o *options) (string, error) {
	for _, dir := range []string{o.dir, o.profile} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(o.dir, "run-")
}

// subjects returns what to compare, in the order of the tables, and builds what must be built.
func (o *options) subjects(ctx context.Context, dir string, progress io.Writer) ([]cluster.Subject, error) {
	etcd := o.etcdBinary
	if etcd == "" && o.etcd > 0 {
		etcd = filepath.Join(dir, "etcd")
		fmt.Fprintln(progress, "building etcd (the first time takes a while) ...")
		if err := cluster.BuildEtcd(ctx, etcd); err != nil {
			return nil, err
		}
	}
	var subjects []cluster.Subject
	for i, program := range o.quorate {
		subjects = append(subjects, numbered(cluster.Quorate(program, o.quorateArgs), i))
	}
	for i := range o.etcd {
		subjects = append(subjects, numbered(cluster.Etcd(etcd), i))
	}
	for i := range subjects {
		subjects[i].Flags = slices.Concat(subjects[i].Flags, o.flagsOfAll())
	}
	return subjects, nil
}

// flagsOfAll returns the flags that the servers of every subject are given.
func (o *options) flagsOfAll() []string {
	var flags []string
	if o.election > 0 {
		flags = append(flags, fmt.Sprintf("--heartbeat-interval=%d", o.heartbeat.Milliseconds()),
			fmt.Sprintf("--election-timeout=%d", o.election.Milliseconds()))
	}
	if o.profile != "" {
		flags = append(flags, profileFlag)
	}
	return flags
}

// numbered tells subjects of the same kind apart: etcd, etcd2, etcd3.
func numbered(s cluster.Subject, i int) cluster.Subject {
	if i > 0 {
		s.Name += fmt.Sprint(i + 1)
	}
	return s
}

func describeSubjects(subjects []cluster.Subject) ([]report.Subject, error) {
	var described []report.Subject
	for _, s := range subjects {
		version, err := cluster.Describe(s.Binary)
		if err != nil {
			return nil, fmt.Errorf("describe %s: %w", s.Name, err)
		}
		words := append([]string{filepath.Base(s.Binary)}, s.Command...)
		command := strings.Join(append(words, s.Flags...), " ")
		described = append(described, report.Subject{Name: s.Name, Version: version, Command: command})
	}
	return described, nil
}

// failures returns an error if any run failed; the report says which.
func failures(runs []report.Run) error {
	failed := 0
	for _, r := range runs {
		if r.Failure != "" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d runs failed", failed, len(runs))
}

// writeJSON writes the report to a file, if one is named.
func writeJSON(r *report.Report, file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(r.Write(f, "json"), f.Close())
}
