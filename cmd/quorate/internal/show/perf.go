package show

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// What a performance check wants, as etcdctl does.
const (
	enoughOfLimit = 0.9
	slowestWanted = 500 * time.Millisecond
	stddevWanted  = 100 * time.Millisecond
)

// Perf is what came of a performance check.
type Perf struct {
	Load    string
	Limit   int           // writes a second that were to be made
	Clients int           // that made them
	Took    time.Duration // from the first to the last answer
	Writes  int           // acknowledged
	Slowest time.Duration // of those
	Stddev  time.Duration // of those: how far they are from their mean
	// Errors counts the writes that were not acknowledged, by what was said instead.
	Errors map[string]int
}

// Throughput is in acknowledged writes a second.
func (r *Perf) Throughput() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.Writes) / r.Took.Seconds()
}

func (r *Perf) isFastEnough() bool { return r.Throughput() > enoughOfLimit*float64(r.Limit) }

// Passed reports whether all is as it should be.
func (r *Perf) Passed() bool {
	return len(r.Errors) == 0 && r.isFastEnough() && r.Slowest <= slowestWanted && r.Stddev <= stddevWanted
}

// Perf prints the outcome of a performance check.
func (p *Printer) Perf(r *Perf) error {
	g := p.page()
	switch p.Format {
	case JSON:
		return p.json(perfJSON{r.Load, r.Limit, r.Clients, r.Took.Seconds(), r.Writes, r.Throughput(), r.Slowest.Seconds(), r.Stddev.Seconds(), r.Errors, r.Passed()})
	case Simple:
		g.perfLines(r)
	default:
		errors := 0
		for _, count := range r.Errors {
			errors += count
		}
		g.table([][]string{
			{"CHECK", "FOUND", "WANTED", "VERDICT"},
			{"errors", strconv.Itoa(errors), "none", verdict(errors == 0)},
			{"throughput", fmt.Sprintf("%.1f writes/s", r.Throughput()), fmt.Sprintf("over %.0f writes/s", enoughOfLimit*float64(r.Limit)), verdict(r.isFastEnough())},
			{"slowest", seconds(r.Slowest), "at most " + seconds(slowestWanted), verdict(r.Slowest <= slowestWanted)},
			{"stddev", seconds(r.Stddev), "at most " + seconds(stddevWanted), verdict(r.Stddev <= stddevWanted)},
			{"all", "", "", verdict(r.Passed())},
		})
	}
	return g.flush()
}

// perfLines are etcdctl's, to the word: two of those about failures do not say FAIL, and the throughput is
// the next whole number.
func (g *page) perfLines(r *Perf) {
	if len(r.Errors) > 0 {
		g.line("FAIL: too many errors")
		for _, said := range slices.Sorted(maps.Keys(r.Errors)) {
			g.line("FAIL: ERROR(%s) -> %d", said, r.Errors[said])
		}
	}
	if throughput := int(r.Throughput()) + 1; r.isFastEnough() {
		g.line("PASS: Throughput is %d writes/s", throughput)
	} else {
		g.line("FAIL: Throughput too low: %d writes/s", throughput)
	}
	if r.Slowest <= slowestWanted {
		g.line("PASS: Slowest request took %s", seconds(r.Slowest))
	} else {
		g.line("Slowest request took too long: %s", seconds(r.Slowest))
	}
	if r.Stddev <= stddevWanted {
		g.line("PASS: Stddev is %s", seconds(r.Stddev))
	} else {
		g.line("Stddev too high: %s", seconds(r.Stddev))
	}
	g.line("%s", verdict(r.Passed()))
}

func verdict(well bool) string {
	if well {
		return "PASS"
	}
	return "FAIL"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%fs", d.Seconds()) }

// perfJSON is the outcome for programs. Times are in seconds. etcdctl has no such format.
type perfJSON struct {
	Load       string         `json:"load"`
	Limit      int            `json:"limit"`
	Clients    int            `json:"clients"`
	Took       float64        `json:"took"`
	Writes     int            `json:"writes"`
	Throughput float64        `json:"throughput"`
	Slowest    float64        `json:"slowest"`
	Stddev     float64        `json:"stddev"`
	Errors     map[string]int `json:"errors,omitempty"`
	Pass       bool           `json:"pass"`
}
