package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// explainFlag returns what explains a flag that a command does not have. foreign are the flags of the
// program whose flags the command follows, which are something else than a slip of the finger.
func explainFlag(foreign *foreignFlags) func(*cobra.Command, error) error {
	return func(cmd *cobra.Command, err error) error {
		var missing interface {
			GetSpecifiedName() string
			GetSpecifiedShortnames() string
		}
		if !errors.As(err, &missing) || !strings.HasPrefix(err.Error(), "unknown") {
			return usage("%v", err)
		}
		name := missing.GetSpecifiedName()
		if word := missing.GetSpecifiedShortnames(); len(word) > 1 { // -name for --name
			name, _, _ = strings.Cut(word, "=")
			return usage("flags have two dashes: --%s", name)
		}
		if foreign.has(name) {
			return usage("--%s is a flag of %s that is not supported yet", name, foreign.program)
		}
		if near := nearest(name, flagNames(cmd)); near != "" {
			return usage("there is no flag --%s; did you mean --%s?", name, near)
		}
		return usage("there is no flag --%s", name)
	}
}

// foreignFlags are flags of another program which the command that follows it does not have yet.
type foreignFlags struct {
	program string
	names   []string
}

func (f *foreignFlags) has(name string) bool { return f != nil && slices.Contains(f.names, name) }

var flagInUsage = regexp.MustCompile(`(?m)^ +(?:-\w, +)?--([a-z0-9-]+)`)

// flagNames lists the flags of a command that its help shows.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	for _, match := range flagInUsage.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
		if match[1] != "help" && match[1] != "version" {
			names = append(names, match[1])
		}
	}
	return names
}

// variables is how flags may be given in the environment: as PREFIX_FLAG_NAME. Flags beat variables,
// an earlier prefix beats a later one, and an empty variable is none, as in etcd.
type variables struct {
	prefixes []string
	flags    []string // which may be given so
	foreign  *foreignFlags
	others   []string // names behind the prefixes that mean something elsewhere
}

// apply gives the flags that were not typed the values of their variables. A variable for a foreign
// flag is refused as the flag is, for what it asks for (TLS, say) would not be done. unknown are
// variables that mean nothing.
func (v variables) apply(cmd *cobra.Command, environ []string) (unknown []string, err error) {
	var wrong []error
	for _, prefix := range v.prefixes {
		for _, entry := range environ {
			variable, value, _ := strings.Cut(entry, "=")
			upper, ours := strings.CutPrefix(variable, prefix)
			if !ours || value == "" {
				continue
			}
			name := strings.ReplaceAll(strings.ToLower(upper), "_", "-")
			switch {
			case slices.Contains(v.flags, name):
				if cmd.Flags().Changed(name) {
					continue
				}
				if err := cmd.Flags().Set(name, value); err != nil {
					wrong = append(wrong, fmt.Errorf("variable %s: %w", variable, err))
				}
			case v.foreign.has(name):
				wrong = append(wrong, fmt.Errorf("variable %s: --%s is a flag of %s that is not supported yet", variable, name, v.foreign.program))
			case !slices.Contains(v.others, name):
				unknown = append(unknown, variable)
			}
		}
	}
	if len(wrong) > 0 {
		return nil, &failure{exitUsage, errors.Join(wrong...)}
	}
	return unknown, nil
}

// nearest returns the name that is a slip or two away from what was typed, or "".
func nearest(typed string, names []string) string {
	best, bestDistance := "", len(typed)/4+2
	for _, name := range names {
		if d := editDistance(typed, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// editDistance is Levenshtein's: how many letters to insert, remove or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// family adds commands that go by the name of another, as in member list. By itself that does nothing,
// but to say which there are.
func family(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	name, _, _ := strings.Cut(cmd.Use, " ")
	there := make([]string, len(commands))
	for i, c := range commands {
		there[i] = name + " " + c.Name()
	}
	cmd.RunE = func(_ *cobra.Command, words []string) error {
		list := strings.Join(there, ", ")
		if len(words) > 0 {
			return usage("%s %s is not supported yet: there is only %s", name, words[0], list)
		}
		return usage("%s alone does nothing. There is %s", name, list)
	}
	cmd.AddCommand(commands...)
	return cmd
}
