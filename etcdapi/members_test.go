package etcdapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

func TestMemberListIsTheConfiguration(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) {
		g.members = []wire.Member{
			{ID: 5, Roles: wire.RoleVoter, Name: "n0", PeerURLs: []string{"http://127.0.0.1:2380"}, ClientURLs: []string{"http://127.0.0.1:2379"}},
			{ID: 9, Roles: wire.RoleLearner, PeerURLs: []string{"http://127.0.0.1:3380"}},
		}
	})
	want := &pb.MemberListResponse{
		Header: head(0), // no revision: it has nothing to do with keys
		Members: []*pb.Member{
			{ID: 5, Name: "n0", PeerURLs: []string{"http://127.0.0.1:2380"}, ClientURLs: []string{"http://127.0.0.1:2379"}},
			{ID: 9, PeerURLs: []string{"http://127.0.0.1:3380"}, IsLearner: true},
		},
	}
	for linearizable, reads := range map[bool]int{false: 0, true: 1} {
		before, _ := w.group.counts()
		got, err := pb.NewClusterClient(w.conn).MemberList(testContext(t), &pb.MemberListRequest{Linearizable: linearizable})
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("linearizable %v: got %v and %v, want %v", linearizable, got, err, want)
		}
		if after, _ := w.group.counts(); after-before != reads {
			t.Errorf("linearizable %v: %d reads, want %d", linearizable, after-before, reads)
		}
	}
}

func TestLinearizableMemberListFailsIfTheGroupDoes(t *testing.T) {
	w := newWorld(t, func(_ *Options, g *fakeGroup) { g.read = func(context.Context) error { return quorate.ErrClosed } })
	_, err := pb.NewClusterClient(w.conn).MemberList(testContext(t), &pb.MemberListRequest{Linearizable: true})
	if err == nil || err.Error() != rpctypes.ErrGRPCStopped.Error() {
		t.Errorf("got %v, want %v", err, rpctypes.ErrGRPCStopped)
	}
}

// Servers of the tests below: this one and another vote, one learns, one is to vote once it has caught up.
const (
	otherVoter = testMember + 1
	learner    = testMember + 2
	joiner     = testMember + 3
	stranger   = testMember + 4
)

func fourMembers(_ *Options, g *fakeGroup) {
	g.members = []wire.Member{
		{ID: testMember, Roles: wire.RoleVoter, Name: "n0", PeerURLs: []string{"http://a:1"}, ClientURLs: []string{"http://a:2"}},
		{ID: otherVoter, Roles: wire.RoleVoter, Name: "n1", PeerURLs: []string{"http://b:1/", "http://B2:1"}},
		{ID: learner, Roles: wire.RoleLearner, Name: "n2", PeerURLs: []string{"c:1"}},
		{ID: joiner, Roles: wire.RoleLearner | wire.RoleJoining, PeerURLs: []string{"http://d:1"}},
	}
}

// listOfFour is what is told of fourMembers, after a change of it.
func listOfFour(change func(members []*pb.Member) []*pb.Member) []*pb.Member {
	members := []*pb.Member{
		{ID: testMember, Name: "n0", PeerURLs: []string{"http://a:1"}, ClientURLs: []string{"http://a:2"}},
		{ID: otherVoter, Name: "n1", PeerURLs: []string{"http://b:1/", "http://B2:1"}},
		{ID: learner, Name: "n2", PeerURLs: []string{"c:1"}, IsLearner: true},
		{ID: joiner, PeerURLs: []string{"http://d:1"}, IsLearner: true},
	}
	return change(members)
}

func (w *world) cluster() pb.ClusterClient { return pb.NewClusterClient(w.conn) }

// wantEdit checks that one change was asked of the group, after a read, and which.
func (w *world) wantEdit(t *testing.T, want replica.Edit) {
	t.Helper()
	w.wantEdits(t, want)
}

// wantEdits checks that one change of these members was asked of the group, after a read.
func (w *world) wantEdits(t *testing.T, want ...replica.Edit) {
	t.Helper()
	if got := w.group.takeEdits(); !reflect.DeepEqual(got, want) {
		t.Errorf("the group was asked for %+v, want %+v", got, want)
	}
	w.group.mu.Lock()
	defer w.group.mu.Unlock()
	if w.group.reads != 1 {
		t.Errorf("%d reads before it, want 1: what it is decided by must not be old", w.group.reads)
	}
	w.group.reads = 0
}

