package tidy

import (
	"errors"
	"go/types"
	"testing"
)

// functions is a table with one pure package and one that is not.
var functions = []layer{
	{row: 1, dir: "server", kind: kindProduct},
	{row: 0, dir: "core", kind: kindPure},
	{row: 0, dir: "words", kind: kindPure},
}

func TestPurityRefuses(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"the clock", importing("core", "time"), "core/a.go:2: must not import time"},
		{"chance", importing("core", "math/rand/v2"), "core/a.go:2: must not import math/rand/v2"},
		{"real chance", importing("core", "crypto/rand"), "core/a.go:2: must not import crypto/rand"},
		{"locks", importing("core", "sync/atomic"), "core/a.go:2: must not import sync/atomic"},
		{"files", importing("core", "os"), "core/a.go:2: must not import os"},
		{"sockets", importing("core", "net/http"), "core/a.go:2: must not import net/http"},
		{"loggers", importing("core", "log/slog"), "core/a.go:2: must not import log/slog"},
		{"go", "package core\nfunc f() {\n\tgo f()\n}", "core/a.go:3: a go statement"},
		{"select", "package core\nfunc f() {\n\tselect {}\n}", "core/a.go:3: a select statement"},
		{"channels", "package core\ntype t struct {\n\tc chan int\n}", "core/a.go:3: a channel"},
		{"a send", "package core\nfunc f() {\n\tc <- 1\n}", "core/a.go:3: a send"},
		{"a receive", "package core\nfunc f() {\n\t<-c\n}", "core/a.go:3: a receive"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, checkPurity(fake(t, map[string]string{"core/a.go": test.source}), functions), test.want)
		})
	}
}

func TestPurityLeavesTestsAndOthersFree(t *testing.T) {
	free := "package core\nimport \"time\"\nfunc f() { go f(); time.Now() }"
	expect(t, checkPurity(fake(t, map[string]string{
		"core/a_test.go": free,
		"server/a.go":    free,
		"core/b.go":      "package core\nimport \"encoding/binary\"\nfunc g(n uint64) uint64 { return -n &^ 3 }",
		"core/c.go":      importing("core", "math/bits"),
		"core/d.go":      importing("core", "strings"),
		"core/e.go":      "package core\nimport (\n\t//tidy:impure readers are other goroutines\n\t\"sync/atomic\"\n)\n",
	}), functions))
}

func TestDeterminismFindsWalksOverMaps(t *testing.T) {
	const head = "package core\n" // the statement under test is on line 4
	tests := []struct {
		name, source string
		want         []string
	}{
		{"a local", head + "func f() {\n\tm := make(map[int]int)\n\tfor range m {}\n}", []string{"core/a.go:4: ranges over a map"}},
		{"a field", head + "type t struct{ m map[int]int }\nfunc (x *t) f() {\n\tfor range x.m {}\n}", []string{"core/a.go:4: ranges over a map"}},
		{"a named map", head + "type set map[int]bool\nfunc f(s set) {\n\tfor range s {}\n}", []string{"core/a.go:4: ranges over a map"}},
		{"a result", head + "func m() map[int]int { return nil }\nfunc f() {\n\tfor range m() {}\n}", []string{"core/a.go:4: ranges over a map"}},
		{"a map of another package", head + "import \"" + Module + "/words\"\nfunc f() {\n\tfor range words.All {}\n}", []string{"core/a.go:4: ranges over a map"}},
		{"an excused one", head + "func f(m map[int]int) {\n\t//tidy:ordered counts only\n\tfor range m {}\n}", nil},
		{"a slice", head + "func f(s []int) {\n\t_ = s\n\tfor range s {}\n}", nil},
		{"a slice by index", head + "func f(m map[int][]int) {\n\t_ = m\n\tfor range m[1] {}\n}", nil},
	}
	words := "package words\n// All is a map.\nvar All map[string]bool\n"
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fake(t, map[string]string{"core/a.go": test.source, "words/a.go": words})
			expect(t, checkDeterminism(tree, functions, noImports), test.want...)
		})
	}
}

func TestDeterminismFindsKeysThatNobodySorts(t *testing.T) {
	std, err := BuiltPackages(root, []string{"internal/tidy"})
	if err != nil {
		t.Fatal(err)
	}
	source := `package core
import (
	"maps"
	"slices"
)
func f(m map[int]int) ([]int, []int) {
	return slices.Sorted(maps.Keys(m)),
		slices.Collect(maps.Keys(m))
}
func g(m map[int]int) {
	for range maps.Values(m) {}
	for range maps.Clone(m) {}
}
`
	expect(t, checkDeterminism(fake(t, map[string]string{"core/a.go": source}), functions, std),
		"core/a.go:8: maps.Keys yields the order", "core/a.go:11: maps.Values yields the order", "core/a.go:12: ranges over a map")
}

func TestDeterminismFindsVariablesThatChange(t *testing.T) {
	source := `package core
var table = [2]int{1, 2}
var count int
type counter struct{ n int }
func f() int {
	count++
	table[0] = 3
	p := &count
	return *p + table[1]
}
func g(count int) (table counter) {
	count = 1
	table.n = count
	return table
}
`
	expect(t, checkDeterminism(fake(t, map[string]string{"core/a.go": source}), functions, noImports),
		"core/a.go:6: its variable count", "core/a.go:7: its variable table", "core/a.go:8: its variable count")
}

func TestDeterminismReportsPackagesWithoutTypes(t *testing.T) {
	expect(t, checkDeterminism(fake(t, map[string]string{
		"core/a.go":  "package core\nvar x undefined\n",
		"words/a.go": importing("words", "encoding/binary"),
	}), functions, failing{}), "core: does not type-check", "words: does not type-check")
}

// failing is an importer with nothing behind it.
type failing struct{}

func (failing) Import(string) (*types.Package, error) { return nil, errors.New("not built") }
