package quorate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// leaderAndOthers returns who leads, once somebody does, and the others.
func leaderAndOthers(t *testing.T, nodes []*node) (leader *node, others []*node) {
	t.Helper()
	nodes[0].read(t) // there is a leader
	for _, n := range nodes {
		if s := n.group.Status().Raft; s.Leader == s.ID {
			leader = n
		} else {
			others = append(others, n)
		}
	}
	if leader == nil {
		t.Fatal("nobody leads")
	}
	return leader, others
}

func (n *node) reconfigure(t *testing.T, edits ...replica.Edit) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.group.Reconfigure(ctx, edits...)
}

func leaves(n *node) replica.Edit {
	return replica.Edit{Member: wire.Member{ID: n.host.ID()}, Remove: true}
}

// A server that asks for its own removal is told that it is done: it is heard a while longer.
func TestAServerHearsThatItHasLeft(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[1].propose(t, "a")
	_, others := leaderAndOthers(t, nodes)
	others[0].changes(t, leaves(others[0]))
	others[1].propose(t, "b")
	if voters := others[1].group.Status().Raft.Configuration.Configuration.Voters; len(voters) != 2 {
		t.Errorf("voters are %v", voters)
	}
	others[1].isUnlinkedFrom(t, others[0])
}

// isUnlinkedFrom waits until a server that has left is heard no more.
func (n *node) isUnlinkedFrom(t *testing.T, gone *node) {
	t.Helper()
	n.waits(t, "who has left is heard no more", func() bool {
		return !slices.ContainsFunc(n.host.Peers(), func(p transport.PeerStatus) bool { return p.ID == gone.host.ID() })
	})
}

// The leader completes its own removal: the others must hear it until then, and not any more afterwards.
func TestALeaderIsRemoved(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[1].propose(t, "a")
	leader, others := leaderAndOthers(t, nodes)
	if err := leader.reconfigure(t, leaves(nodes[0]), leaves(nodes[1]), leaves(nodes[2])); !errors.Is(err, quorate.ErrNotAllowed) {
		t.Errorf("that all leave: %v", err)
	}
	others[0].changes(t, leaves(leader)) // any server is asked
	for _, n := range others {
		n.propose(t, "b")
		if voters := n.group.Status().Raft.Configuration.Configuration.Voters; len(voters) != 2 {
			t.Errorf("voters are %v", voters)
		}
		n.isUnlinkedFrom(t, leader)
	}
	wantCommands(t, others[0].read(t), "a b b")
}

// The leader is removed while clients write, and it takes no election by a timeout: none can come in so short a time,
// and none is needed. Every write is done.
func TestALeaderIsRemovedWithoutAnElection(t *testing.T) {
	var campaigns, handovers atomic.Int64
	nodes := newClusterWith(t, 3, func(o *quorate.Options) {
		o.HeartbeatInterval, o.ElectionTimeout = 100*time.Millisecond, 2*time.Second
		o.Logger = logger(func(line string) {
			switch {
			case !strings.Contains(line, `msg="candidate in term`):
			case strings.Contains(line, "the leader hands over"):
				handovers.Add(1)
			default:
				campaigns.Add(1)
			}
		})
	})
	nodes[0].propose(t, "a")
	leader, others := leaderAndOthers(t, nodes)
	if n := campaigns.Load(); n == 0 {
		t.Fatal("nobody was seen to campaign at the start")
	}
	campaigns.Store(0)
	stop, written := make(chan struct{}), make(chan int)
	for _, n := range others {
		go func() {
			count := 0
			for {
				select {
				case <-stop:
					written <- count
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if _, err := n.group.Propose(ctx, []byte("x")); err != nil {
					t.Errorf("a write during the removal: %v", err)
				}
				cancel()
				count++
			}
		}()
	}
	leader.changes(t, leaves(leader))
	others[0].propose(t, "b")
	close(stop)
	count := <-written + <-written
	if c, h := campaigns.Load(), handovers.Load(); c != 0 || h != 1 {
		t.Errorf("%d elections by a timeout, and %d handovers", c, h)
	}
	if voters := others[0].group.Status().Raft.Configuration.Configuration.Voters; len(voters) != 2 {
		t.Errorf("voters are %v", voters)
	}
	if got := len(others[1].read(t)); got != count+2 {
		t.Errorf("%d commands were applied, want %d", got, count+2)
	}
}
