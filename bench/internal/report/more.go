package report

import "slices"

// More is one figure of a load that only some scenarios have, for all subjects.
type More struct {
	Scenario string   `json:"scenario"`
	Clients  int      `json:"clients"`
	Target   string   `json:"target"`
	Name     string   `json:"name"`
	Subjects []Beside `json:"subjects"` // those that have it
}

// Beside is what one subject has, and what that is divided by the base's in the same round.
type Beside struct {
	Subject string   `json:"subject"`
	Value   Interval `json:"value"`
	Rounds  int      `json:"rounds"` // in which the base has it, too; 0 for the base itself
	Ratio   Interval `json:"ratio"`
}

// Besides returns the figures that are not in every run, in the order of the first runs that have them.
func Besides(runs []Run, base string) []More {
	var all []More
	for i := range runs {
		for _, f := range runs[i].More {
			c := runs[i].Case
			known := slices.ContainsFunc(all, func(m More) bool {
				return m.Scenario == c.Scenario && m.Clients == c.Clients && m.Target == c.Target && m.Name == f.Name
			})
			if !known && runs[i].usable() {
				m := More{Scenario: c.Scenario, Clients: c.Clients, Target: c.Target, Name: f.Name}
				m.Subjects = m.subjects(runs, base)
				all = append(all, m)
			}
		}
	}
	return all
}

// subjects returns what each subject has of the figure, in the order of the runs.
func (m *More) subjects(runs []Run, base string) []Beside {
	var all []Beside
	for i := range runs {
		known := slices.ContainsFunc(all, func(b Beside) bool { return b.Subject == runs[i].Subject })
		if _, found := runs[i].figure(m, runs[i].Subject); found && !known {
			all = append(all, m.beside(runs, runs[i].Subject, base))
		}
	}
	return all
}

func (m *More) beside(runs []Run, subject, base string) Beside {
	b := Beside{Subject: subject}
	var values, quotients []float64
	for i := range runs {
		value, found := runs[i].figure(m, subject)
		if !found {
			continue
		}
		values = append(values, value)
		for j := range runs {
			divisor, found := runs[j].figure(m, base)
			if found && subject != base && runs[j].Round == runs[i].Round {
				quotients = append(quotients, quotient(value, divisor))
			}
		}
	}
	b.Value, b.Rounds = intervalOf(values), len(quotients)
	if b.Rounds > 0 {
		b.Ratio = intervalOf(quotients)
	}
	return b
}

// figure returns what the run has of a figure, if it is of that load and subject.
func (r *Run) figure(m *More, subject string) (float64, bool) {
	c := Case{Scenario: m.Scenario, Clients: m.Clients, Target: m.Target, Subject: subject}
	if r.Case != c || !r.usable() {
		return 0, false
	}
	i := slices.IndexFunc(r.More, func(f Figure) bool { return f.Name == m.Name })
	if i < 0 {
		return 0, false
	}
	return r.More[i].Value, true
}

func intervalOf(values []float64) Interval {
	return Interval{Median: Median(values), Low: slices.Min(values), High: slices.Max(values)}
}
