package server

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// Options are what an operator sets. The zero value of each means its default, which is etcd's but for
// DataDir. The comments name the flag.
type Options struct {
	// Name is this server's name in InitialCluster (--name). Default "default".
	Name string
	// DataDir is where everything is kept (--data-dir). Default Name and ".quorate".
	DataDir string

	// ListenClientURLs are where clients are answered (--listen-client-urls): http, with an address
	// or name of this machine, and a port. Port 0 takes a free one. Default http://localhost:2379.
	ListenClientURLs []string
	// AdvertiseClientURLs are where clients of other servers are told to find this one
	// (--advertise-client-urls). Default: ListenClientURLs.
	AdvertiseClientURLs []string
	// ListenPeerURLs is where other servers connect to (--listen-peer-urls): one, so far. Default
	// http://localhost:2380.
	ListenPeerURLs []string
	// InitialAdvertisePeerURLs are where other servers find this one
	// (--initial-advertise-peer-urls). Default: ListenPeerURLs.
	InitialAdvertisePeerURLs []string
	// ListenMetricsURLs serve metrics and health without the API (--listen-metrics-urls). Default
	// none.
	ListenMetricsURLs []string

	// InitialCluster are the servers of a new cluster, as "n0=http://10.0.0.1:2380,n1=..."
	// (--initial-cluster), the same text on all of them. A name may come more than once, with an URL
	// each. Default: this server alone; or, for a directory that has been used, what it was then.
	InitialCluster string
	// InitialClusterToken tells clusters of the same servers apart (--initial-cluster-token).
	// Default "etcd-cluster".
	InitialClusterToken string
	// InitialClusterState is "new" or "existing" (--initial-cluster-state). With "existing" and a new
	// directory this server joins the others in InitialCluster, where it was added before (see Join); a
	// directory that has been used takes either. Default "new".
	InitialClusterState string
	// Join are where servers of a cluster that exists listen for each other, as 10.0.0.1:2380 (--join): with a
	// new directory this server joins them. A directory that has been used needs it no more.
	Join []string
	// Token is what lets this server in, as "quorate token create" prints it (--token); for Join.
	Token string
	// PeerKeys are public keys of servers, by their names in InitialCluster. Servers without one are
	// believed the first key that they show, if both are on this machine. A server that joins needs that of one
	// that it asks.
	PeerKeys map[string]transport.PublicKey

	// HeartbeatInterval is how often a leader is heard (--heartbeat-interval), and ElectionTimeout the
	// shortest silence of a leader before another is elected (--election-timeout), at least five times as
	// long. If neither is set, a leader is heard every 50 ms, and how long each server waits for it follows
	// what is measured, from 150 ms to 2 s; that is not etcd's default. If one is set both are fixed, and the
	// other is etcd's: 100 ms, or 1 s.
	HeartbeatInterval, ElectionTimeout time.Duration
	// LeaseReads lets this server, while it leads, answer linearizable reads without asking the others
	// (--lease-reads), as long as a majority has promised not to vote for anybody else. It is safe only if the
	// clocks of any two servers differ in rate by less than 10 %, and this one's goes on while its machine is
	// suspended. Default off; on Linux only.
	LeaseReads bool
	// MaxRequestBytes bounds a request (--max-request-bytes). Default 1.5 MiB, at most 16 MiB.
	MaxRequestBytes int
	// KeepLogBytes is how much of the log's end is kept, and of the log that is not in the state yet, before that is
	// written to the disk (--keep-log-bytes): a restart replays at most that, and a server that lags no more than that
	// gets entries, and not state. Default 64 MiB. MaxLogBytes is how much is kept for a server that answers and lags
	// more (--max-log-bytes). Default 512 MiB, or KeepLogBytes if that is more.
	KeepLogBytes, MaxLogBytes int64
	// ScrubBytesPerSecond is how fast the whole state is read, again and again, to find what has rotted, and what differs
	// from the state of the others (--scrub-bytes-per-second). Default 1 MiB; less than 0: it is not read.
	ScrubBytesPerSecond int64
	// SnapshotBytesPerSecond bounds what this server sends of its state to others, all together (--snapshot-bytes-per-second). Default
	// 0: as much as they ask for, and clients' writes leave room for. At least 64 KiB.
	SnapshotBytesPerSecond int
	// CacheBytes is how much of the files of the state is kept in memory, besides what the system caches
	// (--cache-bytes). Default 48 MiB; at least 1 MiB.
	CacheBytes int64
	// MaxTxnOps bounds the operations of a transaction (--max-txn-ops). Default 128, at most 65536.
	MaxTxnOps int
	// QuotaBackendBytes is up to which size the state may grow before puts are refused and an alarm is
	// raised (--quota-backend-bytes). Zero and less: there is no quota.
	QuotaBackendBytes int64
	// BallastBytes is how much of the disk is set aside, so that a full one is not the end (--ballast-bytes), at most a sixteenth of
	// it. With less than that free, and up to a third more, an alarm is raised, and puts are refused. Default 64 MiB; negative:
	// nothing, and no alarm. On Linux only.
	BallastBytes int64
	// AutoCompactionMode and AutoCompactionRetention say how much history is kept without anybody
	// compacting (--auto-compaction-mode, --auto-compaction-retention): of the last 8 hours ("periodic"
	// and "8" or "8h"), or the last 1000 revisions ("revision" and "1000"). Default: all of it.
	AutoCompactionMode, AutoCompactionRetention string
	// WatchProgressNotifyInterval is how often a watcher that asked for it is told of progress while
	// nothing happens (--watch-progress-notify-interval). Default 10 min; less than 100 ms is 100 ms.
	WatchProgressNotifyInterval time.Duration
	// PaceMemory keeps the process's memory near what is in use, by a limit for Go's heap that follows it (GOMEMLIMIT beats
	// it). It is for a process that is this server and nothing else. Default: Go's own pace.
	PaceMemory bool
	// EnablePprof serves Go's profiles under /debug/pprof (--enable-pprof).
	EnablePprof bool

	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
	// OnFatal is called, once, when this server must not go on. It must end the process, and must not
	// call Close, which waits for the very goroutine that calls it. Default: log, and exit with
	// status 70.
	OnFatal func(error)
}

