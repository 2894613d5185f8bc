package sim

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// A ledger is a file that adds up what long runs have seen: one line of JSON for each chunk of worlds
// that was finished. A run that is interrupted keeps its finished chunks, and the next one goes on
// behind them. Lines are only ever added.

// Chunk is one line of a ledger: worlds with consecutive seeds, all of which have ended.
type Chunk struct {
	// Commit names the sources that were run.
	Commit string `json:"commit"`
	// Began is when, by the clock on the wall.
	Began time.Time `json:"began"`
	// From is the first seed, Seeds how many there are.
	From  uint64 `json:"from"`
	Seeds int    `json:"seeds"`
	// SecondsEach is how long each world lasts before its ending, Simulated how long all of them took
	// with their endings, both in their own seconds.
	SecondsEach float64 `json:"secondsEach"`
	Simulated   float64 `json:"simulatedSeconds"`
	// CPU is what the processors spent on it, for the program and for the system; Wall what passed
	// meanwhile. In seconds.
	CPU  float64 `json:"cpuSeconds"`
	Wall float64 `json:"wallSeconds"`
	// Trace is the exclusive or of the traces of all worlds: the same commit gives the same.
	Trace    string    `json:"trace"`
	Findings []Finding `json:"findings"`
	Tally
}

// Tally is how often what matters most happened in the worlds of a ledger.
type Tally struct {
	Events          int `json:"events"`
	Faults          int `json:"faults"`
	Struck          int `json:"worldsWith3Faults"`
	Calm            int `json:"calmWorlds"`
	Crashes         int `json:"crashes"`
	CrashesWithLoss int `json:"crashesThatLostUnsynced"`
	DiskErrors      int `json:"diskErrors"`
	LeaderChanges   int `json:"leaderChanges"`
	Partitions      int `json:"partitions"`
	OneWay          int `json:"partitionsInOneDirection"`
	Requests        int `json:"requests"`
}

// Finding is a world in which something was wrong.
type Finding struct {
	Seed  uint64 `json:"seed"`
	Check string `json:"check"`
	Text  string `json:"text"`
}

// RunChunk runs the worlds of a batch, and returns what there is to say of them, but for the commit and
// the processors' time. Worlds that fail are findings, and no error; if ctx ends first there is an
// error and no chunk.
func RunChunk(ctx context.Context, b Batch, report func(Result, error)) (Chunk, error) {
	c := Chunk{Began: time.Now().UTC().Truncate(time.Second), From: b.From, Seeds: max(b.Count, 1),
		SecondsEach: b.Options.withDefaults().Simulated.Seconds(), Findings: []Finding{}}
	began := time.Now()
	var traces [16]byte
	var simulated time.Duration
	counts, err := Many(ctx, b, func(r Result, err error) {
		for i := range traces {
			traces[i] ^= r.Trace[i]
		}
		simulated += r.Simulated
		var f *Failure
		if errors.As(err, &f) {
			c.Findings = append(c.Findings, Finding{f.Seed, f.Violation.Check, f.Violation.Text})
		}
		if report != nil {
			report(r, err)
		}
	})
	var f *Failure
	if err != nil && !errors.As(err, &f) {
		return Chunk{}, err
	}
	if counts.Worlds != c.Seeds {
		return Chunk{}, fmt.Errorf("chunk from seed %d on ended after %d of %d worlds", c.From, counts.Worlds, c.Seeds)
	}
	slices.SortFunc(c.Findings, func(a, b Finding) int { return cmp.Compare(a.Seed, b.Seed) })
	c.Simulated, c.Wall, c.Trace, c.Tally = simulated.Seconds(), time.Since(began).Seconds(), fmt.Sprintf("%x", traces), tallyOf(&counts)
	return c, nil
}

func tallyOf(c *Counts) Tally {
	return Tally{Events: c.Events, Faults: c.Faults(), Struck: c.Struck, Calm: c.Calm, Crashes: c.Crashes,
		CrashesWithLoss: c.CrashesWithLoss, DiskErrors: c.DiskErrors, LeaderChanges: c.LeaderChanges,
		Partitions: c.Partitions, OneWay: c.OneWay, Requests: c.Requests}
}

// ReadLedger reads the lines of a ledger. A last line without its end was cut off by a crash, and
// does not count.
func ReadLedger(r io.Reader) ([]Chunk, error) {
	var chunks []Chunk
	lines := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return chunks, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read line %d of the ledger: %w", number, err)
		}
		var c Chunk
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("read line %d of the ledger: %w", number, err)
		}
		chunks = append(chunks, c)
	}
}

