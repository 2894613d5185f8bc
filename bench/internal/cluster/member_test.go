package cluster

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewcomerJoinsWithFlagsOfItsOwnAndUnderANewName(t *testing.T) {
	c := started(t, `echo "$@"; exec sleep 600`)
	c.subject.Flags = []string{"--one-more"}
	n, err := c.Newcomer()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Join(n, JoinFlags([]string{"http://127.0.0.1:2", "http://127.0.0.1:4"}, "secret")...); err != nil {
		t.Fatal(err)
	}
	if len(c.Servers) != 4 || n.Name != "n3" || c.Servers[3].Name != "n3" || c.Servers[3].PeerURL() != n.PeerURL {
		t.Fatalf("got %+v, and the last of %d servers is %+v", n, len(c.Servers), c.Servers[len(c.Servers)-1])
	}
	want := "--name n3 --data-dir " + filepath.Join(c.dir, "n3") +
		" --listen-client-urls " + c.Servers[3].URL + " --advertise-client-urls " + c.Servers[3].URL +
		" --listen-peer-urls " + n.PeerURL + " --initial-advertise-peer-urls " + n.PeerURL +
		" --join 127.0.0.1:2,127.0.0.1:4 --token secret --one-more"
	awaitLog(t, c.Servers[3], want)

	c.Kill(3)
	if err := c.Restart(3); err != nil { // with the same command
		t.Fatal(err)
	}
	await(t, func() (string, bool) {
		log := c.Servers[3].logTail()
		return log, strings.Count(log, want) == 2
	})
	if next, err := c.Newcomer(); err != nil || next.Name != "n4" {
		t.Errorf("the next is %+v, %v", next, err)
	}
	if got, want := strings.Join(ExistingFlags([]string{"n0=a", "n1=b"}), " "), "--initial-cluster n0=a,n1=b --initial-cluster-state existing"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestServerThatLeavesIsEndedAndForgotten(t *testing.T) {
	c := started(t, `trap 'exit 0' TERM; echo started; while :; do sleep 0.01; done`)
	ctx, cancel := c.WhileAlive(t.Context())
	defer cancel()
	first := c.Servers[0]
	awaitLog(t, first, "started")
	if err := c.Leave(ctx, 0); err != nil {
		t.Fatal(err)
	}
	<-first.ended // else this hangs
	if len(c.Servers) != 2 || c.Servers[0].Name != "n1" || c.Servers[1].Name != "n2" {
		t.Errorf("%d servers are left, the first is %s", len(c.Servers), c.Servers[0].Name)
	}
	if c.EndedCPU() != first.usedCPU() {
		t.Errorf("its CPU time is forgotten: %v of %v", c.EndedCPU(), first.usedCPU())
	}
	if ctx.Err() != nil {
		t.Errorf("its end is taken for one that nobody wanted: %v", context.Cause(ctx))
	}
}

func TestServerThatMayEndMayHaveEndedWhenItLeaves(t *testing.T) {
	c := started(t, `exec sleep 600`)
	server := c.Servers[1]
	server.MayEnd()
	if !server.ending.Load() { // which is what WhileAlive looks at
		t.Error("its end would be taken for one that nobody wanted")
	}
	server.kill()
	if err := c.Leave(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if len(c.Servers) != 2 || c.Servers[1].Name != "n2" {
		t.Errorf("got %d servers", len(c.Servers))
	}
}
