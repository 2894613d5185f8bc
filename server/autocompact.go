package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// The modes of automatic compaction, as etcd names them.
const (
	compactPeriodic = "periodic"
	compactRevision = "revision"

	// revisionInterval is how often it is looked how many revisions there are.
	revisionInterval = 5 * time.Minute
	// A periodic compaction comes as often as the time to keep, but at least once an hour; revisions
	// are noted ten times as often, but no more than maxNotes of them are kept.
	longestPeriod  = time.Hour
	notesPerPeriod = 10
	maxNotes       = 1000
	minRetention   = time.Second
)

// retention is how much history is kept: a time or a number of revisions, 0 for all of it.
type retention struct {
	time      time.Duration
	revisions int64
}

// parseRetention reads etcd's flags. A mere number is hours in the mode periodic.
func parseRetention(mode, text string) (retention, error) {
	if text == "" {
		text = "0"
	}
	n, err := strconv.ParseInt(text, 10, 64)
	isNumber := err == nil
	switch mode {
	case compactRevision:
		if !isNumber || n < 0 {
			return retention{}, fmt.Errorf("%q is no number of revisions", text)
		}
		return retention{revisions: n}, nil
	case compactPeriodic, "":
		keep := time.Duration(n) * time.Hour
		if !isNumber {
			if keep, err = time.ParseDuration(text); err != nil {
				return retention{}, fmt.Errorf("%q is no time: want hours, as in 8, or 30m, or 36h", text)
			}
		} else if n > int64(1<<63-1)/int64(time.Hour) {
			keep = -1
		}
		if keep != 0 && keep < minRetention {
			return retention{}, fmt.Errorf("%q is not from %v up", text, minRetention)
		}
		return retention{time: keep}, nil
	}
	return retention{}, fmt.Errorf("there is no mode %q, only %s and %s", mode, compactPeriodic, compactRevision)
}

// interval is how often the compactor is to look; 0 if never.
func (r retention) interval() time.Duration {
	switch {
	case r.revisions > 0:
		return revisionInterval
	case r.time > 0:
		return max(r.period()/notesPerPeriod, r.time/maxNotes)
	}
	return 0
}

// period is how often a periodic compaction comes.
func (r retention) period() time.Duration { return min(r.time, longestPeriod) }

// compactor decides when to compact, and up to where. Every server runs one, so that a new leader knows
// what was when; only the leader acts on it.
type compactor struct {
	keep  retention
	notes []note        // ascending; the first one is the newest that is old enough, if one is
	acted time.Duration // when it compacted last
}

// note says what the newest revision was at a time.
type note struct {
	at       time.Duration
	revision int64
}

// look takes what the newest revision is now, on a monotonic clock, and returns up to which revision to
// compact, or 0.
func (c *compactor) look(now time.Duration, revision int64) int64 {
	if c.keep.revisions > 0 {
		return max(0, revision-c.keep.revisions)
	}
	c.notes = append(c.notes, note{now, revision})
	for len(c.notes) > 1 && c.notes[1].at <= now-c.keep.time {
		c.notes = c.notes[1:]
	}
	if oldest := c.notes[0]; oldest.at <= now-c.keep.time && now-c.acted >= c.keep.period() {
		return oldest.revision
	}
	return 0
}

// compactByItself is the loop of automatic compaction.
func (s *Server) compactByItself(ctx context.Context, keep retention) {
	c := compactor{keep: keep}
	began := time.Now()
	ticker := time.NewTicker(keep.interval())
	defer ticker.Stop()
	for {
		to := c.look(time.Since(began), s.store.Revision())
		if to > s.store.CompactRevision() && s.group.Status().Raft.Role == raft.Leader {
			if err := s.compactTo(ctx, to); err != nil {
				s.logger.Warn("automatic compaction failed, and is tried again", "revision", to, "err", err)
			} else {
				c.acted = time.Since(began)
				s.logger.Info("compacted by itself", "revision", to)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// compactTo compacts through the log, as a client does.
func (s *Server) compactTo(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.requestTimeout())
	defer cancel()
	encoded, err := s.group.ProposeCommand(ctx, wire.Command{Kind: uint8(kv.KindCompact), Request: kv.CompactionRequest(revision)})
	if err != nil {
		return err
	}
	answer, err := kv.ParseAnswer(encoded)
	if err == nil && answer.Err != kv.CodeOK && !errors.Is(answer.Err, kv.CodeCompacted) {
		err = answer.Err
	}
	return err
}
