package quorate_test

import (
	"context"
	"errors"
	"slices"
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
	others[1].waits(t, "it is heard no more", func() bool {
		return !slices.ContainsFunc(others[1].host.Peers(), func(p transport.PeerStatus) bool { return p.ID == others[0].host.ID() })
	})
}

// The leader completes its own removal: the others must hear it until then, and not any more afterwards.
func TestALeaderIsRemoved(t *testing.T) {
	nodes := newCluster(t, 3)
	nodes[1].propose(t, "a")
	leader, others := leaderAndOthers(t, nodes)
	term := leader.group.Status().Raft.CurrentTerm
	if err := leader.reconfigure(t, leaves(nodes[0]), leaves(nodes[1]), leaves(nodes[2])); !errors.Is(err, quorate.ErrNotAllowed) {
		t.Errorf("that all leave: %v", err)
	}
	if err := others[0].reconfigure(t, leaves(leader)); err != nil { // any server is asked
		t.Fatalf("%v, in term %d; the change began in term %d", err, leader.group.Status().Raft.CurrentTerm, term)
	}
	for _, n := range others {
		n.propose(t, "b")
		if voters := n.group.Status().Raft.Configuration.Configuration.Voters; len(voters) != 2 {
			t.Errorf("voters are %v", voters)
		}
		for _, p := range n.host.Peers() {
			if p.ID == leader.host.ID() {
				t.Errorf("server %x is still linked to the one that has left: %+v", n.host.ID(), p)
			}
		}
	}
	wantCommands(t, others[0].read(t), "a b b")
}
