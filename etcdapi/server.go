package etcdapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/quorate/quorate/watch"
)

// Server serves etcd's API over one group and its store, on any number of listeners.
type Server struct {
	options Options
	group   Group
	store   Store
	headers headers
	codec   codec
	grpc    *grpc.Server
	http    *http.Server
	lookers *http.Server // of listeners for those who only look
	pages   http.Handler
	methods []*method
	hub     *hub // nil without a feed
	renewer renewer
	recipes recipes
	// changing holds one: who changes members.
	changing chan struct{}
	// defragmenting holds one, snapshots maxSnapshots: who is at it.
	defragmenting, snapshots chan struct{}
	// chance fills ids of new members.
	chance func([]byte)

	failedWrites, failedReads atomic.Uint64
	complained                atomic.Int64 // when the store's failing was logged last; nanoseconds of the clock

	mu      sync.Mutex // guards running's growth against Close
	context context.Context
	cancel  context.CancelFunc
	closing chan struct{} // closed when Close begins
	once    sync.Once
	running sync.WaitGroup
}

// Bounds of connections. etcd has the same for gRPC's keepalive; those of headers are ours.
const (
	keepaliveMinTime = 5 * time.Second // clients that ping more often are sent away
	keepaliveTime    = 2 * time.Hour   // after which a silent client is asked whether it is there
	keepaliveTimeout = 20 * time.Second

	// streamWorkers is how many goroutines wait for calls, with stacks that are large enough already.
	// Calls beyond them get a fresh one each, whose stack must grow first: a tenth of the processor
	// time of a small call.
	streamWorkers = 256

	maxHeaderBytes    = 64 << 10
	handshakeTimeout  = 10 * time.Second
	httpHeaderTimeout = 5 * time.Second
	httpWriteTimeout  = 2 * time.Minute // long enough for a profile
	httpIdleTimeout   = time.Minute

	// complainEvery is how often it is logged that the store cannot be read.
	complainEvery = 10 * time.Second
)

// New returns a server that listens nowhere yet.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	o = o.withDefaults()
	s := &Server{
		options: o, group: o.Group, store: o.Store, headers: newHeaders(o.ClusterID, o.MemberID),
		closing: make(chan struct{}), changing: make(chan struct{}, 1),
		defragmenting: make(chan struct{}, 1), snapshots: make(chan struct{}, maxSnapshots),
		chance: func(b []byte) { _, _ = rand.Read(b) }, // which does not fail
	}
	s.context, s.cancel = context.WithCancel(context.Background())
	s.renewer.server, s.recipes.server = s, s
	s.pages = s.newPages()
	s.http, s.lookers = s.newHTTP(s.withToken(s.pages)), s.newHTTP(s.pages)
	if o.Feed != nil {
		s.hub = newHub(s)
		s.start(func() { s.hub.run(s.context) })
	}
	s.grpc = s.newGRPC()
	return s, nil
}

func (s *Server) newHTTP(pages http.Handler) *http.Server {
	return &http.Server{
		Handler:           pages,
		ReadHeaderTimeout: httpHeaderTimeout,
		WriteTimeout:      httpWriteTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
}

func (s *Server) newGRPC() *grpc.Server {
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(&s.codec),
		grpc.MaxRecvMsgSize(s.options.MaxRequestBytes+receiveRoomBytes),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxConcurrentStreams(math.MaxUint32),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinTime}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.WaitForHandlers(true),
	)
	for _, service := range []*grpc.ServiceDesc{
		s.kvService(), s.leaseService(), s.maintenanceService(), s.clusterService(), s.healthService(),
		s.sessionService(), s.preferenceService(),
	} {
		g.RegisterService(service, nil)
	}
	if s.hub != nil {
		g.RegisterService(s.watchService(), nil)
		g.RegisterService(s.lockService(), nil) // which watch
		g.RegisterService(s.electionService(), nil)
	}
	return g
}

// ErrClosed: the server is closed.
var ErrClosed = errors.New("server is closed")

// Serve answers clients that connect to l, which it owns from now on, until Close. It returns at once;
// the only error is ErrClosed.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.context.Err() != nil {
		l.Close()
		return ErrClosed
	}
	p := newPort(l, s.options.Logger)
	s.servePort(p)
	return nil
}

func (s *Server) servePort(p *port) {
	s.running.Go(func() { p.run(s.context) })
	s.running.Go(func() { s.serving("gRPC", s.grpc.Serve(p.grpc)) })
	s.running.Go(func() { s.serving("HTTP", s.http.Serve(p.http)) })
}

// ServeHTTP answers those who connect to l with the pages of Handler only, which change nothing. Like Serve otherwise.
func (s *Server) ServeHTTP(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.context.Err() != nil {
		l.Close()
		return ErrClosed
	}
	s.running.Go(func() { s.serving("HTTP", s.lookers.Serve(l)) })
	return nil
}

// serving1 looks at how serving has ended: nothing but Close ends it.
func (s *Server) serving(what string, err error) {
	if err != nil && s.context.Err() == nil {
		s.options.Logger.Error("serving has ended", "what", what, "err", err)
	}
}

// mayComplain is true at most once in complainEvery.
func (s *Server) mayComplain() bool {
	now := time.Now().UnixNano()
	last := s.complained.Load()
	return now-last > int64(complainEvery) && s.complained.CompareAndSwap(last, now)
}

// Close takes no more calls, lets those under way finish for as long as CloseGrace says, ends the rest,
// and returns when the last of them is gone. It may be called again.
func (s *Server) Close() { s.once.Do(s.close) }

func (s *Server) close() {
	close(s.closing)
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	grace, cancel := context.WithTimeout(context.Background(), s.options.CloseGrace)
	defer cancel()
	s.running.Go(func() {
		defer cancel() // all calls have finished: no need to wait longer
		s.grpc.GracefulStop()
	})
	<-grace.Done()
	s.grpc.Stop()
	s.recipes.close()
	s.http.Close()
	s.lookers.Close()
	s.running.Wait()
}

// Stats is a copy of what a server has counted since it was made.
type Stats struct {
	// ReceivedBytes and SentBytes count the messages of all gRPC calls, without framing.
	ReceivedBytes, SentBytes uint64
	// FailedWrites and FailedReads count what the group did not carry out in time, or at all.
	FailedWrites, FailedReads uint64
	// Watch counts those who watch.
	Watch watch.Stats
	// Methods are those that are served, in a fixed order.
	Methods []MethodStats
}

// MethodStats counts the calls of one method.
type MethodStats struct {
	// Service, Method and Type are as gRPC's metrics name them; Type is unary, server_stream or bidi_stream.
	Service, Method, Type string
	Started               uint64
	// Handled counts ended calls by their gRPC code.
	Handled [codeCount]uint64
}

// Stats returns a copy of the counters.
func (s *Server) Stats() Stats {
	stats := Stats{
		ReceivedBytes: s.codec.received.Load(), SentBytes: s.codec.sent.Load(),
		FailedWrites: s.failedWrites.Load(), FailedReads: s.failedReads.Load(),
		Methods: make([]MethodStats, len(s.methods)),
	}
	if s.hub != nil {
		stats.Watch = *s.hub.counts.Load()
	}
	for i, m := range s.methods {
		stats.Methods[i] = MethodStats{Service: m.service, Method: m.name, Type: m.kind, Started: m.started.Load()}
		for code := range m.handled {
			stats.Methods[i].Handled[code] = m.handled[code].Load()
		}
	}
	return stats
}
