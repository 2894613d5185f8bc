package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/server"
	"github.com/quorate/quorate/transport"
)

// serveFlags are the flags of serve, as typed.
type serveFlags struct {
	options server.Options

	heartbeat, election millis
	peerKeys            []string
	logLevel, logFormat string
	withParent          bool
}

func serveCommand(w *world) *cobra.Command {
	f := new(serveFlags)
	cmd := &cobra.Command{
		Use:     "serve [flags]",
		GroupID: groupServers,
		Short:   "Run one server, with etcd's flags",
		Long: `Runs one server until SIGTERM or Ctrl-C. Without flags that is a cluster of its own, on this machine.

Flags have etcd's names and meanings. Flags of etcd that are missing here are refused, not ignored. Each
flag may be given as a variable too: --data-dir as QUORATE_DATA_DIR or ETCD_DATA_DIR. A flag beats a
variable, and QUORATE_ beats ETCD_.

Servers know each other by their keys. On one machine they believe the first key they are shown; on
several, tell each server the keys of the others with --peer-key, which "quorate key" prints.

Exit status: 0 after SIGTERM, 1 if it could not start, 2 for wrong flags, 70 if its disk failed or must not be used.`,
		Example: `  quorate serve
  quorate serve --data-dir /var/lib/quorate --listen-client-urls http://127.0.0.1:4379 --listen-peer-urls http://127.0.0.1:4380

  # one of three, on three machines
  quorate key --data-dir s1              # prints its key; do so on each machine
  quorate serve --name s1 --data-dir s1 \
    --listen-client-urls http://10.0.0.1:2379 --listen-peer-urls http://10.0.0.1:2380 \
    --initial-cluster s1=http://10.0.0.1:2380,s2=http://10.0.0.2:2380,s3=http://10.0.0.3:2380 \
    --peer-key s2=KEY --peer-key s3=KEY`,
		Args: noWords,
	}
	f.add(cmd)
	cmd.SetFlagErrorFunc(explainFlag(etcdFlags()))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		unknown, err := serveVariables(cmd).apply(cmd, w.environ)
		if err != nil {
			return err
		}
		return f.serve(w, unknown)
	}
	return cmd
}

// serveVariables are the variables of serve: one for each flag that the help shows.
func serveVariables(cmd *cobra.Command) variables {
	return variables{prefixes: []string{"QUORATE_", "ETCD_"}, flags: flagNames(cmd), foreign: etcdFlags(),
		others: append(clientVariables().flags, "client-debug", "unsupported-arch")}
}

