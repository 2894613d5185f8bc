package tidy

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

// figure2 has the boxes of Figure 2 of the Raft paper whose rules are code, with how many rules
// (bullets) each has. The boxes of state are fields, and their names are the index.
var figure2 = []struct {
	box   string
	rules int
}{
	{"All Servers", 2}, {"Followers", 2}, {"Candidates", 4}, {"Leaders", 4},
	{"AppendEntries", 5}, {"RequestVote", 2},
}

// figure3 has the properties of Figure 3; each is an invariant that a test shows to be checked.
var figure3 = []string{"ElectionSafety", "LeaderAppendOnly", "LogMatching", "LeaderCompleteness", "StateMachineSafety"}

// coreFile is where the algorithm starts: with it, the index must be complete.
const coreFile = "raft/core.go"

// tagOfRule matches a comment line that tags a rule, and one that means to but lacks its full stop,
// by which grep tells a tag from prose. Mentions in the midst of a line are prose, and free.
var tagOfRule = regexp.MustCompile(`^// Figure 2, ([A-Z][A-Za-z]*(?: [A-Z][a-z]+)? \d+)(\. |\.$)?`)

// Figure2 checks the index of the paper: each rule of Figure 2 is tagged exactly once in package
// raft, where it is enforced, and has a test of its name there; each property of Figure 3 has a
// test there or in package check. It applies once the core is written.
func Figure2(t *Tree) []Finding {
	if _, written := t.Texts[coreFile]; !written {
		return nil
	}
	raft := t.find("raft")
	tagged, found := tags(t, raft)
	tests := testsOf(raft)
	for _, box := range figure2 {
		for n := 1; n <= box.rules; n++ {
			rule := fmt.Sprintf("%s %d", box.box, n)
			switch places := tagged[rule]; {
			case len(places) == 0:
				found = append(found, Finding{"raft", fmt.Sprintf("no rule is tagged // Figure 2, %s.", rule)})
			case len(places) > 1:
				found = append(found, Finding{places[1], "tags Figure 2, " + rule + " again, after " + places[0]})
			}
			delete(tagged, rule)
			name := "TestFigure2_" + strings.ReplaceAll(rule, " ", "")
			if !tests[name] {
				found = append(found, Finding{"raft", "no test is named " + name})
			}
			delete(tests, name)
		}
	}
	for _, rule := range sortedKeys(tagged) {
		found = append(found, Finding{tagged[rule][0], "Figure 2 has no rule " + rule})
	}
	for _, name := range sortedKeys(tests) {
		if strings.HasPrefix(name, "TestFigure2_") {
			found = append(found, Finding{"raft", "Figure 2 has no rule for the test " + name})
		}
	}
	return append(found, figure3Tests(t)...)
}

// tags returns where each rule ("Leaders 4") is tagged, and the tags without their full stop.
func tags(t *Tree, raft *Package) (tagged map[string][]string, found []Finding) {
	tagged = make(map[string][]string)
	for _, f := range raft.product() {
		for _, group := range f.AST.Comments {
			for _, comment := range group.List {
				tag := tagOfRule.FindStringSubmatch(comment.Text)
				if tag == nil {
					continue
				}
				rule, place := tag[1], t.at(comment.Pos(), "write the tag as // Figure 2, %s.", tag[1])
				if tag[2] == "" {
					found = append(found, place)
				}
				tagged[rule] = append(tagged[rule], place.Where)
			}
		}
	}
	return tagged, found
}

// figure3Tests checks that each property of Figure 3 has its test.
func figure3Tests(t *Tree) []Finding {
	tests := testsOf(t.find("raft"))
	if check := t.find("check"); check != nil {
		for name := range testsOf(check) {
			tests[name] = true
		}
	}
	var found []Finding
	for _, property := range figure3 {
		if name := "TestFigure3_" + property; !tests[name] {
			found = append(found, Finding{"raft", fmt.Sprintf("no test is named %s, here or in package check", name)})
		}
	}
	return found
}

// testsOf has the names of the test functions of a package.
func testsOf(p *Package) map[string]bool {
	names := make(map[string]bool)
	for _, f := range p.Files {
		if !f.Test {
			continue
		}
		for _, decl := range f.AST.Decls {
			if function, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(function.Name.Name, "Test") {
				names[function.Name.Name] = true
			}
		}
	}
	return names
}
