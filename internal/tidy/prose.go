package tidy

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The patterns are put together here so that this file does not contain what it looks for.
var (
	leftOpen   = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	ofAMachine = regexp.MustCompile(`(?:^|[^A-Za-z0-9_./-])/(?:wo` + `rk|ro` + `ot|ho` + `me)(?:/|[^A-Za-z0-9_]|$)`)
	moduleHost = regexp.MustCompile(`\b(?:pro` + `xy|s` + `um)\.golang\.org\b`)
)

// Prose checks every text of the tree, source or not: nothing is left open (an issue is the place
// for that), and nothing names a path of somebody's machine or the host of a module registry.
func Prose(t *Tree) []Finding {
	var found []Finding
	for _, name := range sortedKeys(t.Texts) {
		for i, line := range strings.Split(t.Texts[name], "\n") {
			where := fmt.Sprintf("%s:%d", name, i+1)
			if mark := leftOpen.FindString(line); mark != "" {
				found = append(found, Finding{where, mark + " leaves something open: do it, or open an issue"})
			}
			if ofAMachine.MatchString(line) {
				found = append(found, Finding{where, "names a path of somebody's machine"})
			}
			if moduleHost.MatchString(line) {
				found = append(found, Finding{where, "names the host of a module registry"})
			}
		}
	}
	return found
}

var linkTarget = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)

// Links checks that what a page of Markdown links to inside the tree is there.
func Links(t *Tree) []Finding {
	directories := make(map[string]bool)
	for name := range t.Texts {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}
	var found []Finding
	for _, name := range sortedKeys(t.Texts) {
		if path.Ext(name) != ".md" {
			continue
		}
		for i, line := range strings.Split(t.Texts[name], "\n") {
			for _, match := range linkTarget.FindAllStringSubmatch(line, -1) {
				if strings.Contains(match[1], "://") {
					continue
				}
				target := path.Join(path.Dir(name), match[1])
				if _, there := t.Texts[target]; !there && !directories[target] {
					found = append(found, Finding{fmt.Sprintf("%s:%d", name, i+1), "links to " + match[1] + ", which is not there"})
				}
			}
		}
	}
	return found
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
