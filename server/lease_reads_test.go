package server

import (
	"strings"
	"testing"
)

func TestMetricsSayHowReadsAreConfirmed(t *testing.T) {
	for _, on := range []bool{true, false} {
		o := clusterOptions(t, 1)[0]
		o.LeaseReads = on
		s := start(t, o)
		client := connect(t, s)
		if _, err := client.Put(testContext(t), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Get(testContext(t), "k"); err != nil {
			t.Fatal(err)
		}
		_, body := get(t, endpoint(s)+"/metrics")
		for by, none := range map[string]bool{"lease": !on, "round": on} {
			if got := strings.Contains(body, "\nquorate_reads_confirmed_total{by=\""+by+"\"} 0\n"); got != none {
				t.Errorf("with the option %v, none by %s: %v", on, by, got)
			}
		}
	}
}
