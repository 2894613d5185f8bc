package sim

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A mark is a situation that the simulator must get into now and then, because rules exist for it that
// nothing else would try. Counts say how much happened; marks say that the rare things did. They are
// set by the simulator, from what it sees of inputs, outputs and events; the code under test knows
// nothing of them.
type mark uint8

const (
	// Elections.
	voteOutlivesCrash mark = iota
	voteDroppedWhileHeld
	voteRefusedLogBehind
	voteRefusedGiven
	preVoteRefusedLeaderAlive
	voteRefusedPromised
	electionWithoutWinner
	candidateFindsLeader
	voteAfterVictory
	voteOfOldTerm
	electedBehindCommit
	electedWithOldEntries
	twoLeaders
	sameLeaderAgain
	leaderDeposed
	leaderWithoutMajority
	pausedLeaderDeposed
	// Replication.
	deposedEntriesOverwritten
	deposedEntriesSurvive
	aheadOfNewLeader
	configurationTakenBack
	truncationOverSegments
	refusalOfManyTerms
	appendOfOldTerm
	appendOvertaken
	commitClamped
	commitAheadOfDisk
	commitWithoutOwnDisk
	commitOfOldTermAlong
	slowLeaderCommits
	// Crashes.
	tornTailFetchedAgain
	crashInRecovery
	crashDuringSync
	crashBeforeVoteLeaves
	leaderCrashesWithOwnEntries
	majorityDown
	allDownCommitSurvives
	stateBehindLog
	stateAheadOfHint
	crashDuringApply
	aloneAgain
	diskEndsServer
	// States of other servers.
	stateTakenUp
	stateKeepsLog
	stateEndsOwnEntries
	stateByDelta
	stateInFull
	stateOfTwoSources
	stateOutlivesSender
	stateOutlivesReceiver
	stateUnderWatchers
	// Requests.
	firstReadOfReign
	readRefusedByDeposed
	readOutlivesLeader
	readOfLaterState
	answerForEarlierLife
	handedOnAndDone
	writeOutlivesLeader
	unknownAndYetApplied
	canceledBeforeItLeft
	busyAtLeader
	readOfCompacted
	// Watching.
	watcherFellBehind
	watcherCaughtUp
	watcherCompacted
	watcherElsewhere
	watcherAhead
	watcherFromBookmark
	futureReached
	feedDropped
	progressTold
	progressNotified
	progressWhileLagging
	toldOfManyAtOnce
	// Leases.
	leaseRenewedInTime
	leaseOutlivesLeader
	leaseOutlivesRestart
	leaseEndsAtNextLeader
	leaseLost
	// Sessions.
	sessionLost
	staleCopyRefused
	copyAnsweredAlike
	copyAfterLeader
	copyAfterCrash
	marks // how many there are
)

// aMark says of a mark what it is, where in the simulator it is set, and how often a thousand worlds
// of half a minute must get there.
type aMark struct {
	name, where string
	least       int
}

