package scenario

import (
	"cmp"
	"embed"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/internal/invariant"
	"github.com/quorate/quorate/internal/script"
)

//go:embed scripts/*.txt
var files embed.FS

// Scenario is one story of the catalogue.
type Scenario struct {
	// Name is how it is called for: that of its file.
	Name string
	// Title says in a line what it is about.
	Title string
	// Claims are the ids of the claims that it shows, such as A8.
	Claims []string
	// Introduction is what to know before it begins; an empty line parts paragraphs.
	Introduction string

	script *script.Script
}

// Moment is one command of a scenario, carried out.
type Moment struct {
	// Comment is the prose above the command; "" if there is none. An empty line parts paragraphs.
	Comment string
	// Command is the command as the script has it.
	Command string
	// Happened has a line for each thing that the command brought about: who, what and why.
	Happened []string
	// Expected is what the script says should have happened.
	Expected []string
	// Line is where the command stands in the script, from 1.
	Line int
}

// AsExpected reports whether that happened which the script says.
func (m *Moment) AsExpected() bool { return slices.Equal(m.Happened, m.Expected) }

// List returns all scenarios, in the order of the claims that they show.
func List() []*Scenario {
	entries, err := files.ReadDir("scripts")
	invariant.Check(err == nil, "the catalogue is not in the program: %v", err)
	var all []*Scenario
	for _, entry := range entries {
		name, _ := strings.CutSuffix(entry.Name(), ".txt")
		source, err := files.ReadFile("scripts/" + entry.Name())
		invariant.Check(err == nil, "scenario %s: %v", name, err)
		s, err := Parse(name, string(source))
		invariant.Check(err == nil, "scenario %s: %v", name, err)
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(x, y *Scenario) int {
		return slices.CompareFunc(x.Claims, y.Claims, compareClaims)
	})
	return all
}

// compareClaims orders A2 before A10, and that before B1.
func compareClaims(x, y string) int {
	return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(number(x), number(y)))
}

// number returns the number in the id of a claim, and 0 if there is none.
func number(claim string) int {
	n, err := strconv.Atoi(claim[1:])
	if err != nil {
		return 0
	}
	return n
}

// Find returns the scenario of that name; false if there is none.
func Find(name string) (*Scenario, bool) {
	all := List()
	i := slices.IndexFunc(all, func(s *Scenario) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

// Parse reads a scenario from the text of its file. The error names the line, or what is missing.
func Parse(name, source string) (*Scenario, error) {
	parsed, err := script.Parse(name, source)
	if err != nil {
		return nil, err
	}
	s := &Scenario{Name: name, script: parsed}
	header, introduction, _ := strings.Cut(parsed.Head(), "\n\n")
	s.Introduction = introduction
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "title":
			s.Title = value
		case "claims":
			s.Claims = strings.Split(value, ", ")
		default:
			return nil, fmt.Errorf("%s: the first lines are title: and claims:, not %q", name, line)
		}
	}
	if s.Title == "" || len(s.Claims) == 0 || s.Introduction == "" {
		return nil, fmt.Errorf("%s: a scenario begins with # title:, # claims: and an introduction, and then an empty line", name)
	}
	for _, claim := range s.Claims {
		if claim == "" || number(claim) == 0 {
			return nil, fmt.Errorf("%s: %q is not the id of a claim, such as A8", name, claim)
		}
	}
	return s, nil
}

// Play plays the scenario from its beginning and yields each command after it was carried out. It goes
// on after a difference. An error is the last thing that it yields: the command made no sense, or
// broke an invariant.
func (s *Scenario) Play() iter.Seq2[Moment, error] {
	return func(yield func(Moment, error) bool) {
		played := new(stage)
		for outcome, err := range s.script.Play(played.Play) {
			moment := Moment{
				Comment:  outcome.Comment,
				Command:  strings.TrimSuffix(outcome.Input, "\n"),
				Happened: lines(outcome.Got),
				Expected: lines(outcome.Want),
				Line:     outcome.Line,
			}
			if !yield(moment, err) {
				return
			}
		}
	}
}

// lines cuts a text of whole lines; nil if it is empty.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
