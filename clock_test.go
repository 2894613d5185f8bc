package quorate

import (
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// What a turn takes in must have come before the time that the turn is given: a read may be answered for that
// time, and a promise counts from it.
func TestClockIsReadAfterTheInbox(t *testing.T) {
	r, err := replica.New(replica.Options{Group: 1, Member: wire.Member{ID: 1, Key: make([]byte, 32)}}, replica.State{
		Raft: raft.State{Configurations: []raft.ConfigurationAt{{Configuration: (&wire.Configuration{
			Members: []wire.Member{{ID: 1, Roles: wire.RoleVoter}, {ID: 2, Roles: wire.RoleVoter}},
		}).Raft()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{members: map[GroupID][]wire.Member{}}
	g := &Group{id: 1, host: h, worker: newWorker(h), replica: r}
	r.Step(0, nil) // the first turn tells the links who the members are
	g.put(replica.Cancel{Handle: 1})
	reads := 0
	h.clock = func() uint64 {
		reads++
		if n := len(g.inbox.inputs); n > 0 {
			t.Errorf("%d inputs were still to be taken", n)
		}
		return 1
	}
	h.logger = Options{}.withDefaults().Logger
	h.context = t.Context()
	g.worker.turn(g)
	if reads != 1 {
		t.Errorf("the clock was read %d times", reads)
	}
}

func TestClockGoesOn(t *testing.T) {
	before := goesOn()
	for range 1000 {
		now := goesOn()
		if now < before || now == 0 {
			t.Fatalf("%d after %d", now, before)
		}
		before = now
	}
}
