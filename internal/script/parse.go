package script

import (
	"fmt"
	"strconv"
	"strings"
)

// separator stands between a command and its output.
const separator = "----"

// step is a piece of a script: lines to keep as they are, or a command with its expected output.
type step struct {
	verbatim string // comments and empty lines, with their newlines; the command fields are unused
	line     int    // of the command, from 1
	input    string // the command's lines as they stand, without the separator
	command  Command
	want     string
}

// parse cuts a script into steps; the error names the line.
func parse(source string) ([]step, error) {
	lines := strings.Split(strings.TrimSuffix(source, "\n"), "\n")
	var steps []step
	for i := 0; i < len(lines); {
		if text := strings.TrimSpace(lines[i]); text == "" || strings.HasPrefix(text, "#") {
			steps = append(steps, step{verbatim: lines[i] + "\n"})
			i++
			continue
		}
		next, s, err := parseCommand(lines, i)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
		i = next
	}
	return steps, nil
}

// parseCommand reads the command that starts at lines[at] and returns where the next step starts.
// The empty line that ends a plain output is left there, so that it is kept.
func parseCommand(lines []string, at int) (int, step, error) {
	s := step{line: at + 1}
	i := at
	for i < len(lines) && lines[i] != separator && lines[i] != "" {
		i++
	}
	if i == len(lines) || lines[i] == "" { // else a forgotten separator would swallow the next command
		return 0, s, fmt.Errorf("line %d: no %s follows the command", s.line, separator)
	}
	s.input = strings.Join(lines[at:i], "\n") + "\n"
	s.command.Body = strings.Join(lines[at+1:i], "\n")
	var err error
	if s.command.Name, s.command.Args, err = parseLine(lines[at]); err != nil {
		return 0, s, fmt.Errorf("line %d: %w", s.line, err)
	}
	i++ // past the separator
	from := i
	if i < len(lines) && lines[i] == separator {
		return parseFenced(lines, i, s)
	}
	for i < len(lines) && lines[i] != "" {
		i++
	}
	s.want = joinLines(lines[from:i])
	return i, s, nil
}

// parseFenced reads the output behind the doubled separator whose second half is lines[at].
func parseFenced(lines []string, at int, s step) (int, step, error) {
	for i := at + 1; i+1 < len(lines); i++ {
		if lines[i] != separator || lines[i+1] != separator {
			continue
		}
		if i+2 < len(lines) && lines[i+2] != "" { // -update may write it back without the fence
			return 0, s, fmt.Errorf("line %d: an empty line must follow the output", i+3)
		}
		s.want = joinLines(lines[at+1 : i])
		return i + 2, s, nil
	}
	return 0, s, fmt.Errorf("line %d: the doubled %s is never closed", at+1, separator)
}

// parseLine splits "name flag key=value key=(a, b) key="x y"".
func parseLine(line string) (name string, args []Arg, err error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	seen := make(map[string]bool)
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		var arg Arg
		if end := strings.IndexAny(rest, " ="); end < 0 || rest[end] == ' ' { // a flag
			arg.Key, rest, _ = strings.Cut(rest, " ")
		} else {
			arg.Key = rest[:end]
			if arg.Value, rest, err = parseValue(rest[end+1:]); err != nil {
				return "", nil, fmt.Errorf("argument %s: %w", arg.Key, err)
			}
		}
		if seen[arg.Key] {
			return "", nil, fmt.Errorf("argument %q is given twice", arg.Key)
		}
		seen[arg.Key] = true
		args = append(args, arg)
	}
	return name, args, nil
}

// parseValue reads one value and returns what follows it.
func parseValue(text string) (value, rest string, err error) {
	switch {
	case text == "" || text[0] == ' ':
		return "", "", fmt.Errorf("the value is missing")
	case text[0] == '"':
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", fmt.Errorf("the quotes of %s do not close", text)
		}
		value, err = strconv.Unquote(quoted)
		return value, text[len(quoted):], err
	case text[0] == '(':
		end := strings.IndexByte(text, ')')
		if end < 0 {
			return "", "", fmt.Errorf("the list %s does not close", text)
		}
		return text[:end+1], text[end+1:], nil
	default:
		value, rest, _ = strings.Cut(text, " ")
		return value, rest, nil
	}
}

// joinLines ends every line with a newline, and is empty for no lines.
func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
