package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/bench/internal/cluster"
)

const (
	// askTimeout is long: machines on which this runs may have little time for it.
	askTimeout = 2 * time.Minute
	// patience is said to both, so that no leader is deposed, and no request times out in a server, because
	// the machine has little time for them. The shortest time of a lease follows from it: 6 s.
	patience = "--election-timeout=4000"
	// told is how many requests before the one that differs are told.
	told = 10
	// streamEvery is how many ranges there are to one that is also asked for in pieces.
	streamEvery = 4
	tellEvery   = 5 * time.Second
)

func main() {
	runtime.LockOSThread() // servers die with the thread that started them
	var o options
	flag.IntVar(&o.requests, "n", 5000, "how many requests")
	flag.DurationVar(&o.bound, "for", 0, "for how long requests are drawn at most (0: until there are that many)")
	flag.Uint64Var(&o.seed, "seed", 0, "what they are drawn from (0: another one each time)")
	flag.StringVar(&o.quorate, "quorate", "../bin/quorate", "the quorate program")
	flag.StringVar(&o.etcd, "etcd-binary", "", "an etcd program (default: built from what go.mod names)")
	flag.StringVar(&o.ledger, "ledger", "", "a file to which a line is added about a run that has found nothing")
	flag.StringVar(&o.commit, "commit", "", "the commit of quorate that the line names")
	flag.Parse()
	if err := run(&o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "differ:", err)
		os.Exit(1)
	}
}

type options struct {
	requests       int
	bound          time.Duration // 0: none
	seed           uint64
	quorate, etcd  string
	ledger, commit string
}

func run(o *options, out, progress io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "quorate-differ-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.etcd == "" {
		o.etcd = filepath.Join(dir, "etcd")
		fmt.Fprintln(progress, "building etcd (the first time takes a while) ...")
		if err := cluster.BuildEtcd(ctx, o.etcd); err != nil {
			return err
		}
	}
	if o.quorate, err = filepath.Abs(o.quorate); err != nil {
		return err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	subject := cluster.Etcd(o.etcd)
	subject.Flags = append(subject.Flags, patience)
	etcd, err := start(ctx, subject, filepath.Join(dir, "a"))
	if err != nil {
		return err
	}
	defer etcd.close()
	quorate, err := start(ctx, cluster.Quorate(o.quorate, []string{patience}), filepath.Join(dir, "b"))
	if err != nil {
		return err
	}
	defer quorate.close()
	r := &runner{options: o, etcd: etcd, quorate: quorate, seen: map[string]int{}, counts: map[string]int{}, progress: progress,
		drawer: drawer{Rand: rand.New(rand.NewPCG(o.seed, 1)), revision: 1}}
	began := time.Now()
	err = r.run(ctx)
	r.report(out)
	if err != nil || o.ledger == "" {
		return err
	}
	described, err := cluster.Describe(o.etcd)
	if err != nil {
		return err
	}
	return r.line(described, began).appendTo(o.ledger)
}

// subject is a cluster under comparison, and a client of it.
type subject struct {
	cluster  *cluster.Cluster
	client   *clientv3.Client
	ids      ids
	renewing pb.Lease_LeaseKeepAliveClient // nil: nothing was renewed yet
}

func start(ctx context.Context, s cluster.Subject, dir string) (*subject, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, s, dir, cluster.Servers)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	client, err := cluster.Dial(c.URLs()[c.Leader])
	if err != nil {
		c.Close()
		return nil, err
	}
	return &subject{cluster: c, client: client, ids: newIDs()}, nil
}

func (s *subject) close() {
	s.client.Close()
	s.cluster.Close()
}

// runner asks both, and keeps count.
type runner struct {
	options       *options
	etcd, quorate *subject
	drawer        drawer
	progress      io.Writer

	watching *watching // nil: no stream is open
	events   int       // that watchers were told of, by both alike

	asked, failed int            // failed: the answer was an error, the same on both
	seen          map[string]int // known differences
	last          []noted
	toldAt        time.Time
	counts        map[string]int // requests, by method
	named         int            // leases that the two have picked themselves
	stalled       time.Duration  // that was spent on waiting for answers that took stallTime or longer
}

// noted is a request that was asked.
type noted struct {
	method  string
	request proto.Message
}

