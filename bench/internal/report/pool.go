package report

import (
	"fmt"
	"math"
	"slices"
)

// Pool is what one subject's runs of a case have measured many times, the values of all rounds together: a
// quantile far out needs them all.
type Pool struct {
	Case
	Name   string  `json:"name"`
	Rounds int     `json:"rounds"`
	Count  int     `json:"count"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Pools returns the samples of all runs with figures, pooled: sample by sample in the order of the first
// runs that have them, and the subjects of each beside each other.
func Pools(runs []Run) []Pool {
	type key struct {
		load Case // without the subject
		name string
	}
	var keys []key
	for i := range runs {
		for _, s := range runs[i].Samples {
			k := key{runs[i].Case, s.Name}
			k.load.Subject = ""
			if runs[i].usable() && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	var pools []Pool
	for _, k := range keys {
		var subjects []string
		for i := range runs {
			c := k.load
			c.Subject = runs[i].Subject
			if slices.Contains(subjects, c.Subject) {
				continue
			}
			subjects = append(subjects, c.Subject)
			if p := pool(c, k.name, runs); p.Count > 0 {
				pools = append(pools, p)
			}
		}
	}
	return pools
}

func pool(c Case, name string, runs []Run) Pool {
	p := Pool{Case: c, Name: name}
	var values []float64
	for i := range runs {
		if runs[i].Case != c || !runs[i].usable() {
			continue
		}
		for _, s := range runs[i].Samples {
			if s.Name == name {
				values = append(values, s.Values...)
				p.Rounds++
			}
		}
	}
	if p.Count = len(values); p.Count > 0 {
		slices.Sort(values)
		p.Median, p.P90, p.P99, p.Max = Median(values), nearestRank(values, 90), nearestRank(values, 99), values[p.Count-1]
	}
	return p
}

// nearestRank returns the least of the values, which must be in order and not empty, that so many percent
// of all are not above. It is always one of them.
func nearestRank(sorted []float64, percent float64) float64 {
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

func poolTable(pools []Pool) *table {
	t := &table{left: 5, head: []string{"scenario", "clients", "target", "each time", "subject", "rounds", "times",
		"median", "p90", "p99", "max"}}
	for _, p := range pools {
		t.add(p.Scenario, fmt.Sprint(p.Clients), p.Target, p.Name, p.Subject, fmt.Sprint(p.Rounds), fmt.Sprint(p.Count),
			short(p.Median), short(p.P90), short(p.P99), short(p.Max))
	}
	return t
}
