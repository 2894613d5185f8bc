package main

import (
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/ledger"
)

var (
	processKills  = flag.Int("process.kills", 0, "how many leaders to kill in the test of killed leaders; 0: a few")
	processLedger = flag.String("process.ledger", "", "a file to which tests that may run for long add a line: that of killed leaders for each cluster")
)

// killsByName is how many leaders other tests kill when they are asked for by name: a few, or ten if many
// are to be killed.
func killsByName() int { return min(max(3, *processKills), 10) }

// killsEach bounds the kills in the life of one cluster, and with it the history to be checked.
const killsEach = 20

func TestProcessKilledLeadersLoseNothingAndAnswerNothingStale(t *testing.T) {
	kills := *processKills
	switch {
	case kills > 0:
	case askedForByName():
		kills = killsEach
	default:
		kills = 3
	}
	for left := kills; left > 0; left -= killsEach {
		t.Run(fmt.Sprintf("cluster%d", 1+(kills-left)/killsEach), func(t *testing.T) { killLeaders(t, min(left, killsEach)) })
	}
}

// killLeaders kills the leader of a new cluster again and again, under load.
func killLeaders(t *testing.T, kills int) {
	entry := killsEntry{When: time.Now().UTC().Format(time.RFC3339), Seed: mathrand.Uint64()}
	began := time.Now()
	t.Logf("seed %d", entry.Seed)
	servers := startServers(t, 3, quick...)
	l := startLoad(t, servers, entry.Seed, mixedOperation)
	t.Cleanup(func() {
		entry.Operations, entry.Unknown, entry.Passed = len(l.history), l.unknown, !t.Failed()
		entry.Seconds = time.Since(began).Seconds()
		entry.add(t)
	})
	for range kills {
		l.waitProgress(t, 150)
		leader := waitLeader(t, servers)
		leader.kill(t)
		entry.Kills++
		l.waitProgress(t, 150) // There is a new one.
		leader.start(t)
		leader.waitServing(t)
		waitCaughtUp(t, leader, waitLeader(t, servers))
	}
	l.waitProgress(t, 150)
	t.Logf("%d kills in %v", kills, time.Since(began).Round(time.Millisecond))
	l.expectLinearizable(t)
}

// killsEntry is a line of the ledger. Lines are added up over time, so they say what they were made with.
type killsEntry struct {
	When       string  `json:"when"`
	Commit     string  `json:"commit"`
	Seed       uint64  `json:"seed"`
	Kills      int     `json:"kills"`
	Operations int     `json:"operations"`
	Unknown    int     `json:"unknown"` // operations without an answer
	Seconds    float64 `json:"seconds"`
	Passed     bool    `json:"passed"`
}

// add writes the line, if anybody wants it.
func (e *killsEntry) add(t *testing.T) {
	t.Helper()
	e.Commit = presentCommit(t)
	addToLedger(t, e)
}

// presentCommit names what is tested, if a ledger wants to know.
func presentCommit(t *testing.T) string {
	t.Helper()
	if *processLedger == "" {
		return ""
	}
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		t.Errorf("which commit is this? %v", err)
	}
	return strings.TrimSpace(string(out))
}

// addToLedger adds a line, if anybody wants one.
func addToLedger(t *testing.T, entry any) {
	t.Helper()
	if err := ledger.Append(*processLedger, entry); err != nil {
		t.Error(err)
	}
}
