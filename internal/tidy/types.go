package tidy

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// typed is a package with its types.
type typed struct {
	pkg  *types.Package
	info *types.Info
	err  error // the first error
}

// typeChecker gives types to packages of the tree. Imports of the tree itself are checked from the
// parsed source, so that what is being edited need not have been built; others come from std.
type typeChecker struct {
	tree *Tree
	std  types.Importer
	done map[string]*typed // by directory
}

func newTypeChecker(t *Tree, std types.Importer) *typeChecker {
	return &typeChecker{tree: t, std: std, done: make(map[string]*typed)}
}

// Import implements types.Importer.
func (c *typeChecker) Import(importPath string) (*types.Package, error) {
	if dir, inside := insideModule(importPath); inside {
		p := c.tree.find(dir)
		if p == nil {
			return nil, fmt.Errorf("package %s is not in the tree", dir)
		}
		if checked := c.check(p); checked.pkg != nil {
			return checked.pkg, checked.err
		}
		return nil, fmt.Errorf("package %s imports itself", dir)
	}
	if c.std == nil {
		return nil, errors.New("no importer for " + importPath)
	}
	return c.std.Import(importPath)
}

func (c *typeChecker) check(p *Package) *typed {
	if checked := c.done[p.Dir]; checked != nil {
		return checked
	}
	checked := &typed{info: &types.Info{
		Types: make(map[ast.Expr]types.TypeAndValue),
		Uses:  make(map[*ast.Ident]types.Object),
		Defs:  make(map[*ast.Ident]types.Object),
	}}
	c.done[p.Dir] = checked // before its imports, so that a cycle ends
	var files []*ast.File
	for _, f := range p.product() {
		if c.tree.builds(f) {
			files = append(files, f.AST)
		}
	}
	config := types.Config{Importer: c}
	checked.pkg, checked.err = config.Check(Module+"/"+p.Dir, c.tree.positions, files, checked.info)
	return checked
}

// builds reports whether the go command would build the file on this machine.
func (t *Tree) builds(f *File) bool {
	context := build.Default
	context.OpenFile = func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(t.Texts[f.Path])), nil
	}
	matches, err := context.MatchFile(path.Split(f.Path))
	return err == nil && matches
}

// BuiltPackages returns an importer for everything outside the module that the packages in dirs
// need, read from what the go command has built (and builds, if it must). dir is the module's root.
func BuiltPackages(dir string, dirs []string) (types.Importer, error) {
	args := []string{"list", "-e", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}
	for _, d := range dirs {
		args = append(args, "./"+d)
	}
	command := exec.Command("go", args...)
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	listed, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages that the pure ones import: %w: %s", err, stderr.String())
	}
	exports := make(map[string]string)
	for _, line := range strings.Split(string(listed), "\n") {
		importPath, file, _ := strings.Cut(line, "=")
		exports[importPath] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(importPath string) (io.ReadCloser, error) {
		file := exports[importPath]
		if file == "" {
			return nil, fmt.Errorf("package %s is not built", importPath)
		}
		return os.Open(file)
	}), nil
}
