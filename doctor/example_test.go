package doctor_test

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// One of two servers is gone: nothing can be decided without it.
func Example() {
	now := time.Date(2026, 3, 1, 12, 0, 31, 0, time.UTC)
	down := doctor.Direction{Since: now.Add(-31 * time.Second), Error: "connect: connection refused"}
	report := doctor.Examine(&doctor.View{
		Now: now, ElectionTimeout: time.Second, ID: 1, Role: raft.PreCandidate, Term: 4, LeaderlessSince: now.Add(-30 * time.Second),
		Configuration: &wire.Configuration{Members: []wire.Member{
			{ID: 1, Name: "s1", Roles: wire.RoleVoter}, {ID: 2, Name: "s2", Roles: wire.RoleVoter},
		}},
		Links: []doctor.Link{{ID: 2, Sending: down, Receiving: down, WasUp: true}},
	})
	fmt.Println(report.Progress, report.Findings[0].Code)
	fmt.Println(report.Verdict)
	fmt.Println(report.Findings[0].Todo)
	// Output:
	// false no-quorum
	// no quorum: s1 reaches 1, needs 2 of 2; missing: s2 (not linked since 2026-03-01 12:00:00 UTC (31s): connect: connection refused)
	// Start at least 1 more of s2, or mend the network between them and s1.
}
