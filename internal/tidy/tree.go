package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Module is the module path of the product.
const Module = "github.com/quorate/quorate"

// Tree is a parsed source tree.
type Tree struct {
	// Packages of every module of the tree, sorted by directory.
	Packages []*Package
	// Texts has the contents of every text file, source or not, by slash-separated path.
	Texts map[string]string

	positions *token.FileSet
}

// Package is one directory with Go files, external tests included.
type Package struct {
	// Dir is slash-separated and relative to the tree; "." is the root.
	Dir string
	// Nested reports that the package belongs to a module of its own inside the tree (bench), to
	// which the layers of the product do not apply.
	Nested bool
	Files  []*File // sorted by name
}

// File is one Go file.
type File struct {
	Path string
	Test bool // the name ends in _test.go
	AST  *ast.File

	annotations []*annotation
}

// annotation is an exception that the source asks for: //tidy:name reason.
type annotation struct {
	name, reason string
	line         int
	used         bool
}

// Finding is one breach of a rule.
type Finding struct {
	Where string // path, or path:line
	Text  string
}

func (f Finding) String() string { return f.Where + ": " + f.Text }

// Load reads and parses a tree. It leaves out what is not source: the directories of git, of
// builds (bin) and of servers (data) at the top, and corpora of fuzzers.
func Load(root fs.FS) (*Tree, error) {
	t := &Tree{Texts: make(map[string]string), positions: token.NewFileSet()}
	packages := make(map[string]*Package)
	var nested []string // directories of further modules
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" || name == "bin" || name == "data" || strings.HasSuffix(name, "testdata/fuzz") {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if utf8.Valid(source) && !bytes.ContainsRune(source, 0) {
			t.Texts[name] = string(source)
		}
		switch {
		case path.Base(name) == "go.mod" && name != "go.mod":
			nested = append(nested, path.Dir(name))
		case strings.HasSuffix(name, ".go") && !strings.Contains("/"+name, "/testdata/"):
			return t.parse(packages, name, source)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range packages {
		for _, dir := range nested {
			p.Nested = p.Nested || p.Dir == dir || strings.HasPrefix(p.Dir, dir+"/")
		}
		t.Packages = append(t.Packages, p)
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return t, nil
}

// parse adds one Go file to its package.
func (t *Tree) parse(packages map[string]*Package, name string, source []byte) error {
	parsed, err := parser.ParseFile(t.positions, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	dir := path.Dir(name)
	p := packages[dir]
	if p == nil {
		p = &Package{Dir: dir}
		packages[dir] = p
	}
	f := &File{Path: name, Test: strings.HasSuffix(name, "_test.go"), AST: parsed}
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			if text, ok := strings.CutPrefix(comment.Text, "//tidy:"); ok {
				kind, reason, _ := strings.Cut(text, " ")
				f.annotations = append(f.annotations, &annotation{
					name: kind, reason: strings.TrimSpace(reason), line: t.line(comment.Pos()),
				})
			}
		}
	}
	p.Files = append(p.Files, f)
	return nil
}

// find returns the package in a directory, or nil.
func (t *Tree) find(dir string) *Package {
	for _, p := range t.Packages {
		if p.Dir == dir {
			return p
		}
	}
	return nil
}

func (t *Tree) line(pos token.Pos) int { return t.positions.Position(pos).Line }

// at makes a finding at a place in a Go file.
func (t *Tree) at(pos token.Pos, format string, args ...any) Finding {
	p := t.positions.Position(pos)
	return Finding{fmt.Sprintf("%s:%d", p.Filename, p.Line), fmt.Sprintf(format, args...)}
}

// main reports whether the package is a program.
func (p *Package) main() bool {
	for _, f := range p.Files {
		if f.AST.Name.Name == "main" {
			return true
		}
	}
	return false
}

// product returns the files that are not tests.
func (p *Package) product() []*File {
	var files []*File
	for _, f := range p.Files {
		if !f.Test {
			files = append(files, f)
		}
	}
	return files
}

// allows reports whether an annotation of that name stands on one of the lines, and marks it used.
func (f *File) allows(name string, fromLine, toLine int) bool {
	for _, a := range f.annotations {
		if a.name == name && fromLine <= a.line && a.line <= toLine {
			a.used = true
			return true
		}
	}
	return false
}

// importOf returns the name under which the file imports a path, or "" if it does not.
func (f *File) importOf(importPath string) string {
	for _, spec := range f.AST.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// calls reports whether the call is of a function of a package that the file imports, and which.
func (f *File) calls(call *ast.CallExpr, importPath string) (function string, ok bool) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	x, ok := selector.X.(*ast.Ident)
	if !ok || x.Name != f.importOf(importPath) {
		return "", false
	}
	return selector.Sel.Name, true
}
