package sim_test

import (
	"context"
	"errors"
	"flag"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/sim"
)

var (
	fromSeed = flag.Uint64("sim.from", 1, "first seed of TestThousandSeeds")
	seeds    = flag.Int("sim.seeds", 1000, "how many seeds TestThousandSeeds runs")
	seconds  = flag.Int("sim.seconds", 30, "simulated seconds of each, before the ending")
	shrink   = flag.Bool("sim.shrink", false, "shrink the first failure, and print it as a script")
	stop     = flag.Bool("sim.stop", false, "stop at the first failure")
)

func TestThousandSeeds(t *testing.T) {
	started := time.Now()
	failed := 0
	counts, err := sim.Many(context.Background(), sim.Batch{
		Options:       sim.Options{Simulated: time.Duration(*seconds) * time.Second},
		From:          *fromSeed,
		Count:         *seeds,
		StopAtFailure: *stop,
	}, func(_ sim.Result, err error) {
		var f *sim.Failure
		if errors.As(err, &f) {
			if failed++; failed <= 10 {
				t.Error(err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
	})
	if err != nil && failed == 0 {
		t.Fatal(err)
	}
	t.Logf("%d seeds from %d on, %d s each, %d failed, %.0f events a second\n%s%s", *seeds, *fromSeed, *seconds, failed,
		float64(counts.Events)/time.Since(started).Seconds(), &counts, &counts.Marks)
	var f *sim.Failure
	if *shrink && errors.As(err, &f) {
		shrinkAndTell(t, f)
	}
	if failed == 0 && *seeds >= 1000 && *seconds >= 30 {
		wantEverythingSometimes(t, &counts)
	}
}

// shrinkAndTell prints a failing world as a script that is as small as can be.
func shrinkAndTell(t *testing.T, f *sim.Failure) {
	t.Helper()
	small, err := sim.Shrink(context.Background(), sim.Shrinking{Options: sim.Options{Seed: f.Seed, Simulated: f.Simulated}})
	if err != nil {
		t.Error(err)
		return
	}
	t.Logf("shrunk in %d runs\nfrom %v\nto   %v\n--- script\n%s--- end", small.Runs, small.Before, small.After, small.Script)
}

// wantEverythingSometimes checks that a thousand worlds of half a minute have seen everything that the
// simulator is for, and not just once. A simulator that tests nothing finds nothing.
func wantEverythingSometimes(t *testing.T, c *sim.Counts) {
	t.Helper()
	for _, missed := range c.Marks.Missed(c.Worlds) {
		t.Error(missed)
	}
	for _, some := range []struct {
		name       string
		got, least int
	}{
		{"events", c.Events, 10_000_000},
		{"calm worlds", c.Calm, 10},
		{"lost messages", c.Lost, 100_000},
		{"duplicated messages", c.Duplicated, 50_000},
		{"flipped messages", c.Flipped, 5_000},
		{"elections", c.Elections, 5_000},
		{"leader changes", c.LeaderChanges, 3_000},
		{"crashes", c.Crashes, 5_000},
		{"crashes that lost unsynced data", c.CrashesWithLoss, 2_000},
		{"kills", c.Kills, 300},
		{"crashes during recovery", c.CrashesInRecovery, 200},
		{"starts on the disk of another", c.Mistakes, 500},
		{"disk errors", c.DiskErrors, 500},
		{"pauses", c.Pauses, 1_000},
		{"worlds whose leaders hold leases", c.ReadLeased, 300},
		{"turns with reads by a lease", c.LeaseReads, 20_000},
		{"partitions", c.Partitions, 2_000},
		{"partitions in one direction", c.OneWay, 1_000},
		{"torn tails", c.TornTails, 100},
		{"truncations", c.Truncations, 500},
		{"reconciled logs", c.Reconciled, 10_000},
		{"fetches for peers", c.PeerFetches, 10_000},
		{"fetches for state machines", c.ApplyFetches, 20_000},
		{"segments", c.Segments, 10_000},
		{"disks looked at", c.Samples, 3_000},
		{"linearizable reads", c.Reads, 100_000},
		{"linearizable reads at followers", c.FollowerReads, 50_000},
		{"serializable reads", c.StaleReads, 20_000},
		{"compactions", c.Compactions, 5_000},
		{"sums of states compared", c.SumsCompared, 50_000},
		{"states that have rotted, and were given up", min(c.Rotten+c.Damaged, c.StatesGivenUp), 120},
		{"states that have rotted silently", c.Rotten, 20},
		{"damaged states that somebody came upon", c.DamageMet, 10},
		{"requests of unknown outcome", c.Unknown, 10_000},
		{"requests that never happened", c.Never, 10_000},
		{"requests that are too large", c.TooLarge, 100},
		{"forwarded batches sent again", c.ForwardedAgain, 500},
		{"commands handed to another leader", c.HandedOn, 200},
		{"forwarded batches for another term", c.TermFences, 50},
		{"endings that left a core", c.Cores, 60},
		{"endings that left some links", c.SomeLinks, 65},
		{"endings with a gray server", c.Grays, 40},
		{"gray leaders", c.GrayLeaders, 12},
		{"endings with a storm of reads", c.Storms, 120},
		{"worlds in which servers come and go", c.Churning, 450},
		{"worlds whose campaign delays are drawn", c.Drawn, 150},
		{"worlds whose campaign delays are measured", c.Tuned, 150},
		{"servers told of a broken link", c.Unlinked, 2000},
		{"transfers of leadership asked for", c.Transfers, 1_500},
		{"changes and transfers that were done", c.ChangesDone, 1_500},
		{"changes and transfers of unknown outcome", c.ChangesUnknown, 50},
		{"changes and transfers that were refused", c.ChangesNotReady, 300},
		{"worlds with preferred leaders", c.Preferring, 120},
		{"changes of preference", c.Preferences, 80},
		{"handovers that nobody asked for", c.HandedOver, 180},
		{"endings in which a preferred server came to lead", c.PreferredLed, 80},
		{"endings in which the leader was removed", c.LeadersLeft, 40},
		{"spells of a well majority", c.QuietSpells, 1_000},
		{"worlds in which logs are compacted", c.Compacting, 500},
		{"segments given back", c.SegmentsReleased, 7_000},
		{"servers that the log had left behind", c.Stranded, 1_000},
		{"dialogues for a state begun", c.SnapshotsBegun, 700},
		{"pieces of states given", c.SnapshotPiecesServed, 2_500},
		{"pieces of states staged", c.SnapshotPieces, 2_500},
		{"states taken over", c.SnapshotsInstalled, 600},
		{"logs that began anew after one", c.LogsBegunAnew, 600},
		{"worlds with watchers", c.Watched, 350},
		{"streams opened for watching", c.Streams, 3_000},
		{"watchers created, or resumed", c.Watchers, 10_000},
		{"events told to watchers", c.WatchEvents, 70_000},
		{"reads for watchers that lag", c.WatchReads, 20_000},
		{"worlds with leases", c.Leased, 300},
		{"leases granted", c.Grants, 2_000},
		{"leases renewed", c.Renewals, 5_000},
		{"leases that ended by their time", c.LeasesExpired, 2_000},
		{"worlds with sessions", c.Sessioned, 990},
		{"sessions opened", c.Sessions, 1_500},
		{"requests of sessions answered", c.Called, 40_000},
		{"copies of requests of sessions", c.Copies, 10_000},
	} {
		if some.got < some.least {
			t.Errorf("%s: %d, want at least %d", some.name, some.got, some.least)
		}
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) sim.Result {
		r, err := sim.Run(sim.Options{Seed: seed, Simulated: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	traces := map[[16]byte]uint64{}
	for seed := uint64(1); seed <= 20; seed++ {
		first := run(seed)
		before := runtime.GOMAXPROCS(1 + int(seed%3))
		second := run(seed)
		runtime.GOMAXPROCS(before)
		if first != second {
			t.Errorf("seed %d: %x after %d events, then %x after %d", seed, first.Trace, first.Counts.Events, second.Trace, second.Counts.Events)
		}
		if other, ok := traces[first.Trace]; ok {
			t.Errorf("seeds %d and %d have the same trace", other, seed)
		}
		traces[first.Trace] = seed
	}
}

func TestStoryDoesNotChangeTheWorld(t *testing.T) {
	var story strings.Builder
	silent, err := sim.Run(sim.Options{Seed: 4, Simulated: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	told, err := sim.Run(sim.Options{Seed: 4, Simulated: 5 * time.Second, Story: &story})
	if err != nil {
		t.Fatal(err)
	}
	if silent != told {
		t.Errorf("silent %x, told %x", silent.Trace, told.Trace)
	}
	for _, want := range []string{"seed 4:", "leader in term", "nobody waits any more", "all servers agree"} {
		if !strings.Contains(story.String(), want) {
			t.Errorf("the story does not say %q", want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]sim.Options{
		"negative": {Simulated: -time.Second},
		"too long": {Simulated: 25 * time.Hour},
	} {
		if _, err := sim.Run(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := sim.Many(context.Background(), sim.Batch{Count: -1, Workers: -1}, nil); err == nil ||
		!strings.Contains(err.Error(), "Count") || !strings.Contains(err.Error(), "Workers") {
		t.Errorf("got %v, want both mistakes", err)
	}
}

func TestManyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := sim.Many(ctx, sim.Batch{Count: 10}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}
