package doctor

import (
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

func TestAReportSaysWhoIsPreferredAndWhoIsSlow(t *testing.T) {
	v := viewOf(3).leads()
	for i := range v.Progress {
		v.Progress[i].Takes = time.Duration(v.Progress[i].ID) * 1_234_567
	}
	for i := range v.Configuration.Members {
		m := &v.Configuration.Members[i]
		if m.Traits = 0x80; m.ID != 2 {
			m.Traits |= wire.TraitPreferred
		}
	}
	r := Examine(v)
	if !r.Preferred || len(r.Peers) != 2 || r.Peers[0].Preferred || !r.Peers[1].Preferred {
		t.Errorf("got %+v", r)
	}
	for i, want := range []float64{2.5, 3.7} {
		if got := r.Peers[i].AcknowledgesMilliseconds; got != want {
			t.Errorf("%s takes %v ms, want %v", r.Peers[i].Name, got, want)
		}
	}
}
