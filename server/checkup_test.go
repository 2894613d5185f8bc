package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

func TestAServerAloneOfThreeSaysWhyItDoesNothing(t *testing.T) {
	s := start(t, clusterOptions(t, 3)[0])
	code, body := get(t, endpoint(s)+"/quorate/status")
	var r doctor.Report
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	f := r.Blocking()
	if f == nil || f.Code != doctor.NoQuorum || r.Progress || r.Name != "n0" || fmt.Sprint(f.Quorum) != "[{ 1 2 3}]" ||
		len(f.Missing) != 2 || f.Missing[0].Name != "n1" && f.Missing[0].Name != "n2" ||
		!strings.HasPrefix(r.Verdict, "no quorum: n0 reaches 1, needs 2 of 3; missing: n") {
		t.Errorf("got %s", body)
	}
	code, body = get(t, endpoint(s)+"/health")
	if want := `{"health":"false","reason":"RAFT NO LEADER: no quorum: n0 reaches 1, needs 2 of 3; missing: n`; code != 503 || !strings.HasPrefix(body, want) {
		t.Errorf("/health: %d %s", code, body)
	}
	_, body = get(t, endpoint(s)+"/metrics")
	for _, want := range []string{
		"quorate_progress_possible 0\n", `quorate_voters_reached{configuration="only"} 1`, `quorate_voters_needed{configuration="only"} 2`,
		`quorate_voters{configuration="only"} 3`, `quorate_findings{code="no-quorum"} 1`, `name="n1"} 0`, `name="n2"} 0`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics have no %q", want)
		}
	}
}

func TestAServerThatIsAllThereIsSaysThatItIsWell(t *testing.T) {
	s := start(t, clusterOptions(t, 1)[0])
	if _, err := connect(t, s).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	r := s.Report()
	if !r.Healthy || !r.Progress || r.Verdict != "n0 leads, and reaches 1, needs 1 of 1." || r.Applied == 0 || !r.LeaderlessSince.IsZero() {
		t.Errorf("got %+v", r)
	}
	if code, body := get(t, endpoint(s)+"/health"); code != 200 || body != `{"health":"true","reason":""}` {
		t.Errorf("/health: %d %s", code, body)
	}
	if _, body := get(t, endpoint(s)+"/metrics"); !strings.Contains(body, "quorate_progress_possible 1\n") || strings.Contains(body, "quorate_findings{") {
		t.Error("metrics do not say that all is well")
	}
}

func TestLinksAreToldByDirection(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	got := linksOf([]transport.PeerStatus{
		{ID: 1, Boot: 3, ConnectedSince: at(1), ReceivingSince: at(2)},
		{ID: 2, DownSince: at(3), Error: "refused", ReceivingDownSince: at(4), ReceivingError: "closed"},
		{ID: 3, DownSince: at(3), ReceivingDownSince: at(4), ReceivingError: "closed", Refused: "another key", RefusedAt: at(5)},
		{ID: 4, DownSince: at(3), ReceivingDownSince: at(4), ReceivingError: "closed", Refused: "another key", RefusedAt: at(3)},
		{ID: 5, ConnectedSince: at(1), ReceivingDownSince: at(4)},
		{ID: 6, DownSince: at(3), ReceivingSince: at(2)},
	})
	want := []doctor.Link{
		{ID: 1, WasUp: true, Sending: doctor.Direction{Up: true, Since: at(1)}, Receiving: doctor.Direction{Up: true, Since: at(2)}},
		{ID: 2, Sending: doctor.Direction{Since: at(3), Error: "refused"}, Receiving: doctor.Direction{Since: at(4), Error: "closed"}},
		{ID: 3, Sending: doctor.Direction{Since: at(3)}, Receiving: doctor.Direction{Since: at(4), Error: "refused here: another key"}},
		{ID: 4, Sending: doctor.Direction{Since: at(3)}, Receiving: doctor.Direction{Since: at(4), Error: "closed"}},
		{ID: 5, Sending: doctor.Direction{Up: true, Since: at(1)}, Receiving: doctor.Direction{Since: at(4)}},
		{ID: 6, Sending: doctor.Direction{Since: at(3)}, Receiving: doctor.Direction{Up: true, Since: at(2)}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestItIsRememberedSinceWhenThereIsNoLeader(t *testing.T) {
	var c checkup
	began := time.Unix(100, 0)
	for second, hasLeader := range []bool{true, false, false, true, false} {
		want := map[int]int{1: 1, 2: 1, 4: 4}[second]
		got := c.note(began.Add(time.Duration(second)*time.Second), hasLeader)
		if hasLeader != got.IsZero() || !hasLeader && got.Sub(began) != time.Duration(want)*time.Second {
			t.Errorf("second %d: since %v", second, got)
		}
	}
}

func TestItIsRememberedSinceWhenWritesWait(t *testing.T) {
	var c checkup
	began := time.Unix(100, 0)
	for second, look := range []struct {
		waiting         int
		commit, applied raft.Index
		want            int // the second since when; -1: they do not wait
	}{
		{0, 5, 5, -1}, {1, 5, 5, 1}, {2, 5, 5, 1}, {2, 6, 5, 3}, {2, 6, 6, 4}, {9, 6, 6, 4}, {0, 6, 6, -1}, {1, 6, 6, 7},
	} {
		got := c.noteWaiting(began.Add(time.Duration(second)*time.Second), look.waiting, look.commit, look.applied)
		if (look.want < 0) != got.IsZero() || look.want >= 0 && got.Sub(began) != time.Duration(look.want)*time.Second {
			t.Errorf("second %d: since %v", second, got)
		}
	}
}

func TestTheLogSaysWhileThereIsNoQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(lines)
		s := &Server{logger: log.logger(), options: Options{ElectionTimeout: time.Second}}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		began := time.Now()
		up := doctor.Direction{Up: true, Since: began}
		lostFor := 65 * time.Second
		report := func() *doctor.Report {
			v := &doctor.View{
				Now: time.Now(), Started: began, ID: 1, Term: 4, Leader: 2, ElectionTimeout: time.Second,
				Links: []doctor.Link{{ID: 2, Sending: up, Receiving: up}},
				Configuration: &wire.Configuration{Members: []wire.Member{
					{ID: 1, Name: "n1", Roles: wire.RoleVoter}, {ID: 2, Name: "n2", Roles: wire.RoleVoter},
				}},
			}
			if time.Since(began) <= lostFor {
				v.Links, v.Leader, v.Role = nil, 0, raft.PreCandidate
			}
			return doctor.Examine(v)
		}
		go s.keepVigil(ctx, report)
		<-time.After(100 * time.Second)
		synctest.Wait()
		text := log.String()
		warn := `level=WARN msg="no progress is possible: nothing can be written, nor read linearizably" code=no-quorum lasting=1s term=4 ` +
			`reached=1 needed=2 voters=2 missing="[n2 (never linked since n1 started, `
		if !strings.Contains(text, warn) || strings.Count(text, "level=WARN") != 3 ||
			!strings.HasSuffix(strings.TrimSpace(text), `level=INFO msg="progress is possible again" lasted=1m5s term=4 leader=n2`) || strings.Count(text, "\n") != 4 {
			t.Errorf("the log is\n%s", text)
		}
	})
}
