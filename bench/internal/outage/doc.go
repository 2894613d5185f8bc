// Package outage keeps when writes were acknowledged, and finds when they were not.
//
// What: data and arithmetic. It writes nothing and knows no server.
//
// Units: a moment is a time.Duration since the Acks were made.
//
// Shape:
//
//	Acks   the acknowledgements of one client, or of many   Add, FirstAbove, LongestGap, Rates
//
//	       acks   | | | | |                  | | | |
//	                   ^ from     gap              ^ to
//
// A leader that has failed acknowledges nothing in its term any more, and what a later one acknowledges
// bears a later term. So the first acknowledgement of a later term is the end of an outage, whether the
// write was begun before it or during it.
//
// Errors: none.
//
// Concurrency: any goroutine may call the methods of Acks.
package outage
