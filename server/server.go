package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// Version is this program's own version. What is spoken to clients is etcdapi.EtcdVersion.
const Version = "0.1.0-dev"

// groupID is the group that holds the keys. There is one, so far.
const groupID = 1

// Server is a running server.
type Server struct {
	options    Options
	logger     *slog.Logger
	host       *quorate.Host
	store      *kv.Store
	engine     *pebblekv.Engine // the store's, which closes it
	machine    *machine
	group      *quorate.Group
	forClients clientGroup // the group, as requests see it
	api        *etcdapi.Server
	disk       *diskUsage

	checkup checkup

	leasesEnded, sessionsEnded atomic.Uint64 // by this server, because they were due
	scrubbedBytes              atomic.Uint64

	clients, metrics []net.Listener

	failed    sync.Once
	hasFailed atomic.Bool
	started   chan struct{} // closed when the group is there
	done      chan struct{} // closed when nothing is served any more
	ended     sync.Once     // closes done
	cancel    context.CancelFunc
	// context ends the flusher, the remover, the healer, the scrubber, the comparer, the compactor, the lessor, the vigil
	// and the pace of memory.
	context context.Context
	running sync.WaitGroup

	closing  sync.Once
	closeErr error
}

// Start starts a server, and returns when clients can connect. Whether the cluster has a leader is
// another matter: until then, requests wait.
//
// The error says what is wrong and what to do, in one line for each thing.
func Start(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	tuneGC()
	s := &Server{options: o.withDefaults(), started: make(chan struct{}), done: make(chan struct{}), checkup: checkup{started: time.Now()}}
	s.logger = s.options.Logger
	s.context, s.cancel = context.WithCancel(context.Background())
	for _, step := range []func() error{s.listen, s.openHost, s.openStore, s.startGroup, s.serve} {
		if err := step(); err != nil {
			return nil, errors.Join(err, s.closeAll())
		}
	}
	s.announce()
	return s, nil
}

// tuneGC lets the heap grow to five times what lives before it is collected, unless the operator has
// said how it is to be. What lives is small and steady here (caches of fixed sizes, and requests under
// way), so the default of twice as much collects all the time for nothing: under load, 400 spared a
// third of the processor. With GOMEMLIMIT set, the operator has thought about memory: hands off.
func tuneGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
	}
}

// listen takes the ports for clients before anything else: if one is in use, nothing has been touched.
func (s *Server) listen() (err error) {
	if s.clients, err = listenAll("--listen-client-urls", s.options.ListenClientURLs); err != nil {
		return err
	}
	s.metrics, err = listenAll("--listen-metrics-urls", s.options.ListenMetricsURLs)
	return err
}

func (s *Server) openHost() (err error) {
	o := &s.options
	if err := s.checkDirectory(); err != nil {
		return err
	}
	members, err := s.members()
	if err != nil {
		return err
	}
	listen, err := addressOf(o.ListenPeerURLs[0], "http", "https")
	if err != nil {
		return err
	}
	s.host, err = quorate.Open(quorate.Options{
		Dir: o.DataDir, Members: members, Name: o.Name, Token: o.InitialClusterToken,
		Listen: listen, ClientURLs: s.advertised(), Admit: s.admit,
		ElectionTimeout: o.ElectionTimeout, HeartbeatInterval: o.HeartbeatInterval,
		MaxRequestBytes: o.MaxRequestBytes, LeaseReads: o.LeaseReads, BallastBytes: o.BallastBytes,
		KeepLogBytes: o.KeepLogBytes, MaxLogBytes: o.MaxLogBytes, SnapshotBytesPerSecond: o.SnapshotBytesPerSecond,
		Logger: s.logger, OnFatal: s.fatal,
	})
	return explain(err, o)
}

// advertised is where clients find this server. Where it listens on port 0, that is known only now.
func (s *Server) advertised() []string {
	urls := slices.Clone(s.options.AdvertiseClientURLs)
	for i, u := range s.options.ListenClientURLs {
		for j := range urls {
			if urls[j] == u {
				urls[j] = "http://" + actual(u, s.clients[i])
			}
		}
	}
	return urls
}

