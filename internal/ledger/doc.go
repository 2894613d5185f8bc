// Package ledger keeps what long runs have found, as lines of JSON in files that only grow (docs/results).
//
// What: Append, for the tests that take long, and Commit, which says what was tested.
//
// Units: a line is one value.
//
// Shape: value ─► line of JSON ─► end of the file.
//
// Errors: those of the file system, and of values that are no JSON.
//
// Concurrency: one process at a time appends to a file.
package ledger
