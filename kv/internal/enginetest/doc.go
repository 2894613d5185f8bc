// Package enginetest has what every adapter of kv.Engine must pass.
//
// What: claims about ordered maps with atomic batches and pinned views, and about the stage beside
// them, run against an engine by its own tests. Crashes are each adapter's own matter, and are tested
// there.
//
// Units: none. Shape: one function, Run. Errors: reported to the test. Concurrency: none but in the
// claim about it.
//
// Source: the comments of kv.Engine and kv.Stage.
package enginetest
