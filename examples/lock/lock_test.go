package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate"
)

// cluster is three servers of the lock service, in this process.
type cluster struct {
	t        *testing.T
	hosts    []*quorate.Host
	services []*service
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for _, o := range options(t.TempDir(), "a", "b", "c") {
		o.OnFatal = func(err error) { t.Errorf("server %s must not go on: %v", o.Name, err) }
		host, s, err := start(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { host.Close() })
		c.hosts, c.services = append(c.hosts, host), append(c.services, s)
	}
	return c
}

// killLeader closes the host of the server that leads, and returns which it was.
func (c *cluster) killLeader(ctx context.Context) int {
	for ctx.Err() == nil {
		for i, s := range c.services {
			if status := s.group.Status().Raft; status.Leader == status.ID {
				c.hosts[i].Close()
				return i
			}
		}
		if err := c.services[0].group.Read(ctx); err != nil {
			break
		}
	}
	c.t.Error("nobody leads")
	return 0
}

func minute(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// visit takes the lock, does something, and releases it, by way of one server after the other until one answers.
func (c *cluster) visit(ctx context.Context, server int, owner, request string, inside func(grant)) error {
	at := func() *service { return c.services[server%len(c.services)] }
	g, err := at().await(ctx, "disk", owner, request, time.Hour)
	for err != nil && ctx.Err() == nil {
		if errors.Is(err, errHeld) && g.Owner == owner {
			// A copy of an earlier request came late. If this fails, it is in the way once more.
			_ = at().release(ctx, g)
		}
		server++
		g, err = at().await(ctx, "disk", owner, request, time.Hour)
	}
	if err != nil {
		return err
	}
	inside(g)
	for err = at().release(ctx, g); err != nil && ctx.Err() == nil; err = at().release(ctx, g) {
		server++
	}
	return err
}

func TestOneHolderAtATimeAndTokensGrowThroughTheLeadersDeath(t *testing.T) {
	c, ctx := newCluster(t), minute(t)
	var mu sync.Mutex
	holders, visits, largest := 0, 0, quorate.Index(0)
	inside := func(g grant) {
		mu.Lock()
		holders++
		visits++
		if holders != 1 {
			t.Errorf("%d hold the lock, %s among them", holders, g.Owner)
		}
		if g.Token <= largest {
			t.Errorf("%s has token %d, after %d", g.Owner, g.Token, largest)
		}
		largest = g.Token
		die := visits == 9
		mu.Unlock()
		if die {
			c.killLeader(ctx)
		}
		if err := c.services[0].group.Read(ctx); err != nil && !errors.Is(err, quorate.ErrClosed) {
			t.Error(err) // only to be in there for a while
		}
		mu.Lock()
		defer mu.Unlock()
		holders--
	}
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			for k := range 3 {
				if err := c.visit(ctx, i, fmt.Sprint("client ", i), fmt.Sprint(k), inside); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			}
		})
	}
	clients.Wait()
	if visits != 18 {
		t.Errorf("%d visits, want 18", visits)
	}
}

func TestAHolderWhoseTimeHasEndedIsRefused(t *testing.T) {
	c, ctx := newCluster(t), minute(t)
	a, b := c.services[0], c.services[1]
	var disk storage
	old, err := a.acquire(ctx, "disk", "a", "1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := b.acquire(ctx, "disk", "b", "1", time.Hour); !errors.Is(err, errHeld) || g != old {
		t.Errorf("while a has it, b got %+v, %v", g, err)
	}
	if _, err := a.renew(ctx, old, 0); err != nil { // its time ends here
		t.Fatal(err)
	}
	if _, err := a.renew(ctx, old, time.Hour); !errors.Is(err, errStale) {
		t.Errorf("renewed a grant that has ended: %v", err)
	}
	current, err := b.acquire(ctx, "disk", "b", "1", time.Hour)
	if err != nil || current.Token <= old.Token {
		t.Fatalf("after token %d, b got %+v, %v", old.Token, current, err)
	}
	if _, err := a.renew(ctx, old, 0); !errors.Is(err, errStale) {
		t.Errorf("renewed a grant by the token of the one before: %v", err)
	}
	if err := disk.write(old.Token, "a's, late"); err != nil {
		t.Errorf("nobody with a larger token was there, and yet: %v", err)
	}
	if err := errors.Join(disk.write(current.Token, "b's"), disk.write(current.Token, "b's too")); err != nil {
		t.Error(err)
	}
	if err := disk.write(old.Token, "a's, too late"); !errors.Is(err, errStale) || disk.content != "b's too" {
		t.Errorf("an old token: %v; the disk is %s", err, disk.content)
	}
	if err := a.release(ctx, old); err != nil {
		t.Error(err)
	}
	if g, held, err := c.services[2].holder(ctx, "disk"); g != current || !held || err != nil {
		t.Errorf("the old holder's release ended another's grant: %+v %v %v", g, held, err)
	}
}

