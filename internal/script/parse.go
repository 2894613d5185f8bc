package script

import (
	"fmt"
	"strconv"
	"strings"
)

// separator stands between a command and its output.
const separator = "----"

// Parse reads a script. The name stands before line numbers in all that is reported.
func Parse(name, source string) (*Script, error) {
	lines := strings.Split(strings.TrimSuffix(source, "\n"), "\n")
	s := &Script{name: name}
	var above []string // the lines since the last command
	for i := 0; i < len(lines); {
		if text := strings.TrimSpace(lines[i]); text == "" || strings.HasPrefix(text, "#") {
			above = append(above, lines[i])
			i++
			continue
		}
		next, step, err := parseCommand(lines, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		step.before = joinLines(above)
		if len(s.steps) == 0 {
			s.head, above = cutHead(above)
		}
		step.Comment = prose(above)
		s.steps, above = append(s.steps, step), nil
		i = next
	}
	if len(s.steps) == 0 {
		return nil, fmt.Errorf("%s: the script has no commands", name)
	}
	s.tail = joinLines(above)
	return s, nil
}

// cutHead parts the lines above the first command at the last empty one.
func cutHead(lines []string) (head string, rest []string) {
	at := len(lines)
	for at > 0 && strings.TrimSpace(lines[at-1]) != "" {
		at--
	}
	return prose(lines[:at]), lines[at:]
}

// prose takes the number signs from comments, and all but one of the empty lines between paragraphs.
func prose(lines []string) string {
	var b strings.Builder
	parted := false
	for _, line := range lines {
		text := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "#"), " ")
		if text == "" {
			parted = b.Len() > 0
			continue
		}
		if parted {
			b.WriteString("\n")
		}
		b.WriteString(text + "\n")
		parted = false
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parseCommand reads the command that starts at lines[at] and returns where the next step starts.
// The empty line that ends a plain output is left there, so that it is kept.
func parseCommand(lines []string, at int) (int, Step, error) {
	s := Step{Line: at + 1}
	i := at
	for i < len(lines) && lines[i] != separator && lines[i] != "" {
		i++
	}
	if i == len(lines) || lines[i] == "" { // else a forgotten separator would swallow the next command
		return 0, s, fmt.Errorf("line %d: no %s follows the command", s.Line, separator)
	}
	s.Input = strings.Join(lines[at:i], "\n") + "\n"
	s.command.Body = strings.Join(lines[at+1:i], "\n")
	var err error
	if s.command.Name, s.command.Args, err = parseLine(lines[at]); err != nil {
		return 0, s, fmt.Errorf("line %d: %w", s.Line, err)
	}
	i++ // past the separator
	from := i
	if i < len(lines) && lines[i] == separator {
		return parseFenced(lines, i, s)
	}
	for i < len(lines) && lines[i] != "" {
		i++
	}
	s.Want = joinLines(lines[from:i])
	return i, s, nil
}

// parseFenced reads the output behind the doubled separator whose second half is lines[at].
func parseFenced(lines []string, at int, s Step) (int, Step, error) {
	for i := at + 1; i+1 < len(lines); i++ {
		if lines[i] != separator || lines[i+1] != separator {
			continue
		}
		if i+2 < len(lines) && lines[i+2] != "" { // -update may write it back without the fence
			return 0, s, fmt.Errorf("line %d: an empty line must follow the output", i+3)
		}
		s.Want = joinLines(lines[at+1 : i])
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
