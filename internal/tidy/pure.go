package tidy

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// impure lists what a pure package must not import: clocks, chance, locks, files, sockets, loggers,
// and what sees memory or map order behind the language's back.
var impure = []string{
	"context", "crypto/rand", "hash/maphash", "io/ioutil", "log", "math/rand", "net", "os", "plugin",
	"reflect", "runtime", "sync", "syscall", "testing", "time", "unique", "unsafe",
}

// Purity checks that the packages which must be functions have no goroutine, channel, clock, lock,
// file, socket, logger or source of chance. Tests of such packages are free to.
func Purity(t *Tree) []Finding { return checkPurity(t, layers) }

func checkPurity(t *Tree, table []layer) []Finding {
	var found []Finding
	for _, p := range purePackages(t, table) {
		for _, f := range p.product() {
			for _, spec := range f.AST.Imports {
				importPath, line := strings.Trim(spec.Path.Value, `"`), t.line(spec.Pos())
				if isImpure(importPath) && !f.allows("impure", line-1, line) {
					found = append(found, t.at(spec.Pos(), "a pure package must not import %s", importPath))
				}
			}
			ast.Inspect(f.AST, func(node ast.Node) bool {
				if what := impureNode(node); what != "" {
					found = append(found, t.at(node.Pos(), "a pure package must not have %s", what))
				}
				return true
			})
		}
	}
	return found
}

func isImpure(importPath string) bool {
	return slices.ContainsFunc(impure, func(name string) bool {
		return importPath == name || strings.HasPrefix(importPath, name+"/")
	})
}

func purePackages(t *Tree, table []layer) []*Package {
	var pure []*Package
	for _, p := range t.Packages {
		if own := layerOf(table, p.Dir); own != nil && own.kind == kindPure {
			pure = append(pure, p)
		}
	}
	return pure
}

// impureNode names the part of the language that makes a node impure, or returns "".
func impureNode(node ast.Node) string {
	switch n := node.(type) {
	case *ast.GoStmt:
		return "a go statement"
	case *ast.SelectStmt:
		return "a select statement"
	case *ast.ChanType:
		return "a channel"
	case *ast.SendStmt:
		return "a send"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "a receive"
		}
	}
	return ""
}
