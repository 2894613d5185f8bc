package doctor

import (
	"strings"
	"testing"
)

func TestAServerThatHealsSaysWhatItLacks(t *testing.T) {
	v := viewOf(3).change(func(v *View) {
		v.Leader, v.Role = 0, 0
		v.Healing = "1 entries of the log are lost, between 7 and 7; 2 has not answered"
	})
	r := Examine(v)
	if b := r.Blocking(); b == nil || b.Code != LogHeals || b.Severity != Stops || !strings.Contains(b.Text, v.Healing) || !strings.Contains(b.Todo, "Suspect its disk") {
		t.Errorf("got %+v", b)
	}
	v.NeedsState = true
	if b := Examine(v).Blocking(); b == nil || !strings.Contains(b.Todo, "quorate member replace") {
		t.Errorf("got %+v", b)
	}
}
