package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/bench/internal/report"
)

// Limits of what the flags may ask for. They keep a slip of the finger from taking all night.
const (
	maxClients = 10_000
	maxKeys    = 10_000_000 // seven digits
	maxRounds  = 100
	maxValue   = 1 << 20 // bytes
	maxPhase   = 10 * time.Minute

	maxWatchers = 100_000
	maxLeases   = 100_000
	maxHistory  = 10_000_000 // revisions
	maxStateMB  = 100_000

	maxFailures = 10_000
	maxPasses   = 100
	maxRate     = 100_000 // puts per second
	minTimeout  = 10 * time.Millisecond
	maxElection = 50 * time.Second
)

// knownTargets are the words of -target.
var knownTargets = [...]string{"leader", "follower", "all"}

// options is what the flags say.
type options struct {
	quorate     []string // programs, absolute paths; one subject each
	quorateArgs []string
	etcd        int    // how many etcd subjects
	etcdBinary  string // absolute path; empty: build what go.mod names

	scenarios  []string
	clients    []int
	targets    []string // of knownTargets
	rounds     int
	warmup     time.Duration
	window     time.Duration
	maxOps     int64 // per run
	keys       int
	valueBytes int

	idle       time.Duration // how long servers are left alone in memory
	overwrites int           // in lagging, so that the log moves on

	// For scenarios in which servers fail.
	rate      float64       // puts per second; 0: half of what the cluster can do
	timeout   time.Duration // of each try of a put
	heartbeat time.Duration // of every server, with election; 0: their own defaults
	election  time.Duration

	dir     string // parent of all data directories, absolute
	keep    bool
	profile string // directory for CPU profiles, absolute; empty: none
	format  string
	json    string // file; empty: none
}

// parse reads the command line. It reports everything wrong at once.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	var clients, targets, scenarios, quorateArgs string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Func("quorate", "`program` of Quorate; may be repeated to compare several builds", func(s string) error {
		o.quorate = append(o.quorate, s)
		return nil
	})
	f.StringVar(&quorateArgs, "quorate-args", "", "`flags` for every Quorate server, separated by spaces")
	f.IntVar(&o.etcd, "etcd", 1, "how many etcd clusters to compare with; 2 and no Quorate is the control")
	f.StringVar(&o.etcdBinary, "etcd-binary", "", "`program` of etcd (default: build the version named in go.mod)")
	f.StringVar(&scenarios, "scenario", "put,lrange", "`list` of scenarios; a number behind a name is its size, and may be another; they are listed below")
	f.StringVar(&clients, "clients", "1,64,256", "`list` of numbers of clients")
	f.StringVar(&targets, "target", "all", "`list` of where clients connect, each a case: leader, follower (one), all")
	f.IntVar(&o.rounds, "rounds", 3, "how often every case is run")
	f.DurationVar(&o.warmup, "warmup", time.Second, "time under load before measuring")
	f.DurationVar(&o.window, "window", 3500*time.Millisecond, "time of measuring")
	f.Int64Var(&o.maxOps, "max-ops", 5_000_000, "most operations of one run; it ends early when they are spent")
	f.IntVar(&o.keys, "keys", 100_000, "how many keys there are, all stored beforehand")
	f.IntVar(&o.valueBytes, "value", 256, "size of a value in `bytes`")
	f.DurationVar(&o.idle, "idle", time.Minute, "how long servers are left alone in the scenario memory")
	f.IntVar(&o.overwrites, "overwrites", 20_000, "`puts` over a few keys while a server is away in the scenario lagging, so that the log moves on: "+
		"etcd keeps 5,000 entries behind what it takes every 10,000")
	f.Float64Var(&o.rate, "rate", 0, "`puts` per second while servers fail (default: half of what the clients came to just before)")
	f.DurationVar(&o.timeout, "timeout", 2*time.Second, "how long a client waits for one try of a put while servers fail")
	f.DurationVar(&o.heartbeat, "heartbeat", 0, "--heartbeat-interval of all servers, with -election (default: the servers' own)")
	f.DurationVar(&o.election, "election", 0, "--election-timeout of all servers, with -heartbeat (default: the servers' own)")
	f.StringVar(&o.dir, "dir", "", "`directory` for data, on a real disk (default: the user's cache directory)")
	f.BoolVar(&o.keep, "keep", false, "keep data directories and server logs")
	f.StringVar(&o.profile, "profile", "", "`directory` for a CPU profile of the leader of every run (starts servers with --enable-pprof)")
	f.StringVar(&o.format, "format", "table", "of the report: `table|md|json`")
	f.StringVar(&o.json, "json", "", "`file` to write the report to as JSON besides")
	f.Usage = func() {
		fmt.Fprintln(stderr, "Compares Quorate with etcd, side by side in one run. Flags:")
		f.PrintDefaults()
		describeScenarios(stderr)
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.quorateArgs = strings.Fields(quorateArgs)
	o.scenarios = strings.Split(scenarios, ",")
	o.targets = strings.Split(targets, ",")
	err := errors.Join(o.setClients(clients), o.resolvePaths(), o.validate(f.Args()))
	return o, err
}

