package quorate_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// logger calls f with each line.
func logger(f func(line string)) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer(f), nil))
}

type writer func(line string)

func (w writer) Write(b []byte) (int, error) {
	w(string(b))
	return len(b), nil
}

// newcomer is a server that belongs to no cluster yet.
func newcomer(t *testing.T, name string) (*node, quorate.JoinOptions) {
	t.Helper()
	n := &node{options: quorate.Options{Dir: t.TempDir(), Listen: freeAddress(t), SegmentBytes: 1 << 20,
		OnFatal: func(err error) { t.Errorf("server %s must not go on: %v", name, err) }}}
	return n, quorate.JoinOptions{Dir: n.options.Dir, Name: name, PeerURLs: []string{n.options.Listen}}
}

// comes is the edit that adds a server.
func comes(id quorate.ServerID, urls ...string) replica.Edit {
	return replica.Edit{Member: wire.Member{ID: id, PeerURLs: urls}}
}

// changes changes the members, whatever stands in the way for a while.
func (n *node) changes(t *testing.T, edits ...replica.Edit) {
	t.Helper()
	var err error
	n.waits(t, "the members change", func() bool {
		err = n.reconfigure(t, edits...)
		return !errors.Is(err, quorate.ErrNotReady) && !errors.Is(err, quorate.ErrBusy) && !errors.Is(err, quorate.ErrOutcomeUnknown)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// joins lets a server join that was added, and waits until it votes.
func (n *node) joins(t *testing.T, o quorate.JoinOptions) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := quorate.Join(ctx, o); err != nil {
		t.Fatal(err)
	}
	n.start(t)
	t.Cleanup(func() { n.host.Close() })
	n.waits(t, "it votes", func() bool { return n.group.Status().Raft.Configuration.Configuration.IsVoter(n.host.ID()) })
}

// waits until something is so, for what there is nothing to wait on.
func (n *node) waits(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after a minute; its status is %+v", what, n.group.Status().Raft)
		}
	}
}

// wantWaiting checks that a server is not let in, and goes on asking: it says for what, in its log and when it is
// told to stop.
func wantWaiting(t *testing.T, o quorate.JoinOptions, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o.Logger = logger(func(line string) {
		if strings.Contains(line, why) {
			cancel()
		}
	})
	if err := quorate.Join(ctx, o); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want it to wait, and to say %q", err, why)
	}
}

func TestServersJoinUntilNoneOfTheFirstIsLeft(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[1].propose(t, "a")
	var at []string // where somebody may be asked; most are gone in the end
	for _, n := range nodes {
		at = append(at, n.options.Members[len(at)].PeerURLs...)
	}
	for i := range 3 {
		n, o := newcomer(t, fmt.Sprint("m", i))
		_, others := leaderAndOthers(t, nodes)
		others[0].changes(t, comes(quorate.ServerID(100+i), "http://"+o.PeerURLs[0]))
		o.Addresses = at
		n.joins(t, o)
		at = append(at, o.PeerURLs...)
		nodes = append(nodes, n)
		n.propose(t, fmt.Sprint("by ", i))
		n.changes(t, leaves(nodes[0]))
		if err := nodes[0].host.Close(); err != nil {
			t.Error(err)
		}
		nodes = nodes[1:]
	}
	want := "a by 0 by 1 by 2"
	for _, n := range nodes {
		wantCommands(t, n.read(t), want)
	}
	for _, n := range nodes { // they know each other from their directories
		n.host.Close()
	}
	for _, n := range nodes {
		n.start(t)
	}
	for i, n := range nodes {
		wantCommands(t, n.read(t), want)
		n.waits(t, "its name is known", func() bool {
			return n.group.Status().Configuration.Member(n.host.ID()).Name == fmt.Sprint("m", i)
		})
	}
}

func TestAServerWaitsUntilItIsAdded(t *testing.T) {
	nodes := newCluster(t, 1)
	nodes[0].propose(t, "a")
	n, o := newcomer(t, "late")
	o.Addresses = nodes[0].options.Members[0].PeerURLs
	asked := make(chan struct{}, 100)
	o.Logger = logger(func(line string) {
		if strings.Contains(line, "add it first") {
			asked <- struct{}{}
		}
	})
	joined := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() { joined <- quorate.Join(ctx, o) }()
	select {
	case <-asked:
	case err := <-joined:
		t.Fatalf("it has joined: %v", err)
	}
	nodes[0].changes(t, comes(7, o.PeerURLs...))
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	o.Addresses = []string{"127.0.0.1:1"} // nobody is there, and nobody needs to be asked again
	n.joins(t, o)
	if n.host.ID() != 7 || n.host.ClusterID() != nodes[0].host.ClusterID() {
		t.Errorf("it is server %x of cluster %x", n.host.ID(), n.host.ClusterID())
	}
	wantCommands(t, n.read(t), "a")
}

