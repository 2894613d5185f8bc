package etcdapi

import (
	"context"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// prefer asks for these servers to be preferred.
func (w *world) prefer(ctx context.Context, ids ...uint64) (*pb.MemberListResponse, error) {
	request, answer := new(pb.MemberListResponse), new(pb.MemberListResponse)
	for _, id := range ids {
		request.Members = append(request.Members, &pb.Member{ID: id})
	}
	return answer, w.conn.Invoke(ctx, "/quorate.v1.Preference/Prefer", request, answer)
}

// twoPreferred are fourMembers, of whom this server and the learner are preferred; of the other voter a later version
// knows something.
func twoPreferred(o *Options, g *fakeGroup) {
	fourMembers(o, g)
	g.members[0].Traits, g.members[1].Traits, g.members[2].Traits = wire.TraitPreferred, 0x80, wire.TraitPreferred
}

func traitsEdit(id raft.ServerID, traits wire.Traits) replica.Edit {
	return replica.Edit{Member: wire.Member{ID: id, Traits: traits}, SetTraits: true, Existing: true}
}

func TestPreferredServersAreListed(t *testing.T) {
	w := newWorld(t, twoPreferred)
	want := &pb.MemberListResponse{Header: head(0), Members: listOfFour(func(m []*pb.Member) []*pb.Member { return []*pb.Member{m[0], m[2]} })}
	for linearizable, reads := range map[bool]int{false: 0, true: 1} {
		before, _ := w.group.counts()
		got := new(pb.MemberListResponse)
		err := w.conn.Invoke(testContext(t), "/quorate.v1.Preference/Preferred", &pb.MemberListRequest{Linearizable: linearizable}, got)
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("got %v and %v, want %v", got, err, want)
		}
		if after, _ := w.group.counts(); after-before != reads {
			t.Errorf("linearizable %v: %d reads, want %d", linearizable, after-before, reads)
		}
	}
}

func TestTheseServersArePreferredAndNoOthers(t *testing.T) {
	for _, c := range []struct {
		ids   []uint64
		edits []replica.Edit
		left  []int // of the members
	}{
		{[]uint64{otherVoter}, []replica.Edit{traitsEdit(testMember, 0), traitsEdit(otherVoter, 0x81), traitsEdit(learner, 0)}, []int{1}},
		{[]uint64{learner, joiner, learner}, []replica.Edit{traitsEdit(testMember, 0), traitsEdit(joiner, 1)}, []int{2, 3}},
		{nil, []replica.Edit{traitsEdit(testMember, 0), traitsEdit(learner, 0)}, nil},
	} {
		w := newWorld(t, twoPreferred)
		got, err := w.prefer(testContext(t), c.ids...)
		want := &pb.MemberListResponse{Header: head(0)}
		for _, i := range c.left {
			want.Members = append(want.Members, listOfFour(func(m []*pb.Member) []*pb.Member { return m })[i])
		}
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%v: got %v and %v, want %v", c.ids, got, err, want)
		}
		w.wantEdits(t, c.edits...)
	}
}

// What is so already is not written again.
func TestAPreferenceThatIsSoIsNoChange(t *testing.T) {
	w := newWorld(t, twoPreferred)
	got, err := w.prefer(testContext(t), testMember, learner)
	if err != nil || len(got.Members) != 2 {
		t.Errorf("got %v and %v", got, err)
	}
	if edits := w.group.takeEdits(); edits != nil {
		t.Errorf("the group was asked for %+v", edits)
	}
}

func TestAPreferenceIsRefused(t *testing.T) {
	for what, c := range map[string]struct {
		id     uint64
		change error
		want   error
	}{
		"of nobody":                {stranger, nil, rpctypes.ErrGRPCMemberNotFound},
		"of one that leaves":       {otherVoter, quorate.ErrNotAllowed, rpctypes.ErrGRPCMemberNotFound},
		"while a change is made":   {otherVoter, quorate.ErrBusy, rpctypes.ErrGRPCRequestTooManyRequests},
		"while too few answer":     {otherVoter, quorate.ErrNotReady, rpctypes.ErrGRPCUnhealthy},
		"and nobody knows of that": {otherVoter, quorate.ErrOutcomeUnknown, rpctypes.ErrGRPCTimeout},
	} {
		w := newWorld(t, func(o *Options, g *fakeGroup) {
			twoPreferred(o, g)
			g.change = func(context.Context) error { return c.change }
		})
		if _, err := w.prefer(testContext(t), c.id); err == nil || err.Error() != c.want.Error() {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
}
