package doctor

import (
	"strings"
	"testing"
	"time"
)

func TestDelayThatIsShorterThanWhatWasMeasuredIsFound(t *testing.T) {
	const ms = time.Millisecond
	pace := func(tuned, hurried bool, delay, wanted time.Duration) *Pace {
		return &Pace{Tuned: tuned, Hurried: hurried, Delay: delay, Wanted: wanted, Why: "late ticks", Stalls: 3, LongestStall: 700 * ms}
	}
	for _, test := range []struct {
		name   string
		voters int
		pace   *Pace
		says   string // in the finding's text and what to do; "": there is none
	}{
		{"not known", 3, nil, ""},
		{"enough", 3, pace(true, false, 220*ms, 220*ms), ""},
		{"less than it should be, and more than was measured", 3, pace(false, false, 200*ms, 400*ms), ""},
		{"too short, fixed", 3, pace(false, true, 200*ms, 402*ms), "--election-timeout"},
		{"too short, at the bound", 3, pace(true, true, 2000*ms, 4200*ms), "quicker disk"},
		{"too short, and nobody to elect", 1, pace(false, true, 200*ms, 402*ms), ""},
	} {
		v := viewOf(test.voters)
		if test.voters == 1 {
			v.leads()
		}
		v.Pace = test.pace
		r := Examine(v)
		var found []Finding
		for _, f := range r.Findings {
			if f.Code == TimeoutsShort {
				found = append(found, f)
			}
		}
		switch {
		case (test.says != "") != (len(found) == 1):
			t.Errorf("%s: %+v", test.name, r.Findings)
		case len(found) == 1 && (found[0].Severity != Warns || !strings.Contains(found[0].Text, "late ticks") || !strings.Contains(found[0].Todo, test.says) || !r.Progress):
			t.Errorf("%s: %+v", test.name, found[0])
		}
		if (r.Timeouts == nil) != (test.pace == nil) {
			t.Errorf("%s: the report says %+v", test.name, r.Timeouts)
		}
	}
}

func TestReportSaysWhatIsInForceAndWhy(t *testing.T) {
	for want, p := range map[string]Pace{
		"waits 220 ms for a leader, by measurement: silence": {Tuned: true, Delay: 220 * time.Millisecond, Why: "silence"},
		"waits 1000 ms for a leader, as it was told":         {Delay: time.Second, Why: "late ticks"},
	} {
		v := viewOf(3)
		v.Pace = &p
		if got := Examine(v).Timeouts.String(); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}
