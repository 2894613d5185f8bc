package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/scenario"
)

func labCommand(w *world) *cobra.Command {
	var output outputFlags
	list, step := false, false
	cmd := &cobra.Command{
		Use:     "lab NAME",
		GroupID: groupProof,
		Short:   "Play a scenario on the code of Raft, and see who did what and why",
		Long: `Plays a scenario: a script of elections, cut cables, crashes, bad disks and clients, on the very code that
ships, with simulated disks and links. It tells what each command is for, and then everything that it brought about:

  1: ...        what server 1 did, and why
  1 -> 2: ...   what server 1 sends to server 2

Entries are written index:command/term. After every step all invariants of the algorithm are checked. The
exit status is 0 if everything happened as the script says, and 1 if not: then a diff shows what.`,
		Example: `  quorate lab --list                # the scenarios, and the claims that each shows
  quorate lab figure-8              # play one
  quorate lab figure-8 --step       # wait for Enter between commands
  quorate lab one-put --output json # a line of JSON for each command`,
		ValidArgsFunction: func(_ *cobra.Command, words []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(words) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return labCompletions(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, words []string) error {
			if list {
				if len(words) > 0 || step {
					return usage("--list lists all scenarios, and plays none")
				}
				format, err := output.format(show.Table)
				if err != nil {
					return err
				}
				return failed(listScenarios(w, format))
			}
			format, err := output.format(show.Simple)
			if err != nil {
				return err
			}
			s, err := findScenario(words)
			if err != nil {
				return err
			}
			if format == show.JSON {
				return playJSON(w, s)
			}
			p := labPlayer{out: w.out, colours: w.outTerminal}
			if step && w.inTerminal {
				p.wait = bufio.NewScanner(w.in).Scan
			}
			return p.play(s)
		},
	}
	output.add(cmd)
	cmd.Flags().BoolVar(&list, "list", false, "list all scenarios")
	cmd.Flags().BoolVar(&step, "step", false, "in a terminal, wait for Enter between commands; Ctrl-D stops")
	return cmd
}

// findScenario returns the one that the words name.
func findScenario(words []string) (*scenario.Scenario, error) {
	switch len(words) {
	case 0:
		return nil, usage(`which scenario? "quorate lab --list" lists them`)
	case 1:
	default:
		return nil, usage("lab plays one scenario, not %q", words)
	}
	if s, found := scenario.Find(words[0]); found {
		return s, nil
	}
	var names []string
	for _, s := range scenario.List() {
		names = append(names, s.Name)
	}
	if near := nearest(words[0], names); near != "" {
		return nil, usage(`there is no scenario %s; did you mean %s? "quorate lab --list" lists them`, words[0], near)
	}
	return nil, usage(`there is no scenario %s; "quorate lab --list" lists them`, words[0])
}

// labCompletions offers each name with its title beside it.
func labCompletions() []string {
	var offered []string
	for _, s := range scenario.List() {
		offered = append(offered, s.Name+"\t"+s.Title)
	}
	return offered
}

func listScenarios(w *world, format show.Format) error {
	if format == show.JSON {
		type row struct {
			Name         string   `json:"name"`
			Claims       []string `json:"claims"`
			Title        string   `json:"title"`
			Introduction string   `json:"introduction"`
		}
		var rows []row
		for _, s := range scenario.List() {
			rows = append(rows, row{s.Name, s.Claims, s.Title, s.Introduction})
		}
		return json.NewEncoder(w.out).Encode(rows)
	}
	var rows [][]string
	if format == show.Table {
		rows = append(rows, []string{"SCENARIO", "CLAIMS", "WHAT IT SHOWS"})
	}
	for _, s := range scenario.List() {
		rows = append(rows, []string{s.Name, strings.Join(s.Claims, ", "), s.Title})
	}
	_, err := fmt.Fprint(w.out, show.Columns(rows))
	return err
}
