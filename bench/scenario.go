package main

import (
	"context"
	"strings"

	"github.com/quorate/quorate/bench/internal/report"
)

// scenario is one thing that can be measured. run finds three fresh servers in b, already holding all
// keys, and fills in the figures of r; r has its case and round already.
type scenario struct {
	name string
	run  func(ctx context.Context, b *bed, r *report.Run) error
}

// scenarios is all there is to choose from. Each is a file of its own.
func scenarios() []scenario {
	return []scenario{
		{name: "put", run: runPut},
		{name: "lrange", run: runLinearizableRange},
	}
}

// findScenario returns nil if there is none of that name.
func findScenario(name string) *scenario {
	for _, s := range scenarios() {
		if s.name == name {
			return &s
		}
	}
	return nil
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}