// actual is the address that a URL to listen on has come to: its host with the port that was taken.
func actual(u string, l net.Listener) string {
	address, _ := addressOf(u, "http") // it has been listened on
	host, _ := splitPort(address)
	_, port := splitPort(l.Addr().String())
	return net.JoinHostPort(host, port)
}

// openState opens what is in the state's directory.
func (s *Server) openState() error {
	dir := filepath.Join(s.options.DataDir, stateDir)
	var watched watchedFor
	failed := s.stateFailed(dir)
	engine, err := pebblekv.Open(dir, pebblekv.Options{
		Fatal: func(message string) { s.fatal(fmt.Errorf("state in %s: %s", dir, message)) },
		Background: func(err error) {
			if !pebblekv.IsDamage(err) || watched.note(err) {
				failed(err)
			}
		},
		Damage: func(found pebblekv.Damage) {
			if err := fmt.Errorf("%s: %w: %w", found.Path, pebblekv.ErrDamaged, found.Err); watched.note(err) {
				s.fatal(err)
			}
		},
		HoldCompactions: true, // until letCompact
		Stuck:           func(err error) { s.fatal(fmt.Errorf("state in %s: %w", dir, err)) },
		DiskFull:        s.host.GiveUpBallast,
		CacheBytes:      s.options.CacheBytes,
		Log:             s.logEngine,
	})
	if err != nil {
		return err
	}
	s.engine = engine
	store, err := kv.Open(engine, kv.Options{
		Cluster: s.host.ClusterID(),
		Limits:  kv.Limits{TxnOps: s.options.MaxTxnOps, RequestBytes: s.options.MaxRequestBytes},
	})
	if found := watched.open(); found != nil && err == nil {
		err = errors.Join(found, store.Close())
	}
	if err != nil {
		return err
	}
	s.store, s.disk = store, newDiskUsage(dir)
	return nil
}

// logEngine logs what the engine says of itself.
func (s *Server) logEngine(level pebblekv.Level, text string) {
	if level == pebblekv.LevelError {
		s.logger.Error("the engine of the state reports an error", "text", text)
		return
	}
	s.logger.Debug("the engine of the state reports", "text", text)
}

func (s *Server) startGroup() (err error) {
	s.machine = newMachine(s.store, s.options.KeepLogBytes, s.fatal)
	s.running.Go(func() { s.machine.flush(s.context) })
	s.running.Go(func() { s.machine.remove(s.context) })
	if s.group, err = s.host.Start(groupID, s.machine); err != nil {
		return explain(err, &s.options)
	}
	s.forClients.Group = s.group
	s.awaitWhole()
	close(s.started)
	s.running.Go(func() { s.letCompact(s.context) })
	s.running.Go(func() { s.heal(s.context) })
	if s.options.ScrubBytesPerSecond > 0 {
		s.running.Go(func() { s.scrub(s.context) })
	}
	s.running.Go(func() { s.endDue(s.context) })
	if s.options.PaceMemory {
		s.running.Go(func() { s.paceMemory(s.context) })
	}
	s.running.Go(func() { s.watchSums(s.context) })
	s.running.Go(func() { s.keepRoom(s.context) })
	s.running.Go(func() { s.keepVigil(s.context, s.Report) })
	keep, err := parseRetention(s.options.AutoCompactionMode, s.options.AutoCompactionRetention)
	if keep.interval() > 0 {
		s.running.Go(func() { s.compactByItself(s.context, keep) })
	}
	return err
}

