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
func newCounter(*testing.T) func(Command) string {
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

func TestScriptsOfADirectoryRunEachWithAFreshHandler(t *testing.T) {
	var played []string
	RunDir(t, filepath.Join("testdata", "run"), func(t *testing.T) func(Command) string {
		counter, first := newCounter(t), true
		return func(cmd Command) string {
			if first {
				played = append(played, cmd.Where())
			}
			first = false
			return counter(cmd)
		}
	})
	want := []string{
		filepath.Join("testdata", "run", "counter.txt") + ":2",
		filepath.Join("testdata", "run", "fresh.txt") + ":2",
	}
	if !slices.Equal(played, want) {
		t.Errorf("first commands of fresh handlers: got %v, want %v", played, want)
	}
}

// stop is what the fail function of these tests panics with, as t.Fatalf would end the test.
type stop string

// playText plays a script held in memory and returns the text of a failure, if the handler caused one.
func playText(source string, handler func(Command) string) (rewritten string, differences []string, failure string, err error) {
	defer func() {
		if r := recover(); r != nil {
			failure = string(r.(stop))
		}
	}()
	rewritten, differences, err = play("a.txt", source, handler, func(format string, args ...any) {
		panic(stop(fmt.Sprintf(format, args...)))
	})
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

func TestUpdateWritesWhatTheCommandsPrint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "story.txt")
	if err := os.WriteFile(path, []byte("go\n----\nold\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := *update
	*update = true
	defer func() { *update = before }()
	if !Updating() {
		t.Error("Updating is false under -update")
	}
	Run(t, path, echo)
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "go\n----\ngo\n"; string(got) != want {
		t.Errorf("the file is %q, want %q", got, want)
	}
}