func TestWhoBelongsIsNotToldByAServerThatMayHaveMissedAChange(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[0].propose(t, "a")
	_, o := newcomer(t, "new")
	nodes[0].changes(t, comes(7, o.PeerURLs...))
	nodes[1].host.Close()
	nodes[2].host.Close()
	o.Addresses = nodes[0].options.Members[0].PeerURLs
	wantWaiting(t, o, "nobody can say now who belongs to the cluster")
}

func TestNobodyElseIsToldWhoHeIs(t *testing.T) {
	nodes := newCluster(t, 1)
	at := nodes[0].options.Members[0].PeerURLs
	n, o := newcomer(t, "first")
	nodes[0].changes(t, comes(7, o.PeerURLs...))
	o.Addresses = at
	n.joins(t, o)
	_, other := newcomer(t, "second")
	other.Addresses, other.PeerURLs = at, o.PeerURLs // of somebody whose key is known
	wantWaiting(t, other, "add it first, or let it join with a token")
}

// passphrase is a Credential.
type passphrase string

func (p passphrase) proof(side string, binding []byte) []byte {
	h := hmac.New(sha256.New, []byte(p))
	h.Write([]byte(side))
	h.Write(binding)
	return h.Sum(nil)
}

func (p passphrase) Show(binding []byte) ([]byte, error) { return p.proof("joins", binding), nil }

func (p passphrase) Check(binding, proof []byte) error {
	if !hmac.Equal(proof, p.proof("lets in", binding)) {
		return errors.New("it does not know the word")
	}
	return nil
}

func TestACredentialLetsIn(t *testing.T) {
	nodes := newCluster(t, 1)
	host, word := nodes[0], passphrase("sesame")
	host.host.Close()
	members := map[transport.PublicKey]quorate.ServerID{}
	host.options.Admit = func(ctx context.Context, r quorate.JoinRequest) ([]byte, error) {
		if !hmac.Equal(r.Shown, word.proof("joins", r.Binding)) {
			return nil, &transport.Denial{Why: errors.New("that is not the word")}
		}
		if members[r.Key] == 0 {
			members[r.Key] = quorate.ServerID(7 + len(members))
		}
		err := host.group.Reconfigure(ctx, replica.Edit{Member: wire.Member{ID: members[r.Key], Key: r.Key[:], Name: r.Name, PeerURLs: r.PeerURLs}})
		return word.proof("lets in", r.Binding), err
	}
	host.start(t)
	host.propose(t, "a")
	n, o := newcomer(t, "new")
	o.Addresses = []string{"127.0.0.1:1", host.options.Members[0].PeerURLs[0]} // nobody is at the first
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o.Credential = passphrase("simsim")
	if err := quorate.Join(ctx, o); !errors.Is(err, quorate.ErrDenied) || !strings.Contains(err.Error(), "not the word") {
		t.Errorf("with another word: %v", err)
	}
	o.Credential = word
	n.joins(t, o)
	wantCommands(t, n.read(t), "a")
	if key := n.host.Key(); n.host.ID() != 7 || !slices.Equal(key[:], n.group.Status().Configuration.Member(7).Key) {
		t.Errorf("it is server %x", n.host.ID())
	}

	_, o = newcomer(t, "wary")
	o.Addresses = host.options.Members[0].PeerURLs
	word = "other" // and the answer is not proved by the word that the newcomer knows
	o.Credential = lenient{"sesame", word}
	wantWaiting(t, o, "it does not know the word") // an answer that nothing proves
}

// lenient shows one word, and wants to hear of another.
type lenient struct{ wants, shows passphrase }

func (l lenient) Show(binding []byte) ([]byte, error) { return l.shows.Show(binding) }
func (l lenient) Check(binding, proof []byte) error   { return l.wants.Check(binding, proof) }

func TestWhoIsAskedAtAnAddressForClientsIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 64<<10)) // all of it, or what is written would be lost with the connection
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	_, o := newcomer(t, "new")
	o.Addresses = []string{l.Addr().String()}
	wantWaiting(t, o, "and not for clients?")
}

func TestWithoutAdmitNoCredentialIsTaken(t *testing.T) {
	nodes := newCluster(t, 1)
	_, o := newcomer(t, "new")
	o.Addresses, o.Credential = nodes[0].options.Members[0].PeerURLs, passphrase("x")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := quorate.Join(ctx, o); !errors.Is(err, quorate.ErrDenied) || !strings.Contains(err.Error(), "takes no tokens") {
		t.Errorf("got %v", err)
	}
}
