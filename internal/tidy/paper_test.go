package tidy

import (
	"fmt"
	"strings"
	"testing"
)

// paperSources is a package raft with every rule in a function of its own, and the page about it.
func paperSources() map[string]string {
	core, page := "package raft\n\n", "# The paper\n\n| rule | function | |\n| --- | --- | --- |\n"
	for _, box := range figure2 {
		for n := 1; n <= box.rules; n++ {
			name := fmt.Sprintf("handle%s%d", strings.ReplaceAll(box.box, " ", ""), n)
			core += fmt.Sprintf("// %s does it.\n//\n// Figure 2, %s %d. Because.\nfunc %s() {}\n\n", name, box.box, n, name)
			page += fmt.Sprintf("| %s %d | `%s` | in other words |\n", box.box, n, name)
		}
	}
	return map[string]string{coreFile: core, paperPage: page}
}

func TestPaperPageMustFollowTheCode(t *testing.T) {
	tests := []struct {
		name, file, old, new string
		want                 []string
	}{
		{"as it is", coreFile, "", "", nil},
		{"a function renamed", coreFile, "func handleLeaders4()", "func advance()", []string{`docs/raft.md:16: Leaders 4 is in handleLeaders4, but its tag is in "advance"`}},
		{"a rule without a line", paperPage, "| Leaders 4 | `handleLeaders4` |", "| Leader 4 | x |", []string{"docs/raft.md: has no line for Leaders 4"}},
		{"a rule moved into a body", coreFile, "// Figure 2, Followers 1. Because.\nfunc handleFollowers1() {}", "func handleFollowers1() {\n\t// Figure 2, Followers 1. Because.\n}", nil},
		{"a difference in silence", coreFile, "package raft\n", "package raft\n\nfunc lag() {\n\t// Differs: later.\n}\n", []string{"docs/raft.md: does not say how lag differs"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sources := paperSources()
			if !strings.Contains(sources[test.file], test.old) {
				t.Fatalf("%s does not contain %q", test.file, test.old)
			}
			sources[test.file] = strings.Replace(sources[test.file], test.old, test.new, 1)
			expect(t, PaperPage(fake(t, sources)), test.want...)
		})
	}
}

func TestPaperPageSaysHowWeDiffer(t *testing.T) {
	sources := paperSources()
	sources[coreFile] += "// lag is late.\n//\n// Differs: it is late.\nfunc lag() {}\n"
	sources[paperPage] += "\n| where | why |\n| --- | --- |\n| `lag` | it is late |\n"
	expect(t, PaperPage(fake(t, sources)))
}

func TestThePaperPageIsExpectedFromTheCoreOn(t *testing.T) {
	expect(t, PaperPage(fake(t, map[string]string{"raft/doc.go": "package raft"})))
	if got := PaperPage(fake(t, map[string]string{coreFile: "package raft"})); len(got) != 19 {
		t.Errorf("got %d findings without a page, want one per rule", len(got))
	}
}
