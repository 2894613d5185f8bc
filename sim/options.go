package sim

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/choice"
)

// Options say which world to run. The zero value is seed 0 at the default length.
type Options struct {
	// Seed decides everything in the world.
	Seed uint64
	// Simulated is how long the world runs before its ending, in its own time. Default 30 s, at most
	// 24 h.
	Simulated time.Duration
	// Rules fix some of the choices that the seed leaves open: what Shrink has found.
	Rules []choice.Rule
	// Story gets one line for everything worth telling, as it happens. Nil: nobody is told.
	Story io.Writer
	// Detailed: the story tells of requests and messages, too. For small worlds.
	Detailed bool

	// wrong is one more check, after every event: what tests of the simulator itself look for.
	wrong func(*world) string
}

const (
	defaultSimulated = 30 * time.Second
	maxSimulated     = 24 * time.Hour
)

// Validate reports everything that is wrong with the options at once, or nil.
func (o Options) Validate() error {
	var wrong []error
	if o.Simulated < 0 || o.Simulated > maxSimulated {
		wrong = append(wrong, fmt.Errorf("option Simulated is %v, must be from 0 to %v", o.Simulated, maxSimulated))
	}
	return errors.Join(wrong...)
}

func (o Options) withDefaults() Options {
	if o.Simulated == 0 {
		o.Simulated = defaultSimulated
	}
	o.Detailed = o.Detailed && o.Story != nil
	return o
}

// Result is what became of a world.
type Result struct {
	Seed uint64
	// Trace is a hash over everything that happened.
	Trace [16]byte
	// Simulated is how much time passed in the world, its ending included.
	Simulated time.Duration
	Counts    Counts
}

// Counts say how often things happened.
type Counts struct {
	Events, Messages, Lost, Duplicated, Flipped             int
	Elections, LeaderChanges, Terms                         int
	Crashes, CrashesWithLoss, Kills, CrashesInRecovery      int
	Mistakes                                                int
	DiskErrors, Pauses, Partitions, OneWay                  int
	Clogs, SlowDisks, Stalls, ClockChanges, Leaps           int
	SlowLeadersLeft, SlowerLeadersLeft, Stuck               int
	TornTails, Truncations, Reconciled, PeerFetches         int
	ApplyFetches, Segments, Commits, Applies, TermFences    int
	Flushes, Samples                                        int
	Requests, Done, Never, Unknown, TooLarge                int
	Reads, FollowerReads, StaleReads, Compactions           int
	ForwardedAgain, HandedOn, Configurations                int
	Calm, Struck, Worlds                                    int
	Cores, SomeLinks, Grays, GrayLeaders, Constrained       int
	Storms                                                  int
	Churning, Changes, Transfers                            int
	ChangesDone, ChangesUnknown, ChangesNotReady            int
	Preferring, Preferences, PreferredLed, LeadersLeft      int
	HandedOver                                              int
	LateLeaders, QuietSpells                                int
	Drawn, Tuned, Unlinked                                  int
	Compacting, Stranded, SegmentsReleased                  int
	SnapshotsBegun, SnapshotPieces, SnapshotPiecesServed    int
	SnapshotsInstalled, LogsBegunAnew, HolesDropped         int
	SumsCompared, Rotten, Damaged, DamageMet, StatesGivenUp int
	Promising, ReadLeased, LeaseReads                       int
	Watched, Streams, Watchers                              int
	WatchResponses, WatchEvents, WatchReads                 int
	Leased, Grants, Renewals, LeasesEnded, LeasesExpired    int
	Sessioned, Sessions, Called, Copies                     int
	Rots, RottenBytes, Mended, Healings, Healed             int
	EndsLost                                                int // endings in which servers that heal wait for each other: see ADR 18
	RottenFrames                                            int
	UnreadBlocks                                            int
	Holes, HolesFilled, HolesCut, HolesPassed               int
	StagesDropped                                           int
	Marks                                                   Marks
}

// struckBy is how many faults make a world one that was struck.
const struckBy = 3