// This server's copy of the configuration is of before each change here: the answer is of after it.
func TestMemberThatIsAddedLearnsUntilItHasCaughtUp(t *testing.T) {
	for _, isLearner := range []bool{false, true} {
		w := newWorld(t, fourMembers)
		got, err := w.cluster().MemberAdd(testContext(t), &pb.MemberAddRequest{
			PeerURLs: []string{" https://f:1", "http://e:1", "http://e:1"}, IsLearner: isLearner,
		})
		if err != nil {
			t.Fatal(err)
		}
		id := got.Member.ID
		added := &pb.Member{ID: id, PeerURLs: []string{"http://e:1", "https://f:1"}, IsLearner: true}
		want := &pb.MemberAddResponse{Header: head(0), Member: added, Members: listOfFour(func(m []*pb.Member) []*pb.Member {
			m = append(m, added)
			slices.SortFunc(m, func(a, b *pb.Member) int { return cmp.Compare(a.ID, b.ID) })
			return m
		})}
		if !proto.Equal(got, want) {
			t.Errorf("learner %v: got %v, want %v", isLearner, got, want)
		}
		edit := replica.Edit{Member: wire.Member{ID: raft.ServerID(id), PeerURLs: added.PeerURLs, Roles: wire.RoleLearner | wire.RoleJoining}}
		if isLearner {
			edit.Member.Roles = wire.RoleLearner
		}
		w.wantEdit(t, edit)
	}
}

func TestMemberIsRemoved(t *testing.T) {
	for i, id := range []uint64{testMember, otherVoter, learner, joiner} {
		w := newWorld(t, fourMembers)
		got, err := w.cluster().MemberRemove(testContext(t), &pb.MemberRemoveRequest{ID: id})
		want := &pb.MemberRemoveResponse{Header: head(0), Members: listOfFour(func(m []*pb.Member) []*pb.Member { return slices.Delete(m, i, i+1) })}
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("got %v and %v, want %v", got, err, want)
		}
		w.wantEdit(t, replica.Edit{Member: wire.Member{ID: raft.ServerID(id)}, Remove: true, Existing: true})
	}
}

func TestMemberGetsOtherURLs(t *testing.T) {
	for i, id := range []uint64{testMember, otherVoter, learner, joiner} {
		w := newWorld(t, fourMembers)
		urls := []string{"http://b:2", "http://b:1"} // one of them may be its own already
		if id != otherVoter {
			urls[1] = "http://e:1"
		}
		got, err := w.cluster().MemberUpdate(testContext(t), &pb.MemberUpdateRequest{ID: id, PeerURLs: urls})
		slices.Sort(urls)
		want := &pb.MemberUpdateResponse{Header: head(0), Members: listOfFour(func(m []*pb.Member) []*pb.Member {
			m[i].PeerURLs = urls
			return m
		})}
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("got %v and %v, want %v", got, err, want)
		}
		w.wantEdit(t, replica.Edit{Member: wire.Member{ID: raft.ServerID(id), PeerURLs: urls}, Existing: true})
	}
}

func TestLearnerIsPromoted(t *testing.T) {
	for i, id := range map[int]uint64{2: learner, 3: joiner} {
		w := newWorld(t, fourMembers)
		got, err := w.cluster().MemberPromote(testContext(t), &pb.MemberPromoteRequest{ID: id})
		want := &pb.MemberPromoteResponse{Header: head(0), Members: listOfFour(func(m []*pb.Member) []*pb.Member {
			m[i].IsLearner = false
			return m
		})}
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("got %v and %v, want %v", got, err, want)
		}
		w.wantEdit(t, replica.Edit{Member: wire.Member{ID: raft.ServerID(id), Roles: wire.RoleVoter}, Existing: true})
	}
}

