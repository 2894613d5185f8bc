package quorate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate"
)

// copied returns a copy of a directory, as one does who backs up or clones a machine.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// doubtful is a server that may be told not to take part.
type doubtful struct {
	*node
	ended chan error // holds what OnFatal is told
}

// doubtfulOf returns a server as n is, but with another directory, at an address of its own.
func doubtfulOf(t *testing.T, n *node, dir string) *doubtful {
	t.Helper()
	d := &doubtful{node: &node{options: n.options}, ended: make(chan error, 1)}
	d.options.Dir, d.options.Listen = dir, freeAddress(t)
	d.options.OnFatal = func(err error) { d.ended <- err }
	return d
}

// wantEnd waits until the server is told not to go on, and checks why; the words must all be in it.
func (d *doubtful) wantEnd(t *testing.T, want error, words ...string) {
	t.Helper()
	select {
	case err := <-d.ended:
		if !errors.Is(err, want) {
			t.Errorf("it ended with %v, want %v", err, want)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("nothing about %q in: %v", w, err)
			}
		}
	case <-time.After(time.Minute):
		t.Errorf("it goes on, want its end with %v; status %+v", want, d.group.Status().Raft)
	}
	d.host.Close()
}

// wantNoStart checks that a directory can no more be opened.
func (d *doubtful) wantNoStart(t *testing.T) {
	t.Helper()
	if h, err := quorate.Open(d.options); !errors.Is(err, quorate.ErrCopied) || !strings.Contains(err.Error(), "empty directory") {
		t.Errorf("got %v, want ErrCopied, and what to do", err)
		if h != nil {
			h.Close()
		}
	}
}

func (n *node) restart(t *testing.T) {
	t.Helper()
	n.host.Close()
	n.start(t)
}

// settled waits until all servers have linked with each other, and applied the same.
func settled(t *testing.T, nodes []*node, want string) {
	t.Helper()
	for _, n := range nodes {
		wantCommands(t, n.read(t), want)
		n.waits(t, "it is linked with all others", func() bool {
			linked := 0
			for _, p := range n.host.Peers() {
				if !p.ConnectedSince.IsZero() && !p.ReceivingSince.IsZero() {
					linked++
				}
			}
			return linked == len(nodes)-1
		})
	}
}

func TestAServerThatHasLostItsDirectoryTakesNoPart(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[0].propose(t, "a")
	settled(t, nodes, "a")
	lost := nodes[2]
	lost.host.Close()
	d := doubtfulOf(t, lost, t.TempDir())
	d.options.Listen = "" // where the others look for it
	d.start(t)
	d.wantEnd(t, quorate.ErrOtherKey, "is known to", "remove it from its cluster", "empty directory")
	if s := d.group.Status(); s.Raft.CommitIndex != 0 || len(d.machine.all()) != 0 {
		t.Errorf("it takes part: %+v", s.Raft)
	}
	nodes[1].propose(t, "b")
	wantCommands(t, nodes[0].read(t), "a b")
	// The directory was not lost after all.
	lost.start(t)
	settled(t, nodes, "a b")
}

func TestATwinOfARunningServerIsRefused(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[0].propose(t, "a")
	settled(t, nodes, "a")
	d := doubtfulOf(t, nodes[2], copied(t, nodes[2].options.Dir))
	d.start(t)
	d.wantEnd(t, quorate.ErrCopied, "two processes with the identity", d.options.Dir)
	d.wantNoStart(t)
	nodes[2].propose(t, "b") // the original goes on
	settled(t, nodes, "a b")
}

// The others know which was the last, though they have been restarted since.
func TestAnOldBackupIsRefused(t *testing.T) {
	for name, restarts := range map[string]int{"restarted as often": 1, "restarted less often": 2} {
		t.Run(name, func(t *testing.T) {
			nodes := newCluster(t, 3)
			nodes[0].propose(t, "a")
			settled(t, nodes, "a")
			nodes[2].host.Close()
			backup := copied(t, nodes[2].options.Dir)
			nodes[2].start(t)
			for range restarts - 1 {
				settled(t, nodes, "a")
				nodes[2].restart(t)
			}
			nodes[2].propose(t, "b")
			settled(t, nodes, "a b")
			for _, n := range nodes {
				n.host.Close()
			}
			nodes[0].start(t)
			nodes[1].start(t)
			d := doubtfulOf(t, nodes[2], backup)
			d.start(t)
			d.wantEnd(t, quorate.ErrCopied)
			d.wantNoStart(t)
			nodes[2].start(t) // nothing is lost
			settled(t, nodes, "a b")
		})
	}
}

// Both copies count on from the same number: who was met last is let in, and who has never heard of that is not,
// however often it was started.
func TestCopiesThatAreStartedInTurnAreToldApart(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[0].propose(t, "a")
	settled(t, nodes, "a")
	nodes[2].host.Close()
	d := doubtfulOf(t, nodes[2], copied(t, nodes[2].options.Dir))
	nodes[2].start(t)
	nodes[2].propose(t, "b")
	settled(t, nodes, "a b")
	for _, n := range nodes {
		n.host.Close()
	}
	for range 3 { // it meets nobody
		d.start(t)
		d.host.Close()
	}
	nodes[0].start(t)
	nodes[1].start(t)
	d.start(t)
	d.wantEnd(t, quorate.ErrCopied, "knows nothing of its boot 2")
	d.wantNoStart(t)
	nodes[2].start(t)
	nodes[2].propose(t, "c")
	settled(t, nodes, "a b c")
}