// AppendToLedger adds a line to the file of a ledger, which it makes if there is none, in place of
// a last line that was cut off.
func AppendToLedger(name string, c Chunk) (err error) {
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write the ledger %s: %w", name, err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	before, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read the ledger %s: %w", name, err)
	}
	end := int64(bytes.LastIndexByte(before, '\n') + 1)
	if err := f.Truncate(end); err != nil {
		return fmt.Errorf("cut the ledger %s: %w", name, err)
	}
	if _, err := f.WriteAt(append(line, '\n'), end); err != nil {
		return fmt.Errorf("write the ledger %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync the ledger %s: %w", name, err)
	}
	return nil
}

// NextSeed returns the seed behind all that are in the ledger.
func NextSeed(chunks []Chunk) uint64 {
	next := uint64(1)
	for i := range chunks {
		next = max(next, chunks[i].From+uint64(chunks[i].Seeds))
	}
	return next
}

// Ledger is what the lines of a ledger add up to.
type Ledger struct {
	Chunks, Commits, Worlds int
	// Repeated is how many of Worlds were run before, with the same seed, length and commit.
	Repeated             int
	Simulated, CPU, Wall float64 // seconds
	Findings             []Finding
	Tally
}

// Summarize adds up the lines of a ledger.
func Summarize(chunks []Chunk) Ledger {
	var l Ledger
	sorted := slices.Clone(chunks)
	slices.SortStableFunc(sorted, func(a, b Chunk) int {
		return cmp.Or(cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.SecondsEach, b.SecondsEach), cmp.Compare(a.From, b.From))
	})
	var end uint64 // of the seeds that the same commit has run at this length
	for i := range sorted {
		c := &sorted[i]
		if i == 0 || c.Commit != sorted[i-1].Commit {
			l.Commits++
			end = 0
		} else if c.SecondsEach != sorted[i-1].SecondsEach {
			end = 0
		}
		if c.From < end {
			l.Repeated += int(min(end-c.From, uint64(c.Seeds)))
		}
		end = max(end, c.From+uint64(c.Seeds))
		l.add(c)
	}
	return l
}

func (l *Ledger) add(c *Chunk) {
	l.Chunks++
	l.Worlds += c.Seeds
	l.Simulated += c.Simulated
	l.CPU += c.CPU
	l.Wall += c.Wall
	l.Findings = append(l.Findings, c.Findings...)
	l.Events += c.Events
	l.Faults += c.Faults
	l.Struck += c.Struck
	l.Calm += c.Calm
	l.Crashes += c.Crashes
	l.CrashesWithLoss += c.CrashesWithLoss
	l.DiskErrors += c.DiskErrors
	l.LeaderChanges += c.LeaderChanges
	l.Partitions += c.Partitions
	l.OneWay += c.OneWay
	l.Requests += c.Requests
}

// EventsPerSecond returns how many events one processor does in a second.
func (l *Ledger) EventsPerSecond() float64 { return float64(l.Events) / max(l.CPU, 1e-9) }

// HoursPerMinute returns how many hours a cluster lives in one minute of one processor.
func (l *Ledger) HoursPerMinute() float64 { return l.Simulated / 60 / max(l.CPU, 1e-9) }

// String tells the sums, one to a line.
func (l *Ledger) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12d worlds in %d chunks of %d commits (%d of them repeated)\n", l.Worlds, l.Chunks, l.Commits, l.Repeated)
	for _, row := range []struct {
		n    int
		name string
	}{
		{l.Struck, "worlds with at least 3 faults"}, {l.Worlds - l.Struck, "worlds with fewer"}, {l.Calm, "of which calm worlds"},
		{l.Faults, "faults"}, {l.Crashes, "crashes"}, {l.CrashesWithLoss, "crashes that lost unsynced data"},
		{l.DiskErrors, "disk errors"}, {l.LeaderChanges, "leader changes"}, {l.Partitions, "partitions"},
		{l.OneWay, "partitions in one direction"}, {l.Requests, "requests"}, {l.Events, "events"},
	} {
		fmt.Fprintf(&b, "%12d %s\n", row.n, row.name)
	}
	fmt.Fprintf(&b, "%12.1f hours simulated\n%12.2f hours of CPU\n%12.2f hours on the wall\n", l.Simulated/3600, l.CPU/3600, l.Wall/3600)
	fmt.Fprintf(&b, "%12.0f events per second and core\n%12.1f simulated cluster-hours per CPU-minute\n", l.EventsPerSecond(), l.HoursPerMinute())
	fmt.Fprintf(&b, "%12d findings\n", len(l.Findings))
	for _, f := range l.Findings {
		fmt.Fprintf(&b, "             seed %d: %s: %s\n", f.Seed, f.Check, f.Text)
	}
	return b.String()
}
