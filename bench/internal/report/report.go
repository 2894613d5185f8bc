package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// noisyCPUs is how much of the CPUs others may use before a run is called disturbed.
const noisyCPUs = 0.15

// Formats are the ways in which Write can write.
var Formats = [...]string{"table", "md", "json"}

// Machine says where the runs took place.
type Machine struct {
	CPU         string `json:"cpu"`
	CPUs        int    `json:"cpus"`
	MemoryBytes int64  `json:"memory_bytes"`
	Kernel      string `json:"kernel"`
	FileSystem  string `json:"file_system"` // of the data directories
	Go          string `json:"go"`          // that built the load generator and, by default, etcd
}

// Subject says which program a name in the tables stands for.
type Subject struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Command string `json:"command"` // its words and flags, without addresses and directories
}

// Report is a whole comparison.
type Report struct {
	Began    string    `json:"began"`  // RFC 3339
	Commit   string    `json:"commit"` // of the harness
	Command  string    `json:"command"`
	Machine  Machine   `json:"machine"`
	Subjects []Subject `json:"subjects"`
	Load     []string  `json:"load"` // what every run did, in sentences
	Rows     []Row     `json:"rows"`
	Ratios   []Ratio   `json:"ratios"`
	More     []More    `json:"more,omitempty"`
	Pools    []Pool    `json:"pools,omitempty"`
	Notes    []string  `json:"notes"`
	Runs     []Run     `json:"runs"`
}

// Conclude computes Rows, Ratios and Notes from Runs and Subjects. The last subject is the one that
// the others are compared with.
func (r *Report) Conclude() {
	r.Rows = Rows(r.Runs)
	if n := len(r.Subjects); n > 0 {
		r.Ratios = Ratios(r.Runs, r.Subjects[n-1].Name)
		r.More = Besides(r.Runs, r.Subjects[n-1].Name)
	}
	r.Pools = Pools(r.Runs)
	r.Notes = notes(r.Runs)
}

// Write writes the report in one of Formats.
func (r *Report) Write(w io.Writer, format string) error {
	switch format {
	case "table":
		return r.writeProse(w, (*table).writeText, "")
	case "md":
		return r.writeProse(w, (*table).writeMarkdown, "* ")
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	default:
		return fmt.Errorf("format %q is none of %v", format, Formats)
	}
}

// writeProse writes everything but the single runs. Lines outside tables begin with bullet.
func (r *Report) writeProse(w io.Writer, writeTable func(*table, io.Writer), bullet string) error {
	out := &firstError{w: w}
	line := func(format string, args ...any) { fmt.Fprintf(out, bullet+format+"\n", args...) }
	m := r.Machine
	line("began %s; harness at commit %s; %s", r.Began, r.Commit, r.Command)
	line("machine: %d CPUs (%s), %s MiB, Linux %s, data on %s, %s",
		m.CPUs, m.CPU, mebibytes(float64(m.MemoryBytes)), m.Kernel, m.FileSystem, m.Go)
	for _, s := range r.Subjects {
		line("%s: %s; started as: %s", s.Name, s.Version, s.Command)
	}
	for _, sentence := range r.Load {
		line("%s", sentence)
	}
	fmt.Fprintln(out)
	writeTable(rowTable(r.Rows), out)
	if len(r.Ratios) > 0 {
		fmt.Fprintln(out)
		writeTable(ratioTable(r.Ratios), out)
	}
	if len(r.More) > 0 {
		fmt.Fprintln(out)
		writeTable(moreTable(r.More, r.Subjects), out)
	}
	if len(r.Pools) > 0 {
		fmt.Fprintln(out)
		writeTable(poolTable(r.Pools), out)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(out)
	}
	for _, note := range r.Notes {
		line("%s", note)
	}
	return out.err
}

