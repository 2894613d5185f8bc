package script

import (
	"fmt"
	"strconv"
	"strings"
)

// Command is one command of a script, as its handler sees it.
type Command struct {
	// Name is the first word of the line.
	Name string
	// Args are the other words, in the order in which they stand.
	Args []Arg
	// Body is the text between the command's line and the separator, without its last newline.
	Body string

	where string          // "file:line", for whatever is reported
	asked map[string]bool // the keys that the handler looked at
}

// Arg is one argument: Key alone for a flag, Key=Value for a pair.
type Arg struct {
	Key   string
	Value string // as after unquoting; a list keeps its parentheses
}

// Where returns "file:line" of the command, for a handler's own reports.
func (c Command) Where() string { return c.where }

// Failf ends the script with an error that names the command's file and line. It does not return.
func (c Command) Failf(format string, args ...any) {
	panic(&failure{fmt.Sprintf("%s: %s: "+format, append([]any{c.where, c.Name}, args...)...)})
}

// Has reports whether the argument is there, as a flag or as a pair.
func (c Command) Has(key string) bool {
	_, ok := c.lookup(key)
	return ok
}

// String returns the argument's value; the script ends if the argument is missing.
func (c Command) String(key string) string {
	value, ok := c.lookup(key)
	if !ok {
		c.Failf("argument %s is missing", key)
	}
	return value
}

// StringOr returns the argument's value, or otherwise if it is missing.
func (c Command) StringOr(key, otherwise string) string {
	if value, ok := c.lookup(key); ok {
		return value
	}
	return otherwise
}

// Uint returns the argument as a number; the script ends if it is missing or is none.
func (c Command) Uint(key string) uint64 { return c.number(key, c.String(key)) }

// UintOr returns the argument as a number, or otherwise if it is missing.
func (c Command) UintOr(key string, otherwise uint64) uint64 {
	if value, ok := c.lookup(key); ok {
		return c.number(key, value)
	}
	return otherwise
}

// Int returns the argument as a number that may be negative.
func (c Command) Int(key string) int {
	value := c.String(key)
	n, err := strconv.Atoi(value)
	if err != nil {
		c.Failf("argument %s=%s is not a number", key, value)
	}
	return n
}

// Strings returns the elements of a list "(a, b)"; a bare value is a list of one. The script ends
// if the argument is missing.
func (c Command) Strings(key string) []string {
	inner := c.String(key)
	if strings.HasPrefix(inner, "(") && strings.HasSuffix(inner, ")") {
		inner = inner[1 : len(inner)-1]
	}
	var list []string
	for _, element := range strings.Split(inner, ",") {
		if element = strings.TrimSpace(element); element != "" {
			list = append(list, element)
		}
	}
	return list
}

// Uints returns the elements of a list as numbers.
func (c Command) Uints(key string) []uint64 {
	var list []uint64
	for _, element := range c.Strings(key) {
		list = append(list, c.number(key, element))
	}
	return list
}

// Flags returns the keys of the arguments without a value, in order, and counts as asking for all
// of them: "crash 2 3" has the flags 2 and 3.
func (c Command) Flags() []string {
	var keys []string
	for _, arg := range c.Args {
		if arg.Value == "" {
			c.asked[arg.Key] = true
			keys = append(keys, arg.Key)
		}
	}
	return keys
}

func (c Command) lookup(key string) (string, bool) {
	c.asked[key] = true
	for _, arg := range c.Args {
		if arg.Key == key {
			return arg.Value, true
		}
	}
	return "", false
}

func (c Command) number(key, value string) uint64 {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		c.Failf("argument %s=%s is not a number", key, value)
	}
	return n
}

// unasked returns the first argument that the handler never looked at: mostly a misspelt one.
func (c Command) unasked() (string, bool) {
	for _, arg := range c.Args {
		if !c.asked[arg.Key] {
			return arg.Key, true
		}
	}
	return "", false
}
