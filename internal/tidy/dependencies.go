package tidy

import (
	"fmt"
	"regexp"
	"strings"
)

// reasonsFile is where each direct dependency has its reason.
const reasonsFile = "docs/adr/0003-dependencies.md"

var requirement = regexp.MustCompile(`^(?:require )?\s*([a-z0-9.-]+\.[a-z]+/\S+) v\S+$`)

// Dependencies checks that each module which the product requires directly is named, with its
// reason, in docs/adr.
func Dependencies(t *Tree) []Finding {
	var found []Finding
	for i, line := range strings.Split(t.Texts["go.mod"], "\n") {
		match := requirement.FindStringSubmatch(strings.TrimRight(line, " "))
		if match != nil && !strings.Contains(t.Texts[reasonsFile], "`"+match[1]+"`") {
			found = append(found, Finding{fmt.Sprintf("go.mod:%d", i+1), match[1] + " has no reason in " + reasonsFile})
		}
	}
	return found
}