func (f *serveFlags) add(cmd *cobra.Command) {
	o, flags := &f.options, cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.Name, "name", "default", "name of this server in --initial-cluster")
	flags.StringVar(&o.DataDir, "data-dir", "", "directory of everything that this server keeps (default NAME.quorate)")
	flags.StringSliceVar(&o.ListenClientURLs, "listen-client-urls", []string{"http://localhost:2379"}, "where to listen for clients")
	flags.StringSliceVar(&o.AdvertiseClientURLs, "advertise-client-urls", nil, "where clients find this server (default --listen-client-urls)")
	flags.StringSliceVar(&o.ListenPeerURLs, "listen-peer-urls", []string{"http://localhost:2380"}, "where to listen for other servers")
	flags.StringSliceVar(&o.InitialAdvertisePeerURLs, "initial-advertise-peer-urls", nil, "where other servers find this one (default --listen-peer-urls)")
	flags.StringVar(&o.InitialCluster, "initial-cluster", "",
		"all servers of a new cluster, as s1=http://10.0.0.1:2380,s2=http://10.0.0.2:2380 (default this one alone)")
	flags.StringVar(&o.InitialClusterToken, "initial-cluster-token", "etcd-cluster", "tells clusters with the same servers apart")
	flags.StringVar(&o.InitialClusterState, "initial-cluster-state", "new", "new; or existing: join the others in --initial-cluster, where this server was added")
	flags.StringSliceVar(&o.Join, "join", nil, "join the cluster of the servers that listen for each other here, as 10.0.0.1:2380, instead of --initial-cluster")
	flags.StringVar(&o.Token, "token", "", "what lets this server in, as quorate token create prints it; with --join")
	flags.StringSliceVar(&f.peerKeys, "peer-key", nil, "NAME=KEY: the public key of another server, as quorate key prints it; for each one, again")
	flags.Var(&f.heartbeat, "heartbeat-interval", "milliseconds between signs of life of a leader (default 50; 100 with --election-timeout)")
	flags.Var(&f.election, "election-timeout",
		"milliseconds without one until a new leader is elected (default: measured, from 150 to 2000; 1000 with --heartbeat-interval)")
	flags.BoolVar(&o.LeaseReads, "lease-reads", false, "as the leader, answer linearizable reads without asking the others each time, which is safe only "+
		"if the clocks of servers differ in rate by less than 10 %, and go on while a machine is suspended")
	flags.IntVar(&o.MaxRequestBytes, "max-request-bytes", 3<<19, "most bytes of a request")
	flags.Int64Var(&o.ScrubBytesPerSecond, "scrub-bytes-per-second", 1<<20, "how fast the whole state is read, again and again, to find what has rotted; -1: never")
	flags.IntVar(&o.SnapshotBytesPerSecond, "snapshot-bytes-per-second", 0,
		"how fast state is sent to servers that lack it, at most; 0: as fast as clients' writes leave room for")
	flags.Int64Var(&o.CacheBytes, "cache-bytes", 48<<20, "how much of the files of the state is kept in memory, besides what the system caches")
	flags.Int64Var(&o.KeepLogBytes, "keep-log-bytes", 64<<20, "how much log is kept for servers that lag, and is replayed by a restart at most")
	flags.Int64Var(&o.MaxLogBytes, "max-log-bytes", 512<<20, "how much is kept for a server that answers and lags more; beyond, it gets state instead")
	flags.Int64Var(&o.QuotaBackendBytes, "quota-backend-bytes", 0, "size of the state beyond which puts are refused and an alarm is raised; 0: no quota")
	flags.Int64Var(&o.BallastBytes, "ballast-bytes", 64<<20, "how much of the disk is set aside for when it is full; "+
		"an alarm is raised when so much is left; at most a sixteenth of it; -1: none, and no alarm")
	flags.StringVar(&o.AutoCompactionMode, "auto-compaction-mode", "periodic", "how --auto-compaction-retention counts: periodic or revision")
	flags.StringVar(&o.AutoCompactionRetention, "auto-compaction-retention", "0", "how much history is kept: hours, or 30m (periodic), or revisions (revision); 0: all")
	flags.IntVar(&o.MaxTxnOps, "max-txn-ops", 128, "most operations of a transaction")
	flags.DurationVar(&o.WatchProgressNotifyInterval, "watch-progress-notify-interval", 10*time.Minute,
		"how often watchers that ask for it are told of progress while nothing happens")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "text", "text (or console), or json; the log goes to standard error")
	flags.BoolVar(&o.EnablePprof, "enable-pprof", false, "serve profiles of this process at /debug/pprof/ for clients")
	flags.StringSliceVar(&o.ListenMetricsURLs, "listen-metrics-urls", nil, "where to serve /metrics and /health besides")

	// For quorate up: the other end of the pipe is its parent, whatever becomes of it.
	flags.BoolVar(&f.withParent, "stop-with-stdin", false, "stop when standard input ends")
	_ = flags.MarkHidden("stop-with-stdin") // It exists.
}

// serve runs a server until it is told to stop.
func (f *serveFlags) serve(w *world, unknown []string) error {
	logger, err := f.complete(w)
	if err != nil {
		return &failure{exitUsage, err}
	}
	for _, variable := range unknown {
		logger.Warn("a variable of the environment means nothing here", "variable", variable)
	}
	if err := f.join(); err != nil {
		return failed(err)
	}
	// From here on a signal is a wish to stop in good order.
	told := make(chan os.Signal, 2)
	signal.Notify(told, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(told)
	parentGone := make(chan struct{})
	if f.withParent {
		go func() { // Ends with the input, or with the process.
			_, _ = io.Copy(io.Discard, w.in)
			close(parentGone)
		}()
	}
	s, err := server.Start(f.options)
	if err != nil {
		return failed(err)
	}
	select {
	case s := <-told:
		logger.Info("stopping", "reason", s.String())
	case <-parentGone:
		logger.Info("stopping", "reason", "the process that started this one is gone")
	}
	go func() { // Ends with the process.
		<-told
		logger.Error("told a second time to stop: not waiting any more")
		os.Exit(exitFailed)
	}()
	if err := s.Close(); err != nil {
		return failed(fmt.Errorf("stop: %w", err))
	}
	logger.Info("stopped")
	return nil
}

// join lets a new server join a cluster, if it is to; a signal ends the waiting.
func (f *serveFlags) join() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	return server.Join(ctx, f.options)
}