func rowTable(rows []Row) *table {
	t := &table{left: 4, head: []string{"scenario", "clients", "target", "subject", "runs", "ops/s", "spread",
		"p50", "p99", "leader", "followers", "servers", "client", "anon MiB", "file MiB", "steal", "other", "errors"}}
	for _, r := range rows {
		begin := []string{r.Scenario, fmt.Sprint(r.Clients), r.Target, r.Subject, runsOf(r)}
		figures := []string{"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}
		if r.Runs > 0 {
			figures = []string{thousands(r.OpsPerSecond), percent(r.Spread), micros(r.P50Micros), micros(r.P99Micros),
				cost(r.LeaderPer100k), cost(r.FollowersPer100k), cost(r.ServersPer100k), cost(r.ClientPer100k),
				mebibytes(r.AnonBytes), mebibytes(r.FileBytes), two(r.StealCPUs), two(r.OtherCPUs)}
		}
		t.add(append(append(begin, figures...), fmt.Sprint(r.Errors))...)
	}
	return t
}

func runsOf(r Row) string {
	if r.Failed > 0 {
		return fmt.Sprintf("%d of %d", r.Runs, r.Runs+r.Failed)
	}
	return fmt.Sprint(r.Runs)
}

func ratioTable(ratios []Ratio) *table {
	t := &table{left: 4, head: []string{"scenario", "clients", "target", "ratio", "rounds", "ops/s", "p50", "p99", "servers' CPU", "anon"}}
	for _, r := range ratios {
		t.add(r.Scenario, fmt.Sprint(r.Clients), r.Target, r.Subject+" / "+r.Base, fmt.Sprint(r.Rounds),
			r.OpsPerSecond.text(), r.P50.text(), r.P99.text(), r.ServersPer100k.text(), r.AnonBytes.text())
	}
	return t
}

// moreTable has a column for each subject and one for each but the base's quotient.
func moreTable(more []More, subjects []Subject) *table {
	t := &table{left: 4, head: []string{"scenario", "clients", "target", "besides"}}
	for i, s := range subjects {
		t.head = append(t.head, s.Name)
		if i < len(subjects)-1 {
			t.head = append(t.head, s.Name+" / "+subjects[len(subjects)-1].Name)
		}
	}
	for _, m := range more {
		cells := []string{m.Scenario, fmt.Sprint(m.Clients), m.Target, m.Name}
		for i, s := range subjects {
			b := m.of(s.Name)
			cells = append(cells, b.text())
			if i < len(subjects)-1 {
				cells = append(cells, b.ratioText())
			}
		}
		t.add(cells...)
	}
	return t
}

// notes says what a reader of the tables must know before believing them.
func notes(runs []Run) []string {
	var notes []string
	var disturbed, moved int
	for _, run := range runs {
		if run.StealCPUs+run.OtherCPUs > noisyCPUs {
			disturbed++
		}
		if run.LeaderMoved {
			moved++
		}
	}
	if disturbed > 0 {
		notes = append(notes, fmt.Sprintf("In %d of %d runs steal and other use took more than %.2f CPUs: read their rates as lower bounds.",
			disturbed, len(runs), noisyCPUs))
	}
	if moved > 0 {
		notes = append(notes, fmt.Sprintf("In %d of %d runs the leader changed: their leader and follower columns are mixed up.",
			moved, len(runs)))
	}
	for _, run := range runs {
		where := fmt.Sprintf("%s, %d clients, %s, round %d", run.Scenario, run.Clients, run.Subject, run.Round)
		if run.Skipped != "" {
			notes = append(notes, "SKIPPED "+where+": "+run.Skipped)
		} else if run.Failure != "" {
			notes = append(notes, "FAILED "+where+": "+strings.ReplaceAll(run.Failure, "\n", "\n    "))
		} else if run.Errors > 0 {
			notes = append(notes, fmt.Sprintf("%s: %d errors, one of them: %s", where, run.Errors, run.ErrorExample))
		}
	}
	return notes
}

// firstError lets many writes be followed by one look at the error.
type firstError struct {
	w   io.Writer
	err error
}

func (f *firstError) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.w.Write(b)
	f.err = err
	return n, err
}
