package tidy

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// mapWalkers lists the functions of package maps that walk a map and yield its order.
var mapWalkers = []string{"All", "Keys", "Values"}

// sorters lists what may directly take what a map walker yields, because it sorts it.
var sorters = []string{"Sorted", "SortedFunc", "SortedStableFunc"}

// Determinism checks the pure packages for what the syntax alone does not show: ranging over a map
// (its order differs from run to run), and changing a variable of the package (its value depends
// on who ran before). Imported packages are read by std, which may be nil if nothing is imported.
func Determinism(t *Tree, std types.Importer) []Finding { return checkDeterminism(t, layers, std) }

func checkDeterminism(t *Tree, table []layer, std types.Importer) []Finding {
	var found []Finding
	checker := newTypeChecker(t, std)
	for _, p := range purePackages(t, table) {
		checked := checker.check(p)
		if checked.err != nil {
			found = append(found, Finding{p.Dir, "does not type-check: " + checked.err.Error()})
			continue
		}
		for _, f := range p.product() {
			found = append(found, unorderedRanges(t, f, checked.info)...)
			found = append(found, assignedGlobals(t, f, checked)...)
		}
	}
	return found
}

// unorderedRanges finds walks over maps that neither sort nor say why the order cannot show.
func unorderedRanges(t *Tree, f *File, info *types.Info) []Finding {
	var found []Finding
	sorted := make(map[*ast.CallExpr]bool) // walks whose order a sorter takes away
	ast.Inspect(f.AST, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.RangeStmt:
			over := info.TypeOf(n.X)
			if over == nil {
				return true
			}
			line := t.line(n.Pos())
			if _, isMap := over.Underlying().(*types.Map); isMap && !f.allows("ordered", line-1, line) {
				found = append(found, t.at(n.Pos(), "ranges over a map, whose order differs from run to run: sort the keys, or say //tidy:ordered and why"))
			}
		case *ast.CallExpr:
			if name, ok := f.calls(n, "slices"); ok && slices.Contains(sorters, name) {
				for _, argument := range n.Args {
					if inner, ok := argument.(*ast.CallExpr); ok {
						sorted[inner] = true
					}
				}
			}
			line := t.line(n.Pos())
			if name, ok := f.calls(n, "maps"); ok && slices.Contains(mapWalkers, name) && !sorted[n] && !f.allows("ordered", line-1, line) {
				found = append(found, t.at(n.Pos(), "maps.%s yields the order of a map: hand it to slices.Sorted, or say //tidy:ordered and why", name))
			}
		}
		return true
	})
	return found
}

// assignedGlobals finds assignments to variables of the package, and pointers taken to them.
func assignedGlobals(t *Tree, f *File, checked *typed) []Finding {
	var found []Finding
	for _, decl := range f.AST.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		for _, target := range changedIn(function.Body) {
			root := rootOf(target)
			if root == nil {
				continue
			}
			if v, ok := checked.info.Uses[root].(*types.Var); ok && v.Parent() == checked.pkg.Scope() {
				found = append(found, t.at(target.Pos(), "a pure package must not change its variable %s", root.Name))
			}
		}
	}
	return found
}

// changedIn lists what a body assigns to, or takes the address of.
func changedIn(body *ast.BlockStmt) []ast.Expr {
	var targets []ast.Expr
	ast.Inspect(body, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			targets = append(targets, n.Lhs...)
		case *ast.IncDecStmt:
			targets = append(targets, n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				targets = append(targets, n.X)
			}
		}
		return true
	})
	return targets
}

// rootOf returns the variable at the root of a.b[c].d, or nil.
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
