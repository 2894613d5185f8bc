package main

import (
	mathrand "math/rand/v2"
	"testing"
)

// A leader that is cut off from the others takes writes that it cannot carry out, and clients send them again
// elsewhere. When the cut is mended, what is left of the first copies must not be carried out, too.
func TestProcessWritesAtACutOffLeaderTakeEffectOnce(t *testing.T) {
	cuts := 2
	if askedForByName() {
		cuts = 6
	}
	n, servers := startNetwork(t, 3)
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	l := startSessionLoad(t, servers, seed)
	for i := range cuts {
		l.waitProgress(t, 150)
		leader := waitLeader(t, servers)
		rest := others(servers, leader)
		leader.beginTrouble()
		if i%2 == 0 {
			n.separate([]*serverProcess{leader}, rest)
		} else { // It hears nothing, and is heard: its clients' writes arrive, and it does not learn of it.
			for _, s := range rest {
				n.cut(s, leader)
			}
		}
		waitLeader(t, rest)
		l.waitProgress(t, 300)
		n.mend()
		leader.endTrouble()
		waitCaughtUp(t, leader, waitLeader(t, servers))
	}
	l.waitProgress(t, 150)
	l.expectExactlyOnce(t, servers)
}