// Faults returns how many faults there were: crashes, whatever their cause, pauses, partitions, clogged
// links, slow disks and clocks that changed their pace, leapt or stood still. Messages that were lost, repeated, late or
// damaged are not among them, because there are too many to tell anything.
func (c *Counts) Faults() int {
	return c.Crashes + c.Pauses + c.Partitions + c.Clogs + c.SlowDisks + c.Stalls + c.ClockChanges + c.Leaps
}

// each calls visit with the name and the value of every count, in the order of the fields.
func (c *Counts) each(visit func(name string, value *int)) {
	for _, f := range []struct {
		name  string
		value *int
	}{
		{"worlds", &c.Worlds}, {"calm worlds", &c.Calm}, {"worlds with at least 3 faults", &c.Struck}, {"events", &c.Events},
		{"messages", &c.Messages}, {"messages lost", &c.Lost}, {"messages duplicated", &c.Duplicated},
		{"messages flipped and refused", &c.Flipped},
		{"elections", &c.Elections}, {"leader changes", &c.LeaderChanges}, {"terms", &c.Terms},
		{"crashes", &c.Crashes}, {"crashes that lost unsynced data", &c.CrashesWithLoss},
		{"kills without loss", &c.Kills}, {"crashes during recovery", &c.CrashesInRecovery},
		{"starts on the disk of another", &c.Mistakes},
		{"disk errors", &c.DiskErrors}, {"pauses", &c.Pauses},
		{"partitions", &c.Partitions}, {"partitions in one direction", &c.OneWay},
		{"links clogged", &c.Clogs}, {"disks slow for a while", &c.SlowDisks}, {"disks that stood still", &c.Stalls},
		{"leaders that handed over because their disk stood still", &c.SlowLeadersLeft},
		{"leaders that handed over because other disks were faster", &c.SlowerLeadersLeft},
		{"servers that ended because a write was never done", &c.Stuck}, {"clocks that changed their pace", &c.ClockChanges},
		{"clocks that leapt or stood still", &c.Leaps},
		{"torn tails recovered", &c.TornTails}, {"truncations", &c.Truncations},
		{"logs reconciled", &c.Reconciled}, {"fetches for peers", &c.PeerFetches},
		{"fetches for the state machine", &c.ApplyFetches}, {"segments begun", &c.Segments},
		{"commits", &c.Commits}, {"entries applied", &c.Applies}, {"term fences", &c.TermFences},
		{"flushes", &c.Flushes}, {"disks looked at as after a crash", &c.Samples},
		{"requests", &c.Requests}, {"requests done", &c.Done}, {"requests that never happened", &c.Never},
		{"requests of unknown outcome", &c.Unknown}, {"requests that are too large", &c.TooLarge},
		{"linearizable reads", &c.Reads}, {"linearizable reads at followers", &c.FollowerReads},
		{"serializable reads", &c.StaleReads}, {"compactions", &c.Compactions},
		{"forwarded batches sent again", &c.ForwardedAgain}, {"commands handed to another leader", &c.HandedOn},
		{"configurations", &c.Configurations},
		{"worlds in which logs are compacted", &c.Compacting}, {"segments given back", &c.SegmentsReleased}, {"servers that the log had left behind", &c.Stranded},
		{"dialogues for a state begun", &c.SnapshotsBegun}, {"pieces of states given", &c.SnapshotPiecesServed}, {"pieces of states staged", &c.SnapshotPieces},
		{"holes of logs of which the state has what they did", &c.HolesDropped},
		{"states taken over", &c.SnapshotsInstalled}, {"logs that began anew after one", &c.LogsBegunAnew},
		{"sums of states compared", &c.SumsCompared}, {"states that have rotted silently", &c.Rotten}, {"states that were damaged", &c.Damaged}, {"damaged states that somebody came upon", &c.DamageMet}, {"states given up", &c.StatesGivenUp},
		{"endings that left a core", &c.Cores}, {"endings that left some links", &c.SomeLinks},
		{"of them with a constrained election", &c.Constrained},
		{"endings with a gray server", &c.Grays}, {"of them with a gray leader", &c.GrayLeaders}, {"endings with a storm of reads", &c.Storms},
		{"worlds in which servers come and go", &c.Churning}, {"changes of members asked for", &c.Changes}, {"transfers of leadership asked for", &c.Transfers},
		{"of both: done", &c.ChangesDone}, {"of both: of unknown outcome", &c.ChangesUnknown},
		{"of both: refused, as too few are ready", &c.ChangesNotReady},
		{"worlds with preferred leaders", &c.Preferring}, {"changes of preference asked for", &c.Preferences},
		{"handovers to a preferred server that nobody asked for", &c.HandedOver}, {"endings in which a preferred server came to lead", &c.PreferredLed}, {"endings in which the leader was removed", &c.LeadersLeft},
		{"leader changes after the first success of an ending", &c.LateLeaders},
		{"spells of a well majority, terms watched", &c.QuietSpells},
		{"worlds whose campaign delays are drawn", &c.Drawn}, {"worlds whose campaign delays are measured", &c.Tuned},
		{"servers told of a broken link", &c.Unlinked},
		{"worlds with promises", &c.Promising}, {"worlds whose leaders hold leases", &c.ReadLeased}, {"turns with reads by a lease", &c.LeaseReads},
		{"worlds with watchers", &c.Watched}, {"streams opened for watching", &c.Streams}, {"watchers created, or resumed", &c.Watchers},
		{"responses to watchers", &c.WatchResponses}, {"events in them", &c.WatchEvents}, {"reads for watchers that lag", &c.WatchReads},
		{"worlds with leases", &c.Leased}, {"leases granted", &c.Grants}, {"leases renewed", &c.Renewals}, {"leases ended", &c.LeasesEnded},
		{"of them because their time was over", &c.LeasesExpired},
		{"worlds with sessions", &c.Sessioned}, {"sessions opened", &c.Sessions}, {"requests of sessions answered", &c.Called},
		{"logs that rotted", &c.Rots}, {"bytes flipped in them", &c.RottenBytes}, {"frames lost as a whole", &c.RottenFrames}, {"of them because the disk reads nothing there", &c.UnreadBlocks}, {"endings in which servers that heal wait for each other", &c.EndsLost}, {"places mended from copies and checksums", &c.Mended},
		{"servers that had to heal", &c.Healings}, {"of them whole again", &c.Healed}, {"entries lost to rot", &c.Holes},
		{"of them fetched from others", &c.HolesFilled}, {"logs cut, as nobody had an entry", &c.HolesCut},
		{"logs that begin after a state, as others had compacted what was lost", &c.HolesPassed},
		{"staged states dropped, as nobody went on from them", &c.StagesDropped},
		{"copies of them beyond the first", &c.Copies},
	} {
		visit(f.name, f.value)
	}
}

