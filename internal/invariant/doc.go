// Package invariant holds the assertions that stay on in production.
//
// What: Check ends the goroutine with a panic when something that must be true is not. It is for
// our own mistakes only: bytes from outside, a full disk or a lost peer are errors, never panics.
//
// Units: none. Shape: one function. Errors: it panics with *Violation. Concurrency: any.
package invariant
