package doctor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

var (
	started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now     = started.Add(time.Hour)
)

const refused = "dial 127.0.0.1:2380: connect: connection refused"

// viewOf is what server 1 of n voters knows: it follows server 2, and all is well.
func viewOf(n int) *View {
	v := &View{
		Now: now, Started: started, ElectionTimeout: time.Second, Cluster: 0xc, ID: 1, Role: raft.Follower, Term: 7,
		Leader: 2, Commit: 100, Applied: 100, Configuration: &wire.Configuration{},
	}
	for id := raft.ServerID(1); id <= raft.ServerID(n); id++ {
		v.Configuration.Members = append(v.Configuration.Members, wire.Member{
			ID: id, Name: fmt.Sprint("s", id), Roles: wire.RoleVoter, ClientURLs: []string{fmt.Sprintf("http://10.0.0.%d:2379", id)},
		})
		if id != 1 {
			up := Direction{Up: true, Since: started}
			v.Links = append(v.Links, Link{ID: id, Sending: up, Receiving: up, WasUp: true})
		}
	}
	return v
}

// leads makes server 1 the leader, whom all have answered just now.
func (v *View) leads() *View {
	v.Role, v.Leader = raft.Leader, 1
	for _, l := range v.Links {
		v.Progress = append(v.Progress, Progress{ID: l.ID, Match: v.Commit})
	}
	return v
}

// leaderless says that no leader is known for so long.
func (v *View) leaderless(d time.Duration) *View {
	v.Role, v.Leader, v.LeaderlessSince = raft.PreCandidate, 0, now.Add(-d)
	return v
}

// without takes away the links with some servers, the first one a minute ago, each a second later.
func (v *View) without(ids ...raft.ServerID) *View {
	for i := range v.Links {
		l := &v.Links[i]
		if at := slices.Index(ids, l.ID); at >= 0 {
			since := now.Add(time.Duration(at)*time.Second - time.Minute)
			l.Sending, l.Receiving = Direction{Since: since, Error: refused}, Direction{Since: since, Error: "the other side closed"}
		}
	}
	return v
}

// disowned lets some servers say that server 1 does not belong to the cluster.
func (v *View) disowned(by ...raft.ServerID) *View {
	for i := range v.Links {
		v.Links[i].Disowned = slices.Contains(by, v.Links[i].ID)
	}
	return v
}

// stalled says that writes wait for so long, and nothing happens.
func (v *View) stalled(d time.Duration) *View {
	v.Waiting, v.StalledSince = 3, now.Add(-d)
	return v
}

func (v *View) role(id raft.ServerID, roles wire.Roles) *View {
	v.Configuration.Member(id).Roles = roles
	return v
}

func (v *View) change(f func(*View)) *View {
	f(v)
	return v
}

