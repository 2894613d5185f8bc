package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/scenario"
)

func TestLabListsTheScenariosWithTheirClaims(t *testing.T) {
	r := runOf("lab", "--list")
	r.expect(t, "list", exitDone, "SCENARIO")
	for _, s := range scenario.List() {
		found := false
		for line := range strings.Lines(r.out) {
			if fields := strings.Fields(line); fields[0] == s.Name && strings.Contains(line, strings.Join(s.Claims, ", ")) && strings.Contains(line, s.Title) {
				found = true
			}
		}
		if !found {
			t.Errorf("%s is not in the list, with claims and title:\n%s", s.Name, r.out)
		}
	}
	var rows []struct {
		Name, Title, Introduction string
		Claims                    []string
	}
	r = runOf("lab", "--list", "--output", "json")
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil || len(rows) != len(scenario.List()) {
		t.Fatalf("list as JSON: %v, %d rows\n%s", err, len(rows), r.out)
	}
	if row := rows[0]; row.Name == "" || row.Title == "" || row.Introduction == "" || len(row.Claims) == 0 {
		t.Errorf("first row is %+v", row)
	}
}

func TestLabPlaysEachScenarioAndSaysThatItWasAsExpected(t *testing.T) {
	for _, s := range scenario.List() {
		r := runOf("lab", s.Name)
		r.expect(t, s.Name, exitDone, "\nAs expected: all ")
		if !strings.HasPrefix(r.out, s.Title) || strings.Contains(r.out, "\x1b") || r.err != "" {
			t.Errorf("%s: starts with %.60q, errors %q", s.Name, r.out, r.err)
		}
	}
}

func TestLabTellsWhatACommandIsForAndWhatItBroughtAbout(t *testing.T) {
	runOf("lab", "split-vote").expect(t, "split-vote", exitDone, `
But a vote is given once: server 3 hears from 1 first, server 4 from 2.

> deliver from=1 to=3
  3: follower in term 1: saw a higher term
  3: vote granted to 1 for term 1
  3: write 1: term 1 and vote for 1
  3 -> 1: [term 1] RequestVoteReply granted (after write 1)

> deliver from=2 to=4
`)
}

func TestLabPlaysInJSONALineForEachCommand(t *testing.T) {
	r := runOf("lab", "election", "--output", "json")
	r.expect(t, "election as JSON", exitDone, `"command":"campaign 1","happened":["1: pre-candidate in term 0`)
	for line := range strings.Lines(r.out) {
		var moment struct {
			Command    string
			AsExpected bool
		}
		if err := json.Unmarshal([]byte(line), &moment); err != nil || moment.Command == "" || !moment.AsExpected {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestLabRefusesWhatItCannotPlay(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"figure8", `there is no scenario figure8; did you mean figure-8? "quorate lab --list" lists them`},
		{"xyzzy", `there is no scenario xyzzy; "quorate lab --list" lists them`},
		{"", `which scenario? "quorate lab --list" lists them`},
		{"figure-8 figure-7", "lab plays one scenario"},
		{"--list figure-8", "plays none"},
		{"--list --output yaml", `no output format "yaml"`},
	} {
		runOf(append([]string{"lab"}, strings.Fields(test.words)...)...).expect(t, test.words, exitUsage, test.want)
	}
}

// told is a story with a mistake in its script: one line is missing in it, another never happens.
const told = `# title: A story with a mistake
# claims: A1

# It should not end well.

# Alone.
group voters=1
----

campaign 1
----
1: pre-candidate in term 0: no word from a leader
1: candidate in term 2: an election can be won
1: leader in term 1: won the election
1: committed up to 1
1: applies 1:no-op/1

logs
----
1: leader, term 1, commit 1, log 1:no-op/1
`

func TestLabShowsWhatIsNotAsExpected(t *testing.T) {
	s, err := scenario.Parse("mistake", told)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := labPlayer{out: &out}
	var failed *failure
	if err := p.play(s); !errors.As(err, &failed) || failed.status != exitFailed {
		t.Errorf("got %v, want exit status %d", err, exitFailed)
	}
	if want := `
> campaign 1
  1: pre-candidate in term 0: no word from a leader
- 1: candidate in term 2: an election can be won
- 1: leader in term 1: won the election
+ 1: candidate in term 1: an election can be won
+ 1: write 1: term 1 and vote for 1
+ 1: leader in term 1: won the election
+ 1: write 2: 1:no-op/1
  1: committed up to 1
  1: applies 1:no-op/1

> logs
  1: leader, term 1, commit 1, log 1:no-op/1

Not as expected: 1 of 3 commands, the first in line 10 of the script.
`; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant at the end\n%s", out.String(), want)
	}

	out.Reset()
	if err := playJSON(&world{out: &out}, s); !errors.As(err, &failed) || failed.status != exitFailed ||
		!strings.Contains(out.String(), `"expected":["1: pre-candidate`) || !strings.Contains(out.String(), `"asExpected":false`) {
		t.Errorf("as JSON: %v\n%s", err, out.String())
	}
}

func TestLabReportsACommandThatCannotBeCarriedOut(t *testing.T) {
	s, err := scenario.Parse("mistake", told+"\ncrash 7\n----\n\nlogs\n----\n")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := labPlayer{out: &out}
	if err := p.play(s); err == nil || !strings.Contains(err.Error(), "mistake:22: crash: server 7 is none of the group's") {
		t.Errorf("got %v", err)
	}
}

func TestLabWaitsBetweenCommandsInATerminalOnly(t *testing.T) {
	s, _ := scenario.Find("one-put")
	commands := 0
	for range s.Play() {
		commands++
	}
	for _, test := range []struct {
		typed    string
		terminal bool
		status   int
		waits    int
	}{
		{"", false, exitDone, 0},
		{strings.Repeat("\n", commands), true, exitDone, commands - 1},
		{"\n\n", true, exitFailed, 3}, // the third time, nothing more comes
	} {
		var out, errs bytes.Buffer
		w := &world{in: strings.NewReader(test.typed), out: &out, err: &errs, inTerminal: test.terminal}
		status := run(w, []string{"lab", "one-put", "--step"})
		if waits := strings.Count(out.String(), "[Enter]"); status != test.status || waits != test.waits || errs.Len() > 0 {
			t.Errorf("typed %q: exit status %d after %d waits, want %d after %d\n%s", test.typed, status, waits, test.status, test.waits, errs.String())
		}
	}
}

func TestLabUsesColoursInATerminalOnly(t *testing.T) {
	var out bytes.Buffer
	status := run(&world{in: strings.NewReader(""), out: &out, err: &out, outTerminal: true}, []string{"lab", "election"})
	if status != exitDone || !strings.Contains(out.String(), "\x1b[1m> campaign 1\x1b[0m\n") || !strings.Contains(out.String(), "\x1b[32mAs expected\x1b[0m") {
		t.Errorf("exit status %d\n%.200q", status, out.String())
	}
}

func TestLabCompletesNames(t *testing.T) {
	r := runOf("__complete", "lab", "figure")
	r.expect(t, "completion", exitDone, "figure-8\tFigure 8")
	r = runOf("__complete", "lab", "figure-8", "")
	if strings.Contains(r.out, "election") {
		t.Errorf("completes a second name: %s", r.out)
	}
}