// markTable has every mark. The least counts are a fifth of what was seen, or less: seeds differ.
var markTable = [marks]aMark{
	voteOutlivesCrash:         {"vote granted, its reply not there yet, and restarted in the same term", "witnessStart", 20},
	voteDroppedWhileHeld:      {"vote waited for the disk until its term was over, and never left", "witnessTerm", 30},
	voteRefusedLogBehind:      {"vote refused, because the candidate's log is behind", "witnessEvent", 100},
	voteRefusedGiven:          {"vote refused, because it was given to another", "witnessEvent", 400},
	preVoteRefusedLeaderAlive: {"pre-vote refused, because the leader is alive", "witnessEvent", 4000},
	voteRefusedPromised:       {"vote refused, because it is promised to nobody", "witnessEvent", 60},
	electionWithoutWinner:     {"candidate begins again, because nobody has won", "witnessRole", 100},
	candidateFindsLeader:      {"candidate hears from the leader of its own term", "witnessRole", 30},
	voteAfterVictory:          {"vote arrives after the election is won", "witnessMessage", 800},
	voteOfOldTerm:             {"vote arrives after its term is over", "witnessMessage", 20},
	electedBehindCommit:       {"new leader does not know yet all that is committed", "witnessElected", 400},
	electedWithOldEntries:     {"new leader has entries of earlier terms that are not committed", "witnessElected", 600},
	twoLeaders:                {"new leader while another one still believes to lead", "witnessElected", 100},
	sameLeaderAgain:           {"leader that stepped down is elected again", "witnessElected", 300},
	leaderDeposed:             {"leader steps down, because there is a higher term", "witnessRole", 80},
	leaderWithoutMajority:     {"leader steps down, because no majority answers", "witnessRole", 600},
	pausedLeaderDeposed:       {"leader goes on after a pause, and is none any more", "witnessRole", 5},

	deposedEntriesOverwritten: {"leader steps down with entries that a later leader overwrites", "witnessCommitted", 200},
	deposedEntriesSurvive:     {"leader steps down with uncommitted entries that survive", "witnessCommitted", 500},
	aheadOfNewLeader:          {"follower drops entries that the new leader does not have", "witnessTruncated", 200},
	configurationTakenBack:    {"dropped entries take a configuration back", "witnessTruncated", 3},
	truncationOverSegments:    {"dropped entries are older than the log's latest segment", "witnessTruncated", 5},
	refusalOfManyTerms:        {"refused append brings the terms of a log that has other ones", "witnessMessage", 5000},
	appendOfOldTerm:           {"append of a leader that was deposed arrives", "witnessMessage", 5000},
	appendOvertaken:           {"append arrives that ends before the log does, in its own term", "witnessMessage", 3000},
	commitClamped:             {"append says that more is committed than it verifies", "witnessMessage", 600},
	commitAheadOfDisk:         {"follower knows that entries are committed before its disk has them", "witnessTurn", 10000},
	commitWithoutOwnDisk:      {"commit by a majority without the leader's own disk", "witnessCommitted", 5000},
	commitOfOldTermAlong:      {"entries of an earlier term are committed along with one of this term", "witnessCommitted", 1000},
	slowLeaderCommits:         {"leader with a slow disk commits", "witnessCommitted", 3000},

	tornTailFetchedAgain:        {"torn tail recovered, and what was lost fetched again", "witnessTurn", 50},
	crashInRecovery:             {"crash in the middle of recovery", "witnessCrash", 100},
	crashDuringSync:             {"power goes while a sync is under way", "witnessCrash", 800},
	crashBeforeVoteLeaves:       {"crash between a vote and its reply", "witnessCrash", 20},
	leaderCrashesWithOwnEntries: {"leader crashes with entries that nobody else has", "witnessCrash", 300},
	majorityDown:                {"majority is down at once", "witnessCrash", 900},
	allDownCommitSurvives:       {"all servers down at once, and a commit survives", "witnessElected", 300},
	stateBehindLog:              {"store is behind the log after a restart, and catches up from it", "witnessStart", 2000},
	stateAheadOfHint:            {"store is ahead of the commit index in the log after a restart", "witnessStart", 400},
	crashDuringApply:            {"crash while the store applies", "witnessCrash", 300},
	aloneAgain:                  {"server alone leads again after a crash", "witnessElected", 100},
	diskEndsServer:              {"server ends because its disk fails", "fail", 600},

	stateTakenUp:  {"crash between a state that was taken over and the log that begins after it", "takeUp", 3},
	stateKeepsLog: {"state is taken over, and the log has that entry and keeps what follows", "note", 1},

	stateEndsOwnEntries:   {"state is taken over by a server with entries that are not committed, and go", "witnessEvent", 250},
	stateByDelta:          {"piece begins a state that brings what has changed only", "witnessPiece", 350},
	stateInFull:           {"piece begins a state that brings everything", "witnessPiece", 250},
	stateOfTwoSources:     {"piece goes on where another server's ended", "witnessPiece", 35},
	stateOutlivesSender:   {"piece goes on where one of its sender's earlier life ended", "witnessPiece", 2},
	stateOutlivesReceiver: {"piece goes on where the last one ended before the receiver crashed", "witnessPiece", 8},
	stateUnderWatchers:    {"state is taken over by a server at which somebody watches", "tookOver", 100},

	firstReadOfReign:     {"read is the first that a new leader confirms", "witnessAnswer", 1000},
	readRefusedByDeposed: {"leader steps down while reads wait at it", "witnessDeposed", 200},
	readOutlivesLeader:   {"read waits from one leader to the next, and is served", "witnessAnswer", 1000},
	readOfLaterState:     {"read is served from a state later than its index", "witnessAnswer", 2000},
	answerForEarlierLife: {"reply arrives that was meant for an earlier life", "witnessMessage", 40},
	handedOnAndDone:      {"forwarded command is handed to another leader, and applied once", "witnessAnswer", 400},
	writeOutlivesLeader:  {"write waits from one leader to the next, and is done", "witnessAnswer", 2000},
	unknownAndYetApplied: {"command whose client waits no longer is applied", "witnessApplied", 5000},
	canceledBeforeItLeft: {"request is canceled before it has left", "witnessAnswer", 8000},
	busyAtLeader:         {"leader refuses a command because too much waits", "witnessAnswer", 100},
	readOfCompacted:      {"read asks for what is compacted", "done", 5000},

	watcherFellBehind:    {"watcher lags, because its stream is full", "fetch", 800},
	watcherCaughtUp:      {"watcher that has lagged is up to date again", "read", 6000},
	watcherCompacted:     {"watcher is canceled, because what it lacks is compacted", "canceled", 600},
	watcherElsewhere:     {"watcher goes on at another server", "resumed", 4000},
	watcherAhead:         {"watcher goes on at a server that is behind it", "resumed", 800},
	watcherFromBookmark:  {"watcher goes on behind a revision that it had no event of", "resumed", 1000},
	futureReached:        {"watcher from a future revision on is told of it", "sees", 400},
	feedDropped:          {"changes are dropped, and watchers lag until they are read", "fetch", 1500},
	progressTold:         {"stream is told how far it is, as it has asked", "progressed", 4000},
	progressNotified:     {"watcher is told how far it is by itself", "receive", 2500},
	progressWhileLagging: {"stream asks how far it is while watchers lag", "request", 150},
	toldOfManyAtOnce:     {"watcher is told of several changes of one revision", "sees", 1500},

	leaseRenewedInTime:    {"lease renewed, and lives for longer than it was granted for", "done", 200},
	leaseOutlivesLeader:   {"lease renewed under a leader and under another", "leaseExpired", 300},
	leaseOutlivesRestart:  {"lease ends by its time after a server has crashed", "leaseExpired", 800},
	leaseEndsAtNextLeader: {"lease renewed under one leader is ended by a later one", "leaseExpired", 800},
	leaseLost:             {"holder finds that its lease has ended", "done", 50},

	sessionLost:       {"client finds that its session has ended", "copyDone", 40},
	staleCopyRefused:  {"late copy of a request is refused, for its client has acknowledged it", "copyDone", 90},
	copyAnsweredAlike: {"second copy of a request is answered as the first was", "copyDone", 250},
	copyAfterLeader:   {"the same, under another leader", "copyDone", 60},
	copyAfterCrash:    {"the same, after a server has crashed", "copyDone", 25},
}

// Marks says how often each mark was set.
type Marks [marks]int

// add adds the marks of another world.
func (m *Marks) add(other *Marks) {
	for i := range m {
		m[i] += other[i]
	}
}

// String lists the marks, one to a line.
func (m *Marks) String() string {
	var b strings.Builder
	for i, n := range m {
		fmt.Fprintf(&b, "%12d %s\n", n, markTable[i].name)
	}
	return b.String()
}

// MarshalJSON writes an object of names and numbers, in the order of the table.
func (m Marks) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, n := range m {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(markTable[i].name)
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(append(b, name...), ":%d", n)
	}
	return append(b, '}'), nil
}

// Missed says which marks that many worlds should have set more often, a line for each.
func (m *Marks) Missed(worlds int) []string {
	var missed []string
	for i, n := range m {
		a := &markTable[i]
		if want := a.least * worlds / 1000; n < want {
			missed = append(missed, fmt.Sprintf("mark %q was set %d times, want at least %d: either the simulator no longer gets there, "+
				"or %s no longer sees it", a.name, n, want, a.where))
		}
	}
	return missed
}

// mark notes that a situation has come up.
func (w *world) mark(m mark) { w.counts.Marks[m]++ }
