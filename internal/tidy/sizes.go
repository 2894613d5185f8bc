package tidy

import (
	"fmt"
	"go/ast"
	"slices"
)

const (
	// longFileLines is where a file is mentioned, maxFileLines where it is too long.
	longFileLines = 500
	maxFileLines  = 600
	// maxFunctionLines is where a function is too long unless it says why.
	maxFunctionLines = 90
)

// Sizes checks that files and functions can be read in one go. Tests and generated files are free.
func Sizes(t *Tree) []Finding {
	var found []Finding
	for _, p := range t.Packages {
		for _, f := range p.product() {
			if ast.IsGenerated(f.AST) {
				continue
			}
			if lines := t.line(f.AST.FileEnd); lines > maxFileLines {
				found = append(found, Finding{f.Path, fmt.Sprintf("has %d lines, and %d is the limit: it is more than one chapter", lines, maxFileLines)})
			}
			for _, decl := range f.AST.Decls {
				function, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				first, last := t.line(function.Pos()), t.line(function.End())
				if lines := last - first + 1; lines > maxFunctionLines && !f.allows("long", docLine(t, function), first) {
					found = append(found, t.at(function.Pos(), "%s has %d lines, and %d is the limit: name its parts, or say //tidy:long and why", function.Name.Name, lines, maxFunctionLines))
				}
			}
		}
	}
	return found
}

// docLine returns the line at which a function's doc comment starts, or the function without one.
func docLine(t *Tree, function *ast.FuncDecl) int {
	if function.Doc == nil {
		return t.line(function.Pos())
	}
	return t.line(function.Doc.Pos())
}

// LongFiles lists the files that are close to the limit; it is for a reader, not a failure.
func LongFiles(t *Tree) []string {
	var names []string
	for _, p := range t.Packages {
		for _, f := range p.product() {
			if lines := t.line(f.AST.FileEnd); lines > longFileLines && !ast.IsGenerated(f.AST) {
				names = append(names, fmt.Sprintf("%s: %d lines", f.Path, lines))
			}
		}
	}
	return names
}

// annotationNames are the exceptions that a source may ask for.
var annotationNames = []string{"impure", "long", "ordered"}

// Annotations checks that each exception is a known one, says why, and is still needed. It judges
// by what the rules before it used, so Purity, Determinism and Sizes run first. Outside the pure
// packages nobody looks for the order of maps, and //tidy:ordered is a remark for the reader.
func Annotations(t *Tree) []Finding { return checkAnnotations(t, layers) }

func checkAnnotations(t *Tree, table []layer) []Finding {
	var found []Finding
	pure := purePackages(t, table)
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, a := range f.annotations {
				where := fmt.Sprintf("%s:%d", f.Path, a.line)
				switch {
				case !slices.Contains(annotationNames, a.name):
					found = append(found, Finding{where, "there is no exception //tidy:" + a.name})
				case a.reason == "":
					found = append(found, Finding{where, "//tidy:" + a.name + " does not say why"})
				case !a.used && (a.name != "ordered" || slices.Contains(pure, p)):
					found = append(found, Finding{where, "//tidy:" + a.name + " is not needed here"})
				}
			}
		}
	}
	return found
}
