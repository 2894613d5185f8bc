package quorate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/freeport"
)

// register is a state machine in memory: it remembers commands, and answers with how many there are.
type register struct {
	mu       sync.Mutex // guards commands
	commands []string
}

func (r *register) DurableIndex() quorate.Index { return 0 }

func (r *register) Apply(entries []quorate.Entry) (answers [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		if e.Command.Kind == quorate.KindCommand {
			r.commands = append(r.commands, string(e.Command.Request))
		}
		answers = append(answers, fmt.Append(nil, len(r.commands)))
	}
	return answers
}

func (r *register) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.commands...)
}

// node is a server in this process.
type node struct {
	options quorate.Options
	host    *quorate.Host
	group   *quorate.Group
	machine *register
}

// newCluster starts size servers, each on an address of its own.
func newCluster(t *testing.T, size int) []*node {
	t.Helper()
	return newClusterWith(t, size, func(*quorate.Options) {})
}

// newClusterWith starts size servers with some options of their own.
func newClusterWith(t *testing.T, size int, change func(*quorate.Options)) []*node {
	t.Helper()
	var members []quorate.Member
	for i := range size {
		members = append(members, quorate.Member{Name: fmt.Sprint("n", i), PeerURLs: []string{freeAddress(t)}})
	}
	nodes := make([]*node, size)
	for i := range nodes {
		nodes[i] = &node{options: quorate.Options{
			Dir: t.TempDir(), Members: members, Name: members[i].Name, SegmentBytes: 1 << 20,
			OnFatal: func(err error) { t.Errorf("server %d must not go on: %v", i, err) },
		}}
		change(&nodes[i].options)
		nodes[i].start(t)
	}
	t.Cleanup(func() {
		for _, n := range nodes {
			n.host.Close()
		}
	})
	return nodes
}

func (n *node) start(t *testing.T) {
	t.Helper()
	host, err := quorate.Open(n.options)
	if err != nil {
		t.Fatal(err)
	}
	n.host, n.machine = host, &register{}
	if n.group, err = host.Start(1, n.machine); err != nil {
		t.Fatal(err)
	}
}

// freeAddress returns an address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	addresses, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return addresses[0]
}

func (n *node) propose(t *testing.T, command string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := n.group.Propose(ctx, []byte(command)); err != nil {
		t.Fatalf("propose %q: %v", command, err)
	}
}

func (n *node) read(t *testing.T) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.group.Read(ctx); err != nil {
		t.Fatalf("read: %v", err)
	}
	return n.machine.all()
}

func wantCommands(t *testing.T, got []string, want string) {
	t.Helper()
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %q, want %q", s, want)
	}
}

func TestEveryServerTakesRequests(t *testing.T) {
	nodes := newCluster(t, 3)
	for i, n := range nodes {
		n.propose(t, fmt.Sprint("c", i))
	}
	for _, n := range nodes {
		wantCommands(t, n.read(t), "c0 c1 c2")
	}
}

func TestOneServerAlone(t *testing.T) {
	nodes := newCluster(t, 1)
	nodes[0].propose(t, "a")
	wantCommands(t, nodes[0].read(t), "a")
	nodes[0].host.Close()
	nodes[0].start(t)
	wantCommands(t, nodes[0].read(t), "a")
}

func TestNothingIsLostWhenAllRestart(t *testing.T) {
	nodes := newCluster(t, 3)
	for i := range 20 {
		nodes[i%3].propose(t, fmt.Sprint(i))
	}
	before := strings.Join(nodes[0].read(t), " ")
	for _, n := range nodes {
		n.host.Close()
	}
	for _, n := range nodes {
		n.start(t)
	}
	for _, n := range nodes {
		wantCommands(t, n.read(t), before)
	}
}

func TestRequestsOutliveTheLeader(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[0].propose(t, "a")
	var leader, other *node
	for _, n := range nodes {
		if s := n.group.Status().Raft; s.Leader == s.ID {
			leader = n
		} else {
			other = n
		}
	}
	if leader == nil {
		t.Fatal("nobody leads")
	}
	leader.host.Close()
	other.propose(t, "b")
	wantCommands(t, other.read(t), "a b")
	leader.start(t)
	wantCommands(t, leader.read(t), "a b")
}

func TestManyAtOnce(t *testing.T) {
	nodes := newCluster(t, 3)
	var running sync.WaitGroup
	for i := range 60 {
		running.Go(func() {
			for k := range 20 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if _, err := nodes[i%3].group.Propose(ctx, fmt.Append(nil, i, "-", k)); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	running.Wait()
	seen := map[string]bool{}
	for _, c := range nodes[1].read(t) {
		if seen[c] {
			t.Errorf("%s was applied twice", c)
		}
		seen[c] = true
	}
	if len(seen) != 1200 {
		t.Errorf("%d commands were applied, want 1200", len(seen))
	}
}

func TestWithoutMajorityNothingHappensAndTheCallerIsTold(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[0].propose(t, "a")
	nodes[1].host.Close()
	nodes[2].host.Close()
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := nodes[0].group.Propose(ctx, []byte("b"))
		failed <- err
	}()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) ||
		!errors.Is(err, quorate.ErrOutcomeUnknown) && !errors.Is(err, quorate.ErrCanceled) {
		t.Errorf("got %v, want an outcome that is unknown or canceled", err)
	}
}

func TestDirectoryOfAnotherClusterIsRefused(t *testing.T) {
	nodes := newCluster(t, 1)
	nodes[0].host.Close()
	o := nodes[0].options
	o.Token = "another"
	if _, err := quorate.Open(o); !errors.Is(err, quorate.ErrOtherCluster) {
		t.Errorf("got %v, want ErrOtherCluster", err)
	}
}

func TestSecondHostOnADirectoryIsRefused(t *testing.T) {
	nodes := newCluster(t, 1)
	if h, err := quorate.Open(nodes[0].options); err == nil {
		h.Close()
		t.Error("the same directory was opened twice")
	}
}

// Reads at the leader need no round of messages with the option, and one each without it.
func TestLeaderAnswersReadsByItsLease(t *testing.T) {
	for _, on := range []bool{true, false} {
		nodes := newClusterWith(t, 3, func(o *quorate.Options) { o.LeaseReads = on })
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		byRound, byLease := uint64(0), uint64(0)
		for byRound < 20 && byLease == 0 { // the first that find no lease lay the ground for one
			byRound, byLease = 0, 0
			for _, n := range nodes {
				if err := n.group.Read(ctx); err != nil {
					t.Fatal(err)
				}
				counts := n.group.Status().Reads
				byRound, byLease = byRound+counts.ByRound, byLease+counts.ByLease
			}
		}
		if (byLease > 0) != on {
			t.Errorf("with the option %v: %d reads by round, %d by lease", on, byRound, byLease)
		}
	}
}
