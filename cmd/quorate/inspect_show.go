package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/ops"
)

// printReport prints what is in a data directory.
func printReport(out io.Writer, format show.Format, r *ops.Report) error {
	var b bytes.Buffer
	switch format {
	case show.JSON:
		encoder := json.NewEncoder(&b)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return err
		}
	case show.Simple: // a line for each problem
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "%s: %s\n", show.Printable(p.Where), show.Printable(p.What))
		}
	default:
		b.WriteString(show.Columns(reportRows(r)))
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "\nNote: %s.\n", show.Printable(n))
		}
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "\nWRONG %s: %s\n  To do: %s\n", show.Printable(p.Where), show.Printable(p.What), show.Printable(p.Do))
		}
		fmt.Fprintf(&b, "\n%s\n", verdict(r))
	}
	_, err := out.Write(b.Bytes())
	return err
}

func verdict(r *ops.Report) string {
	switch n := len(r.Problems); {
	case n == 1:
		return "One thing is wrong."
	case n > 1:
		return fmt.Sprintf("%d things are wrong.", n)
	case r.Verified:
		return "Everything was read, and nothing is wrong."
	}
	return "The log was read, and nothing is wrong. --verify reads the state as well."
}

// reportRows are names and what is known under them.
func reportRows(r *ops.Report) [][]string {
	var rows [][]string
	row := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	row("directory", "%s", show.Printable(r.Directory))
	if s := r.Server; s != nil {
		row("server", "%s %s of cluster %s, token %s", show.Printable(s.Name), s.Server, s.Cluster, show.Printable(s.Token))
	}
	if i := r.Identity; i != nil {
		row("key", "%s (fingerprint %s)", i.Key, i.Fingerprint)
	}
	if r.Boot > 0 {
		row("boot", "%d", r.Boot)
	}
	if r.Log != nil {
		rows = append(rows, logRows(r.Log)...)
	}
	if r.State != nil {
		rows = append(rows, stateRows(r.State)...)
	}
	return rows
}

func logRows(l *ops.LogPart) [][]string {
	var rows [][]string
	row := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	row("log", "%s in %d files; %d frames, %d known to be durable; last written by boot %d",
		inBytes(l.Bytes), len(l.Segments), l.Frames, l.Synced, l.Boot)
	for i := range l.Segments {
		s := &l.Segments[i]
		switch {
		case s.Blank:
			row("  "+s.File, "%s, waiting for use", inBytes(s.Bytes))
		case s.LastFrame == 0:
			row("  "+s.File, "%s, no sound frame", inBytes(s.Bytes))
		default:
			row("  "+s.File, "%s, frames %d to %d, %d records, %s used", inBytes(s.Bytes), s.FirstFrame, s.LastFrame, s.Records, inBytes(s.Used))
		}
	}
	for i := range l.Groups {
		rows = append(rows, groupRows(&l.Groups[i])...)
	}
	return rows
}

func groupRows(g *ops.GroupPart) [][]string {
	var rows [][]string
	row := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	vote := "for nobody"
	if g.VotedFor != "" {
		vote = "for " + g.VotedFor
	}
	row(fmt.Sprintf("group %d", g.Group), "term %d, voted %s; committed up to %d at least", g.Term, vote, g.Commit)
	row("  begins after", "entry %d of term %d, hash %s", g.Base.Index, g.Base.Term, g.Base.Hash)
	if g.First > g.Last {
		row("  entries", "none")
	} else {
		row("  entries", "%d to %d, hash of the last %s", g.First, g.Last, g.LastHash)
	}
	if n := len(g.Terms); n > 0 {
		var terms []string
		for _, t := range g.Terms[max(0, n-shownTerms):] {
			terms = append(terms, fmt.Sprintf("%d (%d to %d)", t.Term, t.First, t.Last))
		}
		before := ""
		if n > shownTerms {
			before = fmt.Sprintf("%d others, ", n-shownTerms)
		}
		row("  terms", "%s%s", before, strings.Join(terms, ", "))
	}
	for i, m := range g.Configuration {
		name := ""
		if i == 0 {
			name = fmt.Sprintf("  members (%d)", g.ConfigurationIndex)
		}
		row(name, "%s %s, %s, %s", m.ID, show.Printable(m.Name), strings.Join(m.Roles, " and "), strings.Join(m.PeerURLs, " "))
	}
	if len(g.Kinds) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(g.Kinds)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", g.Kinds[kind], kind))
		}
		row("  kinds", "%s", strings.Join(kinds, ", "))
	}
	return rows
}

// shownTerms is how many terms are shown in a table.
const shownTerms = 5

func stateRows(s *ops.StatePart) [][]string {
	var rows [][]string
	row := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	compacted := "never compacted"
	if s.CompactRevision >= 0 {
		compacted = fmt.Sprintf("compacted at %d", s.CompactRevision)
	}
	row("state", "%s; entry %d is the last in it", inBytes(s.Bytes), s.Applied)
	if s.StagedBytes > 0 {
		row("  staged", "%s of a state that is being brought from another server", inBytes(s.StagedBytes))
	}
	row("  revision", "%d, %s", s.Revision, compacted)
	row("  log time", "%v", time.Duration(s.LogTime))
	row("  digest", "%s", s.Digest)
	row("  leases", "%d", s.Leases)
	row("  sessions", "%d", s.Sessions)
	alarms := "none"
	if len(s.Alarms) > 0 {
		alarms = strings.Join(s.Alarms, ", ")
	}
	row("  alarms", "%s", alarms)
	if c := s.Census; c != nil {
		row("  keys", "%d, with %d versions (%d tombstones); %s of keys, %s of values", c.Keys, c.Versions, c.Tombstones, inBytes(c.KeyBytes), inBytes(c.ValueBytes))
	}
	if s.Hash != "" {
		row("  hash", "%s, of the keys alone %s", s.Hash, s.KVHash)
	}
	return rows
}

// inBytes prints a number of bytes so that it can be taken in.
func inBytes(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 10<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