// This server may know more than the change that it was asked for: the newcomer has a name already, and is found
// elsewhere.
func TestMembersAfterAChangeAreNotOlderThanWhatIsKnown(t *testing.T) {
	known := []wire.Member{{ID: learner, Roles: wire.RoleLearner, Name: "n2", PeerURLs: []string{"http://c:2"}}}
	for what, e := range map[string]replica.Edit{
		"added":   {Member: wire.Member{ID: learner, PeerURLs: []string{"http://c:1"}, Roles: wire.RoleLearner | wire.RoleJoining}},
		"learner": {Member: wire.Member{ID: learner, PeerURLs: []string{"http://c:1"}, Roles: wire.RoleLearner}},
		"removed": {Member: wire.Member{ID: stranger}, Remove: true},
	} {
		if got := edited(&wire.Configuration{Members: known}, e); !reflect.DeepEqual(got.Members, known) {
			t.Errorf("%s: got %+v", what, got.Members)
		}
	}
}

// memberCalls are the ways to change members, with something that would be done.
var memberCalls = map[string]func(context.Context, pb.ClusterClient) error{
	"add": func(ctx context.Context, c pb.ClusterClient) error {
		_, err := c.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://e:1"}})
		return err
	},
	"remove": func(ctx context.Context, c pb.ClusterClient) error {
		_, err := c.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: otherVoter})
		return err
	},
	"update": func(ctx context.Context, c pb.ClusterClient) error {
		_, err := c.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: otherVoter, PeerURLs: []string{"http://e:1"}})
		return err
	},
	"promote": func(ctx context.Context, c pb.ClusterClient) error {
		_, err := c.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: learner})
		return err
	},
}

