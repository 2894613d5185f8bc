package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// Format is a way to print an answer.
type Format string

// The formats that exist.
const (
	Simple Format = "simple"
	JSON   Format = "json"
	Table  Format = "table"
)

// ParseFormat reads the name of a format. etcdctl's fields and protobuf are refused by name.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case Simple, JSON, Table:
		return f, nil
	case "fields", "protobuf":
		return "", fmt.Errorf("output format %s of etcdctl is not supported yet: want simple, json or table", name)
	}
	return "", fmt.Errorf("there is no output format %q: want simple, json or table", name)
}

// Printer prints answers to Out. Every method writes once.
type Printer struct {
	Out    io.Writer
	Format Format
	// Hex prints the bytes of keys and values as \x66\x6f\x6f in formats other than JSON.
	Hex bool
	// ValueOnly leaves out keys in the format Simple.
	ValueOnly bool
}

// page collects an answer before it is written.
type page struct {
	*Printer
	bytes.Buffer
}

func (p *Printer) page() *page { return &page{Printer: p} }

func (g *page) line(format string, args ...any) { fmt.Fprintf(&g.Buffer, format+"\n", args...) }

func (g *page) flush() error {
	_, err := g.Out.Write(g.Bytes())
	return err
}

// json prints v as encoding/json does, which for the messages of etcd's API is what etcdctl prints.
func (p *Printer) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print as JSON: %w", err)
	}
	_, err = p.Out.Write(append(b, '\n'))
	return err
}

func (g *page) table(rows [][]string) { g.WriteString(Columns(rows)) }

// Columns puts rows into aligned columns, a line for each row, with no blanks at its end.
func Columns(rows [][]string) string {
	var text strings.Builder
	aligned := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(aligned, strings.Join(row, "\t")) // into memory, which does not fail
	}
	_ = aligned.Flush()
	var lines strings.Builder
	for line := range strings.Lines(text.String()) {
		lines.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return lines.String()
}

// raw returns bytes of a user as they are, or in hexadecimal.
func (g *page) raw(b []byte) string {
	if !g.Hex {
		return string(b)
	}
	var text strings.Builder
	for _, c := range b {
		fmt.Fprintf(&text, `\x%02x`, c)
	}
	return text.String()
}

// cell returns bytes of a user for a table, which nothing in them can break.
func (g *page) cell(b []byte) string {
	if g.Hex {
		return g.raw(b)
	}
	return Printable(string(b))
}

// Printable returns text as it is if a terminal shows it in one line, and in double quotes with
// escapes if not.
func Printable(text string) string {
	visible := func(r rune) bool { return unicode.IsPrint(r) }
	if text == "" || !utf8.ValidString(text) || strings.TrimFunc(text, visible) != "" || text != strings.TrimSpace(text) {
		return strconv.Quote(text)
	}
	return text
}

// size prints a number of bytes with two digits or so: "20 kB", "2.1 GB".
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if unit > 0 && value < 9.95 {
		return fmt.Sprintf("%.1f %s", value, units[unit])
	}
	return fmt.Sprintf("%.0f %s", value, units[unit])
}
