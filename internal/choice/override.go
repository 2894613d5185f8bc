package choice

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule says what is chosen, whatever the source says: to replay a world with one thing in it changed.
type Rule struct {
	// Label is whose choices the rule is for. A * at its end stands for anything.
	Label string
	// Number is which of the label's choices it is, counted from 1; 0: all of them.
	Number int
	// Result is what is chosen. If there are not that many possibilities, it is the last one.
	Result int
}

// Yes and No are results for questions that are put to Chance, or as a choice between two.
const (
	No  = 0
	Yes = 1<<31 - 1
)

// String writes a rule as "net.drop 1>2 #7 = yes": the seventh choice of that label is the last
// possibility. ParseRule reads it.
func (r Rule) String() string {
	text := r.Label
	if r.Number > 0 {
		text += " #" + strconv.Itoa(r.Number)
	}
	switch r.Result {
	case No:
		return text + " = no"
	case Yes:
		return text + " = yes"
	}
	return text + " = " + strconv.Itoa(r.Result)
}

// ParseRule reads a rule as String writes it.
func ParseRule(text string) (Rule, error) {
	left, right, ok := strings.Cut(text, " = ")
	if !ok || left == "" {
		return Rule{}, fmt.Errorf("rule %q is not \"label = result\"", text)
	}
	var r Rule
	var err error
	switch right {
	case "no":
	case "yes":
		r.Result = Yes
	default:
		if r.Result, err = strconv.Atoi(right); err != nil || r.Result < 0 {
			return Rule{}, fmt.Errorf("rule %q: %q is no result", text, right)
		}
	}
	r.Label = left
	if label, number, ok := strings.Cut(left, " #"); ok {
		if r.Number, err = strconv.Atoi(number); err != nil || r.Number < 1 {
			return Rule{}, fmt.Errorf("rule %q: %q is no number of a choice", text, number)
		}
		r.Label = label
	}
	return r, nil
}

// isFor reports whether the rule is for choices of a label.
func (r Rule) isFor(label string) bool {
	if prefix, ok := strings.CutSuffix(r.Label, "*"); ok {
		return strings.HasPrefix(label, prefix)
	}
	return r.Label == label
}

// Overrider answers by rules, and otherwise as its source does.
type Overrider struct {
	source Source
	rules  []Rule
	labels map[string]*overridden // looked up, never walked
}

// overridden is what the rules say to one label.
type overridden struct {
	asked   int
	results map[int]int // by the number of the choice; 0: all others
}

// Override returns a source that answers by rules. A rule for a single choice goes before those for
// all of a label, and the last of several before the others. The source is asked all the same, so that
// its answers to everything else stay what they were.
func Override(source Source, rules []Rule) *Overrider {
	return &Overrider{source: source, rules: rules, labels: make(map[string]*overridden)}
}

// Choose implements Source.
func (o *Overrider) Choose(label string, n int) int {
	result := o.source.Choose(label, n)
	l := o.labels[label]
	if l == nil {
		l = o.begin(label)
	}
	l.asked++
	if len(l.results) == 0 {
		return result
	}
	if fixed, ok := l.results[l.asked]; ok {
		return min(fixed, n-1)
	}
	if fixed, ok := l.results[0]; ok {
		return min(fixed, n-1)
	}
	return result
}

// begin gathers what the rules say to a label.
func (o *Overrider) begin(label string) *overridden {
	l := &overridden{}
	for _, r := range o.rules {
		if r.isFor(label) {
			if l.results == nil {
				l.results = make(map[int]int)
			}
			l.results[r.Number] = r.Result
		}
	}
	o.labels[label] = l
	return l
}