func (s *Server) serve() (err error) {
	o := &s.options
	s.api, err = etcdapi.New(etcdapi.Options{
		Group: &s.forClients, Store: s.store, ClusterID: s.host.ClusterID(), MemberID: uint64(s.host.ID()),
		MaxRequestBytes: o.MaxRequestBytes, RequestTimeout: o.requestTimeout(),
		MinLeaseTTL: o.minLeaseTTL(),
		Size:        s.disk.bytes, QuotaBytes: o.QuotaBackendBytes,
		Feed:                  s.machine.feed,
		WatchProgressInterval: o.WatchProgressNotifyInterval, LeaderTimeout: leaderTimeouts * o.electionSpan(),
		Compacted: func(ctx context.Context, revision int64) error {
			return s.machine.removed.wait(ctx, revision, s.context.Done())
		},
		Defragment: s.defragment,
		Flush:      s.machine.flushNowAndWait,
		Report:     s.Report,
		NewToken:   s.newToken,
		Unread:     func(err error) { s.unread(err) },
		Metrics:    http.HandlerFunc(s.serveMetrics()), Pprof: o.EnablePprof, Version: Version, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	for _, l := range s.clients {
		if err := s.api.Serve(l); err != nil {
			return err
		}
	}
	for _, l := range s.metrics {
		if err := s.api.ServeHTTP(l); err != nil {
			return err
		}
	}
	return nil
}

// announce tells the operator that the server is up, and how far it can be reached.
func (s *Server) announce() {
	for i, u := range s.options.ListenClientURLs {
		s.warnOpen("clients are served beyond this machine without encryption or passwords: "+
			"whoever reaches the address can read and change everything", u, s.clients[i])
	}
	for i, u := range s.options.ListenMetricsURLs {
		s.warnOpen("metrics are served beyond this machine without encryption or passwords", u, s.metrics[i])
	}
	if s.options.EnablePprof {
		s.logger.Warn("profiles are served to whoever reaches the port for clients: they show what is in memory")
	}
	addresses := make([]string, len(s.clients))
	for i, l := range s.clients {
		addresses[i] = l.Addr().String()
	}
	s.logger.Info("ready to serve client requests",
		"name", s.options.Name, "server", fmt.Sprintf("%x", s.host.ID()), "cluster", fmt.Sprintf("%x", s.host.ClusterID()),
		"clients", addresses, "version", Version, "etcd", etcdapi.EtcdVersion)
}

func (s *Server) warnOpen(what, u string, l net.Listener) {
	address, _ := addressOf(u, "http") // it has been listened on
	if host, _ := splitPort(address); !isLoopback(host) {
		s.logger.Warn(what, "url", u, "address", l.Addr().String())
	}
}

// fatal ends the server, once. It is called by whoever finds that it must not go on, and may not wait
// for anybody.
func (s *Server) fatal(err error) {
	s.failed.Do(func() {
		s.hasFailed.Store(true)
		s.noteDamage(err)
		s.logger.Error("this server must not go on", "err", err)
		s.end()
		s.options.OnFatal(err)
	})
}

func (s *Server) end() { s.ended.Do(func() { close(s.done) }) }

// Done is closed when the server serves no more: after Close, or when OnFatal is called.
func (s *Server) Done() <-chan struct{} { return s.done }

// ClientAddrs are the addresses on which clients are answered, in the order of ListenClientURLs.
func (s *Server) ClientAddrs() []net.Addr {
	addresses := make([]net.Addr, len(s.clients))
	for i, l := range s.clients {
		addresses[i] = l.Addr()
	}
	return addresses
}

// MetricsAddrs are the addresses of ListenMetricsURLs, in that order.
func (s *Server) MetricsAddrs() []net.Addr {
	addresses := make([]net.Addr, len(s.metrics))
	for i, l := range s.metrics {
		addresses[i] = l.Addr()
	}
	return addresses
}

// Group returns the group that holds the keys.
func (s *Server) Group() *quorate.Group { return s.group }

// Store returns the keys as this server has applied them. It is only to be read.
func (s *Server) Store() *kv.Store { return s.store }

// Host returns the host.
func (s *Server) Host() *quorate.Host { return s.host }

// Close hands leadership over, if this server leads, so that the others need not miss it first; takes no more
// requests, ends what is under way, stops the group and makes the state durable, so
// that the next start has nothing to apply again. It returns when the last goroutine is gone and all
// files are closed, and may be called again.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closeErr = s.closeAll() })
	return s.closeErr
}

// closeAll takes apart what there is, in the reverse order of Start.
func (s *Server) closeAll() error {
	var errs []error
	s.handOver()
	if s.api != nil {
		s.api.Close()
	}
	for _, l := range slices.Concat(s.clients, s.metrics) {
		_ = l.Close() // most likely closed already
	}
	s.cancel()
	s.running.Wait()
	if s.host != nil {
		errs = append(errs, s.host.Close())
	}
	if s.store != nil {
		if !s.hasFailed.Load() {
			errs = append(errs, s.store.Flush())
		}
		errs = append(errs, s.store.Close())
	}
	s.end()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close server: %w", err)
	}
	return nil
}
