package doctor

import (
	"strings"
	"testing"
	"time"
)

// found returns the finding of a code; nil if there is none.
func (r *Report) found(code Code) *Finding {
	for i := range r.Findings {
		if r.Findings[i].Code == code {
			return &r.Findings[i]
		}
	}
	return nil
}

func TestADiskThatIsFullIsFound(t *testing.T) {
	for _, test := range []struct {
		disk Disk
		code Code
		says string
	}{
		{Disk{Free: 100 << 20, LowBytes: 70 << 20, Held: true}, "", ""},
		{Disk{Free: 69 << 20, LowBytes: 70 << 20, Low: true, Held: true}, DiskLow, "69 MiB are free, and below 70 MiB"},
		{Disk{LowBytes: 70 << 20, BallastBytes: 64 << 20, Low: true, Full: true}, DiskFull, "134 MiB"},
	} {
		v := viewOf(3)
		v.Disk = &test.disk
		r := Examine(v)
		for _, code := range []Code{DiskLow, DiskFull} {
			f := r.found(code)
			if (f != nil) != (code == test.code) || f != nil && !strings.Contains(f.Text+f.Todo, test.says) {
				t.Errorf("%+v: found %+v", test.disk, f)
			}
		}
	}
}

func TestADiskThatIsSlowIsFound(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		disk *Disk
		says string
	}{
		{nil, ""},
		{&Disk{}, ""},
		{&Disk{Writing: 20 * ms, Slowest: 999 * ms, SlowAfter: 150 * ms}, ""},
		{&Disk{Slowest: 1500 * ms, SlowAfter: 2000 * ms}, ""},
		{&Disk{Slowest: 1000 * ms, SlowAfter: 150 * ms}, "1000 ms"},
		{&Disk{Writing: 3000 * ms, Slowest: 20 * ms, SlowAfter: 150 * ms}, "3000 ms"},
	} {
		v := viewOf(3)
		v.Disk = test.disk
		r := Examine(v)
		f := r.found(DiskSlow)
		if (f != nil) != (test.says != "") || f != nil && (!strings.Contains(f.Text, test.says) || f.Severity != Warns || !r.Progress) {
			t.Errorf("%+v: found %+v", test.disk, f)
		}
	}
}
