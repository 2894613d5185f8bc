// Package freeport finds addresses of this machine for servers whose addresses must be known before they start.
//
// What: loopback ports at which nobody listens, and which nobody takes before the server does, nor while it is
// down. A port that the kernel chose (port 0) and that was closed again is neither: the kernel may give it to
// whoever asks next, a client that connects included, which would then be talking to itself. So ports come from
// below those that the kernel gives away, and each process that asks has a block of them of its own. It is for
// tests, benchmarks and examples.
//
// Units: a port is a number of TCP; an address is host:port, as 127.0.0.1:10001.
//
// Shape:
//
//	10000 ┌ lock │ 511 ports ┐ lock │ 511 ports ┐ … 32767 │ the kernel's own
//	      └ one process      ┘ the next         ┘
//
// A block is a process's as long as it listens at the block's first port, which ends with the process however it
// ends. Ports are given in order, and again only when the whole block was: one that a test was given a while ago,
// and where it listens later, is not given twice.
//
// Errors: no block is free (44 processes use them all), others listen at every port of the block, or more are
// wanted at once than a block has.
//
// Concurrency: all functions may be called from any goroutine.
package freeport