func TestWhatCannotBeChangedNeverReachesTheGroup(t *testing.T) {
	w := newWorld(t, fourMembers)
	w.group.change = func(context.Context) error { return errors.New("moon") }
	ctx, cluster := testContext(t), w.cluster()
	add := func(urls ...string) error {
		_, err := cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: urls})
		return err
	}
	update := func(id uint64, urls ...string) error {
		_, err := cluster.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: id, PeerURLs: urls})
		return err
	}
	remove := func(id uint64) error {
		_, err := cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: id})
		return err
	}
	promote := func(id uint64) error {
		_, err := cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: id})
		return err
	}
	for i, c := range []struct{ got, want error }{
		{add(), rpctypes.ErrGRPCMemberBadURLs},
		{add(""), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:1", "e:1"), rpctypes.ErrGRPCMemberBadURLs},
		{add("unix://e:1"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://:1"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:1/"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:1/x"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:1?x"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:1#x"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://me@e:1"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:%zz"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://" + strings.Repeat("e", maxPeerURLBytes) + ":1"), rpctypes.ErrGRPCMemberBadURLs},
		{add("http://e:1", "http://a:1"), rpctypes.ErrGRPCPeerURLExist},
		{add("https://a:1"), rpctypes.ErrGRPCPeerURLExist},
		{add("http://b:1"), rpctypes.ErrGRPCPeerURLExist},
		{add("http://b2:1"), rpctypes.ErrGRPCPeerURLExist},
		{add("http://c:1"), rpctypes.ErrGRPCPeerURLExist},

		{update(learner), rpctypes.ErrGRPCMemberBadURLs},
		{update(learner, "c:1"), rpctypes.ErrGRPCMemberBadURLs},
		{update(stranger, "http://e:1"), rpctypes.ErrGRPCMemberNotFound},
		{update(0, "http://e:1"), rpctypes.ErrGRPCMemberNotFound},
		{update(learner, "http://e:1", "http://a:1"), rpctypes.ErrGRPCPeerURLExist},

		{remove(stranger), rpctypes.ErrGRPCMemberNotFound},
		{remove(0), rpctypes.ErrGRPCMemberNotFound},

		{promote(stranger), rpctypes.ErrGRPCMemberNotFound},
		{promote(0), rpctypes.ErrGRPCMemberNotFound},
		{promote(otherVoter), rpctypes.ErrGRPCMemberNotLearner},
	} {
		if c.got == nil || c.got.Error() != c.want.Error() {
			t.Errorf("%d: got %v, want %v", i, c.got, c.want)
		}
	}
}

func TestWhatTheGroupSaysToAChangeIsSaidAsEtcdDoes(t *testing.T) {
	timedOut := fmt.Errorf("%w: %w", quorate.ErrOutcomeUnknown, context.DeadlineExceeded)
	for _, c := range []struct {
		call      string
		err, want error
	}{
		{"add", quorate.ErrNotReady, rpctypes.ErrGRPCUnhealthy},
		{"remove", quorate.ErrNotReady, rpctypes.ErrGRPCUnhealthy},
		{"update", quorate.ErrNotReady, rpctypes.ErrGRPCUnhealthy},
		{"promote", quorate.ErrNotReady, rpctypes.ErrGRPCLearnerNotReady},

		{"add", quorate.ErrNotAllowed, status.Error(codes.FailedPrecondition, "quorate: the cluster can have no more members")},
		{"remove", quorate.ErrNotAllowed, rpctypes.ErrGRPCMemberNotEnoughStarted},
		{"update", quorate.ErrNotAllowed, rpctypes.ErrGRPCMemberBadURLs},
		{"promote", quorate.ErrNotAllowed, status.Error(codes.FailedPrecondition, "quorate: the cluster can have no more members")},

		{"", quorate.ErrNotLeader, rpctypes.ErrGRPCLeaderChanged},
		{"", quorate.ErrBusy, rpctypes.ErrGRPCRequestTooManyRequests},
		{"", quorate.ErrClosed, rpctypes.ErrGRPCStopped},
		{"", quorate.ErrOutcomeUnknown, rpctypes.ErrGRPCTimeout}, // another leads now, and may complete it
		{"", timedOut, rpctypes.ErrGRPCTimeout},
	} {
		w := newWorld(t, fourMembers)
		w.group.change = func(context.Context) error { return c.err }
		for name, call := range memberCalls {
			if c.call != "" && c.call != name {
				continue
			}
			if err := call(testContext(t), w.cluster()); err == nil || err.Error() != c.want.Error() {
				t.Errorf("%s, and the group says %v: got %v, want %v", name, c.err, err, c.want)
			}
		}
	}
}

// Somebody else's change came first, by way of another server, and the leader refuses this one.
func TestAChangeThatHasBecomeImpossibleIsSaidToBe(t *testing.T) {
	for name, want := range map[string]error{
		"add": rpctypes.ErrGRPCPeerURLExist, "remove": rpctypes.ErrGRPCMemberNotFound,
		"update": rpctypes.ErrGRPCMemberNotFound, "promote": rpctypes.ErrGRPCMemberNotFound,
	} {
		w := newWorld(t, fourMembers)
		w.group.change = func(context.Context) error {
			w.group.mu.Lock()
			defer w.group.mu.Unlock()
			w.group.members = []wire.Member{
				{ID: testMember, Roles: wire.RoleVoter}, {ID: stranger, Roles: wire.RoleLearner, PeerURLs: []string{"http://e:1"}},
			}
			return quorate.ErrNotAllowed
		}
		if err := memberCalls[name](testContext(t), w.cluster()); err == nil || err.Error() != want.Error() {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}

func TestChangeIsNotDecidedByWhatMayBeOld(t *testing.T) {
	w := newWorld(t, fourMembers)
	w.group.read = func(context.Context) error { return quorate.ErrClosed }
	for name, call := range memberCalls {
		if err := call(testContext(t), w.cluster()); err == nil || err.Error() != rpctypes.ErrGRPCStopped.Error() {
			t.Errorf("%s: got %v, want %v", name, err, rpctypes.ErrGRPCStopped)
		}
	}
	if edits := w.group.takeEdits(); len(edits) != 0 {
		t.Errorf("the group was asked for %+v", edits)
	}
}

func TestChangeTakesNoLongerThanARequestMay(t *testing.T) {
	for _, stuck := range []string{"read", "change"} {
		w := newWorld(t, func(o *Options, g *fakeGroup) {
			fourMembers(o, g)
			o.RequestTimeout = time.Millisecond
			wait := func(ctx context.Context) error {
				<-ctx.Done()
				return fmt.Errorf("%w: %w", quorate.ErrOutcomeUnknown, ctx.Err())
			}
			if stuck == "read" {
				g.read = wait
			} else {
				g.change = wait
			}
		})
		for name, call := range memberCalls {
			if err := call(testContext(t), w.cluster()); err == nil || err.Error() != rpctypes.ErrGRPCTimeout.Error() {
				t.Errorf("%s, while its %s takes for ever: got %v, want %v", name, stuck, err, rpctypes.ErrGRPCTimeout)
			}
		}
	}
}

// Two servers with one address would both have been looked at and found well.
func TestChangesAtOneServerAreMadeOneAfterTheOther(t *testing.T) {
	w := newWorld(t, fourMembers)
	begun, end := make(chan struct{}, 2), make(chan struct{})
	w.group.change = func(context.Context) error {
		begun <- struct{}{}
		<-end
		return nil
	}
	first := make(chan error, 1)
	go func() { first <- memberCalls["add"](testContext(t), w.cluster()) }()
	<-begun
	impatient, cancel := context.WithTimeout(testContext(t), 20*time.Millisecond)
	defer cancel()
	if err := memberCalls["remove"](impatient, w.cluster()); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the second: %v", err)
	}
	if len(begun) > 0 {
		t.Error("the second has begun before the first had ended")
	}
	close(end)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := memberCalls["remove"](testContext(t), w.cluster()); err != nil {
		t.Errorf("the third: %v", err)
	}
}

func TestIDsOfNewMembersAreNewEachTime(t *testing.T) {
	w := newWorld(t, fourMembers)
	seen := map[uint64]bool{0: true, testMember: true, otherVoter: true, learner: true, joiner: true}
	for range 100 {
		got, err := w.cluster().MemberAdd(testContext(t), &pb.MemberAddRequest{PeerURLs: []string{"http://e:1"}})
		if err != nil || seen[got.Member.ID] {
			t.Fatalf("got %v, %v", got, err)
		}
		seen[got.Member.ID] = true
	}
	of := func(cluster uint64, urls ...string) raft.ServerID { return deriveMemberID(cluster, urls, [16]byte{1}) }
	for _, other := range []raft.ServerID{of(2, "http://e:1"), of(1, "http://e:2"), deriveMemberID(1, []string{"http://e:1"}, [16]byte{2})} {
		if other == of(1, "http://e:1") {
			t.Errorf("another cluster's, URL's or chance's id is %x, too", other)
		}
	}
}

func TestMemberIDThatIsTakenIsNotTakenAgain(t *testing.T) {
	urls := []string{"http://e:1"}
	taken := deriveMemberID(testCluster, urls, [16]byte{})
	w := newWorld(t, func(_ *Options, g *fakeGroup) { g.members = []wire.Member{{ID: taken, Roles: wire.RoleVoter}} })
	draws := 0
	w.chance = func(b []byte) {
		if draws++; draws == memberIDTries {
			b[0] = 1 // the others are all the same
		}
	}
	for _, want := range []error{nil, rpctypes.ErrGRPCMemberExist} {
		got, err := w.cluster().MemberAdd(testContext(t), &pb.MemberAddRequest{PeerURLs: urls})
		switch {
		case want == nil && (err != nil || got.Member.ID == uint64(taken)):
			t.Errorf("the last draw: got %v, %v", got, err)
		case want != nil && (err == nil || err.Error() != want.Error()):
			t.Errorf("no draw: got %v, want %v", err, want)
		}
	}
	if draws != 2*memberIDTries {
		t.Errorf("%d draws, want %d", draws, 2*memberIDTries)
	}
}

// FuzzPeerURLs: whatever is given, what is taken has an address to dial, and fits.
func FuzzPeerURLs(f *testing.F) {
	f.Add("http://e:1", " https://[::1]:2380 ")
	f.Add("http://e:1/%zz", "http://\x00:1")
	f.Add("http://a@e:1", "HTTP://E:1")
	f.Fuzz(func(t *testing.T, one, two string) {
		urls, ok := peerURLs([]string{one, two})
		if !ok {
			return
		}
		c := &wire.Configuration{Members: []wire.Member{{ID: 1, Roles: wire.RoleVoter, PeerURLs: urls}}}
		if got, err := wire.DecodeConfiguration(wire.AppendConfiguration(nil, c)); err != nil || !reflect.DeepEqual(got.Members[0].PeerURLs, urls) {
			t.Errorf("%q: %v", urls, err)
		}
		if !haveAddress(c.Members, 2, urls[:1]) || haveAddress(c.Members, 1, urls) {
			t.Errorf("%q is not found, or found at itself", urls)
		}
	})
}
