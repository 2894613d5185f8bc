package report

import "slices"

// Row is one case: medians over its runs, each figure for itself.
type Row struct {
	Case
	Runs   int `json:"runs"`   // with figures
	Failed int `json:"failed"` // without

	OpsPerSecond     float64 `json:"ops_per_s"`
	Spread           float64 `json:"spread"` // (max - min) / median of the rate
	P50Micros        float64 `json:"p50_us"`
	P99Micros        float64 `json:"p99_us"`
	LeaderPer100k    float64 `json:"leader_cpu_s_per_100k"`
	FollowersPer100k float64 `json:"followers_cpu_s_per_100k"`
	ServersPer100k   float64 `json:"servers_cpu_s_per_100k"` // leader and followers
	ClientPer100k    float64 `json:"client_cpu_s_per_100k"`
	AnonBytes        float64 `json:"rss_anon_bytes"`
	FileBytes        float64 `json:"rss_file_bytes"`
	StealCPUs        float64 `json:"steal_cpus"`
	OtherCPUs        float64 `json:"other_cpus"`
	Errors           int64   `json:"errors"` // of all runs together
}

// Ratio compares a subject with the last one under the same load: 2 is twice as much. Every figure is
// divided by that of the same round first, because the two runs of a round are neighbours in time: a
// machine that is slow for a minute is slow for both.
type Ratio struct {
	Case
	Base           string   `json:"base"`   // the subject divided by
	Rounds         int      `json:"rounds"` // in which both have figures
	OpsPerSecond   Interval `json:"ops_per_s"`
	P50            Interval `json:"p50"`
	P99            Interval `json:"p99"`
	ServersPer100k Interval `json:"servers_cpu_s_per_100k"`
	AnonBytes      Interval `json:"rss_anon_bytes"`
}

// Interval is the median of a few figures, and the least and the greatest of them.
type Interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Rows returns one row per case, in the order in which the cases were first run.
func Rows(runs []Run) []Row {
	var cases []Case
	for _, run := range runs {
		if !slices.Contains(cases, run.Case) {
			cases = append(cases, run.Case)
		}
	}
	var rows []Row
	for _, c := range cases {
		rows = append(rows, row(c, runs))
	}
	return rows
}

func row(c Case, runs []Run) Row {
	r := Row{Case: c}
	var good []Run
	for _, run := range runs {
		switch {
		case run.Case != c:
			continue
		case run.Skipped != "":
		case run.usable():
			good = append(good, run)
		default:
			r.Failed++
		}
		r.Errors += run.Errors
	}
	r.Runs = len(good)
	if r.Runs == 0 {
		return r
	}
	median := func(figure func(*Run) float64) float64 { return Median(collect(good, figure)) }
	r.OpsPerSecond = median((*Run).rate)
	rates := collect(good, (*Run).rate)
	r.Spread = (slices.Max(rates) - slices.Min(rates)) / r.OpsPerSecond
	r.P50Micros = median(func(r *Run) float64 { return r.P50Micros })
	r.P99Micros = median(func(r *Run) float64 { return r.P99Micros })
	r.LeaderPer100k = median(func(r *Run) float64 { return r.per100k(r.LeaderCPUSeconds) })
	r.FollowersPer100k = median(func(r *Run) float64 { return r.per100k(r.FollowersCPUSeconds) })
	r.ServersPer100k = median((*Run).serversPer100k)
	r.ClientPer100k = median(func(r *Run) float64 { return r.per100k(r.ClientCPUSeconds) })
	r.AnonBytes = median(func(r *Run) float64 { return float64(r.AnonBytes) })
	r.FileBytes = median(func(r *Run) float64 { return float64(r.FileBytes) })
	r.StealCPUs = median(func(r *Run) float64 { return r.StealCPUs })
	r.OtherCPUs = median(func(r *Run) float64 { return r.OtherCPUs })
	return r
}

// Ratios compares every other subject with base, case by case, over the rounds in which both have
// figures. Cases without such a round are left out.
func Ratios(runs []Run, base string) []Ratio {
	var ratios []Ratio
	for _, row := range Rows(runs) {
		if row.Subject == base {
			continue
		}
		if r := ratio(row.Case, base, runs); r.Rounds > 0 {
			ratios = append(ratios, r)
		}
	}
	return ratios
}

func ratio(c Case, base string, runs []Run) Ratio {
	other := c
	other.Subject = base
	var above, below []Run // of equal rounds
	for _, run := range runs {
		i := slices.IndexFunc(runs, func(r Run) bool { return r.Case == other && r.Round == run.Round })
		if run.Case == c && run.usable() && i >= 0 && runs[i].usable() {
			above, below = append(above, run), append(below, runs[i])
		}
	}
	r := Ratio{Case: c, Base: base, Rounds: len(above)}
	if r.Rounds == 0 {
		return r
	}
	over := func(figure func(*Run) float64) Interval {
		quotients := collect(above, figure)
		for i, divisor := range collect(below, figure) {
			quotients[i] = quotient(quotients[i], divisor)
		}
		return intervalOf(quotients)
	}
	r.OpsPerSecond = over((*Run).rate)
	r.P50 = over(func(r *Run) float64 { return r.P50Micros })
	r.P99 = over(func(r *Run) float64 { return r.P99Micros })
	r.ServersPer100k = over((*Run).serversPer100k)
	r.AnonBytes = over(func(r *Run) float64 { return float64(r.AnonBytes) })
	return r
}

// quotient returns a / b, or 0 for "cannot say": JSON has no infinity.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func collect(runs []Run, figure func(*Run) float64) []float64 {
	var values []float64
	for i := range runs {
		values = append(values, figure(&runs[i]))
	}
	return values
}

// Median returns the median of values, which must not be empty; of an even number of values, the mean
// of the two in the middle.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
