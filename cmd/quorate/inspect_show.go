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

// table is names, and what is said of each.
type table [][]string

func (t *table) row(name, format string, args ...any) {
	*t = append(*t, []string{name, fmt.Sprintf(format, args...)})
}

// reportRows are names and what is known under them.
func reportRows(r *ops.Report) table {
	var t table
	t.row("directory", "%s", show.Printable(r.Directory))
	if s := r.Server; s != nil {
		t.row("server", "%s %s of cluster %s, token %s", show.Printable(s.Name), s.Server, s.Cluster, show.Printable(s.Token))
	}
	if i := r.Identity; i != nil {
		t.row("key", "%s (fingerprint %s)", i.Key, i.Fingerprint)
	}
	if r.Boot > 0 {
		t.row("boot", "%d", r.Boot)
	}
	if r.Log != nil {
		t = append(t, logRows(r.Log)...)
	}
	if r.State != nil {
		t = append(t, stateRows(r.State)...)
	}
	return t
}

func logRows(l *ops.LogPart) table {
	var t table
	t.row("log", "%s in %d files; %d frames, %d known to be durable; last written by boot %d",
		inBytes(l.Bytes), len(l.Segments), l.Frames, l.Synced, l.Boot)
	for i := range l.Segments {
		s := &l.Segments[i]
		switch {
		case s.Blank:
			t.row("  "+s.File, "%s, waiting for use", inBytes(s.Bytes))
		case s.LastFrame == 0:
			t.row("  "+s.File, "%s, no sound frame", inBytes(s.Bytes))
		default:
			t.row("  "+s.File, "%s, frames %d to %d, %d records, %s used", inBytes(s.Bytes), s.FirstFrame, s.LastFrame, s.Records, inBytes(s.Used))
		}
	}
	for i := range l.Groups {
		t = append(t, groupRows(&l.Groups[i])...)
	}
	return t
}

func groupRows(g *ops.GroupPart) table {
	var t table
	vote := "for nobody"
	if g.VotedFor != "" {
		vote = "for " + g.VotedFor
	}
	t.row(fmt.Sprintf("group %d", g.Group), "term %d, voted %s; committed up to %d at least", g.Term, vote, g.Commit)
	t.row("  begins after", "entry %d of term %d, hash %s", g.Base.Index, g.Base.Term, g.Base.Hash)
	if g.First > g.Last {
		t.row("  entries", "none")
	} else {
		t.row("  entries", "%d to %d, hash of the last %s", g.First, g.Last, g.LastHash)
	}
	if n := len(g.Terms); n > 0 {
		var terms []string
		for _, run := range g.Terms[max(0, n-shownTerms):] {
			terms = append(terms, fmt.Sprintf("%d (%d to %d)", run.Term, run.First, run.Last))
		}
		before := ""
		if n > shownTerms {
			before = fmt.Sprintf("%d others, ", n-shownTerms)
		}
		t.row("  terms", "%s%s", before, strings.Join(terms, ", "))
	}
	for i, m := range g.Configuration {
		name := ""
		if i == 0 {
			name = fmt.Sprintf("  members (%d)", g.ConfigurationIndex)
		}
		t.row(name, "%s %s, %s, %s", m.ID, show.Printable(m.Name), strings.Join(m.Roles, " and "), strings.Join(m.PeerURLs, " "))
	}
	if len(g.Kinds) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(g.Kinds)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", g.Kinds[kind], kind))
		}
		t.row("  kinds", "%s", strings.Join(kinds, ", "))
	}
	return t
}

// shownTerms is how many terms are shown in a table.
const shownTerms = 5

func stateRows(s *ops.StatePart) table {
	var t table
	t.row("state", "%s; entry %d is the last in it", inBytes(s.Bytes), s.Applied)
	if s.StagedBytes > 0 {
		t.row("  staged", "%s of a state that is being brought from another server", inBytes(s.StagedBytes))
	}
	t.row("  revision", "%d, %s", s.Revision, compacted(s.CompactRevision))
	t.row("  log time", "%v", time.Duration(s.LogTime))
	t.row("  digest", "%s", s.Digest)
	t.row("  leases", "%d", s.Leases)
	t.row("  sessions", "%d", s.Sessions)
	alarms := "none"
	if len(s.Alarms) > 0 {
		alarms = strings.Join(s.Alarms, ", ")
	}
	t.row("  alarms", "%s", alarms)
	if c := s.Census; c != nil {
		t.row("  keys", "%d, with %d versions (%d tombstones); %s of keys, %s of values", c.Keys, c.Versions, c.Tombstones, inBytes(c.KeyBytes), inBytes(c.ValueBytes))
	}
	if s.Hash != "" {
		t.row("  hash", "%s, of the keys alone %s", s.Hash, s.KVHash)
	}
	return t
}

// compacted says up to where history is gone; the revision is negative if it is all there.
func compacted(revision int64) string {
	if revision < 0 {
		return "never compacted"
	}
	return fmt.Sprintf("compacted at %d", revision)
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
