package lessor_test

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/lessor"
)

const second = uint64(1_000_000_000)

// due has one lease, which is due from a time on.
func due(from uint64) lessor.Due {
	return func(time uint64, limit int) []int64 {
		if time < from || limit < 1 {
			return nil
		}
		return []int64{7}
	}
}

func TestWhenLeasesAreEnded(t *testing.T) {
	o := lessor.Options{Grace: 3 * second, Slack: second, Mark: 5 * second}
	for _, test := range []struct {
		name string
		now  []lessor.Now
		want string
	}{
		{"a follower ends nothing", []lessor.Now{{Term: 1, Time: 50 * second, Leases: 1}}, "[] false"},
		{"a new leader waits", []lessor.Now{{Leads: true, Term: 1, Time: 50 * second, Written: 50 * second, Leases: 1}}, "[] false"},
		{"not for ever", []lessor.Now{
			{Leads: true, Term: 1, Time: 50 * second, Written: 50 * second, Leases: 1},
			{Leads: true, Term: 1, Time: 53 * second, Written: 53 * second, Leases: 1},
		}, "[7] true"},
		{"but again in its next reign", []lessor.Now{
			{Leads: true, Term: 1, Time: 50 * second, Written: 50 * second, Leases: 1},
			{Leads: true, Term: 3, Time: 53 * second, Written: 53 * second, Leases: 1},
		}, "[] false"},
		{"what has just come due is left alone", []lessor.Now{
			{Leads: true, Term: 1, Time: 1 * second, Written: second, Leases: 1},
			{Leads: true, Term: 1, Time: 10*second + second/2, Written: 10 * second, Leases: 1},
		}, "[] false"},
		{"and then ended", []lessor.Now{
			{Leads: true, Term: 1, Time: 1 * second, Written: second, Leases: 1},
			{Leads: true, Term: 1, Time: 11 * second, Written: 10 * second, Leases: 1},
		}, "[7] true"},
		{"silence is marked", []lessor.Now{{Leads: true, Term: 1, Time: 6 * second, Written: second, Leases: 1}}, "[] true"},
		{"not for nothing", []lessor.Now{{Leads: true, Term: 1, Time: 6 * second, Written: second}}, "[] false"},
		{"a clock that is behind the log", []lessor.Now{{Leads: true, Term: 1, Time: 0, Written: 9 * second, Leases: 1}}, "[] false"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := lessor.New(o)
			var got string
			for _, now := range test.now {
				end, propose := l.Step(now, due(10*second))
				got = fmt.Sprint(end, " ", propose)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
