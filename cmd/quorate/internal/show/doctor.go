package show

import (
	"strings"

	"github.com/quorate/quorate/doctor"
)

// Diagnosis prints what is wrong, the worst first, and what to do about it.
func (p *Printer) Diagnosis(d *doctor.Diagnosis) error {
	g := p.page()
	switch p.Format {
	case JSON:
		return p.json(d)
	case Simple: // a line for each finding: how bad, code, about whom, text
		for i := range d.Findings {
			f := &d.Findings[i]
			g.line("%s, %s, %s, %s", Printable(string(f.Severity)), Printable(string(f.Code)), orDash(f.About), Printable(f.Text))
		}
	default:
		g.line("%s", Printable(d.Verdict))
		for i := range d.Findings {
			g.finding(&d.Findings[i])
		}
		before := "\n"
		for i := range d.Answers {
			if r := d.Answers[i].Report; r != nil && r.Timeouts != nil && len(r.Peers) > 0 {
				g.line("%s%s %s.", before, Printable(r.Name), Printable(r.Timeouts.String()))
				before = ""
			}
		}
		if len(d.NotAsked) > 0 {
			g.line("\nNot asked: %s. --cluster asks all servers that are known.", Printable(strings.Join(d.NotAsked, ", ")))
		}
	}
	return g.flush()
}

// finding prints a paragraph.
func (g *page) finding(f *doctor.Finding) {
	g.line("\n%s %s: %s", strings.ToUpper(Printable(string(f.Severity))), Printable(string(f.Code)), Printable(f.Text))
	if len(f.SaidBy) > 1 || len(f.SaidBy) == 1 && f.SaidBy[0] != f.About {
		g.line("  Said by: %s", Printable(strings.Join(f.SaidBy, ", ")))
	}
	if f.Todo != "" {
		g.line("  To do:   %s", Printable(f.Todo))
	}
}
