// Package watchcheck says whether what watchers were told is what etcd's API promises them.
//
// # What
//
// A History is what happened to the keys; a Watch is what one watcher asked for and was told. Check
// compares the two, and names the promise that is broken:
//
//	filter        only keys and kinds of events that were asked for
//	ordered       revisions do not go back
//	unique        no event twice
//	atomic        all events of a revision in one response
//	resumable     nothing below the revision to begin at, and nothing left out behind it
//	reliable      nothing left out between
//	bookmarkable  whatever a header's revision covers has been told before
//	event         each event is what happened: value, version, revisions, whether it created the key
//	previous      what was there before, if that was asked for
//
// It knows nothing of servers, and takes its history from wherever it can be had without watching: a test
// that makes it, or reads of all keys, revision by revision.
//
// # Units
//
// Revisions are etcd's main revisions.
//
// # Shape
//
//	reads at 2, 3, 4... ──► History.Step ──┐
//	what a client got ────► Watch ─────────┴──► Check ──► Violations
//
// # Errors
//
// A Violation is an error; Check returns all that it finds, up to a few.
//
// # Concurrency
//
// A history may be checked against by many at a time, once it is made.
//
// # Source
//
// The guarantees of etcd's Watch, as its documentation lists them.
package watchcheck
