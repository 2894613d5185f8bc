package tidy

import (
	"fmt"
	"slices"
	"strings"
)

// What a package is, for the rules that depend on it.
const (
	kindProduct = "product" // part of what ships
	kindPure    = "pure"    // product, and a function: see pure.go
	kindProof   = "proof"   // for tests, the simulator and the programs; the product never imports it
	kindProgram = "program" // has a main function
	kindPlanned = "planned" // does not exist yet; when it does, its real kind goes here
)

// layer is one line of the table of layers.
type layer struct {
	row     int      // a package imports packages of lower rows only...
	dir     string   // where it is; "." is the root package
	kind    string   // one of the kinds above
	beside  []string // ...and these of its own row
	never   []string // what it must not import although the rows would let it: directories or modules
	modules []string // third-party modules that it may use
	tests   []string // third-party modules that its tests may use besides
}

const (
	grpcModule       = "google.golang.org/grpc"
	protobufModule   = "google.golang.org/protobuf"
	etcdAPIModule    = "go.etcd.io/etcd/api/v3"
	etcdClientModule = "go.etcd.io/etcd/client/v3"
	pebbleModule     = "github.com/cockroachdb/pebble/v2"
	prometheusModule = "github.com/prometheus/client_golang"
	cobraModule      = "github.com/spf13/cobra"
	porcupineModule  = "github.com/anishathalye/porcupine"
)

// layers is the table of ARCHITECTURE.md, top row first; the rule Architecture compares the two.
var layers = []layer{
	{row: 7, dir: "cmd/quorate", kind: kindProgram, modules: []string{cobraModule, etcdClientModule, etcdAPIModule, grpcModule}, tests: []string{porcupineModule}},
	{row: 7, dir: "examples/counter", kind: kindProgram},
	{row: 7, dir: "examples/lock", kind: kindProgram},
	{row: 7, dir: "examples/tally", kind: kindProgram, modules: []string{etcdClientModule}},

	{row: 6, dir: "cmd/quorate/internal/request", kind: kindProduct, modules: []string{cobraModule, etcdClientModule}, tests: []string{etcdAPIModule, grpcModule}},
	{row: 6, dir: "cmd/quorate/internal/show", kind: kindProduct, modules: []string{etcdAPIModule}},
	{row: 6, dir: "cmd/quorate/internal/supervise", kind: kindProduct},
	{row: 6, dir: "server", kind: kindProduct, modules: []string{grpcModule, prometheusModule}, tests: []string{etcdClientModule, etcdAPIModule}},
	{row: 6, dir: "console", kind: kindPlanned, never: []string{"server"}},
	{row: 6, dir: "ops", kind: kindProduct, never: []string{"etcdapi"}, tests: []string{etcdClientModule, etcdAPIModule}},
	{row: 6, dir: "scenario", kind: kindProof, never: []string{".", "transport"}},

	{row: 5, dir: "etcdapi", kind: kindProduct, never: []string{"wal", "transport"}, modules: []string{grpcModule, protobufModule, etcdAPIModule, etcdClientModule}},
	{row: 5, dir: "client", kind: kindProduct, never: []string{".", "kv"}, modules: []string{etcdClientModule, etcdAPIModule, grpcModule}},
	{row: 5, dir: "sim", kind: kindProof, beside: []string{"check"}, never: []string{".", "transport"}},
	{row: 5, dir: "check", kind: kindProof, never: []string{".", "transport"}, modules: []string{porcupineModule}},

	{row: 4, dir: ".", kind: kindProduct, never: []string{"kv"}},

	{row: 3, dir: "replica", kind: kindPure, never: []string{"internal/vfs", "kv", "transport"}},
	{row: 3, dir: "watch/feed", kind: kindPure, never: []string{"internal/vfs"}},

	{row: 2, dir: "check/spec", kind: kindProof},
	{row: 2, dir: "wal", kind: kindProduct},
	{row: 2, dir: "transport", kind: kindProduct},
	{row: 2, dir: "session", kind: kindPure, never: []string{"internal/vfs"}, modules: []string{protobufModule}},
	{row: 2, dir: "doctor", kind: kindPure, never: []string{"internal/vfs"}},
	{row: 2, dir: "lessor", kind: kindPure, never: []string{"internal/vfs"}},
	{row: 2, dir: "watch", kind: kindPure, never: []string{"internal/vfs"}},
	{row: 2, dir: "kv", kind: kindPure, beside: []string{"kv/internal/ordered", "session"}, never: []string{"internal/vfs"}, modules: []string{protobufModule}, tests: []string{etcdAPIModule, pebbleModule}},
	{row: 2, dir: "kv/pebblekv", kind: kindProduct, beside: []string{"kv"}, modules: []string{pebbleModule}, tests: []string{etcdAPIModule, protobufModule}},
	{row: 2, dir: "kv/treekv", kind: kindProof, beside: []string{"kv", "kv/internal/ordered"}},
	{row: 2, dir: "kv/internal/enginetest", kind: kindProof, beside: []string{"kv"}},
	{row: 2, dir: "kv/internal/ordered", kind: kindPure},

	{row: 1, dir: "wire", kind: kindPure, beside: []string{"raft"}, never: []string{"internal/vfs"}},
	{row: 1, dir: "raft", kind: kindPure, never: []string{"internal/vfs"}},
	{row: 1, dir: "raft/rafttest", kind: kindProof, beside: []string{"raft"}},

	{row: 0, dir: "check/watchcheck", kind: kindProof},
	{row: 0, dir: "internal/vfs", kind: kindProduct},
	{row: 0, dir: "internal/invariant", kind: kindPure},
	{row: 0, dir: "internal/choice", kind: kindProof},
	{row: 0, dir: "internal/crashdisk", kind: kindProof, beside: []string{"internal/choice", "internal/vfs"}},
	{row: 0, dir: "internal/freeport", kind: kindProof},
	{row: 0, dir: "internal/script", kind: kindProof},
	{row: 0, dir: "internal/ledger", kind: kindProof},
	{row: 0, dir: "internal/tidy", kind: kindProof},
}

