// Package report turns the runs of a comparison into medians, and those into text.
//
// What: data in, text out. It measures nothing and reads nothing.
//
// Units: in the name of each field. CPU time per 100,000 operations is in seconds; the same number
// times ten is microseconds per operation. Steal and other use are in CPUs: 0.5 is half of one.
//
// Shape:
//
//	Run     one subject under one load once             (measured elsewhere)
//	Row     the medians of all rounds of one case       Rows(runs)
//	Ratio   round by round, divided by another subject  Ratios(runs, base)
//	More    figures that only some scenarios have       Besides(runs, base)
//	Pool    what a run measures often, of all rounds    Pools(runs)
//	Report  all of it, with the machine and settings    Write(w, format)
//
// Errors: only those of the writer, and an unknown format.
//
// Concurrency: values and functions; any goroutine may call them.
package report
