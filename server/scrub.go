package server

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// A scrub reads all of the state, slowly, and again and again: what rots on the disk is found before it is needed, while
// the others still have it. It ends with a hash of the keys, of a revision that the servers choose alike, which they
// compare.

const (
	defaultScrubBytes = 1 << 20
	// scrubStepBytes is read at a time.
	scrubStepBytes = 32 << 10
	// scrubShare: the span of marks that is followed is so many times as long as a scrub takes, at least. So a scrub
	// ends before the next mark, and servers that are not equally fast meet at the same ones.
	scrubShare = 2
	// scrubLook is how often it is looked whether there is a new mark.
	scrubLook = time.Second
	// scrubLate is how much longer than a span nothing is waited for: then there are no commands by which log time could
	// go on, or there are few.
	scrubLate = 10 * time.Second
)

// scrub is the scrubber's loop. It begins at once: what has rotted while the server was down is found first.
func (s *Server) scrub(ctx context.Context) {
	revision, at := int64(0), uint64(0)
	for ok := true; ok; revision, at, ok = s.nextMark(ctx, at) {
		if s.group.Status().Snapshots.Missing {
			continue
		}
		if err := s.scrubOnce(ctx, revision); err != nil && (ctx.Err() != nil || s.scrubFailed(err)) {
			return
		}
	}
}

// scrubFailed reports whether what the scrubber has met ends this server.
func (s *Server) scrubFailed(err error) bool {
	var code kv.Code
	switch {
	case pebblekv.IsDamage(err):
		s.fatal(err)
		return true
	case s.unread(err):
		return true
	case !errors.As(err, &code): // a code says that it was compacted meanwhile: the others have not got it either
		s.logger.Warn("the state was not read to its end", "err", err)
	}
	return false
}

// scrubSpan is the span of marks that is followed now.
func (s *Server) scrubSpan() (span int) {
	bytes, _ := s.disk.bytes()
	seconds := uint64(bytes) / uint64(s.options.ScrubBytesPerSecond)
	for kv.MarkSpan(span)/uint64(time.Second) < scrubShare*seconds && kv.MarkSpan(span) < kv.MarkSpan(span+1) {
		span++
	}
	return span
}

// nextMark waits for a mark behind the last, which was at that log time, and returns its revision and time. If none comes,
// it is the newest revision (0): if nothing is written, that is the same everywhere.
func (s *Server) nextMark(ctx context.Context, last uint64) (revision int64, at uint64, ok bool) {
	look := time.NewTicker(scrubLook)
	defer look.Stop()
	for began := time.Now(); ; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return 0, 0, false
		}
		span := s.scrubSpan()
		if mark := s.store.Mark(span); mark.Number*kv.MarkSpan(span) > last {
			return mark.Revision, mark.Number * kv.MarkSpan(span), true
		}
		if time.Since(began) > time.Duration(kv.MarkSpan(span))+scrubLate {
			return 0, last, true
		}
	}
}

// scrubOnce reads everything, and keeps the hash as of a revision; 0 is the newest.
func (s *Server) scrubOnce(ctx context.Context, revision int64) error {
	scrub, err := s.store.NewScrub(revision)
	if err != nil {
		return err
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for done := false; !done && err == nil; {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), scrub.Close())
		}
		var read int
		read, done, err = scrub.Step(scrubStepBytes)
		s.scrubbedBytes.Add(uint64(read))
		pause.Reset(time.Duration(int64(read) * int64(time.Second) / s.options.ScrubBytesPerSecond))
	}
	hash := scrub.Hash()
	if err := errors.Join(err, scrub.Close()); err != nil {
		return err
	}
	s.machine.scrubbed.add(hash.Sum())
	return nil
}
