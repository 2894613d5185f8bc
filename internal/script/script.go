package script

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands print into the golden files")

// Updating reports whether the test binary runs with -update, so that other golden tests of a
// package that uses scripts obey the same flag.
func Updating() bool { return *update }

// Run runs the script at path, command by command and in one test: what handler returns must be
// what the file says. It goes on after a difference, so that one run shows them all.
func Run(t *testing.T, path string, handler func(cmd Command) string) {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewritten, differences, err := play(path, string(source), handler, func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(rewritten), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, difference := range differences {
		t.Error(difference)
	}
}

// RunDir runs every script of dir (*.txt, in order of names) as a subtest of that name, each with
// a handler of its own from newHandler. A directory without scripts is a failure.
func RunDir(t *testing.T, dir string, newHandler func(t *testing.T) func(cmd Command) string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt")) // sorted
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no scripts (*.txt) in %s", dir)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			Run(t, path, newHandler(t))
		})
	}
}

// play runs a script without touching files: it returns the script as it is with the outputs of
// this run, and one text per command whose output differs.
func play(path, source string, handler func(Command) string, fail func(string, ...any)) (string, []string, error) {
	steps, err := parse(source)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, err)
	}
	var rewritten strings.Builder
	var differences []string
	commands := 0
	for _, s := range steps {
		if s.input == "" {
			rewritten.WriteString(s.verbatim)
			continue
		}
		commands++
		got := s.run(path, handler, fail)
		if got != s.want {
			differences = append(differences, fmt.Sprintf("%s:%d: %s\ngot:\n%swant:\n%s",
				path, s.line, strings.TrimSpace(s.input), indent(got), indent(s.want)))
		}
		rewritten.WriteString(s.input + format(got))
	}
	if commands == 0 {
		return "", nil, fmt.Errorf("%s: the script has no commands", path)
	}
	return rewritten.String(), differences, nil
}

// run hands the command to the handler and returns its output with every line ended.
func (s step) run(path string, handler func(Command) string, fail func(string, ...any)) string {
	cmd := s.command
	cmd.where = fmt.Sprintf("%s:%d", path, s.line)
	cmd.asked = make(map[string]bool)
	cmd.fail = fail
	got := handler(cmd)
	if key, is := cmd.unasked(); is {
		cmd.Failf("argument %s is unknown here: nothing asked for it", key)
	}
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	if strings.Contains("\n"+got, "\n"+separator+"\n") {
		cmd.Failf("the output has a line %s, which a script cannot hold", separator)
	}
	return got
}

// format returns the separator and the output, fenced by doubled separators where an empty line in
// the output would otherwise be mistaken for its end.
func format(output string) string {
	if strings.HasPrefix(output, "\n") || strings.Contains(output, "\n\n") {
		return separator + "\n" + separator + "\n" + output + separator + "\n" + separator + "\n"
	}
	return separator + "\n" + output
}

func indent(text string) string {
	if text == "" {
		return "    (nothing)\n"
	}
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}
