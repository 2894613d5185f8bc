package request

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mistake is an error in what a person typed.
type Mistake struct{ text string }

func (m *Mistake) Error() string { return m.text }

func mistake(format string, args ...any) error { return &Mistake{fmt.Sprintf(format, args...)} }

const blanks = " \t\r"

// words splits a line at blanks. Single quotes keep what is between them as it is; double quotes
// keep blanks and know Go's escapes, so any byte can be written. Quotes may stand within a word.
func words(line string) ([]string, error) {
	var found []string
	for {
		line = strings.TrimLeft(line, blanks)
		if line == "" {
			return found, nil
		}
		word, rest, err := nextWord(line, blanks)
		if err != nil {
			return nil, err
		}
		found = append(found, word)
		line = rest
	}
}

// nextWord reads one word up to the first byte of stop that no quotes protect.
func nextWord(line, stop string) (word, rest string, err error) {
	var b strings.Builder
	for line != "" && !strings.ContainsRune(stop, rune(line[0])) {
		switch line[0] {
		case '\'':
			inside, after, closed := strings.Cut(line[1:], "'")
			if !closed {
				return "", "", mistake("a single quote is not closed: %s", line)
			}
			b.WriteString(inside)
			line = after
		case '"':
			inside, after, err := doubleQuoted(line[1:])
			if err != nil {
				return "", "", err
			}
			b.WriteString(inside)
			line = after
		default:
			b.WriteByte(line[0])
			line = line[1:]
		}
	}
	return b.String(), line, nil
}

// doubleQuoted reads up to the closing quote, the opening one being gone.
func doubleQuoted(text string) (inside, after string, err error) {
	var b strings.Builder
	for left := text; left != ""; {
		if left[0] == '"' {
			return b.String(), left[1:], nil
		}
		if left[0] != '\\' { // Not for UnquoteChar: bytes that are no UTF-8 stay as they are.
			b.WriteByte(left[0])
			left = left[1:]
			continue
		}
		char, multibyte, tail, err := strconv.UnquoteChar(left, '"')
		if err != nil {
			return "", "", mistake("no such escape in double quotes: %.10s (write \\\\ for a backslash)", left)
		}
		if multibyte {
			b.WriteString(string(char))
		} else {
			b.WriteByte(byte(char))
		}
		left = tail
	}
	return "", "", mistake(`a double quote is not closed: "%s`, text)
}

// quoted shows a word as it may be typed; used in errors.
func quoted(word string) string {
	if utf8.ValidString(word) && word != "" && !strings.ContainsAny(word, " \t\r\n\"'\\") {
		return word
	}
	return strconv.Quote(word)
}
