package doctor

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/raft"
)

// worldOf are the answers of n servers, of which some are dead. group says who reaches whom: servers of
// the same number do; 0 is dead. leader is who leads; 0: nobody.
func worldOf(leader raft.ServerID, groups ...int) []Answer {
	var answers []Answer
	for i, group := range groups {
		id := raft.ServerID(i + 1)
		endpoint := fmt.Sprintf("10.0.0.%d:2379", id)
		if group == 0 {
			answers = append(answers, Answer{Endpoint: endpoint, Error: "connect: connection refused"})
			continue
		}
		v := viewOf(len(groups))
		v.ID, v.Links = id, nil
		up := Direction{Up: true, Since: started}
		for j, other := range groups {
			if j != i && other == group {
				v.Links = append(v.Links, Link{ID: raft.ServerID(j + 1), Sending: up, Receiving: up, WasUp: true})
			}
		}
		switch {
		case leader == 0 || groups[leader-1] != group:
			v.leaderless(time.Minute)
		case leader == id:
			v.leads()
			v.Leader = id
		default:
			v.Leader = leader
		}
		answers = append(answers, Answer{Endpoint: endpoint, Report: Examine(v)})
	}
	return answers
}

func TestWhatServersSayIsPutTogether(t *testing.T) {
	other := worldOf(1, 1, 1, 1)
	other[2].Report.Cluster = "d"
	twoLeaders := append(worldOf(1, 1, 1, 1)[:1], worldOf(2, 1, 1, 1)[1:]...)
	succession := append(worldOf(1, 1, 1, 1)[:1], worldOf(2, 1, 1, 1)[1:]...)
	succession[1].Report.Term++
	for _, c := range []struct {
		what     string
		answers  []Answer
		verdict  string
		findings string
		progress bool
	}{
		{"all well", worldOf(2, 1, 1, 1), "All is well: 3 of 3 answer; s2 leads, and reaches 3, needs 2 of 3.", "", true},
		{"all well, and one was asked", worldOf(2, 1, 1, 1)[:1], "All is well, as far as was asked: 1 of 1 answer, and the leader is not among them.", "", true},
		{"one was asked twice", append(worldOf(0, 1, 0, 0)[:1], worldOf(0, 1, 0, 0)[0]), "No progress: 2 of 2 answer, and none of them carries out requests.",
			"no-quorum stops s1", false},
		{"one of three is dead", worldOf(1, 1, 1, 0), "2 of 3 answer; requests are carried out, but not all is well.", "no-answer warns s3, peer-down warns s3", true},
		{"two of three are dead", worldOf(0, 1, 0, 0), "No progress: 1 of 3 answer, and none of them carries out requests.",
			"no-quorum stops s1, no-answer warns s2, no-answer warns s3", false},
		{"all are dead", worldOf(0, 0, 0), "No server answers: are they running, and are these their addresses for clients?",
			"no-answer stops, no-answer stops", false},
		{"nobody was asked", nil, "No server answers: are they running, and are these their addresses for clients?", "", false},
		{"three and three, and one is dead", worldOf(0, 1, 1, 1, 2, 2, 2, 0), "No progress: 6 of 7 answer, and none of them carries out requests.",
			"no-quorum stops s1, no-quorum stops s2, no-quorum stops s3, no-quorum stops s4, no-quorum stops s5, no-quorum stops s6, no-answer warns s7", false},
		{"one of three is cut off", worldOf(1, 1, 1, 2), "3 of 3 answer; requests are carried out, but not at s3.",
			"no-quorum stops s3, link-down warns s3, link-down warns s3", true},
		{"of two clusters", other, "3 of 3 answer; requests are carried out, but not all is well.", "other-cluster warns", true},
		{"two lead in one term", twoLeaders, "Stop writing: s1 and s2 both lead in term 7, which must never be.", "two-leaders stops", true},
		{"one has not noticed yet that another leads", succession, "All is well: 3 of 3 answer; s2 leads, and reaches 3, needs 2 of 3.", "", true},
	} {
		d := Combine(c.answers)
		if got := codes(d.Findings); d.Verdict != c.verdict || got != c.findings || d.Progress != c.progress || d.Healthy != (c.findings == "" && len(c.answers) > 0) {
			t.Errorf("%s: got %q, healthy %v, progress %v, findings %q; want %q, %v, %q", c.what, d.Verdict, d.Healthy, d.Progress, got, c.verdict, c.progress, c.findings)
		}
	}
}

