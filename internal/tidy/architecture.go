package tidy

import (
	"fmt"
	"strings"
)

// The table of layers in ARCHITECTURE.md stands between these two lines.
const (
	tableBegins = "<!-- layers: internal/tidy compares this table with its own -->"
	tableEnds   = "<!-- end of layers -->"
)

// Architecture checks that ARCHITECTURE.md shows the very table that Layers applies.
func Architecture(t *Tree) []Finding { return checkArchitecture(t, layers) }

func checkArchitecture(t *Tree, table []layer) []Finding {
	const file = "ARCHITECTURE.md"
	_, after, found := strings.Cut(t.Texts[file], tableBegins+"\n")
	shown, _, closed := strings.Cut(after, tableEnds)
	if !found || !closed {
		return []Finding{{file, "has no table of layers between its two markers"}}
	}
	var got []string
	for i, line := range strings.Split(strings.TrimSpace(shown), "\n") {
		if i >= 2 { // below the head and its rule
			got = append(got, withoutPurpose(line))
		}
	}
	var findings []Finding
	for i := range max(len(got), len(table)) {
		switch {
		case i >= len(got):
			findings = append(findings, Finding{file, fmt.Sprintf("the table of layers lacks the line %q", table[i].line())})
		case i >= len(table):
			findings = append(findings, Finding{file, fmt.Sprintf("the table of layers has a line too many: %q", got[i])})
		case got[i] != table[i].line():
			findings = append(findings, Finding{file, fmt.Sprintf("line %d of the table of layers says %q, internal/tidy/layers.go %q", i+1, got[i], table[i].line())})
		}
	}
	return findings
}

// line writes a layer as the table shows it, without the column that says what the package is for.
func (l layer) line() string {
	cells := []string{
		fmt.Sprint(l.row), code([]string{l.dir}), l.kind, code(l.beside), code(l.never), code(l.modules), code(l.tests),
	}
	return strings.Join(cells, " | ")
}

// withoutPurpose reads a line of the table, whose third column is prose.
func withoutPurpose(line string) string {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	if len(cells) > 2 {
		cells = append(cells[:2:2], cells[3:]...)
	}
	return strings.Join(cells, " | ")
}

// code quotes names as Markdown does.
func code(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		if name == "." {
			name = "quorate" // the root package by its name
		}
		quoted[i] = "`" + name + "`"
	}
	return strings.Join(quoted, ", ")
}
