package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/ops"
)

// inspectFlags are the flags of inspect.
type inspectFlags struct {
	verify, values bool
	log            string
	group          uint64
	output         outputFlags
}

func inspectCommand(w *world) *cobra.Command {
	f := new(inspectFlags)
	cmd := &cobra.Command{
		Use:     "inspect DIR",
		GroupID: groupServers,
		Short:   "Show what is in a data directory, verify it, and change nothing",
		Long: `Shows what is in the data directory of a server that does not run: which server of which cluster it is, its
log (files, terms, first and last entry, what is committed, who votes, what a crash has left unfinished), and
its state (how far it is, revisions, leases, sessions, alarms, sizes). Not one byte is changed. While it
looks, no server starts there; if one runs, it is refused: inspect a copy then.

The log is read as a start would, so that damage is found: each checksum, and that each entry follows from
the one before. --verify reads the state as well, and compares all that is stored twice.

--log FIRST:LAST prints entries: index, term, kind, time, size, hash, and what was asked for. Values are
shown with --values only. Times are those of the log: since the first leader of the group, not of a day.

Exit status: 0 if nothing is wrong, 1 if something is, or if nothing could be looked at, 2 if the command
line is wrong. What is wrong is printed with where it is and what to do.`,
		Example: `  quorate inspect /var/lib/quorate
  quorate inspect --verify /var/lib/quorate
  quorate inspect --log 100:120 /var/lib/quorate
  quorate inspect --log 100: --values --output json /var/lib/quorate | jq .text
  quorate inspect --verify --output json /var/lib/quorate | jq .problems`,
		Args:              oneDirectory,
		ValidArgsFunction: completeDirectory,
		RunE: func(cmd *cobra.Command, words []string) error {
			return f.run(w, words[0])
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.verify, "verify", false, "read everything, and compare all that is stored twice")
	flags.StringVar(&f.log, "log", "", "FIRST:LAST: print these entries of the log instead; either may be left out")
	flags.BoolVar(&f.values, "values", false, "with --log, show values too")
	flags.Uint64Var(&f.group, "group", 1, "with --log, whose log")
	f.output.add(cmd)
	cmd.SetFlagErrorFunc(explainFlag(nil))
	return cmd
}

func oneDirectory(cmd *cobra.Command, words []string) error {
	if len(words) != 1 || words[0] == "" {
		return usage("%s takes a data directory", cmd.Name())
	}
	return nil
}

func completeDirectory(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func (f *inspectFlags) run(w *world, path string) error {
	format, err := f.output.format(show.Table)
	if err != nil {
		return err
	}
	first, last, err := parseEntries(f.log)
	switch {
	case err != nil:
		return &failure{exitUsage, err}
	case f.log == "" && f.values:
		return usage("--values is about entries: say which with --log")
	case f.log != "" && f.verify:
		return usage("--log prints entries, and --verify reports on everything: one at a time")
	}
	longRun := newLongRun(w.err)
	d, err := ops.Open(path, ops.Options{Verify: f.verify, Progress: longRun.tell})
	longRun.end()
	if err != nil {
		return failed(err)
	}
	if f.log != "" {
		return failed(errors.Join(f.entries(w, format, d, first, last), d.Close()))
	}
	report, err := d.Report()
	longRun.end()
	if err := errors.Join(err, d.Close()); err != nil {
		return failed(err)
	}
	if err := printReport(w.out, format, report); err != nil {
		return failed(err)
	}
	if len(report.Problems) > 0 {
		return &failure{exitFailed, nil} // They have been printed.
	}
	return nil
}

// parseEntries reads FIRST:LAST.
func parseEntries(text string) (first, last uint64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, to, isRange := strings.Cut(text, ":")
	if !isRange {
		to = from
	}
	first, last = 1, math.MaxInt64
	if from != "" {
		first, err = strconv.ParseUint(from, 10, 63)
	}
	if to != "" && err == nil {
		last, err = strconv.ParseUint(to, 10, 63)
	}
	if err != nil || first > last {
		return 0, 0, fmt.Errorf("--log %s: want FIRST:LAST, as in 100:120, or 100: or :120", text)
	}
	return first, last, nil
}

// entries prints entries as they come: there may be many.
func (f *inspectFlags) entries(w *world, format show.Format, d *ops.Directory, first, last uint64) error {
	printed := 0
	encoder := json.NewEncoder(w.out)
	if format == show.Table {
		fmt.Fprintf(w.out, "%10s %6s %-14s %15s %9s %-16s %s\n", "INDEX", "TERM", "KIND", "TIME", "BYTES", "HASH", "WHAT")
	}
	err := d.Entries(quorate.GroupID(f.group), first, last, f.values, func(e *ops.Entry) error {
		printed++
		if format == show.JSON {
			return encoder.Encode(e)
		}
		kind, text := e.Kind, e.Text
		if e.Kind == "command" {
			kind = e.Command
		}
		if e.Session != "" {
			text += " (session " + e.Session + ")"
		}
		if e.Wrong != "" {
			text = "CANNOT BE READ: " + e.Wrong
		}
		if text != "" {
			text = show.Printable(text)
		}
		layout := "%10d %6d %-14s %15s %9d %.16s %s\n"
		if format == show.Simple {
			layout = "%d, %d, %s, %s, %d, %s, %s\n"
		}
		_, err := fmt.Fprintf(w.out, layout, e.Index, e.Term, kind, time.Duration(e.LogTime), e.Bytes, e.Hash, text)
		return err
	})
	if err == nil && printed == 0 {
		return fmt.Errorf("the log of group %d has no such entries: without --log, inspect says which it has", f.group)
	}
	return err
}
