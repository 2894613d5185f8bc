package pebblekv

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/kv"
)

// Options is what a programmer sets. The zero value works.
type Options struct {
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// ReadOnly: nothing is written, and nothing removed. There is no stage then, whatever is on the disk. The lock is
	// taken, unlike by OpenReadOnly.
	ReadOnly bool
	// CacheBytes is the size of the cache for blocks of tables. Default 48 MiB.
	CacheBytes int64
	// MemTableBytes is the size at which a memory table is flushed without being asked. Default
	// 16 MiB: larger ones are flushed less often, but looking up a key in 64 MiB costs a put of a
	// key that is not in kv's cache half as much again. Up to four may wait to be flushed; then
	// commits wait too.
	MemTableBytes uint64

	// Fatal is told when Pebble cannot go on, for instance because its manifest cannot be written.
	// It must not return: it ends the process. If it does return, or is nil, the goroutine panics.
	Fatal func(message string)
	// Background is told of every flush or compaction that failed. Pebble tries again at once and
	// for ever, so it is for the callee to decide how often is enough. It must not call the engine.
	// If it is nil, such an error is fatal.
	Background func(err error)
	// DiskFull is called when a write finds the disk full; the write is tried once more after it
	// returns. It is the moment to give back a ballast file. Writes wait meanwhile. Nil: nothing is
	// done, and the error takes its way.
	DiskFull func()
	// Stuck is told of every operation that writes to the disk and has not come back after StuckAfter, 30 s by default, and again every
	// 2 s while it lasts: something that waits for it may wait for ever. Not of the removal of a whole directory. It must not call the engine. Nil: nobody is.
	Stuck      func(err error)
	StuckAfter time.Duration
	// HoldCompactions: nothing is compacted before LetCompact, unless commits wait for it. It is for a start, which others wait for.
	HoldCompactions bool
	// Damage is told of every table of the state that turns out to be damaged on disk, as often as
	// that is found; not of the stage's, which is begun anew. It must not block, nor call the engine. Nil: nobody is. Either way the read that found
	// it returns an error: a damaged block is never served.
	Damage func(d Damage)
	// Log is told what Pebble would log. Nil: nobody is.
	Log func(level Level, text string)
}

// Damage is what is known of a damaged table: the keys from Lo to Hi, both included, may be
// affected, and have to be had from elsewhere.
type Damage struct {
	Path   string
	Lo, Hi []byte
	Err    error
}

// Level is how much a log text matters.
type Level int

// The levels that Pebble's logger has.
const (
	LevelInfo Level = iota
	LevelError
)

const (
	defaultCacheBytes    = 48 << 20
	defaultMemTableBytes = 16 << 20

	// l0Threshold is twice the number of layers of tables in level 0 at which Pebble compacts them. At two layers, which is
	// its default, a small state is written anew with every second flush: a fifth of a processor with 10 MB and two flushes a
	// second, and it was most of what puts felt of a flush (docs/performance.md). Filters keep small what a read of a key pays for more layers;
	// reading 10,000 keys takes a twentieth longer. At l0Stop layers commits wait until a compaction is done. It may be a
	// long one of a level further down: so level 0 does not wait for that, and up to maxCompactions run at once if much waits.
	l0Threshold    = 16
	l0Stop         = 32
	maxCompactions = 3

	// formatVersion is pinned, so that a newer Pebble does not move our directories to a format
	// that the one before could not open: that is a decision for an upgrade, not for a dependency.
	formatVersion = pebble.FormatTableFormatV6

	// filterBits per key prefix give about one false answer in a hundred.
	filterBits = 10
)

// comparerName is stored in the directory; Pebble refuses to open it with another.
const comparerName = "quorate.kv.1"

// comparer orders keys as bytes. It differs from Pebble's default only in that it knows the prefix
// that all versions of a key share, and never shortens a key within it to what could end elsewhere.
func comparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = comparerName
	c.Split = kv.PrefixLen
	c.Separator = func(dst, a, b []byte) []byte {
		if n := kv.PrefixLen(a); n < len(a) && n == kv.PrefixLen(b) && string(a[:n]) == string(b[:n]) {
			return append(dst, a...) // two versions of one key
		}
		return pebble.DefaultComparer.Separator(dst, a, b)
	}
	return &c
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.StuckAfter == 0 {
		o.StuckAfter = defaultStuckAfter
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	return o
}

// pebbleOptions translates.
func (e *Engine) pebbleOptions(o Options) *pebble.Options {
	p := &pebble.Options{
		FS:                          o.FS,
		ReadOnly:                    o.ReadOnly,
		DisableWAL:                  true,
		CacheSize:                   o.CacheBytes,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       l0Threshold,
		L0StopWritesThreshold:       l0Stop,
		CompactionConcurrencyRange:  func() (least, most int) { return 1, maxCompactions },
		FormatMajorVersion:          formatVersion,
		Comparer:                    comparer(),
		Logger:                      logger{o.Log, o.Fatal},
		EventListener: &pebble.EventListener{
			BackgroundError: e.backgroundError,
			DataCorruption:  dataCorruption(o.Damage), // Pebble's own would end the process
			WriteStallBegin: func(pebble.WriteStallBeginInfo) { e.LetCompact() },
		},
	}
	p.Experimental.CompactionScheduler = e.scheduler
	// Tables that wait in the memory tables' queue for what is in front of them would be lost with it.
	p.Experimental.DisableIngestAsFlushable = func() bool { return true }
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
	}
	return p
}

// dataCorruption translates.
func dataCorruption(damage func(Damage)) func(pebble.DataCorruptionInfo) {
	return func(info pebble.DataCorruptionInfo) {
		if damage != nil {
			damage(Damage{
				Path: info.Path, Lo: bytes.Clone(info.Bounds.Start), Hi: bytes.Clone(info.Bounds.End.Key), Err: info.Details,
			})
		}
	}
}

// logger hands on what Pebble says.
type logger struct {
	log   func(Level, string)
	fatal func(string)
}

func (l logger) Infof(format string, args ...any)  { l.say(LevelInfo, format, args) }
func (l logger) Errorf(format string, args ...any) { l.say(LevelError, format, args) }

func (l logger) say(level Level, format string, args []any) {
	if l.log != nil {
		l.log(level, fmt.Sprintf(format, args...))
	}
}

// Fatalf does not return: Pebble relies on that.
func (l logger) Fatalf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if l.fatal != nil {
		l.fatal(message)
	}
	panic("pebble: " + message)
}

// IsDiskFull tells whether an error, as Background gets it, is that the disk is full.
func IsDiskFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