// complete makes options of what was typed, and reports everything that is wrong with it at once.
func (f *serveFlags) complete(w *world) (*slog.Logger, error) {
	o := &f.options
	var wrong []error
	logger, err := newLogger(w.err, f.logLevel, f.logFormat)
	wrong = append(wrong, err)
	o.PeerKeys, err = parsePeerKeys(f.peerKeys)
	wrong = append(wrong, err)
	o.HeartbeatInterval, err = f.heartbeat.span("heartbeat-interval")
	wrong = append(wrong, err)
	o.ElectionTimeout, err = f.election.span("election-timeout")
	wrong = append(wrong, err)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	o.Logger, o.PaceMemory = logger, true
	o.OnFatal = func(err error) {
		logger.Error("this server cannot go on", "err", err)
		os.Exit(exitFatal)
	}
	return logger, o.Validate()
}

// millis is a flag of milliseconds that has no default: without it, something is measured.
type millis struct {
	value int64
	given bool
}

func (m *millis) String() string {
	if m == nil || !m.given {
		return ""
	}
	return strconv.FormatInt(m.value, 10)
}

func (m *millis) Type() string { return "int" }

func (m *millis) Set(text string) (err error) {
	m.given = true
	m.value, err = strconv.ParseInt(text, 0, 64)
	return err
}

// span returns the span, 0 if the flag is not given. It refuses what no Duration holds, and a 0 that is given.
func (m *millis) span(flag string) (time.Duration, error) {
	if m.given && (m.value <= 0 || m.value > int64(time.Hour/time.Millisecond)) {
		return 0, fmt.Errorf("--%s %d: want milliseconds", flag, m.value)
	}
	return time.Duration(m.value) * time.Millisecond, nil
}

func newLogger(to io.Writer, level, format string) (*slog.Logger, error) {
	var wrong []error
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	threshold, ok := levels[level]
	if !ok {
		wrong = append(wrong, fmt.Errorf("--log-level %s: want debug, info, warn or error", level))
	}
	options := &slog.HandlerOptions{Level: threshold}
	var handler slog.Handler = slog.NewTextHandler(to, options)
	switch format {
	case "text", "console":
	case "json":
		handler = slog.NewJSONHandler(to, options)
	default:
		wrong = append(wrong, fmt.Errorf("--log-format %s: want text or json", format))
	}
	return slog.New(handler), errors.Join(wrong...)
}

// parsePeerKeys reads NAME=KEY entries. The key's own = signs are behind the first.
func parsePeerKeys(entries []string) (map[string]transport.PublicKey, error) {
	keys := make(map[string]transport.PublicKey, len(entries))
	var wrong []error
	for _, entry := range entries {
		name, text, found := strings.Cut(entry, "=")
		if !found || name == "" {
			wrong = append(wrong, fmt.Errorf("--peer-key %s: want NAME=KEY", entry))
			continue
		}
		key, err := transport.ParsePublicKey(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--peer-key of %s: %w (quorate key prints it)", name, err))
			continue
		}
		if other, there := keys[name]; there && other != key {
			wrong = append(wrong, fmt.Errorf("--peer-key of %s: two different keys are given", name))
		}
		keys[name] = key
	}
	return keys, errors.Join(wrong...)
}

// asEtcd turns the arguments of etcd into ours. etcd takes --version.
func asEtcd(arguments []string) []string {
	for _, a := range arguments {
		if a == "--version" || a == "-version" {
			return []string{"version", "--as-etcd"}
		}
	}
	return append([]string{"serve"}, arguments...)
}

// etcdVersionText is what programs look for in the answer to etcd --version.
func etcdVersionText() string {
	return fmt.Sprintf("etcd Version: %s\n%s", etcdapi.EtcdVersion, versionText())
}
