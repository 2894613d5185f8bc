package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// docHeadings are the questions that a package's doc.go answers.
var docHeadings = []string{"What", "Units", "Shape", "Errors", "Concurrency"}

// vague lists package names that say nothing about what is inside.
var vague = []string{"util", "utils", "common", "types", "helpers", "misc", "base"}

// PackageDocs checks that each package has a doc.go which answers what a reader asks first.
// A program's doc.go need only say what it does.
func PackageDocs(t *Tree) []Finding {
	var found []Finding
	for _, p := range t.Packages {
		if slices.Contains(vague, path.Base(p.Dir)) {
			found = append(found, Finding{p.Dir, "the package's name says nothing about what is inside"})
		}
		doc := path.Join(p.Dir, "doc.go")
		text := ""
		for _, f := range p.Files {
			if f.Path == doc {
				text = f.AST.Doc.Text()
			}
		}
		if text == "" {
			found = append(found, Finding{p.Dir, "has no doc.go with a package comment"})
			continue
		}
		if p.main() {
			continue
		}
		for _, heading := range docHeadings {
			answered := regexp.MustCompile(`(?m)\b` + heading + `:|^#* ?` + heading + `$`)
			if !answered.MatchString(text) {
				found = append(found, Finding{doc, fmt.Sprintf("does not answer %q", heading+":")})
			}
		}
	}
	return found
}

// selfEvident lists methods whose meaning their interface in the standard library has fixed.
var selfEvident = []string{"Error", "String", "Unwrap", "Is", "As", "Len", "Less", "Swap"}

// Exported checks that exported names of packages have doc comments: types, functions, methods,
// constants and variables (one comment may serve a group). Fields and the methods of interfaces,
// which often come in pairs, are left to the reader's judgement. Tests and programs export nothing.
func Exported(t *Tree) []Finding {
	var found []Finding
	for _, p := range t.Packages {
		if p.main() {
			continue
		}
		for _, f := range p.product() {
			if ast.IsGenerated(f.AST) {
				continue
			}
			for _, decl := range f.AST.Decls {
				for _, name := range undocumented(decl) {
					found = append(found, t.at(name.Pos(), "%s is exported and has no doc comment", name.Name))
				}
			}
		}
	}
	return found
}

// undocumented lists the exported names of a declaration that lack a comment.
func undocumented(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && !said(d.Doc) && receiverExported(d) &&
			(d.Recv == nil || !slices.Contains(selfEvident, d.Name.Name)) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT {
			return nil
		}
		var names []*ast.Ident
		for _, spec := range d.Specs {
			names = append(names, undocumentedIn(spec, said(d.Doc))...)
		}
		return names
	}
	return nil
}

func undocumentedIn(spec ast.Spec, groupSaid bool) []*ast.Ident {
	var names []*ast.Ident
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && !groupSaid && !said(s.Doc) && !said(s.Comment) {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && !groupSaid && !said(s.Doc) && !said(s.Comment) {
				names = append(names, name)
			}
		}
	}
	return names
}

func said(comment *ast.CommentGroup) bool { return strings.TrimSpace(comment.Text()) != "" }

// receiverExported reports whether a function has no receiver, or one that others can name.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return true
		}
	}
}
