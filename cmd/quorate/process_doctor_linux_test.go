package main

import "testing"

// Seven servers are split three and three, and one is dead: neither side serves, and each server says that
// it reaches 3 and needs 4 of 7.
func TestProcessThreeThreeOneDeadIsTold(t *testing.T) {
	n, servers := startNetwork(t, 7)
	waitDoctor(t, "all is well", servers, exitDone, "All is well: 7 of 7 answer; ")
	waitIntroduced(t, servers)
	one, other, dead := servers[:3], servers[3:6], servers[6]
	dead.kill(t)
	for _, s := range servers[:6] {
		s.beginTrouble()
	}
	n.separate(one, other)
	for _, side := range [][]*serverProcess{one, other} {
		missing := others(servers, side...)
		for i, s := range side {
			wants := []string{"No progress: 1 of 1 answer", "no quorum: " + s.name + " reaches 3, needs 4 of 7; missing: "}
			for _, m := range missing {
				wants = append(wants, m.name+" (not linked since ")
			}
			waitDoctor(t, s.name+" says why", side[i:i+1], exitFailed, wants...)
		}
		if out, status := command(t, "put", "a", "b", "--endpoints", endpointsOf(side), "--command-timeout", "1s"); status != exitUnknown {
			t.Errorf("a side without a quorum answers a put with status %d: %s", status, out)
		}
	}
	waitDoctor(t, "doctor says what to do", servers, exitFailed, "No progress: 6 of 7 answer", "Start s7 (no answer from there), or mend the network between s1 and s4, s5, s6, which answer: 1 more needed.",
		"Start s7 (no answer from there), or mend the network between s6 and s1, s2, s3, which answer: 1 more needed.")
	n.mend()
	for _, s := range servers[:6] {
		s.endTrouble()
	}
	waitDoctor(t, "six of seven go on", servers, exitFailed, "6 of 7 answer; requests are carried out, but not all is well.", "s7 is missing: not linked since ")
	dead.start(t)
	dead.waitServing(t)
	waitDoctor(t, "all is well again", servers, exitDone, "All is well: 7 of 7 answer; ")
}
