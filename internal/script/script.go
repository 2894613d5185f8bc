package script

import (
	"fmt"
	"iter"
	"strings"
)

// Script is a list of commands, with the prose between them.
type Script struct {
	name  string
	head  string
	steps []Step
	tail  string // what follows the last command, as it stands
}

// Step is one command of a script.
type Step struct {
	// Comment is the prose above the command, without its number signs; an empty line parts paragraphs.
	Comment string
	// Line is where the command stands, from 1.
	Line int
	// Input has the command's lines as they stand, each with its newline.
	Input string
	// Want is the output that the script expects: whole lines, or nothing.
	Want string

	before  string // comments and empty lines as they stand
	command Command
}

// Outcome is a step, and what its handler made of it.
type Outcome struct {
	Step
	// Got is the handler's output: whole lines, or nothing.
	Got string

	name string
}

// AsExpected reports whether the output is what the script expects.
func (o *Outcome) AsExpected() bool { return o.Got == o.Want }

// Difference says what was expected and what came, with file and line.
func (o *Outcome) Difference() string {
	return fmt.Sprintf("%s:%d: %s\ngot:\n%swant:\n%s", o.name, o.Line, strings.TrimSpace(o.Input), indent(o.Got), indent(o.Want))
}

// Head returns the prose at the top of the script which an empty line sets apart from the first command,
// paragraph by paragraph.
func (s *Script) Head() string { return s.head }

// Play hands one command after the other to the handler and yields what comes of it. It goes on after
// a difference; an error is the last thing that it yields, and names file and line.
func (s *Script) Play(handler func(Command) string) iter.Seq2[Outcome, error] {
	return func(yield func(Outcome, error) bool) {
		for _, step := range s.steps {
			got, err := step.run(s.name, handler)
			if !yield(Outcome{Step: step, Got: got, name: s.name}, err) || err != nil {
				return
			}
		}
	}
}

// Rewrite plays the script and returns it as it is, but with the outputs of this run.
func (s *Script) Rewrite(handler func(Command) string) (string, error) {
	var b strings.Builder
	for o, err := range s.Play(handler) {
		if err != nil {
			return "", err
		}
		b.WriteString(o.before + o.Input + format(o.Got))
	}
	return b.String() + s.tail, nil
}

// run hands the command to the handler and returns its output with every line ended.
func (s *Step) run(name string, handler func(Command) string) (got string, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *failure:
			err = p
		default:
			panic(p)
		}
	}()
	cmd := s.command
	cmd.where = fmt.Sprintf("%s:%d", name, s.Line)
	cmd.asked = make(map[string]bool)
	got = handler(cmd)
	if key, is := cmd.unasked(); is {
		cmd.Failf("argument %s is unknown here: nothing asked for it", key)
	}
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	if strings.Contains("\n"+got, "\n"+separator+"\n") {
		cmd.Failf("the output has a line %s, which a script cannot hold", separator)
	}
	return got, nil
}

// failure is what a command panics with that cannot be carried out. It never leaves this package.
type failure struct{ text string }

func (f *failure) Error() string { return f.text }

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
