package main

import (
	mathrand "math/rand/v2"
	"testing"
	"time"
)

// electionTimeout is that of quick servers.
const electionTimeout = 500 * time.Millisecond

// A server that was paused does not know it. It believes to lead, or to have heard from its leader just
// now, while the others have gone on without it: what it is asked in its sleep must not be answered
// from what it knew when it fell asleep.
func TestProcessPausedServersAnswerNothingStaleWhenTheyWake(t *testing.T) {
	pauses := 2
	if askedForByName() {
		pauses = 12
	}
	servers := startServers(t, 3, quick...)
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	l := startPinnedLoad(t, servers, seed, mixedOperation)
	for i := range pauses {
		l.waitProgress(t, 100)
		leader := waitLeader(t, servers)
		sleeper := leader
		if i%2 == 1 {
			sleeper = others(servers, leader)[0]
		}
		awake := others(servers, sleeper)
		sleeper.pause(t)
		<-time.After(2 * electionTimeout) // It is no pause otherwise; whether it leads or follows.
		waitLeader(t, awake)
		l.waitProgress(t, 100, awake...)
		// These begin after writes that the sleeper cannot know.
		answers := l.ask(sleeper, 8, readOperation)
		l.waitProgress(t, 50, awake...)
		sleeper.resume(t)
		answers()
		waitCaughtUp(t, sleeper, waitLeader(t, servers))
		l.waitProgress(t, 50, sleeper)
	}
	l.expectLinearizable(t)
}