func TestARepeatedAcquireIsGivenTheSameGrant(t *testing.T) {
	c, ctx := newCluster(t), minute(t)
	first, err := c.services[0].acquire(ctx, "disk", "a", "1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dead := c.killLeader(ctx)
	s := c.services[(dead+1)%3]
	if g, err := s.acquire(ctx, "disk", "a", "1", time.Hour); g != first || err != nil {
		t.Errorf("repeated: got %+v, %v, want %+v", g, err, first)
	}
	if g, err := s.acquire(ctx, "disk", "a", "2", time.Hour); g != first || !errors.Is(err, errHeld) {
		t.Errorf("another request of the same owner: got %+v, %v", g, err)
	}
	if err := errors.Join(s.release(ctx, first), s.release(ctx, first)); err != nil {
		t.Error(err)
	}
	if _, held, err := s.holder(ctx, "disk"); held || err != nil {
		t.Errorf("released, and held: %v, %v", held, err)
	}
	if g, err := s.acquire(ctx, "disk", "a", "1", time.Hour); err != nil || g.Token <= first.Token {
		t.Errorf("after its release: got %+v, %v", g, err)
	}
}

func TestGrantsEndByTheTimeOfTheLog(t *testing.T) {
	m := &machine{grants: map[string]grant{}}
	at := func(index quorate.Index, now uint64, c command) answer { return m.execute(&c, index, now) }
	acquire := command{Do: "acquire", Lock: "disk", Owner: "a", Request: "1", TTL: 10}
	if a := at(5, 100, acquire); !a.OK || a.Grant.Token != 5 || a.Grant.Deadline != 110 {
		t.Errorf("got %+v", a)
	}
	acquire.Owner = "b"
	if a := at(6, 109, acquire); a.OK || a.Grant.Owner != "a" {
		t.Errorf("before the deadline: %+v", a)
	}
	if a := at(7, 110, acquire); !a.OK || a.Grant.Owner != "b" || a.Grant.Token != 7 {
		t.Errorf("at the deadline: %+v", a)
	}
	acquire.Lock, acquire.TTL = "door", 1<<62
	if a := at(8, 110, acquire); a.Grant.Deadline != 110+uint64(maxTTL) {
		t.Errorf("for ever: %+v", a)
	}
	acquire.Lock, acquire.TTL = "gate", -1<<62
	if a := at(9, 110, acquire); a.Grant.Deadline != 110 {
		t.Errorf("for less than nothing: %+v", a)
	}
}

func TestCommandsThatMakeNoSenseDoNothing(t *testing.T) {
	m := &machine{grants: map[string]grant{}}
	var entries []quorate.Entry
	for i, request := range []string{"", "{", "[]", `{"do":"acquire","ttl":"x"}`, `{"do":"steal","lock":"disk"}`, `{"do":"renew"}`} {
		e := quorate.Entry{Index: quorate.Index(i + 1)}
		e.Command.Kind, e.Command.Request = quorate.KindCommand, []byte(request)
		entries = append(entries, e)
	}
	hosts := quorate.Entry{Index: 7} // its kind says that it is not for the state machine
	hosts.Command.Request = []byte(`{"do":"acquire","lock":"disk","ttl":1000}`)
	for i, b := range m.Apply(append(entries, hosts)) {
		if want := `{"OK":false,"Grant":{"Lock":"","Owner":"","Request":"","Token":0,"Deadline":0}}`; string(b) != want {
			t.Errorf("%d: answered %s, want %s", i, b, want)
		}
	}
	if len(m.grants) > 0 {
		t.Errorf("granted %+v", m.grants)
	}
}
