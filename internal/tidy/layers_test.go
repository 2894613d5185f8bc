package tidy

import (
	"slices"
	"strings"
	"testing"
)

// small is a table with every feature of the real one.
var small = []layer{
	{row: 3, dir: "cmd/quorate", kind: kindProgram},
	{row: 3, dir: "client", kind: kindPlanned},
	{row: 2, dir: ".", kind: kindProduct, never: []string{"kv"}},
	{row: 1, dir: "wal", kind: kindProduct},
	{row: 1, dir: "kv", kind: kindPure, modules: []string{"example.org/bytes"}, tests: []string{"example.org/judge"}},
	{row: 1, dir: "kv/tree", kind: kindProduct, beside: []string{"kv"}},
	{row: 0, dir: "choice", kind: kindProof},
}

// importing is a source of one package that imports another.
func importing(name, path string) string { return "package " + name + "\nimport _ \"" + path + "\"\n" }

func TestLayersRefuse(t *testing.T) {
	own := Module + "/"
	tests := []struct{ name, file, source, want string }{
		{"a row above", "wal/a.go", importing("wal", Module), "wal/a.go:2: imports . of row 2 from row 1"},
		{"a row above, in a test", "wal/a_test.go", importing("wal", Module), "wal/a_test.go:2: imports . of row 2 from row 1"},
		{"a neighbour", "wal/a.go", importing("wal", own+"kv"), "wal/a.go:2: imports kv of its own row"},
		{"the way back of a neighbour that the table names", "kv/a.go", importing("kv", own+"kv/tree"), "kv/a.go:2: imports kv/tree of its own row"},
		{"what a package must never see", "a.go", importing("quorate", own+"kv"), "a.go:2: imports kv, which . must never see"},
		{"what is inside what it must never see", "a.go", importing("quorate", own+"kv/tree"), "a.go:2: imports kv/tree, which . must never see"},
		{"proof in the product", "wal/a.go", importing("wal", own+"choice"), "wal/a.go:2: imports choice, which is for tests"},
		{"a module", "wal/a.go", importing("wal", "example.org/bytes"), "wal/a.go:2: imports example.org/bytes, a module"},
		{"a module of the tests in the product", "kv/a.go", importing("kv", "example.org/judge/x"), "kv/a.go:2: imports example.org/judge/x, a module"},
		{"a module whose name only starts alike", "kv/a.go", importing("kv", "example.org/bytesize"), "kv/a.go:2: imports example.org/bytesize, a module"},
		{"a package of no row", "wal/a.go", importing("wal", own+"bench"), "wal/a.go:2: imports bench, which is not in the table"},
		{"a package without a row", "extra/a.go", "package extra", "extra: the package is not in the table"},
		{"a planned package that exists", "client/a.go", "package client", "client: the package exists, but"},
		{"a program in the product", "wal/a.go", "package main", "wal: a package main is a program"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, checkLayers(fake(t, map[string]string{test.file: test.source}), small), test.want)
		})
	}
}

func TestLayersAllow(t *testing.T) {
	own := Module + "/"
	tests := []struct{ name, file, source string }{
		{"a row below", "a.go", importing("quorate", own+"wal")},
		{"a neighbour that the table names", "kv/tree/a.go", importing("tree", own+"kv")},
		{"a neighbour, in a test", "kv/a_test.go", importing("kv_test", own+"kv/tree")},
		{"itself, in an external test", "kv/a_test.go", importing("kv_test", own+"kv")},
		{"proof in a program", "cmd/quorate/main.go", importing("main", own+"choice")},
		{"proof in a test", "wal/a_test.go", importing("wal", own+"choice")},
		{"a module that the table names", "kv/a.go", importing("kv", "example.org/bytes/deep")},
		{"a module of the tests in a test", "kv/a_test.go", importing("kv", "example.org/judge")},
		{"the standard library", "wal/a.go", importing("wal", "encoding/binary")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			found := checkLayers(fake(t, map[string]string{test.file: test.source}), small)
			found = slices.DeleteFunc(found, func(f Finding) bool { return strings.Contains(f.Text, "does not exist") })
			expect(t, found)
		})
	}
}

func TestOtherModulesOfTheTreeAreNotLayered(t *testing.T) {
	expect(t, checkLayers(fake(t, map[string]string{
		"bench/go.mod": "module bench",
		"bench/a.go":   importing("main", Module),
	}), small))
}

func TestRowsOfPackagesThatDoNotExistArePlannedOnceTheProgramExists(t *testing.T) {
	sources := map[string]string{
		"a.go": "package quorate", "wal/a.go": "package wal", "kv/a.go": "package kv", "choice/a.go": "package choice",
	}
	expect(t, checkLayers(fake(t, sources), small))
	sources["cmd/quorate/main.go"] = "package main"
	expect(t, checkLayers(fake(t, sources), small), "kv/tree: the package is in the table of layers, but does not exist")
}

// architectureOf writes a table as ARCHITECTURE.md has it.
func architectureOf(table []layer) string {
	lines := []string{"| row | package | kind | purpose |", "| --- | --- |"}
	for _, l := range table {
		cells := strings.Split(l.line(), " | ")
		lines = append(lines, "| "+cells[0]+" | "+cells[1]+" | what it is for | "+strings.Join(cells[2:], " | ")+" |")
	}
	return "# Text\n\n" + tableBegins + "\n" + strings.Join(lines, "\n") + "\n" + tableEnds + "\nmore text\n"
}

func TestArchitectureMustShowTheTableLineByLine(t *testing.T) {
	whole := architectureOf(small)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"the same table", whole, nil},
		{"no markers", "# Text", []string{"ARCHITECTURE.md: has no table of layers"}},
		{"an open table", tableBegins + "\n| a |", []string{"ARCHITECTURE.md: has no table of layers"}},
		{"another row", strings.Replace(whole, "| 3 |", "| 4 |", 1), []string{"ARCHITECTURE.md: line 1 of the table"}},
		{"another exception", strings.Replace(whole, "| `kv` |  |  |  |", "| `wal` |  |  |  |", 1), []string{"ARCHITECTURE.md: line 6 of the table"}},
		{"a line too few", architectureOf(small[:6]), []string{"ARCHITECTURE.md: lacks the line"}},
		{"a line too many", architectureOf(append(small[:7:7], small[6])), []string{"ARCHITECTURE.md: has a line too many"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, checkArchitecture(fake(t, map[string]string{"ARCHITECTURE.md": test.text}), small), test.want...)
		})
	}
}

func TestDependenciesNeedAReason(t *testing.T) {
	expect(t, Dependencies(fake(t, map[string]string{
		"go.mod": "module x\n\nrequire (\n\texample.org/a v1.0.0\n\texample.org/b/v2 v2.0.0\n" +
			"\texample.org/c v1.0.0 // indirect\n)\n\nrequire example.org/d v0.0.1\n",
		reasonsFile: "`example.org/a` sorts things. example.org/b/v2 is no reason without its quotes.",
	})), "go.mod:5: example.org/b/v2 has no reason", "go.mod:9: example.org/d has no reason")
}
