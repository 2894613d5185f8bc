//go:build race

package raft

// raceEnabled: the race detector makes everything some ten times slower, so that less of it is done.
const raceEnabled = true
