package replica

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// sumAt is a sum of some moment.
func sumAt(at uint64, value byte) wire.Sum {
	return wire.Sum{Kind: 1, At: at, Value: [16]byte{value}}
}

// knows tells a server what its state machine's sums are.
func (c *cluster) knows(s *server, sums ...wire.Sum) {
	s.inputs = append(s.inputs, Sums{Sums: sums})
	c.step(s)
}

// saying lets the servers know sums of one moment, and tell each other.
func (c *cluster) saying(values ...byte) {
	for i, v := range values {
		c.knows(c.servers[i], sumAt(256, v))
	}
	c.settle(2 * c.servers[0].replica.options.SumTicks)
}

func (c *cluster) wantDiffers(s *server, want bool) {
	c.t.Helper()
	var differs *DiffersError
	if got := errors.As(s.fatal, &differs); got != want {
		c.t.Errorf("server %d must not go on: %v, want %v (%v)", s.id, got, want, s.fatal)
	}
}

func TestServerThatDiffersFromAMajorityMustNotGoOn(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.saying(1, 2, 1)
	for i, s := range c.servers {
		c.wantDiffers(s, i == 1)
		if i == 1 {
			continue
		}
		status := s.replica.Status().Sums
		if !slices.Equal(status.Differing, []raft.ServerID{2}) || status.Undecided != nil || status.Compared != 2 || status.Different != 1 {
			t.Errorf("server %d says %+v", s.id, status)
		}
	}
	c.crash(c.servers[1]) // it says nothing any more
	c.settle((forgetSums + 2) * c.servers[0].replica.options.SumTicks)
	if got := c.servers[0].replica.Status().Sums; len(got.Differing) > 0 {
		t.Errorf("what a server that has gone has said is not forgotten: %+v", got)
	}
}

func TestServersThatAgreeSayNothing(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.saying(1, 1, 1)
	c.knows(c.servers[0], sumAt(256, 1), sumAt(512, 2)) // the others are not there yet
	c.knows(c.servers[1], wire.Sum{Kind: 2, At: 512, Value: [16]byte{3}}, wire.Sum{Kind: 1, At: 512, Also: 1})
	c.settle(2 * c.servers[0].replica.options.SumTicks)
	for _, s := range c.servers {
		c.wantDiffers(s, false)
		if got := s.replica.Status().Sums; got.Different != 0 || got.Compared == 0 || len(got.Differing) > 0 || got.Undecided != nil {
			t.Errorf("server %d says %+v", s.id, got)
		}
	}
}

func TestWithoutAMajorityNobodyGuesses(t *testing.T) {
	for _, values := range [][]byte{{1, 2}, {1, 2, 3}, {1, 1, 2, 2}} {
		c := newCluster(t, 1, len(values))
		c.saying(values...)
		for _, s := range c.servers {
			c.wantDiffers(s, false)
			if got := s.replica.Status().Sums; got.Undecided == nil || !got.Undecided.AllSpoke || len(got.Differing) > 0 {
				t.Errorf("%v: server %d says %+v", values, s.id, got)
			}
		}
	}
	c := newCluster(t, 1, 3)
	c.crash(c.servers[2])
	c.saying(1, 2)
	if got := c.servers[0].replica.Status().Sums; got.Undecided == nil || got.Undecided.AllSpoke {
		t.Errorf("one of three is away: %+v", got)
	}
	c.start(c.servers[2])
	c.knows(c.servers[2], sumAt(256, 2))
	c.settle(2 * c.servers[0].replica.options.SumTicks)
	c.wantDiffers(c.servers[0], true)
	if got := c.servers[1].replica.Status().Sums; got.Undecided != nil {
		t.Errorf("the third has decided: %+v", got)
	}
}

