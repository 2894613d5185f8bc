package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

// scenario is one thing that can be measured. run finds fresh servers in b, already holding all keys unless
// it is bare, and fills in the figures of r; r has its case and round already.
type scenario struct {
	name string
	what string // one operation, or what is measured, for -help
	// A scenario with a size is asked for as name or name:size; max bounds it. Without one, both are 0.
	size, max int
	failing   bool // servers fail or change roles under puts, and the flags for that apply
	alone     bool // there is one server, and not three
	bare      bool // the servers are empty: what they are to hold is the scenario's business
	run       func(ctx context.Context, b *bed, r *report.Run) error
}

// scenarios is all there is to choose from. Each is a file of its own, or shares one with its like.
func scenarios() []scenario {
	return []scenario{
		{name: "put", what: "overwrite a random key", run: runPut},
		{name: "lrange", what: "linearizable read of a random key; with -target leader,follower how reads scale with servers", run: runLinearizableRange},
		{name: "nested", what: "a transaction in a transaction", run: runNested},
		{name: "range", what: "linearizable read of so many keys", size: 10_000, max: maxKeys, run: runRange},
		{name: "rangestream", what: "the same, in pieces", size: 10_000, max: maxKeys, run: runRangeStream},
		{name: "page", what: "the first so many of all keys from a random one on", size: 500, max: maxKeys, run: runPage},
		{name: "watchers", what: "an event that one of so many watchers was told of, while clients put", size: 1000, max: maxWatchers, run: runWatchers},
		{name: "paced", what: "the same at 30,000 events a second", size: 1000, max: maxWatchers, run: runPacedWatchers},
		{name: "leases", what: "renew one of so many leases", size: 10_000, max: maxLeases, run: runLeases},
		{name: "leasebursts", what: "renew a hundred leases at once", size: 10_000, max: maxLeases, run: runLeaseBursts},
		{name: "pacedleases", what: "renew each of so many leases every 10 s", size: 10_000, max: maxLeases, run: runPacedLeases},
		{name: "unread", what: "puts beside a stream of so many watchers that is not read", size: 1000, max: maxWatchers, run: runUnread},
		{name: "slow", what: "puts beside one that is read slowly", size: 1000, max: maxWatchers, run: runSlow},
		{name: "history", what: "puts beside a watcher that reads so many old revisions again and again", size: 100_000, max: maxHistory, run: runHistory},
		{name: "burst", what: "puts beside so many watchers that are created at once, again and again", size: 10_000, max: maxWatchers, run: runBurst},
		{name: "failover", what: "the leader fails so many times, by kill -9 and SIGSTOP in turn: when the next write is acknowledged", size: 20, max: maxFailures, failing: true, run: runFailover},
		{name: "transfer", what: "leadership is handed over so many times (MoveLeader): how long no write is acknowledged", size: 20, max: maxFailures, failing: true, run: runTransfer},
		{name: "rolling", what: "all servers are restarted so many times around, one after the other: what clients that put see of it", size: 1, max: maxPasses, failing: true, run: runRolling},
		{name: "rollingonce", what: "the same with Quorate's own client, which sends again what is not answered", size: 1, max: maxPasses, failing: true, run: runRollingOnce},
		{name: "replace", what: "so many times a new server joins, and the oldest is removed: what Quorate's own client, putting, sees of it", size: 3, max: maxPasses, failing: true, run: runReplace},
		{name: "restart", what: "kill -9 of one of three servers that hold so many keys: when it serves again; and of all three", size: 1_000_000, max: maxKeys, bare: true, run: runRestart},
		{name: "restartalone", what: "the same of a server that is alone", size: 1_000_000, max: maxKeys, bare: true, alone: true, run: runRestart},
		{name: "rewritten", what: "the same as restart after so many writes over all keys (-keys)", size: 2_000_000, max: maxHistory, bare: true, run: runRewritten},
		{name: "rewrittenalone", what: "the same of a server that is alone", size: 2_000_000, max: maxHistory, bare: true, alone: true, run: runRewritten},
		{name: "memory", what: "what a server holds in memory with so many keys: after they were stored, after a while (-idle), after all were read", size: 1_000_000, max: maxKeys, bare: true, run: runMemory},
		{name: "memoryalone", what: "the same of a server that is alone", size: 1_000_000, max: maxKeys, bare: true, alone: true, run: runMemory},
		{name: "syncs", what: "puts, and how many of them share a sync of the log", run: runSyncs},
		{name: "syncsalone", what: "the same with a server that is alone", alone: true, run: runSyncs},
		{name: "snapshot", what: "what making the state durable costs when it has so many MB, of which 1 % has changed; and a copy of it", size: 100, max: maxStateMB, bare: true, run: runSnapshot},
		{name: "snapshotalone", what: "the same of a server that is alone", size: 100, max: maxStateMB, bare: true, alone: true, run: runSnapshot},
		{name: "lagging", what: "a server comes back after 1 % of so many keys has changed, and the log has moved on: what it is sent", size: 1_000_000, max: maxKeys, bare: true, run: runLagging},
	}
}

func (s *scenario) serverCount() int {
	if s.alone {
		return 1
	}
	return cluster.Servers
}

// findScenario returns the scenario that is asked for by name or name:size, with that size.
func findScenario(asked string) (*scenario, error) {
	name, size, sized := strings.Cut(asked, ":")
	for _, s := range scenarios() {
		if s.name != name {
			continue
		}
		if !sized {
			return &s, nil
		}
		n, err := strconv.Atoi(size)
		if err != nil || n < 0 || n > s.max {
			return nil, fmt.Errorf("the size of %s is %q, not a number from 0 to %d", name, size, s.max)
		}
		s.size = n
		return &s, nil
	}
	return nil, fmt.Errorf("%q is none of %s", asked, scenarioNames())
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.asked())
	}
	return strings.Join(names, ", ")
}

// asked is how the scenario is asked for, with its own size if it has one.
func (s *scenario) asked() string {
	if s.max == 0 {
		return s.name
	}
	return fmt.Sprintf("%s:%d", s.name, s.size)
}

// describeScenarios writes a line for each.
func describeScenarios(w io.Writer) {
	fmt.Fprintln(w, "Scenarios:")
	for _, s := range scenarios() {
		fmt.Fprintf(w, "  %-18s %s\n", s.asked(), s.what)
	}
}
