package script

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newCounter is the handler of testdata/run: a number that commands change.
func newCounter() func(Command) string {
	var n uint64
	return func(cmd Command) string {
		switch cmd.Name {
		case "add":
			for range cmd.UintOr("times", 1) {
				for _, flag := range cmd.Flags() {
					n += cmd.number("amount", flag)
				}
			}
		case "set":
			n = 0
			for _, v := range cmd.Uints("value") {
				n += v
			}
		case "note":
			first, second, _ := strings.Cut(cmd.Body, "\n")
			return fmt.Sprintf("%d bytes, then %d", len(first), len(second))
		case "quiet":
			return ""
		case "page":
			return fmt.Sprintf("%d\n\nend of page", n)
		default:
			cmd.Failf("unknown command")
		}
		return fmt.Sprintln(n)
	}
}

func TestAScriptPlaysAgainWithAFreshHandler(t *testing.T) {
	for _, name := range []string{"counter.txt", "fresh.txt"} {
		source, err := os.ReadFile(filepath.Join("testdata", "run", name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(name, string(source))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for o, err := range s.Play(newCounter()) {
				if err != nil || !o.AsExpected() {
					t.Errorf("%v %s", err, o.Difference())
				}
			}
		}
	}
}

// playText plays a script held in memory and returns the text of a failure, if the handler caused one.
func playText(source string, handler func(Command) string) (rewritten string, differences []string, failure string, err error) {
	s, err := Parse("a.txt", source)
	if err != nil {
		return "", nil, "", err
	}
	for o, err := range s.Play(handler) {
		if err != nil {
			return "", nil, err.Error(), nil
		}
		if !o.AsExpected() {
			differences = append(differences, o.Difference())
		}
	}
	rewritten, err = s.Rewrite(handler)
	return rewritten, differences, "", err
}

func echo(cmd Command) string {
	for _, arg := range cmd.Args {
		cmd.Has(arg.Key)
	}
	return cmd.Name + "\n"
}

func TestDifferencesNameTheCommandsFileAndLine(t *testing.T) {
	_, differences, _, err := playText("# one\nfirst\n----\nfirst\n\nsecond a=1\n----\nother\n", echo)
	if err != nil {
		t.Fatal(err)
	}
	if len(differences) != 1 {
		t.Fatalf("got %d differences, want 1: %q", len(differences), differences)
	}
	want := "a.txt:6: second a=1\ngot:\n    second\nwant:\n    other\n"
	if differences[0] != want {
		t.Errorf("got %q\nwant %q", differences[0], want)
	}
}

func TestRewritingKeepsEverythingButTheOutputs(t *testing.T) {
	source := "# a story\n\nfirst   a=(1, 2)\nbody\n----\nold\nolder\n\n\n# then\nsecond\n----\n"
	want := "# a story\n\nfirst   a=(1, 2)\nbody\n----\nfirst\n\n\n# then\nsecond\n----\nsecond\n"
	got, _, _, err := playText(source, echo)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	again, differences, _, err := playText(got, echo)
	if err != nil || again != got || len(differences) != 0 {
		t.Errorf("a rewritten script does not pass: %q, %q, %v", again, differences, err)
	}
}

func TestAnyOutputSurvivesRewriting(t *testing.T) {
	for _, output := range []string{"", "a\n", "a\n\nb\n", "\n", "\n\n\n", "----- \n", "# no comment\n"} {
		handler := func(cmd Command) string { return output }
		rewritten, _, _, err := playText("go\n----\n\nnext\n----\n", handler)
		if err != nil {
			t.Fatalf("output %q: %v", output, err)
		}
		_, differences, failure, err := playText(rewritten, handler)
		if err != nil || failure != "" || len(differences) != 0 {
			t.Errorf("output %q was written as %q and then read otherwise: %q %s %v",
				output, rewritten, differences, failure, err)
		}
	}
}

func TestMalformedScriptsAreRefusedWithTheirLine(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"no separator at the end", "# x\n\ngo\n", "a.txt: line 3: no ---- follows the command"},
		{"separator forgotten before the next command", "go\n\nnext\n----\n", "line 1: no ---- follows"},
		{"no commands", "# only a comment\n", "a.txt: the script has no commands"},
		{"open fence", "go\n----\n----\nx\n", "line 3: the doubled ---- is never closed"},
		{"text behind a fence", "go\n----\n----\nx\n----\n----\nnext\n----\n", "line 7: an empty line must follow"},
		{"argument twice", "go a=1 a=2\n----\n", `line 1: argument "a" is given twice`},
		{"empty value", "go a= b\n----\n", "line 1: argument a: the value is missing"},
		{"open list", "go a=(1, 2\n----\n", "line 1: argument a: the list (1, 2 does not close"},
		{"open quotes", "go a=\"x\n----\n", "line 1: argument a: the quotes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, _, err := playText(test.source, echo)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestGettersReportTheCommandsFileAndLine(t *testing.T) {
	tests := []struct {
		name, line, want string
		get              func(Command)
	}{
		{"missing", "go", "a.txt:2: go: argument n is missing", func(c Command) { c.Uint("n") }},
		{"no number", "go n=x", "a.txt:2: go: argument n=x is not a number", func(c Command) { c.Uint("n") }},
		{"negative", "go n=-1", "a.txt:2: go: argument n=-1 is not a number", func(c Command) { c.UintOr("n", 1) }},
		{"no integer", "go n=1.5", "a.txt:2: go: argument n=1.5 is not a number", func(c Command) { c.Int("n") }},
		{"list", "go n=(1, b)", "a.txt:2: go: argument n=b is not a number", func(c Command) { c.Uints("n") }},
		{"unknown", "go n=1 m=2", "a.txt:2: go: argument m is unknown here: nothing asked for it", func(c Command) { c.Uint("n") }},
		{"own", "go", "a.txt:2: go: server 7 is none of ours", func(c Command) { c.Failf("server %d is none of ours", 7) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, failure, err := playText("# x\n"+test.line+"\n----\n", func(c Command) string {
				test.get(c)
				return ""
			})
			if err != nil || failure != test.want {
				t.Errorf("got %q (%v), want %q", failure, err, test.want)
			}
		})
	}
}

func TestGettersReturnTheArguments(t *testing.T) {
	source := "go n=7 i=-3 s=\"a b=\\\"c\\\"\" l=(2, 3) one=x force\n----\n"
	_, _, failure, err := playText(source, func(c Command) string {
		got := fmt.Sprintln(c.Uint("n"), c.UintOr("none", 5), c.Int("i"), c.Uints("l"), c.Strings("one"),
			c.Has("force"), c.Has("absent"), c.StringOr("absent", "other"), c.Flags())
		if want := "7 5 -3 [2 3] [x] true false other [force]\n"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got, want := c.String("s"), `a b="c"`; got != want {
			t.Errorf("got quoted value %q, want %q", got, want)
		}
		if got, want := c.Where(), "a.txt:1"; got != want {
			t.Errorf("got place %q, want %q", got, want)
		}
		return ""
	})
	if failure != "" || err != nil {
		t.Errorf("%s %v", failure, err)
	}
}

func TestOutputThatAScriptCannotHoldIsRefused(t *testing.T) {
	_, _, failure, _ := playText("go\n----\n", func(Command) string { return "a\n----" })
	if want := "a.txt:1: go: the output has a line ----, which a script cannot hold"; failure != want {
		t.Errorf("got %q, want %q", failure, want)
	}
}

func TestProseStandsWithTheCommandBelowIt(t *testing.T) {
	s, err := Parse("a.txt", "# title: x\n# claims: y\n\n# An introduction\n# of two lines.\n\n\n# Another.\n\n"+
		"# First.\ngo\n----\n\n# Apart.\n\n# Close.\nnext\n----\n\nlast\n----\n\n# the end\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Head(), "title: x\nclaims: y\n\nAn introduction\nof two lines.\n\nAnother."; got != want {
		t.Errorf("head is %q, want %q", got, want)
	}
	var comments []string
	for o := range s.Play(echo) {
		comments = append(comments, o.Comment)
	}
	if want := []string{"First.", "Apart.\n\nClose.", ""}; !slices.Equal(comments, want) {
		t.Errorf("comments are %q, want %q", comments, want)
	}
}

func TestPlayingStopsWhenNobodyListens(t *testing.T) {
	s, err := Parse("a.txt", "go\n----\n\nnext\n----\n")
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for range s.Play(func(Command) string { played++; return "" }) {
		break
	}
	if played != 1 {
		t.Errorf("%d commands were played, want 1", played)
	}
}

func TestAHandlersOwnPanicIsNotTakenForAFailure(t *testing.T) {
	defer func() {
		if p := recover(); p != "mine" {
			t.Errorf("recovered %v, want the handler's panic", p)
		}
	}()
	_, _, failure, _ := playText("go\n----\n", func(Command) string { panic("mine") })
	t.Errorf("returned %q", failure)
}
