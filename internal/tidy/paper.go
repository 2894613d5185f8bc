package tidy

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

// paperPage shows which function has which rule of Figure 2, and where we differ from the paper.
const paperPage = "docs/raft.md"

var rowOfRule = regexp.MustCompile("^\\| ([A-Z][A-Za-z]*(?: [A-Z][a-z]+)? \\d+) \\| `([A-Za-z0-9]+)` \\|")

// PaperPage checks docs/raft.md against package raft: the function named beside a rule has that
// rule's tag, and each function that says "Differs:" is on the page.
func PaperPage(t *Tree) []Finding {
	if _, written := t.Texts[coreFile]; !written {
		return nil
	}
	holders, differing := taggedFunctions(t)
	var found []Finding
	shown := make(map[string]bool)
	for i, line := range strings.Split(t.Texts[paperPage], "\n") {
		row := rowOfRule.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		rule, function := row[1], row[2]
		shown[rule] = true
		if holders[rule] != function {
			found = append(found, Finding{fmt.Sprintf("%s:%d", paperPage, i+1),
				fmt.Sprintf("says that %s is in %s, but its tag is in %q", rule, function, holders[rule])})
		}
	}
	for _, box := range figure2 {
		for n := 1; n <= box.rules; n++ {
			if rule := fmt.Sprintf("%s %d", box.box, n); !shown[rule] {
				found = append(found, Finding{paperPage, "has no line for " + rule})
			}
		}
	}
	for _, function := range differing {
		if !strings.Contains(t.Texts[paperPage], "| `"+function+"` |") {
			found = append(found, Finding{paperPage, "does not say how " + function + " differs from the paper"})
		}
	}
	return found
}

// taggedFunctions returns the function in whose comments or body each rule is tagged, and the
// functions that say "Differs:", in order.
func taggedFunctions(t *Tree) (holders map[string]string, differing []string) {
	holders = make(map[string]string)
	for _, f := range t.find("raft").product() {
		for _, decl := range f.AST.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			start := function.Pos()
			if function.Doc != nil {
				start = function.Doc.Pos()
			}
			for _, group := range f.AST.Comments {
				if group.Pos() < start || group.End() > function.End() {
					continue
				}
				for _, comment := range group.List {
					if tag := tagOfRule.FindStringSubmatch(comment.Text); tag != nil && holders[tag[1]] == "" {
						holders[tag[1]] = function.Name.Name
					}
				}
				if strings.Contains(group.Text(), "Differs:") {
					differing = append(differing, function.Name.Name)
				}
			}
		}
	}
	return holders, differing
}