func (r *runner) run(ctx context.Context) error {
	r.toldAt = time.Now()
	for began := r.toldAt; r.asked < r.options.requests && (r.options.bound == 0 || time.Since(began) < r.options.bound); {
		if r.drawer.one(watchEvery) {
			if err := r.watch(ctx); err != nil {
				return err
			}
		}
		method, request := r.drawer.draw()
		if method == "/etcdserverpb.KV/Compact" { // what was before is to be had until then
			if err := r.compareWatching(ctx); err != nil {
				return err
			}
		}
		if err := r.compare(ctx, method, request); err != nil {
			return err
		}
		if get, ok := request.(*pb.RangeRequest); ok && r.drawer.one(streamEvery) {
			if err := r.compare(ctx, "/etcdserverpb.KV/RangeStream", get); err != nil {
				return err
			}
		}
		if time.Since(r.toldAt) > tellEvery {
			r.toldAt = time.Now()
			fmt.Fprintf(r.progress, "%d of %d requests, at revision %d\n", r.asked, r.options.requests, r.drawer.revision)
		}
	}
	if err := r.compareWatching(ctx); err != nil {
		return err
	}
	if err := r.recipes(ctx); err != nil {
		return err
	}
	return r.expire(ctx)
}

// errDiffers: the answers differ, and nobody has explained why.
var errDiffers = errors.New("etcd and Quorate differ")

// compare asks both the same and compares what they say.
func (r *runner) compare(ctx context.Context, method string, request proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	begin := time.Now()
	told := make(chan answer, 1)
	go func() { told <- r.etcd.ask(ctx, method, request) }() // ends with ctx
	quorate := r.quorate.ask(ctx, method, request)
	etcd := <-told
	r.stall(begin)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
	return r.judge(method, request, etcd, quorate)
}

// stall notes how long an answer has taken.
func (r *runner) stall(begin time.Time) {
	if taken := time.Since(begin); taken > stallTime {
		r.stalled += taken
	}
}

// ask asks one of them, in its own words.
func (s *subject) ask(ctx context.Context, method string, request proto.Message) answer {
	switch q := s.ids.toEnd(request).(type) {
	case *pb.LeaseKeepAliveRequest:
		return s.keepAlive(ctx, q)
	case *pb.RangeRequest:
		if method == "/etcdserverpb.KV/RangeStream" {
			return stream(ctx, s.client.ActiveConnection(), q)
		}
		return ask(ctx, s.client.ActiveConnection(), method, q)
	default:
		return ask(ctx, s.client.ActiveConnection(), method, q)
	}
}

// judge compares what both have said to a request.
func (r *runner) judge(method string, request proto.Message, etcd, quorate answer) error {
	r.asked++
	r.counts[method]++
	r.note(method, request)
	if etcd.err != nil {
		r.failed++
	}
	r.noteLease(request, etcd, quorate)
	if etcd.err == nil && quorate.err == nil {
		r.etcd.ids.fromEnd(etcd.message)
		r.quorate.ids.fromEnd(quorate.message)
		r.settle(etcd, quorate)
	}
	r.drawer.revision = max(r.drawer.revision, etcd.revision())
	if etcd.same(quorate) {
		return nil
	}
	if what := known(method, request, etcd, quorate); what != "" {
		r.seen[what]++
		return nil
	}
	return r.differs(method+" "+say(request), etcd, quorate)
}

// note notes a request, for whoever has to find out why an answer differs.
func (r *runner) note(method string, request proto.Message) {
	r.last = append(r.last[max(0, len(r.last)+1-told):], noted{method, request})
}

// differs is the error for answers that differ.
func (r *runner) differs(what string, etcd, quorate any) error {
	return fmt.Errorf("%w, seed %d, request %d: %s\netcd:    %v\nquorate: %v\nafter%s",
		errDiffers, r.options.seed, r.asked, what, etcd, quorate, r.recent())
}

// recent says what was asked last.
func (r *runner) recent() string {
	text := ""
	for _, asked := range r.last {
		text += "\n  " + asked.method + " " + say(asked.request)
	}
	return text
}

func (r *runner) report(out io.Writer) {
	fmt.Fprintf(out, "seed %d: %d requests up to revision %d, of which %d were refused by both alike, and %d events of watches\n",
		r.options.seed, r.asked, r.drawer.revision, r.failed, r.events)
	for _, method := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(out, "  %-38s %d\n", method, r.counts[method])
	}
	for _, what := range slices.Sorted(maps.Keys(r.seen)) {
		fmt.Fprintf(out, "known difference, %d times: %s\n", r.seen[what], what)
	}
}