func (o *options) setClients(list string) error {
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > maxClients {
			return fmt.Errorf("-clients: %q is not a number from 1 to %d", word, maxClients)
		}
		o.clients = append(o.clients, n)
	}
	return nil
}

// resolvePaths makes every path absolute, because servers run in directories of their own.
func (o *options) resolvePaths() error {
	if o.dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		o.dir = filepath.Join(cache, "quorate-bench")
	}
	var wrong []error
	absolute := func(path *string) {
		if *path != "" {
			var err error
			*path, err = filepath.Abs(*path)
			wrong = append(wrong, err)
		}
	}
	for i := range o.quorate {
		absolute(&o.quorate[i])
	}
	absolute(&o.etcdBinary)
	absolute(&o.dir)
	absolute(&o.profile)
	return errors.Join(wrong...)
}

func (o *options) validate(rest []string) error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(len(rest) == 0, "what are these words for: %q", rest)
	check(o.etcd >= 0 && o.etcd <= 10, "-etcd: %d is not from 0 to 10", o.etcd)
	check(o.etcd+len(o.quorate) > 0, "nothing to measure: give -quorate or -etcd")
	for _, name := range o.scenarios {
		_, err := findScenario(name)
		check(err == nil, "-scenario: %w", err)
	}
	for _, target := range o.targets {
		check(slices.Contains(knownTargets[:], target), "-target: %q is none of %v", target, knownTargets)
	}
	check(o.rounds >= 1 && o.rounds <= maxRounds, "-rounds: %d is not from 1 to %d", o.rounds, maxRounds)
	check(o.warmup >= 0 && o.warmup <= maxPhase, "-warmup: %v is not from 0 to %v", o.warmup, maxPhase)
	check(o.window >= 100*time.Millisecond && o.window <= maxPhase,
		"-window: %v is not from 100ms (ten ticks of CPU time) to %v", o.window, maxPhase)
	check(o.profile == "" || o.window >= time.Second, "-profile: a window of %v is too short, 1s is the least", o.window)
	check(o.maxOps >= 1, "-max-ops: %d is not above 0", o.maxOps)
	check(o.keys >= 1 && o.keys <= maxKeys, "-keys: %d is not from 1 to %d", o.keys, maxKeys)
	check(o.valueBytes >= 1 && o.valueBytes <= maxValue, "-value: %d is not from 1 to %d", o.valueBytes, maxValue)
	check(o.idle >= 0 && o.idle <= maxPhase, "-idle: %v is not from 0 to %v", o.idle, maxPhase)
	check(o.overwrites >= 0 && o.overwrites <= maxHistory, "-overwrites: %d is not from 0 to %d", o.overwrites, maxHistory)
	check(o.rate >= 0 && o.rate <= maxRate, "-rate: %v is not from 0 to %d", o.rate, maxRate) // NaN is refused, too
	check(o.timeout >= minTimeout && o.timeout <= maxPhase, "-timeout: %v is not from %v to %v", o.timeout, minTimeout, maxPhase)
	check((o.heartbeat == 0) == (o.election == 0), "-heartbeat and -election: give both or none")
	for _, d := range []time.Duration{o.heartbeat, o.election} {
		check(d >= 0 && d <= maxElection && d%time.Millisecond == 0, "-heartbeat, -election: %v is not in whole milliseconds up to %v", d, maxElection)
	}
	check(slices.Contains(report.Formats[:], o.format), "-format: %q is none of %v", o.format, report.Formats)
	return errors.Join(wrong...)
}
