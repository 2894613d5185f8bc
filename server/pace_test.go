package server

import (
	"strings"
	"testing"
	"time"
)

func TestMetricsAndReportSayHowLongAServerWaits(t *testing.T) {
	for _, tuned := range []bool{true, false} {
		o := clusterOptions(t, 1)[0]
		wants := []string{"quorate_campaign_delay_tuned 0\n", "quorate_campaign_delay_seconds 0.2\n"}
		if tuned {
			o.HeartbeatInterval, o.ElectionTimeout = 0, 0
			wants = []string{"quorate_campaign_delay_tuned 1\n"}
		}
		s := start(t, o)
		if _, err := connect(t, s).Put(testContext(t), "k", "v"); err != nil {
			t.Fatal(err)
		}
		_, body := get(t, endpoint(s)+"/metrics")
		for _, want := range append(wants, "quorate_campaign_delay_wanted_seconds ", "quorate_campaign_delay_too_short ",
			"quorate_leader_silence_seconds ", "quorate_tick_delay_seconds ", "quorate_log_sync_seconds ", "quorate_majority_round_trip_seconds ",
			"quorate_stalls_total ", "quorate_stall_longest_seconds ", "quorate_slow_syncs_total ", "quorate_slow_sync_longest_seconds ") {
			if !strings.Contains(body, "\n"+want) {
				t.Errorf("tuned %t: metrics have no %q", tuned, want)
			}
		}
		report := s.Report().Timeouts
		if report == nil || report.Tuned != tuned || report.Delay < 0.15 || report.Delay > 2 {
			t.Errorf("tuned %t: the report says %+v", tuned, report)
		}
	}
}

func TestSpansAreReckonedInASecondWhereTheDelayIsMeasured(t *testing.T) {
	for _, test := range []struct{ heartbeat, election, want time.Duration }{
		{0, 0, time.Second}, {0, 3 * time.Second, 3 * time.Second}, {50 * time.Millisecond, 0, time.Second},
	} {
		o := Options{HeartbeatInterval: test.heartbeat, ElectionTimeout: test.election}.withDefaults()
		if got := o.electionSpan(); got != test.want {
			t.Errorf("%v and %v: %v, want %v", test.heartbeat, test.election, got, test.want)
		}
	}
}
