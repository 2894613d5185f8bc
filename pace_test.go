package quorate

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transport"
)

func TestDelayIsMeasuredUnlessSomebodySaysWhatItIs(t *testing.T) {
	const ms = time.Millisecond
	tuned := replica.PaceOptions{MinTicks: 15, MaxTicks: 200}
	for _, test := range []struct {
		election, heartbeat time.Duration
		want                raft.Options
		pace                replica.PaceOptions
	}{
		{0, 0, raft.Options{ElectionTicks: 50, WindowTicks: 10, HeartbeatTicks: 5, PromiseTicks: 10}, tuned},
		{1000 * ms, 100 * ms, raft.Options{ElectionTicks: 100, HeartbeatTicks: 10, PromiseTicks: 10}, replica.PaceOptions{}},
		{300 * ms, 0, raft.Options{ElectionTicks: 30, HeartbeatTicks: 3, PromiseTicks: 10}, replica.PaceOptions{}},
		{0, 20 * ms, raft.Options{ElectionTicks: 50, HeartbeatTicks: 2, PromiseTicks: 10}, replica.PaceOptions{}},
	} {
		o := Options{Dir: "d", ElectionTimeout: test.election, HeartbeatInterval: test.heartbeat}
		if err := o.Validate(); err != nil {
			t.Errorf("%v and %v: %v", test.election, test.heartbeat, err)
		}
		o = o.withDefaults()
		var r replica.Options
		o.setPace(&r)
		if r.Raft != test.want || r.Pace != test.pace {
			t.Errorf("%v and %v: %+v, %+v", test.election, test.heartbeat, r.Raft, r.Pace)
		}
	}
	for _, wrong := range []Options{
		{Dir: "d", ElectionTimeout: 49 * ms}, {Dir: "d", HeartbeatInterval: 9 * ms}, {Dir: "d", HeartbeatInterval: 251 * ms},
	} {
		if wrong.Validate() == nil {
			t.Errorf("election timeout %v and heartbeat %v are taken", wrong.ElectionTimeout, wrong.HeartbeatInterval)
		}
	}
	// Whoever campaigns first is not refused for the heartbeat that the others have heard since.
	if leastDelay < voteWindow+heartbeatInterval || heartbeatInterval >= voteWindow || longestDelay <= leastDelay {
		t.Error("the bounds do not fit together")
	}
}

func TestRoundTripIsThatOfAMajority(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		links []time.Duration // 0: not known; less: not up
		want  time.Duration
	}{
		{nil, 0},
		{[]time.Duration{7 * ms}, 7 * ms},
		{[]time.Duration{90 * ms, 7 * ms}, 7 * ms},
		{[]time.Duration{-7 * ms, 90 * ms}, 90 * ms},
		{[]time.Duration{0, 0}, 0},
		{[]time.Duration{9 * ms, 8 * ms, 7 * ms}, 8 * ms},
		{[]time.Duration{9 * ms, 8 * ms, 7 * ms, 90 * ms}, 8 * ms},
		{[]time.Duration{0, 8 * ms, 0, 0}, 8 * ms},
	} {
		var peers []transport.PeerStatus
		for _, d := range test.links {
			p := transport.PeerStatus{RoundTrip: max(d, -d)}
			if d >= 0 {
				p.ConnectedSince = time.Unix(1, 0)
			}
			peers = append(peers, p)
		}
		if got := majorityRoundTrip(peers); got != test.want {
			t.Errorf("%v: %v, want %v", test.links, got, test.want)
		}
	}
}

// A server that is cut off tries to become a candidate several times a second, for days maybe.
func TestAttemptsWithoutAnAnswerAreLoggedOnce(t *testing.T) {
	w := newWorker(nil)
	for i, e := range []struct {
		group GroupID
		role  raft.Role
		term  raft.Term
		again bool
	}{
		{1, raft.PreCandidate, 3, false}, {1, raft.PreCandidate, 3, true}, {2, raft.PreCandidate, 3, false}, {1, raft.PreCandidate, 3, true},
		{1, raft.PreCandidate, 4, false}, {1, raft.PreCandidate, 4, true}, {1, raft.Follower, 4, false}, {1, raft.PreCandidate, 4, false},
		{2, raft.PreCandidate, 3, true},
	} {
		if got := w.asksAgain(e.group, &raft.RoleChanged{Role: e.role, Term: e.term}); got != e.again {
			t.Errorf("%d: group %d, %v in term %d: again %t", i, e.group, e.role, e.term, got)
		}
	}
}

func TestStatesAreSentAsFastAsIsAllowed(t *testing.T) {
	identity, err := transport.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for perSecond, perTick := range map[int]int{0: 0, 64 << 10: 655, 1 << 20: 10485} {
		h := &Host{options: Options{Dir: "d", SnapshotBytesPerSecond: perSecond}, identity: identity}
		if err := h.options.Validate(); err != nil {
			t.Error(err)
		}
		if got := h.replicaOptions(1).CatchUp; got != (replica.CatchUpOptions{States: perTick}) {
			t.Errorf("%d a second: got %+v, want %d a tick", perSecond, got, perTick)
		}
	}
	for _, wrong := range []int{-1, 1, 65535} {
		if (Options{Dir: "d", SnapshotBytesPerSecond: wrong}).Validate() == nil {
			t.Errorf("%d a second is taken", wrong)
		}
	}
}
