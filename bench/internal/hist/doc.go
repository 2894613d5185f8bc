// Package hist counts latencies in buckets of constant relative width.
//
// What: a histogram that is cheap enough to be fed by every operation and small enough for every
// client to own one, so that clients share nothing while they are measured. It keeps no single
// value: a quantile is right to one part in 64 and never too low.
//
// Units: values are time.Duration, from 0 up to Limit (about 137 s); larger ones count as Limit.
//
// Shape: a power of two is split into 64 equal buckets, so the width grows with the value:
//
//	0 .. 63 ns    1 ns each     64 buckets
//	64 .. 127     1 ns each     64
//	128 .. 255    2 ns each     64
//	256 .. 511    4 ns each     64      and so on up to 2^37 ns
//
// Errors: none.
//
// Concurrency: a Histogram belongs to one goroutine; Merge them when their owners are gone.
//
// Source: the idea is Gil Tene's HdrHistogram.
package hist