// Add adds the counts of another world.
func (c *Counts) Add(other *Counts) {
	var values []int
	other.each(func(_ string, v *int) { values = append(values, *v) })
	i := 0
	c.each(func(_ string, v *int) {
		*v += values[i]
		i++
	})
	c.Marks.add(&other.Marks)
}

// String lists the counts, one to a line.
func (c *Counts) String() string {
	text := ""
	c.each(func(name string, v *int) { text += fmt.Sprintf("%12d %s\n", *v, name) })
	return text
}

// Failure says that something was wrong in a world.
type Failure struct {
	Seed      uint64
	Simulated time.Duration // as in the options
	Ruled     bool          // the options have rules
	At        time.Duration // when it was found
	Violation *check.Violation
	Stack     string // of a panic
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d: at %v: %v\nreplay: %s", f.Seed, f.At, f.Violation, f.Replay())
}

func (f *Failure) Unwrap() error { return f.Violation }

// Replay returns the command that runs the world again, and tells its story.
func (f *Failure) Replay() string {
	if f.Ruled {
		return "quorate sim --replay, with the file that has the rules"
	}
	command := fmt.Sprintf("quorate sim --seed %d", f.Seed)
	if f.Simulated != defaultSimulated {
		command += fmt.Sprintf(" --seconds %g", f.Simulated.Seconds())
	}
	return command
}