func TestSevenSplitThreeAndThreeSayWhoIsNeeded(t *testing.T) {
	d := Combine(worldOf(0, 1, 1, 1, 2, 2, 2, 0))
	for _, f := range d.Findings[:6] {
		if !strings.Contains(f.Text, f.About+" reaches 3, needs 4 of 7; missing: ") || len(f.Missing) != 4 || len(f.Quorum) != 1 {
			t.Errorf("%s says %s", f.About, f.Text)
		}
	}
	want := "Start s7 (no answer from there), or mend the network between s1 and s4, s5, s6, which answer: 1 more needed."
	if got := d.Findings[0].Todo; got != want {
		t.Errorf("s1 advises %q, want %q", got, want)
	}
	want = "Start s4, s5, s6, s7, or if they run mend the network between them and s1: 1 more needed."
	if got := Combine(worldOf(0, 1, 1, 1, 2, 2, 2, 0)[:3]).Findings[0].Todo; got != want {
		t.Errorf("s1 advises %q if the others were not asked, want %q", got, want)
	}
	if want := "s7 at 10.0.0.7:2379 does not answer: connect: connection refused"; d.Findings[6].Text != want {
		t.Errorf("got %q, want %q", d.Findings[6].Text, want)
	}
}

func TestALinkBetweenTwoThatLiveIsOneFinding(t *testing.T) {
	answers := worldOf(1, 1, 1, 1)
	for _, two := range [][2]int{{1, 2}, {2, 1}} {
		v := viewOf(3)
		v.ID, v.Leader = raft.ServerID(two[0]+1), 1
		up := Direction{Up: true, Since: started}
		v.Links = []Link{{ID: 1, Sending: up, Receiving: up}}
		answers[two[0]].Report = Examine(v)
	}
	d := Combine(answers)
	if len(d.Findings) != 1 {
		t.Fatalf("findings %s", codes(d.Findings))
	}
	f := d.Findings[0]
	if f.Code != LinkDown || fmt.Sprint(f.SaidBy) != "[s2 s3]" || !strings.Contains(f.Text, "s2 says that s3 is missing: never linked") ||
		!strings.Contains(f.Text, "; s3 says that s2 is missing: never linked") || !strings.HasPrefix(f.Todo, "Both run: mend the network between s2 and s3 ") {
		t.Errorf("got %+v", f)
	}
}

func TestSeveralThatMissTheSameServerAreOneFinding(t *testing.T) {
	d := Combine(worldOf(1, 1, 1, 1, 1, 0))
	f := d.Findings[1]
	if len(d.Findings) != 2 || f.Code != PeerDown || f.About != "s5" || fmt.Sprint(f.SaidBy) != "[s1 s2 s3 s4]" {
		t.Errorf("got %+v", d.Findings)
	}
}

func TestWhoWasNotAskedIsNamed(t *testing.T) {
	elsewhere := worldOf(1, 1, 1, 1)
	elsewhere[1].Endpoint = "localhost:2379"
	forget := func(answers []Answer) []Answer {
		for i := range answers[0].Report.Peers {
			answers[0].Report.Peers[i].ClientURLs = nil
		}
		return answers
	}
	for want, answers := range map[string][]Answer{
		"[]  ":     forget(worldOf(1, 1, 1, 0, 0)),  // The other one knows.
		"[]   ":    forget(worldOf(0, 1, 0, 0)),     // Nobody knows; both may be those.
		" [s2 s3]": forget(worldOf(0, 1, 0, 0)[:1]), // Nobody knows, and nobody is silent.
		" [s3]":    worldOf(0, 1, 0, 0)[:2],         // s1 knows, and s3 was left out.
		"[] ":      elsewhere,
		"[]":       worldOf(1, 1, 1, 1),
		"[s2 s3]":  worldOf(1, 1, 1, 1)[:1],
		"[s3]":     worldOf(1, 1, 0, 1)[:2],
	} {
		if got := fmt.Sprint(Combine(answers).NotAsked); got != strings.TrimSpace(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzCombine: whatever a server answers, putting it together fails on nothing, and says no more than
// a multiple of it.
func FuzzCombine(f *testing.F) {
	for _, answers := range [][]Answer{worldOf(0, 1, 1, 1, 2, 2, 2, 0), worldOf(1, 1, 1, 2)} {
		b, err := json.Marshal(answers)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`[{"report":{"role":"leader","findings":[{"code":"no-quorum","missing":[{}]},{"code":"link-down"}],"peers":[{}]}},{"report":{}}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var answers []Answer
		if json.Unmarshal(b, &answers) != nil || len(answers) > 16 {
			return
		}
		d := Combine(answers)
		text, err := json.Marshal(d.Findings)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 200*len(b)+4096 {
			t.Errorf("%d bytes of %d", len(text), len(b))
		}
	})
}
