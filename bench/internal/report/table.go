package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is rows of cells under a head. The first `left` columns are words, the others are figures.
type table struct {
	left int
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// writeText writes the table with columns aligned: words to the left, figures to the right.
func (t *table) writeText(w io.Writer) {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			padding := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i < t.left {
				line.WriteString(cell + padding + "  ")
			} else {
				line.WriteString(padding + cell + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// writeMarkdown writes the table as GitHub's dialect of Markdown has it.
func (t *table) writeMarkdown(w io.Writer) {
	line := func(cells []string) { fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |") }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
		if i >= t.left {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
}

// micros writes a duration with about three digits: 819 us, 2.95 ms, 12.3 s.
func micros(us float64) string {
	switch {
	case us < 999.5:
		return fmt.Sprintf("%.0f us", us)
	case us < 9_995:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us < 999_500:
		return fmt.Sprintf("%.1f ms", us/1e3)
	default:
		return fmt.Sprintf("%.2f s", us/1e6)
	}
}

// thousands writes a number without decimals and with a comma every three digits.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short writes a number with three digits, or all those before the point.
func short(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return thousands(v)
	case v >= 10 || v <= -10:
		return one(v)
	default:
		return two(v)
	}
}

// of returns what a subject has of a figure; without a name if it has none.
func (m *More) of(subject string) Beside {
	for _, b := range m.Subjects {
		if b.Subject == subject {
			return b
		}
	}
	return Beside{}
}

func (b *Beside) text() string {
	if b.Subject == "" {
		return "-"
	}
	return short(b.Value.Median)
}

func (b *Beside) ratioText() string {
	if b.Rounds == 0 {
		return "-"
	}
	return b.Ratio.text()
}

// cost writes CPU seconds. None at all means that they were not measured.
func cost(v float64) string {
	if v == 0 {
		return "-"
	}
	return one(v)
}

// text writes the median and the range around it: 1.02 (0.95-1.10). Nothing can be said of zeros.
func (i Interval) text() string {
	if i == (Interval{}) {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", i.Median, i.Low, i.High)
}

func mebibytes(bytes float64) string { return fmt.Sprintf("%.0f", bytes/(1<<20)) }
func percent(v float64) string       { return fmt.Sprintf("%.0f%%", v*100) }
func one(v float64) string           { return fmt.Sprintf("%.1f", v) }
func two(v float64) string           { return fmt.Sprintf("%.2f", v) }