// TestBothMajoritiesDecideInAJointConfiguration: servers 1 to 3 are the new voters, and 1, 4 and 5 the old ones.
func TestBothMajoritiesDecideInAJointConfiguration(t *testing.T) {
	for _, test := range []struct {
		values []byte // of server 1, 2, ...; 0: it says nothing
		ends   bool   // server 1 does
		sure   bool
	}{
		{[]byte{1, 2, 2, 0, 0}, false, false},
		{[]byte{1, 2, 2, 2, 0}, false, false},
		{[]byte{1, 2, 2, 2, 2}, true, true},
		{[]byte{1, 1, 2, 1, 0}, false, true},
		{[]byte{1, 1, 2, 0, 0}, false, false},
	} {
		c := newCluster(t, 1, 5)
		for i := range c.initial.Members {
			c.initial.Members[i].Roles = []wire.Roles{wire.RoleVoter | wire.RoleOldVoter, wire.RoleVoter, wire.RoleVoter, wire.RoleOldVoter, wire.RoleOldVoter}[i]
		}
		s := c.servers[0]
		c.start(s)
		c.knows(s, sumAt(256, test.values[0]))
		for i, v := range test.values[1:] {
			if v != 0 {
				s.inputs = append(s.inputs, Receive{From: raft.ServerID(i + 2), Message: wire.Message{Group: testGroup, Body: &wire.Sums{Sums: []wire.Sum{sumAt(256, v)}}}})
				c.step(s)
			}
		}
		c.wantDiffers(s, test.ends)
		if got := s.replica.Status().Sums; !test.ends && (got.Undecided == nil) != test.sure {
			t.Errorf("%v: %+v", test.values, got)
		}
	}
}

// TestSumsFromOutsideAreBounded: whatever others say, it takes up little, and nothing panics. Who is no member is not
// listened to.
func TestSumsFromOutsideAreBounded(t *testing.T) {
	c := newCluster(t, 1, 3)
	s := c.servers[0]
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		sums := make([]wire.Sum, random.IntN(1000))
		for i := range sums {
			sums[i] = wire.Sum{Kind: random.Uint64N(3), At: random.Uint64N(1 + random.Uint64N(1000)), Also: random.Uint64N(2), Value: [16]byte{byte(random.IntN(3))}}
		}
		in := Receive{From: raft.ServerID(random.IntN(6)), Message: wire.Message{Group: testGroup, Body: &wire.Sums{Sums: sums}}}
		if random.IntN(4) == 0 {
			s.inputs = append(s.inputs, Sums{Sums: sums})
		} else {
			s.inputs = append(s.inputs, in)
		}
		c.step(s)
	}
	held := &s.replica.sums
	if len(held.own) > maxSums || len(held.told) > 3 || slices.ContainsFunc(held.told, func(t told) bool { return len(t.sums) > maxSums || t.id > 3 || t.id == 0 }) {
		t.Errorf("%d sums of its own, and of %d servers", len(held.own), len(held.told))
	}
}

// Who waits for a state has none that counts: what was left of the one before is compared with nothing, and nobody is told of it.
func TestWhoseStateIsMissingComparesNothing(t *testing.T) {
	c := newCluster(t, 1, 3)
	s := c.servers[1]
	s.replica.snapshot.mustHave = true
	c.saying(1, 2, 1)
	c.wantDiffers(s, false)
	for _, other := range []*server{c.servers[0], c.servers[2]} {
		if got := other.replica.Status().Sums; got.Different != 0 || got.Compared == 0 {
			t.Errorf("server %d says %+v", other.id, got)
		}
	}
}

// A sum that is told again counts as compared once, and one that has become another is compared anew.
func TestSumThatChangesIsComparedAnew(t *testing.T) {
	c := newCluster(t, 1, 3)
	c.saying(1, 1, 1)
	before := c.servers[0].replica.Status().Sums
	c.saying(1, 1, 1)
	if now := c.servers[0].replica.Status().Sums; now.Compared != before.Compared || now.Different != 0 {
		t.Errorf("told again: %+v, and before %+v", now, before)
	}
	c.saying(1, 1, 2)
	if now := c.servers[0].replica.Status().Sums; now.Compared != before.Compared+1 || now.Different != 1 {
		t.Errorf("told otherwise: %+v, and before %+v", now, before)
	}
}