func layerOf(table []layer, dir string) *layer {
	for i := range table {
		if table[i].dir == dir {
			return &table[i]
		}
	}
	return nil
}

// Layers checks every import of the product against the table: rows, neighbours, modules, kinds.
func Layers(t *Tree) []Finding { return checkLayers(t, layers) }

func checkLayers(t *Tree, table []layer) []Finding {
	var found []Finding
	for _, p := range t.Packages {
		if p.Nested {
			continue
		}
		own := layerOf(table, p.Dir)
		switch {
		case own == nil:
			found = append(found, Finding{p.Dir, "the package is not in the table of layers: add it to internal/tidy/layers.go and ARCHITECTURE.md"})
			continue
		case own.kind == kindPlanned:
			found = append(found, Finding{p.Dir, "the package exists, but the table of layers calls it planned"})
		case (own.kind == kindProgram) != p.main():
			found = append(found, Finding{p.Dir, "a package main is a program in the table of layers, and nothing else is"})
		}
		for _, f := range p.Files {
			for _, spec := range f.AST.Imports {
				if reason := refuse(table, own, strings.Trim(spec.Path.Value, `"`), f.Test); reason != "" {
					found = append(found, t.at(spec.Pos(), "%s", reason))
				}
			}
		}
	}
	if t.find("cmd/quorate") != nil { // until the program exists, the product is being put together
		for _, own := range table {
			if own.kind != kindPlanned && t.find(own.dir) == nil {
				found = append(found, Finding{own.dir, "the package is in the table of layers, but does not exist: call it planned"})
			}
		}
	}
	return found
}

// refuse says why a package must not import a path, or returns "".
func refuse(table []layer, own *layer, importPath string, test bool) string {
	dir, inside := insideModule(importPath)
	if !inside {
		return refuseModule(own, importPath, test)
	}
	other := layerOf(table, dir)
	switch {
	case other == nil:
		return fmt.Sprintf("imports %s, which is not in the table of layers", dir)
	case other.row > own.row:
		return fmt.Sprintf("imports %s of row %d from row %d: a package knows only those below it", dir, other.row, own.row)
	case test:
		return "" // tests may join neighbours, and external ones import what they test
	case other.row == own.row && !slices.Contains(own.beside, dir):
		return fmt.Sprintf("imports %s of its own row, which the table does not allow", dir)
	case other.kind == kindProof && own.kind != kindProof && own.kind != kindProgram:
		return fmt.Sprintf("imports %s, which is for tests and the simulator only", dir)
	}
	for _, never := range own.never {
		if dir == never || strings.HasPrefix(dir, never+"/") {
			return fmt.Sprintf("imports %s, which %s must never see", dir, own.dir)
		}
	}
	return ""
}

// refuseModule says why a package must not import third-party code; the standard library is free.
func refuseModule(own *layer, importPath string, test bool) string {
	if first, _, _ := strings.Cut(importPath, "/"); !strings.Contains(first, ".") {
		return ""
	}
	allowed := own.modules
	if test {
		allowed = slices.Concat(own.modules, own.tests)
	}
	for _, module := range allowed {
		if importPath == module || strings.HasPrefix(importPath, module+"/") {
			return ""
		}
	}
	return fmt.Sprintf("imports %s, a module that the table of layers does not allow here", importPath)
}

// insideModule returns the directory of an import path of this module.
func insideModule(importPath string) (dir string, inside bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}