func codes(findings []Finding) string {
	var texts []string
	for _, f := range findings {
		text := fmt.Sprintf("%s %s", f.Code, f.Severity)
		if f.About != "" {
			text += " " + f.About
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

const (
	oldOnly = wire.RoleOldVoter
	newOnly = wire.RoleVoter
	both    = wire.RoleVoter | wire.RoleOldVoter
)

func TestAServerSaysWhyThereIsNoProgress(t *testing.T) {
	const s2Refused = "s2 (not linked since 2026-03-01 12:59:00 UTC (1m0s): " + refused + ")"
	for _, c := range []struct {
		what     string
		view     *View
		findings string
		verdict  string // or its beginning, before "..."
		quorum   string
	}{
		{"all well, a follower", viewOf(3), "", "s1 follows s2, and reaches 3, needs 2 of 3.", "3/2/3"},
		{"all well, the leader", viewOf(3).leads(), "", "s1 leads, and reaches 3, needs 2 of 3.", "3/2/3"},
		{"a single server", viewOf(1).leads(), "", "s1 leads, and reaches 1, needs 1 of 1.", "1/1/1"},

		{"1 of 3, after the leader", viewOf(3).without(2, 3).leaderless(50 * time.Second), "no-quorum stops s1",
			"no quorum: s1 reaches 1, needs 2 of 3; missing: " + s2Refused +
				", s3 (not linked since 2026-03-01 12:59:01 UTC (59s): " + refused + ")", "1/2/3"},
		{"1 of 3, as the leader that has not stepped down yet", viewOf(3).leads().without(2, 3), "no-quorum stops s1",
			"no quorum: s1 reaches 1, needs 2 of 3; missing: " + s2Refused + "...", "1/2/3"},
		{"3 of 7: three and three, and one is dead", viewOf(7).without(4, 5, 6, 7).leaderless(time.Minute), "no-quorum stops s1",
			"no quorum: s1 reaches 3, needs 4 of 7; missing: s4 (...", "3/4/7"},
		{"2 of 4 are not enough", viewOf(4).without(3, 4).leaderless(time.Minute), "no-quorum stops s1",
			"no quorum: s1 reaches 2, needs 3 of 4; missing: s3 (...", "2/3/4"},

		{"2 of 3, and a leader", viewOf(3).without(3), "peer-down warns s3",
			"s3 is missing: not linked since 2026-03-01 12:59:00 UTC (1m0s): " + refused + "; s1 reaches 2, needs 2 of 3", "2/2/3"},
		{"a follower that hears nobody but the leader", viewOf(5).without(3, 4, 5), "peer-down warns s3, peer-down warns s4, peer-down warns s5",
			"s3 is missing: ...", "2/3/5"},
		{"enough, and nobody leads", viewOf(3).leaderless(4 * time.Second), "no-leader stops s1",
			"no leader since 2026-03-01 12:59:56 UTC (4s), though s1 reaches 3, needs 2 of 3: an election is under way", "3/2/3"},
		{"enough, one is missing, and nobody leads", viewOf(3).without(3).leaderless(4 * time.Second), "no-leader stops s1, peer-down warns s3",
			"no leader since ...", "2/2/3"},

		{"a learner is down", viewOf(4).role(4, wire.RoleLearner).leads().without(4), "peer-down warns s4",
			"s4 is missing: not linked since 2026-03-01 12:59:00 UTC (1m0s): " + refused + "; it is a learner, and no quorum needs it", "3/2/3"},
		{"a learner does not make up for a voter", viewOf(4).role(4, wire.RoleLearner).without(2, 3).leaderless(time.Minute), "no-quorum stops s1",
			"no quorum: s1 reaches 1, needs 2 of 3; missing: s2 (...", "1/2/3"},
		{"a learner itself counts for nothing", viewOf(4).role(1, wire.RoleLearner).without(2, 3).leaderless(time.Minute), "no-quorum stops s1",
			"no quorum: s1 reaches 1, needs 2 of 3; missing: s2 (...", "1/2/3"},

		{"joint, and both halves are there", viewOf(5).role(1, both).role(2, oldOnly).role(3, oldOnly).role(4, newOnly).role(5, newOnly).leads().without(2, 4),
			"peer-down warns s2, peer-down warns s4", "s2 is missing: ...", "old 2/2/3, new 2/2/3"},
		{"joint, and the new half lacks", viewOf(5).role(1, both).role(2, oldOnly).role(3, oldOnly).role(4, newOnly).role(5, newOnly).leaderless(time.Minute).without(4, 5),
			"no-quorum stops s1", "no quorum: s1 reaches 3, needs 2 of 3 of the old configuration and reaches 1, needs 2 of 3 of the new configuration; missing: s4 (...",
			"old 3/2/3, new 1/2/3"},
		{"joint, and the old half lacks", viewOf(5).role(1, both).role(2, oldOnly).role(3, oldOnly).role(4, newOnly).role(5, newOnly).leaderless(time.Minute).without(2, 3),
			"no-quorum stops s1", "no quorum: s1 reaches 1, needs 2 of 3 of the old configuration and reaches 3, ...", "old 1/2/3, new 3/2/3"},

		{"joint, and who becomes a learner is missing", viewOf(3).role(1, both).role(2, oldOnly|wire.RoleLearner).role(3, oldOnly).leaderless(time.Minute).without(2, 3),
			"no-quorum stops s1", "no quorum: s1 reaches 1, needs 2 of 3 of the old configuration and reaches 1, needs 1 of 1 of the new configuration; missing: s2 (...",
			"old 1/2/3, new 1/1/1"},
		{"one direction is down: there", viewOf(3).leaderless(time.Minute).without(3).change(func(v *View) {
			v.Links[0].Sending = Direction{Since: now.Add(-5 * time.Second), Error: "no route"}
		}), "no-quorum stops s1", "no quorum: s1 reaches 1, needs 2 of 3; missing: s2 (reaches s1, but is not reached from there since 2026-03-01 12:59:55 UTC (5s): no route), s3 (...", "1/2/3"},
		{"one direction is down: back", viewOf(3).change(func(v *View) {
			v.Links[0].Receiving = Direction{Since: now.Add(-90 * time.Minute)}
		}), "peer-down warns s2", "s2 is missing: is reached, but does not reach s1 since 2026-03-01 11:30:00 UTC (1h30m0s); s1 reaches 2, needs 2 of 3", "2/2/3"},
		{"never linked", viewOf(3).change(func(v *View) { v.Links = v.Links[1:] }), "peer-down warns s2",
			"s2 is missing: never linked since s1 started, 2026-03-01 12:00:00 UTC (1h0m0s); s1 reaches 2, needs 2 of 3", "2/2/3"},

		{"linked, and silent to its leader", viewOf(3).leads().change(func(v *View) { v.Progress[0].Silent = 1500 * time.Millisecond }),
			"peer-silent warns s2", "s2 is missing: linked, but has not answered for 1.5s; s1 reaches 2, needs 2 of 3", "2/2/3"},
		{"silent for as long as it may be", viewOf(3).leads().change(func(v *View) { v.Progress[0].Silent = time.Second }),
			"", "s1 leads, ...", "3/2/3"},
		{"behind, within bounds", viewOf(3).leads().change(func(v *View) { v.Commit, v.Applied = 100+lagEntries, 100+lagEntries }), "", "s1 leads, ...", "3/2/3"},
		{"far behind", viewOf(3).leads().change(func(v *View) { v.Commit, v.Applied, v.Progress[1].Match = 90_000, 90_000, 90_000 }), "peer-lags warns s2",
			"s2 lacks 89900 committed entries, as far as s1 knows", "3/2/3"},
		{"stranded", viewOf(3).leads().change(func(v *View) { v.Progress[1].Stranded = true }), "peer-stranded warns s3", "s3 cannot catch up: ...", "3/2/3"},
		{"slow to apply", viewOf(3).change(func(v *View) { v.Commit = 20_000 }), "apply-lags warns s1", "s1 has 19900 committed entries to apply...", "3/2/3"},
		{"writes wait for nothing, at a follower", viewOf(3).stalled(5 * time.Second), "stalled stops s1",
			"stalled: 3 writes wait at s1, and nothing has been committed or applied there since 2026-03-01 12:59:55 UTC (5s), though s2 leads", "3/2/3"},
		{"writes wait for nothing, at the leader", viewOf(3).leads().stalled(time.Minute), "stalled stops s1", "stalled: 3 writes wait at s1, ...", "3/2/3"},
		{"writes wait for a while", viewOf(3).stalled(4900 * time.Millisecond), "", "s1 follows s2, ...", "3/2/3"},
		{"writes wait for a quorum", viewOf(3).without(2, 3).leaderless(time.Minute).stalled(time.Minute), "no-quorum stops s1", "no quorum: ...", "1/2/3"},
		{"alarms", viewOf(3).change(func(v *View) { v.Alarms = []Alarm{{2, "NOSPACE"}, {3, "CORRUPT"}, {9, "ODD"}} }),
			"alarm-nospace stops s2, alarm-corrupt stops s3, alarm-other stops 9", "the alarm NOSPACE is on: the state of s2 ...", "3/2/3"},
		{"a server that was removed", viewOf(3).leaderless(time.Minute).change(func(v *View) { v.ID = 9 }), "not-member stops 9, peer-down warns s1",
			"9 is not a member: the configuration that it knows does not name it", "2/2/3"},
		{"a server that was removed and was not told", viewOf(3).leaderless(time.Minute).without(2, 3).disowned(2, 3), "not-member stops s1",
			"s1 was removed: s2, s3 say that it does not belong to the cluster", "1/2/3"},
		{"of two servers, one was removed", viewOf(2).leaderless(time.Minute).without(2).disowned(2), "not-member stops s1", "s1 was removed: s2 say...", "1/2/2"},
		{"of five, most disown it", viewOf(5).leaderless(time.Minute).without(2, 3, 4, 5).disowned(2, 3, 4), "not-member stops s1", "s1 was removed: s2, s3, s4 say...", "1/3/5"},
		{"one may not know yet", viewOf(3).leaderless(time.Minute).without(2, 3).disowned(2), "no-quorum stops s1", "no quorum: ...", "1/2/3"},
		{"those that disown it may not know yet, if there is a leader", viewOf(3).without(2, 3).disowned(2, 3), "peer-down warns s2, peer-down warns s3", "s2 is missing: ...", "1/2/3"},
		{"a leader that is disowned goes on until it must step down", viewOf(3).leads().without(2, 3).disowned(2, 3), "no-quorum stops s1", "no quorum: ...", "1/2/3"},
		{"a leader that removes itself", viewOf(4).leads().change(func(v *View) { v.Configuration.Members = v.Configuration.Members[1:] }), "",
			"1 leads, and reaches 3, needs 2 of 3.", "3/2/3"},
		{"nothing is known", &View{Now: now, Started: started, ID: 1, Role: raft.Follower, LeaderlessSince: started}, "no-leader stops 1",
			"no leader since 2026-03-01 12:00:00 UTC (1h0m0s), though 1 does not know who votes: an election is under way", ""},
	} {
		r := Examine(c.view)
		if got := codes(r.Findings); got != c.findings {
			t.Errorf("%s: findings %q, want %q", c.what, got, c.findings)
		}
		if begins, isPart := strings.CutSuffix(c.verdict, "..."); r.Verdict != c.verdict && !(isPart && strings.HasPrefix(r.Verdict, begins)) {
			t.Errorf("%s: verdict\n%s, want\n%s", c.what, r.Verdict, c.verdict)
		}
		var quorum []string
		for _, q := range r.Quorum {
			quorum = append(quorum, strings.TrimSpace(fmt.Sprintf("%s %d/%d/%d", q.Of, q.Reached, q.Needed, q.Voters)))
		}
		if got := strings.Join(quorum, ", "); got != c.quorum {
			t.Errorf("%s: quorum %s, want %s", c.what, got, c.quorum)
		}
		if r.Healthy != (c.findings == "") || r.Progress != !strings.Contains(c.findings, " stops") {
			t.Errorf("%s: healthy %v, progress %v", c.what, r.Healthy, r.Progress)
		}
		for _, f := range r.Findings {
			if f.Todo == "" {
				t.Errorf("%s: %s does not say what to do", c.what, f.Code)
			}
		}
	}
}

// The quorum is gone since one too many is, and not since the first one is.
func TestAQuorumIsGoneSinceOneTooManyIs(t *testing.T) {
	for _, c := range []struct {
		what string
		view *View
		want time.Duration // before now
	}{
		{"of three the second", viewOf(3).without(3, 2).leaderless(time.Minute), 59 * time.Second},
		{"of five the third", viewOf(5).without(3, 2, 5, 4).leaderless(time.Minute), 58 * time.Second},
		{"of four the second", viewOf(4).without(3, 2, 4).leaderless(time.Minute), 59 * time.Second},
		{"of both halves the one that went first", viewOf(7).role(1, both).role(2, oldOnly).role(3, oldOnly).role(4, newOnly).role(5, newOnly).
			role(6, wire.RoleLearner).role(7, wire.RoleLearner).without(6, 2, 4, 5, 3, 7).leaderless(time.Minute), 57 * time.Second},
	} {
		f := Examine(c.view).Blocking()
		if f == nil || f.Code != NoQuorum || now.Sub(f.Since) != c.want {
			t.Errorf("%s: got %+v, want %v ago", c.what, f, c.want)
		}
	}
}

func TestMissingServersAreListedWithTheirReasons(t *testing.T) {
	f := Examine(viewOf(4).role(4, wire.RoleLearner).without(2, 3, 4).leaderless(time.Minute)).Blocking()
	if len(f.Missing) != 2 || f.Missing[0].Name != "s2" || f.Missing[0].Server != "2" || now.Sub(f.Missing[0].Since) != time.Minute ||
		!strings.Contains(f.Missing[0].Why, refused) || f.Missing[1].Name != "s3" {
		t.Errorf("missing %+v", f.Missing)
	}
	if want := "Start at least 1 more of s2, s3, or mend the network between them and s1."; f.Todo != want {
		t.Errorf("todo %q, want %q", f.Todo, want)
	}
}

func TestAnErrorOfAPeerIsRepeatedInPartOnly(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	r := Examine(viewOf(3).change(func(v *View) { v.Links[0].Sending = Direction{Error: long} }))
	p := r.Peers[0]
	if len(p.Sending.Error) > maxErrorBytes+3 || len(p.Trouble) > maxErrorBytes+200 || len(r.Verdict) > maxErrorBytes+400 {
		t.Errorf("%d, %d and %d bytes", len(p.Sending.Error), len(p.Trouble), len(r.Verdict))
	}
}