const (
	defaultName      = "default"
	defaultClientURL = "http://localhost:2379"
	defaultPeerURL   = "http://localhost:2380"
	defaultToken     = "etcd-cluster"

	stateNew      = "new"
	stateExisting = "existing"

	defaultHeartbeat       = 100 * time.Millisecond
	defaultElection        = time.Second
	defaultMaxRequestBytes = 3 << 19
	defaultMaxTxnOps       = 128
	defaultCacheBytes      = 48 << 20
	leastCacheBytes        = 1 << 20
	leastSnapshotBytes     = 64 << 10
	defaultKeepLogBytes    = 64 << 20
	defaultMaxLogBytes     = 512 << 20
	defaultBallastBytes    = 64 << 20

	maxElection         = 50 * time.Second
	electionPerBeat     = 5
	minHeartbeat        = 10 * time.Millisecond
	maxNameBytes        = 1024
	minWatchProgress    = 100 * time.Millisecond
	leaderTimeouts      = 3 // without a leader, until a stream ends that asked for one
	maxWaitBeyondLeader = 5 * time.Second
)

func (o Options) withDefaults() Options {
	orElse(&o.Name, defaultName)
	orElse(&o.DataDir, o.Name+".quorate")
	orElseList(&o.ListenClientURLs, []string{defaultClientURL})
	orElseList(&o.AdvertiseClientURLs, o.ListenClientURLs)
	orElseList(&o.ListenPeerURLs, []string{defaultPeerURL})
	orElseList(&o.InitialAdvertisePeerURLs, o.ListenPeerURLs)
	orElse(&o.InitialClusterToken, defaultToken)
	orElse(&o.InitialClusterState, stateNew)
	if !o.isTuned() {
		orElse(&o.HeartbeatInterval, defaultHeartbeat)
		orElse(&o.ElectionTimeout, defaultElection)
	}
	orElse(&o.MaxRequestBytes, defaultMaxRequestBytes)
	orElse(&o.MaxTxnOps, defaultMaxTxnOps)
	orElse(&o.KeepLogBytes, defaultKeepLogBytes)
	orElse(&o.ScrubBytesPerSecond, defaultScrubBytes)
	orElse(&o.CacheBytes, defaultCacheBytes)
	orElse(&o.MaxLogBytes, max(o.KeepLogBytes, defaultMaxLogBytes))
	orElse(&o.BallastBytes, defaultBallastBytes)
	if o.WatchProgressNotifyInterval != 0 {
		o.WatchProgressNotifyInterval = max(o.WatchProgressNotifyInterval, minWatchProgress)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) { os.Exit(exitFatal) }
	}
	return o
}

