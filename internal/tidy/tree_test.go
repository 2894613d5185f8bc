package tidy

import (
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// root is the top of the repository, as seen from this package.
var root = filepath.Join("..", "..")

// repository loads the tree once for all tests.
var repository = sync.OnceValues(func() (*Tree, error) { return Load(os.DirFS(root)) })

// expectTidy applies a rule to the repository itself.
func expectTidy(t *testing.T, rule func(*Tree) []Finding) {
	t.Helper()
	tree, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range rule(tree) {
		t.Error(finding)
	}
}

func TestPackagesImportOnlyWhatTheirLayerMay(t *testing.T) { expectTidy(t, Layers) }

func TestArchitectureShowsTheTableThatIsChecked(t *testing.T) { expectTidy(t, Architecture) }

func TestPackagesExplainThemselves(t *testing.T) { expectTidy(t, PackageDocs) }

func TestExportedNamesAreExplained(t *testing.T) { expectTidy(t, Exported) }

func TestFigure2AndFigure3AreIndexed(t *testing.T) { expectTidy(t, Figure2) }

func TestThePageOnThePaperFollowsTheCode(t *testing.T) { expectTidy(t, PaperPage) }

func TestLinksBetweenDocumentsLeadSomewhere(t *testing.T) { expectTidy(t, Links) }

func TestNoTestSleepsOrSkipsAndNoPackagePrints(t *testing.T) { expectTidy(t, Habits) }

func TestNothingIsLeftOpenAndNoMachineIsNamed(t *testing.T) { expectTidy(t, Prose) }

func TestDirectDependenciesAreExplained(t *testing.T) { expectTidy(t, Dependencies) }

// One test, because Annotations judges by what the rules before it found needed.
func TestPurePackagesAreFunctionsAndSourcesCanBeReadInOneGo(t *testing.T) {
	tree, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, p := range purePackages(tree, layers) {
		dirs = append(dirs, p.Dir)
	}
	std, err := BuiltPackages(root, dirs)
	if err != nil {
		t.Fatal(err)
	}
	expectTidy(t, Purity)
	expectTidy(t, func(tree *Tree) []Finding { return Determinism(tree, std) })
	expectTidy(t, Sizes)
	expectTidy(t, Annotations)
	for _, file := range LongFiles(tree) {
		t.Log("long: " + file)
	}
}

// fake loads a tree from sources by path.
func fake(t *testing.T, sources map[string]string) *Tree {
	t.Helper()
	files := make(fstest.MapFS)
	for name, source := range sources {
		files[name] = &fstest.MapFile{Data: []byte(source), Mode: 0o644}
	}
	tree, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// expect compares findings with what they should contain, in order: "where: part of the text".
func expect(t *testing.T, got []Finding, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing finding: %s", want[i])
		case i >= len(want):
			t.Errorf("unexpected finding: %s", got[i])
		default:
			where, text, _ := strings.Cut(want[i], ": ")
			if got[i].Where != where || !strings.Contains(got[i].Text, text) {
				t.Errorf("got finding %q, want %q", got[i], want[i])
			}
		}
	}
}

func TestLoadingTellsSourcesFromWhatIsBuiltAndStored(t *testing.T) {
	tree := fake(t, map[string]string{
		"go.mod":                        "module " + Module,
		"host.go":                       "package quorate",
		"raft/core.go":                  "package raft",
		"raft/core_test.go":             "package raft_test",
		"raft/testdata/broken.go":       "not Go at all",
		"raft/testdata/story.txt":       "text",
		"raft/testdata/fuzz/FuzzX/seed": "corpus",
		"bench/go.mod":                  "module bench",
		"bench/internal/load/load.go":   "package load",
		"benches/b.go":                  "package benches",
		"bin/tool.go":                   "package broken {",
		"data/s1/wal.go":                "package broken {",
		".git/hooks/x.go":               "package broken {",
		"raft/testdata/bytes":           "a\x00b",
	})
	var got []string
	for _, p := range tree.Packages {
		text := p.Dir
		if p.Nested {
			text += "(nested)"
		}
		for _, f := range p.Files {
			text += " " + f.Path
		}
		got = append(got, text)
	}
	want := []string{
		". host.go",
		"bench/internal/load(nested) bench/internal/load/load.go",
		"benches benches/b.go",
		"raft raft/core.go raft/core_test.go",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got packages\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	texts := strings.Join(sortedKeys(tree.Texts), " ")
	if want := "bench/go.mod bench/internal/load/load.go benches/b.go go.mod host.go raft/core.go raft/core_test.go raft/testdata/broken.go raft/testdata/story.txt"; texts != want {
		t.Errorf("got texts %s\nwant %s", texts, want)
	}
}

func TestATreeThatDoesNotParseIsAnError(t *testing.T) {
	_, err := Load(fstest.MapFS{"raft/core.go": {Data: []byte("package {"), Mode: fs.FileMode(0o644)}})
	if err == nil || !strings.Contains(err.Error(), "raft/core.go") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

// noImports stands where a fake tree imports nothing from outside.
var noImports types.Importer
