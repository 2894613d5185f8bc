package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/bench/internal/report"
)

// scenario is one thing that can be measured. run finds three fresh servers in b, already holding all
// keys, and fills in the figures of r; r has its case and round already.
type scenario struct {
	name string
	// A scenario with a size is asked for as name or name:size; max bounds it. Without one, both are 0.
	size, max int
	run       func(ctx context.Context, b *bed, r *report.Run) error
}

// scenarios is all there is to choose from. Each is a file of its own, or shares one with its like.
func scenarios() []scenario {
	return []scenario{
		{name: "put", run: runPut},
		{name: "lrange", run: runLinearizableRange},
		{name: "nested", run: runNested},
		{name: "range", size: 10_000, max: maxKeys, run: runRange},
		{name: "rangestream", size: 10_000, max: maxKeys, run: runRangeStream},
		{name: "page", size: 500, max: maxKeys, run: runPage},
		{name: "watchers", size: 1000, max: maxWatchers, run: runWatchers},
		{name: "paced", size: 1000, max: maxWatchers, run: runPacedWatchers},
		{name: "leases", size: 10_000, max: maxLeases, run: runLeases},
		{name: "leasebursts", size: 10_000, max: maxLeases, run: runLeaseBursts},
		{name: "pacedleases", size: 10_000, max: maxLeases, run: runPacedLeases},
		{name: "unread", size: 1000, max: maxWatchers, run: runUnread},
		{name: "slow", size: 1000, max: maxWatchers, run: runSlow},
		{name: "history", size: 100_000, max: maxHistory, run: runHistory},
		{name: "burst", size: 10_000, max: maxWatchers, run: runBurst},
		{name: "failover", size: 20, max: maxFailures, run: runFailover},
		{name: "transfer", size: 20, max: maxFailures, run: runTransfer},
		{name: "rolling", size: 1, max: maxPasses, run: runRolling},
	}
}

// findScenario returns the scenario that is asked for by name or name:size, with that size.
func findScenario(asked string) (*scenario, error) {
	name, size, sized := strings.Cut(asked, ":")
	for _, s := range scenarios() {
		if s.name != name {
			continue
		}
		if !sized {
			return &s, nil
		}
		n, err := strconv.Atoi(size)
		if err != nil || n < 0 || n > s.max {
			return nil, fmt.Errorf("the size of %s is %q, not a number from 0 to %d", name, size, s.max)
		}
		s.size = n
		return &s, nil
	}
	return nil, fmt.Errorf("%q is none of %s", asked, scenarioNames())
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		if s.max > 0 {
			names = append(names, fmt.Sprintf("%s:%d", s.name, s.size))
		} else {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ", ")
}
