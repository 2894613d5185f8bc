package tidy

import (
	"fmt"
	"strings"
	"testing"
)

// indexed is a package raft whose index is complete.
func indexed() map[string]string {
	core, tests, properties := "package raft\n", "package raft\n", "package check\n"
	for _, box := range figure2 {
		for n := 1; n <= box.rules; n++ {
			core += fmt.Sprintf("// Figure 2, %s %d. The reason stands here.\n\n", box.box, n)
			tests += fmt.Sprintf("func TestFigure2_%s%d() {}\n", strings.ReplaceAll(box.box, " ", ""), n)
		}
	}
	for _, property := range figure3 {
		properties += "func TestFigure3_" + property + "() {}\n"
	}
	return map[string]string{"raft/core.go": core, "raft/core_test.go": tests, "check/check_test.go": properties}
}

func TestFigure2MustBeIndexedOnceAndTested(t *testing.T) {
	tests := []struct {
		name, file, old, new string
		want                 []string
	}{
		{"complete", "raft/core.go", "", "", nil},
		{"a rule without a tag", "raft/core.go", "// Figure 2, Leaders 4. ", "// ", []string{"raft: no rule is tagged // Figure 2, Leaders 4."}},
		{"a tag twice", "raft/core.go", "package raft\n", "package raft\n// Figure 2, AppendEntries 3.\n\n", []string{"raft/core.go:32: tags Figure 2, AppendEntries 3 again, after raft/core.go:2"}},
		{"a rule that the figure lacks", "raft/core.go", "package raft\n", "package raft\n// Figure 2, Followers 3.\n\n", []string{"raft/core.go:2: Figure 2 has no rule Followers 3"}},
		{"a mention in prose", "raft/core.go", "package raft\n", "package raft\n// The other half of Figure 2, All Servers 1. is below.\n\n", nil},
		{"a tag without its full stop", "raft/core.go", "// Figure 2, RequestVote 2. ", "// Figure 2, RequestVote 2 ", []string{"raft/core.go:38: write the tag as // Figure 2, RequestVote 2."}},
		{"a tag twice, once without its full stop", "raft/core.go", "package raft\n", "package raft\n// Figure 2, Leaders 1: twice.\n\n", []string{"raft/core.go:2: write the tag as", "raft/core.go:20: tags Figure 2, Leaders 1 again"}},
		{"a rule without a test", "raft/core_test.go", "TestFigure2_AllServers1", "TestAllServers1", []string{"raft: no test is named TestFigure2_AllServers1"}},
		{"a test without a rule", "raft/core_test.go", "package raft\n", "package raft\nfunc TestFigure2_Leaders5() {}\n", []string{"raft: Figure 2 has no rule for the test TestFigure2_Leaders5"}},
		{"a property without a test", "check/check_test.go", "TestFigure3_LogMatching", "TestLogs", []string{"raft: no test is named TestFigure3_LogMatching"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sources := indexed()
			if !strings.Contains(sources[test.file], test.old) {
				t.Fatalf("%s does not contain %q", test.file, test.old)
			}
			sources[test.file] = strings.Replace(sources[test.file], test.old, test.new, 1)
			expect(t, Figure2(fake(t, sources)), test.want...)
		})
	}
}

func TestPropertiesOfFigure3MayBeTestedInPackageRaft(t *testing.T) {
	sources := indexed()
	sources["raft/figure3_test.go"] = strings.Replace(sources["check/check_test.go"], "package check", "package raft", 1)
	delete(sources, "check/check_test.go")
	expect(t, Figure2(fake(t, sources)))
}

func TestTheIndexIsExpectedFromTheCoreOn(t *testing.T) {
	expect(t, Figure2(fake(t, map[string]string{"raft/doc.go": "package raft"})))
	if got := Figure2(fake(t, map[string]string{"raft/core.go": "package raft"})); len(got) != 19+19+5 {
		t.Errorf("got %d findings for an empty core, want one per rule, test and property: 43", len(got))
	}
}
