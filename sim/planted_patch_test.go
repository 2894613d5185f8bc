package sim_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const maxChangedLines = 10

// plant is one planted bug, or one legal behaviour.
type plant struct {
	name  string
	head  map[string]string
	files map[string][]hunk // by path from the root of the module
	lines int               // changed
}

// hunk replaces some lines of a file by others.
type hunk struct{ old, new string }

func (p *plant) isLegal() bool { return p.head["Legal"] != "" }

// isIn reports whether all that a planted bug changes is in a directory.
func (p *plant) isIn(dir string) bool {
	for file := range p.files { //tidy:ordered the answer does not depend on the order
		if !strings.HasPrefix(file, dir) {
			return false
		}
	}
	return true
}

// headKeys are what a head may say, in this order:
//
//	What       what is wrong, in a sentence
//	Class      which kind of bug it is; "legal" if it is none
//	From       who had it: an incident, a paper, a list
//	Legal      in place of From: why it is no bug
//	Net        which test must catch it: a package, a test, and its flags, in which SEED stands for a
//	           fresh seed. Default: the simulator
//	Caught by  which checks caught it first whenever it was tried; of other nets, the words they say
var headKeys = []string{"What", "Class", "From", "Legal", "Net", "Caught by"}

// parsePlant reads a patch: its head, and then a diff as git makes it.
func parsePlant(text string) (*plant, error) {
	p := &plant{head: map[string]string{}, files: map[string][]hunk{}}
	head, diff, _ := strings.Cut(text, "\n\n")
	if err := p.parseHead(head); err != nil {
		return nil, err
	}
	file := ""
	for line := range strings.Lines(diff) {
		hunks := p.files[file]
		switch {
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+++ b/"):
			file = strings.TrimSpace(line[len("+++ b/"):])
		case strings.HasPrefix(line, "@@"):
			p.files[file] = append(hunks, hunk{})
		case len(hunks) == 0:
			return nil, fmt.Errorf("a line before any hunk: %q", line)
		default:
			p.lines += hunks[len(hunks)-1].add(line)
		}
	}
	if p.lines == 0 || p.lines > maxChangedLines {
		return nil, fmt.Errorf("%d lines are changed, must be 1 to %d", p.lines, maxChangedLines)
	}
	return p, nil
}

func (p *plant) parseHead(head string) error {
	next := 0
	for line := range strings.SplitSeq(head, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		for next < len(headKeys) && headKeys[next] != key {
			next++
		}
		if next == len(headKeys) {
			return fmt.Errorf("the head says %q, which means nothing, or not there", key)
		}
		p.head[key] = value
	}
	required := []string{"What", "Class", "From", "Caught by"}
	if p.isLegal() {
		required = []string{"What", "Class"}
	}
	for _, key := range required {
		if p.head[key] == "" {
			return fmt.Errorf("the head does not say %q", key)
		}
	}
	if p.isLegal() != (p.head["Class"] == "legal") || p.isLegal() && p.head["Caught by"] != "" {
		return fmt.Errorf("what is legal is of class legal, and caught by nobody")
	}
	return nil
}

// add adds a line of the diff, and returns 1 if it changes something.
func (h *hunk) add(line string) int {
	if line[0] != '+' {
		h.old += line[1:]
	}
	if line[0] != '-' {
		h.new += line[1:]
	}
	if line[0] == ' ' {
		return 0
	}
	return 1
}

// overlay writes the patched files into a directory, and the list of them for the compiler, whose name
// it returns.
func (p *plant) overlay(dir string) (string, error) {
	replace := map[string]string{}
	for file, hunks := range p.files {
		source, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(file)))
		if err != nil {
			return "", err
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return "", err
		}
		patched, err := patch(string(text), hunks)
		if err != nil {
			return "", fmt.Errorf("planted bug %s does not apply to %s any more: %w", p.name, file, err)
		}
		replace[source] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replace[source], []byte(patched), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}

// patch replaces the lines of each hunk, which must be there exactly once, wherever that is.
func patch(text string, hunks []hunk) (string, error) {
	for _, h := range hunks {
		if n := strings.Count(text, h.old); n != 1 {
			return "", fmt.Errorf("these lines are there %d times:\n%s", n, h.old)
		}
		text = strings.Replace(text, h.old, h.new, 1)
	}
	return text, nil
}

func TestPatchRefusesWhatDoesNotFit(t *testing.T) {
	hunks := []hunk{{old: "b\n", new: "x\n"}}
	if got, err := patch("a\nb\nc\n", hunks); err != nil || got != "a\nx\nc\n" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"a\nc\n", "b\nb\n"} {
		if _, err := patch(text, hunks); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
	const head, change = "What: a\nClass: b\nFrom: c\nCaught by: d\n\n", "--- a/x\n+++ b/x\n@@\n-a\n"
	if p, err := parsePlant(head + change); err != nil || p.lines != 1 || p.isLegal() {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := parsePlant("What: a\nClass: legal\nLegal: c\n\n" + change); err != nil || !p.isLegal() {
		t.Errorf("got %+v, %v", p, err)
	}
	for name, text := range map[string]string{
		"no head":           change,
		"no change":         head + "--- a/x\n+++ b/x\n@@\n a\n",
		"too large":         head + "--- a/x\n+++ b/x\n@@\n" + strings.Repeat("-a\n", 11),
		"no hunk":           head + "--- a/x\n+++ b/x\n-a\n",
		"no file":           head + "-a\n",
		"empty head":        "What: \nClass: b\nFrom: c\nCaught by: d\n\n" + change,
		"unknown head":      "What: a\nWhy: b\n" + head + change,
		"wrong order":       "Class: b\nWhat: a\nFrom: c\nCaught by: d\n\n" + change,
		"legal and caught":  "What: a\nClass: legal\nLegal: c\nCaught by: d\n\n" + change,
		"legal, class else": "What: a\nClass: b\nLegal: c\n\n" + change,
	} {
		if _, err := parsePlant(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