// exitFatal is "internal software error" of sysexits.
const exitFatal = 70

func orElse[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

func orElseList(list *[]string, otherwise []string) {
	if len(*list) == 0 {
		*list = otherwise
	}
}

// requestTimeout bounds how long a request waits for the group: etcd's rule.
func (o *Options) requestTimeout() time.Duration { return maxWaitBeyondLeader + 2*o.electionSpan() }

// minLeaseTTL is the shortest time in seconds for which a lease is granted: etcd's rule, and not less than
// what etcd has by default.
func (o *Options) minLeaseTTL() int64 {
	return max(2, int64((o.electionSpan()*3/2+time.Second-1)/time.Second))
}

// Validate reports everything that is wrong with the options at once, or nil.
func (o Options) Validate() error {
	d := o.withDefaults()
	var w wrong
	w.unless(len(d.Name) < maxNameBytes && !strings.ContainsAny(d.Name, "=,"),
		"--name %q: it must be shorter than %d bytes and have no \"=\" or \",\"", d.Name, maxNameBytes)
	d.validateURLs(&w)
	d.validateCluster(&w)
	d.validateJoin(&w)
	w.unless(d.InitialClusterState == stateNew || d.InitialClusterState == stateExisting,
		"--initial-cluster-state %q: it must be %q or %q", d.InitialClusterState, stateNew, stateExisting)
	w.unless(d.isTuned() || d.HeartbeatInterval >= minHeartbeat, "--heartbeat-interval %v: the least is %v", d.HeartbeatInterval, minHeartbeat)
	w.unless(d.ElectionTimeout >= electionPerBeat*d.HeartbeatInterval,
		"--election-timeout %v: it must be at least %d times --heartbeat-interval, which is %v",
		d.ElectionTimeout, electionPerBeat, d.HeartbeatInterval)
	w.unless(d.ElectionTimeout <= maxElection, "--election-timeout %v: the most is %v", d.ElectionTimeout, maxElection)
	w.unless(d.MaxRequestBytes > 0 && d.MaxRequestBytes <= kv.MaxRequestBytes,
		"--max-request-bytes %d: it must be from 1 to %d", d.MaxRequestBytes, kv.MaxRequestBytes)
	w.unless(d.KeepLogBytes > 0 && d.MaxLogBytes >= d.KeepLogBytes,
		"--keep-log-bytes %d, --max-log-bytes %d: the first must be positive, and the second not less", d.KeepLogBytes, d.MaxLogBytes)
	w.unless(d.SnapshotBytesPerSecond == 0 || d.SnapshotBytesPerSecond >= leastSnapshotBytes,
		"--snapshot-bytes-per-second %d: it must be 0, or at least %d", d.SnapshotBytesPerSecond, leastSnapshotBytes)
	w.unless(d.CacheBytes >= leastCacheBytes, "--cache-bytes %d: it must be at least %d", d.CacheBytes, leastCacheBytes)
	w.unless(d.MaxTxnOps > 0 && d.MaxTxnOps <= kv.MaxTxnOps,
		"--max-txn-ops %d: it must be from 1 to %d", d.MaxTxnOps, kv.MaxTxnOps)
	_, err := parseRetention(d.AutoCompactionMode, d.AutoCompactionRetention)
	w.unless(err == nil, "--auto-compaction-mode, --auto-compaction-retention: %w", err)
	return errors.Join(w.errs...)
}

// wrong collects what is wrong.
type wrong struct{ errs []error }

func (w *wrong) unless(ok bool, format string, args ...any) {
	if !ok {
		w.errs = append(w.errs, fmt.Errorf(format, args...))
	}
}

func (o *Options) validateURLs(w *wrong) {
	listening := map[string]string{} // address to flag
	listen := func(flag string, urls []string, schemes ...string) {
		for _, u := range urls {
			address, err := addressOf(u, schemes...)
			if err != nil {
				w.unless(false, "%s: %w", flag, err)
				continue
			}
			if _, port := splitPort(address); port == "0" {
				continue // each is another one
			}
			other, taken := listening[address]
			w.unless(!taken, "%s: %s is given by %s already", flag, u, other)
			listening[address] = flag
		}
	}
	listen("--listen-client-urls", o.ListenClientURLs, "http")
	listen("--listen-peer-urls", o.ListenPeerURLs, "http", "https")
	listen("--listen-metrics-urls", o.ListenMetricsURLs, "http")
	w.unless(len(o.ListenPeerURLs) == 1, "--listen-peer-urls: %d are given, and one is supported", len(o.ListenPeerURLs))

	advertise := func(flag, listenFlag string, urls []string, schemes ...string) {
		for _, u := range urls {
			address, err := addressOf(u, schemes...)
			w.unless(err == nil, "%s: %w", flag, err)
			if err != nil {
				continue
			}
			host, port := splitPort(address)
			w.unless(!isUnspecified(host), "%s: nobody can connect to %s; give the address at which this machine is reached", flag, u)
			w.unless(port != "0" || slices.Contains(o.ListenClientURLs, u) && listenFlag == "--listen-client-urls",
				"%s: port 0 of %s is no port that anybody can connect to", flag, u)
		}
	}
	advertise("--advertise-client-urls", "--listen-client-urls", o.AdvertiseClientURLs, "http", "https")
	advertise("--initial-advertise-peer-urls", "--listen-peer-urls", o.InitialAdvertisePeerURLs, "http", "https")
}

// validateCluster looks for contradictions between the cluster and this server's own entry in it.
func (o *Options) validateCluster(w *wrong) {
	if o.InitialCluster == "" && len(o.Join) > 0 {
		return
	}
	if o.InitialCluster == "" {
		for _, name := range sortedNames(o.PeerKeys) {
			w.unless(name == o.Name, "peer key of %q: --initial-cluster has no server of that name", name)
		}
		return
	}
	members, err := parseCluster(o.InitialCluster)
	if err != nil {
		w.unless(false, "--initial-cluster: %w", err)
		return
	}
	w.unless(len(members) <= wire.MaxMembers, "--initial-cluster: %d servers, at most %d are allowed", len(members), wire.MaxMembers)
	owner := map[string]string{} // peer address to name
	var own []string
	for _, m := range members {
		for _, u := range m.urls {
			address, err := addressOf(u, "http", "https")
			if err != nil {
				w.unless(false, "--initial-cluster: server %q: %w", m.name, err)
				continue
			}
			other, taken := owner[address]
			w.unless(!taken, "--initial-cluster: %s is given for %q and for %q", address, other, m.name)
			owner[address] = m.name
		}
		if m.name == o.Name {
			own = m.urls
		}
	}
	if own == nil {
		w.unless(false, "--name %q is not in --initial-cluster %q: give the name that this server has there", o.Name, o.InitialCluster)
	} else {
		w.unless(sameURLs(own, o.InitialAdvertisePeerURLs),
			"--initial-advertise-peer-urls %s: --initial-cluster has %s for %q; they must be the same",
			strings.Join(o.InitialAdvertisePeerURLs, ","), strings.Join(own, ","), o.Name)
	}
	for _, name := range sortedNames(o.PeerKeys) {
		known := slices.ContainsFunc(members, func(m namedServer) bool { return m.name == name })
		w.unless(known, "peer key of %q: --initial-cluster has no server of that name", name)
	}
}

func sortedNames(keys map[string]transport.PublicKey) []string {
	names := make([]string, 0, len(keys))
	for name := range keys { //tidy:ordered sorted below
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
