package etcdapi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

func TestLeadershipIsMovedToAVoter(t *testing.T) {
	says := func(err error) func(*fakeGroup) {
		return func(g *fakeGroup) { g.hand = func(context.Context, raft.ServerID) error { return err } }
	}
	// elects lets somebody lead later, as an election does.
	elects := func(who raft.ServerID) func(*fakeGroup) {
		return func(g *fakeGroup) {
			g.hand = func(context.Context, raft.ServerID) error {
				g.reign(0)
				go g.setLeader(who)
				return nil
			}
		}
	}
	never := func(*fakeGroup) {}
	for what, c := range map[string]struct {
		to    uint64
		group func(*fakeGroup)
		want  error // nil: it has moved
	}{
		"a voter":                       {otherVoter, elects(otherVoter), nil},
		"who leads already":             {testMember, says(quorate.ErrNotAllowed), nil},
		"a learner":                     {learner, never, rpctypes.ErrGRPCBadLeaderTransferee},
		"one that joins":                {joiner, never, rpctypes.ErrGRPCBadLeaderTransferee},
		"one that is leaving":           {otherVoter, func(g *fakeGroup) { g.members[1].Roles = wire.RoleOldVoter }, rpctypes.ErrGRPCBadLeaderTransferee},
		"nobody":                        {stranger, never, rpctypes.ErrGRPCBadLeaderTransferee},
		"whoever":                       {0, never, rpctypes.ErrGRPCBadLeaderTransferee},
		"from a follower":               {otherVoter, func(g *fakeGroup) { g.leader = otherVoter }, rpctypes.ErrGRPCNotLeader},
		"from a follower, to nobody":    {stranger, func(g *fakeGroup) { g.leader = otherVoter }, rpctypes.ErrGRPCNotLeader},
		"from nobody":                   {otherVoter, func(g *fakeGroup) { g.leader = 0 }, rpctypes.ErrGRPCNotLeader},
		"from one that leads no more":   {otherVoter, says(quorate.ErrNotLeader), rpctypes.ErrGRPCNotLeader},
		"one that lost its vote":        {otherVoter, says(quorate.ErrNotAllowed), rpctypes.ErrGRPCBadLeaderTransferee},
		"while nobody answers":          {otherVoter, says(quorate.ErrNotReady), rpctypes.ErrGRPCUnhealthy},
		"while it is moved elsewhere":   {otherVoter, says(quorate.ErrBusy), rpctypes.ErrGRPCRequestTooManyRequests},
		"one that does not take it":     {otherVoter, says(quorate.ErrOutcomeUnknown), rpctypes.ErrGRPCTimeout},
		"and somebody else is elected":  {otherVoter, elects(joiner), rpctypes.ErrGRPCLeaderChanged},
		"and this one is elected again": {otherVoter, elects(testMember), rpctypes.ErrGRPCLeaderChanged},
	} {
		w := newWorld(t, func(o *Options, g *fakeGroup) {
			fourMembers(o, g)
			c.group(g)
		})
		got, err := pb.NewMaintenanceClient(w.conn).MoveLeader(testContext(t), &pb.MoveLeaderRequest{TargetID: c.to})
		switch {
		case c.want == nil && (err != nil || !proto.Equal(got, &pb.MoveLeaderResponse{})):
			t.Errorf("to %s: got %v and %v, want an empty answer", what, got, err)
		case c.want != nil && (err == nil || err.Error() != c.want.Error()):
			t.Errorf("to %s: got %v, want %v", what, err, c.want)
		}
		w.Close()
	}
}

func TestMovingLeadershipTakesNoLongerThanARequestMay(t *testing.T) {
	for what, hand := range map[string]func(g *fakeGroup, ctx context.Context) error{
		"the handover never ends": func(_ *fakeGroup, ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", quorate.ErrOutcomeUnknown, ctx.Err())
		},
		"nobody is elected": func(g *fakeGroup, _ context.Context) error {
			g.reign(0)
			return nil
		},
		"it is not known yet that the reign is over": func(*fakeGroup, context.Context) error { return nil },
	} {
		w := newWorld(t, func(o *Options, g *fakeGroup) {
			fourMembers(o, g)
			o.RequestTimeout = time.Millisecond
			g.hand = func(ctx context.Context, _ raft.ServerID) error { return hand(g, ctx) }
		})
		_, err := pb.NewMaintenanceClient(w.conn).MoveLeader(testContext(t), &pb.MoveLeaderRequest{TargetID: otherVoter})
		if err == nil || err.Error() != rpctypes.ErrGRPCTimeout.Error() {
			t.Errorf("%s: got %v, want %v", what, err, rpctypes.ErrGRPCTimeout)
		}
	}
}
