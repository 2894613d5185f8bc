package server

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// eventually waits for what there is nothing to wait on.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := testContext(t); !so(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not in time", what)
		}
	}
}

// change changes the members, whatever stands in the way for a while.
func change(t *testing.T, s *Server, edits ...replica.Edit) {
	t.Helper()
	var err error
	eventually(t, "the members change", func() bool {
		err = s.Group().Reconfigure(testContext(t), edits...)
		return !errors.Is(err, quorate.ErrNotReady) && !errors.Is(err, quorate.ErrBusy) && !errors.Is(err, quorate.ErrOutcomeUnknown)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAServerJoinsAsEtcdsDo(t *testing.T) {
	options := clusterOptions(t, 4)
	fourth := options[3]
	list := fourth.InitialCluster // all four
	for i := range options[:3] {
		options[i].InitialCluster = options[0].InitialCluster[:len(list)-len(",n3=")-len(fourth.ListenPeerURLs[0])]
	}
	servers := startAll(t, options[:3])
	if err := story(testContext(t), connect(t, servers[0]), "a/"); err != nil {
		t.Error(err)
	}
	change(t, servers[1], replica.Edit{Member: wire.Member{ID: 7, PeerURLs: fourth.ListenPeerURLs}})

	fourth.InitialClusterState = "existing"
	if err := Join(testContext(t), fourth); err != nil {
		t.Fatal(err)
	}
	joined := start(t, fourth)
	if err := story(testContext(t), connect(t, joined), "b/"); err != nil {
		t.Error(err)
	}
	isVoter := func() bool { return joined.Group().Status().Raft.Configuration.Configuration.IsVoter(7) }
	eventually(t, "it votes", isVoter)
	members, err := connect(t, servers[0]).MemberList(testContext(t))
	if err != nil || len(members.Members) != 4 || members.Members[0].ID != 7 || members.Members[0].IsLearner {
		t.Errorf("members are %v, %v", members, err)
	}

	joined.Close()
	if err := Join(testContext(t), fourth); err != nil { // the same command starts it again
		t.Error(err)
	}
	again := start(t, fourth)
	if again.Host().ID() != 7 {
		t.Errorf("it is server %x now", again.Host().ID())
	}
	if err := story(testContext(t), connect(t, again), "c/"); err != nil {
		t.Error(err)
	}

	servers[0].Close()
	first := options[0]
	first.InitialCluster, first.InitialClusterState = list, "existing" // as the operator would write it now
	if err := Join(testContext(t), first); err != nil {
		t.Error(err)
	}
	if s := start(t, first); s.Host().ID() != servers[0].Host().ID() {
		t.Errorf("the first is server %x now", s.Host().ID())
	}
}

func TestWhoIsAskedIsWhoElseIsThere(t *testing.T) {
	o := Options{Name: "b", InitialCluster: "a=http://127.0.0.1:1,b=http://127.0.0.1:2,a=http://127.0.0.1:3"}
	if got, want := o.toAsk(), []string{"http://127.0.0.1:1", "http://127.0.0.1:3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	o.Join = []string{"c:1"}
	if got := o.toAsk(); !slices.Equal(got, o.Join) {
		t.Errorf("got %v, want %v", got, o.Join)
	}
}
