// Package tidy checks the house rules over the source tree, so that they are a test and not a habit.
//
// What: each rule is a function from a parsed tree to a list of findings; tree_test.go applies them
// all to this repository. A rule says what is wrong, where, and what to do about it. Whatever a
// linter already checks is not repeated here. It changes nothing, ever.
//
// Units: sizes are lines of source.
//
// Shape:
//
//	Load(fs.FS) ──> *Tree ──┬── Layers, Architecture   who imports whom          layers.go, architecture.go
//	                        ├── Purity, Determinism    the core is a function    pure.go, determinism.go
//	                        ├── PackageDocs, Exported  explained to a reader     docs.go
//	                        ├── Figure2, PaperPage     the index of the paper    figure.go, paper.go
//	                        ├── Habits, Prose, Links   tests, printing, texts    habits.go, prose.go
//	                        ├── Dependencies           each has its reason       dependencies.go
//	                        └── Sizes, Annotations     files and functions       sizes.go
//
// An exception is written where it is made, with its reason, as a comment of its own:
//
//	//tidy:impure readers of a view are other goroutines    above an import of a pure package
//	//tidy:ordered the sum does not depend on the order     above a range over a map
//	//tidy:long a flat switch that only dispatches          in the doc comment of a long function
//
// Errors: Load fails on a tree that does not parse; everything else is a Finding.
//
// Concurrency: a Tree is read by one goroutine at a time.
//
// Source: none; the rules are those of CONTRIBUTING.md and ARCHITECTURE.md.
package tidy
