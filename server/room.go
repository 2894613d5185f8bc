package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

const (
	// roomEvery is how often it is looked whether the disk is nearly full.
	roomEvery = 2 * time.Second
	// handOverEvery is how often a leader whose disk is full tries to hand over at most.
	handOverEvery = 30 * time.Second
	// fullPatience is for how long the engine of the state may find no room, again and again, before that ends the server.
	fullPatience = 30 * time.Second
)

// keepRoom is the loop that looks after a disk that gets full: while it is nearly full the alarm NOSPACE of this server is on, so that
// nobody anywhere puts anything, and what makes room is still done. If somebody turns the alarm off before there is room, it comes back. A
// leader that has found no room hands over: it would have to write more than anybody.
func (s *Server) keepRoom(ctx context.Context) {
	next := time.NewTicker(roomEvery)
	defer next.Stop()
	var handedOver time.Time
	for {
		select {
		case <-next.C:
		case <-s.host.SpaceChanged():
		case <-ctx.Done():
			return
		}
		room := s.host.Space()
		if room.Low {
			s.raiseNoSpace(ctx, room.Free, room.LowBytes)
		}
		if room.Full && s.group.Status().Raft.Role == raft.Leader && time.Since(handedOver) >= handOverEvery {
			handedOver = time.Now()
			s.handOverFullDisk(ctx)
		}
	}
}

// raiseNoSpace raises the alarm of this server, unless it is on.
func (s *Server) raiseNoSpace(ctx context.Context, free, low int64) {
	alarm := kv.Alarm{Member: uint64(s.host.ID()), Type: kv.AlarmNoSpace}
	if slices.Contains(s.store.Alarms(), alarm) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.requestTimeout())
	defer cancel()
	_, err := s.group.ProposeCommand(ctx, wire.Command{Kind: uint8(kv.KindAlarm), Request: kv.AlarmRequest(alarm)})
	if err != nil {
		s.logger.Warn("the disk is nearly full, and the alarm could not be raised", "free", free, "low", low, "err", err)
		return
	}
	s.logger.Warn("the disk is nearly full: puts are refused everywhere until the alarm is turned off",
		"free", free, "low", low, "todo", "make room on the disk, then quorate alarm disarm")
}

func (s *Server) handOverFullDisk(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.options.electionSpan())
	defer cancel()
	err := s.group.TransferLeadership(ctx, 0)
	s.logger.Warn("the disk is full, so leadership is handed over", "err", err)
}

// stateFailed returns what the engine of the state is to call if something fails in the background. It finds no room again and again while the
// disk is full, at once after each try: that is not the end, for a while.
func (s *Server) stateFailed(dir string) func(error) {
	var full patience
	return func(err error) {
		if pebblekv.IsDiskFull(err) && full.lasts(time.Now(), fullPatience) {
			return
		}
		s.fatal(explainUnread(fmt.Errorf("state in %s: %w", dir, err)))
	}
}

// patience is how something is borne that happens again and again.
type patience struct {
	mu          sync.Mutex // guards what follows
	first, last time.Time  // of those in a row
}

// lasts notes that it has happened, and reports whether it has not done so for too long. Once it has not happened for as long, it is forgotten.
func (p *patience) lasts(now time.Time, long time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.last) >= long {
		p.first = now
	}
	p.last = now
	return now.Sub(p.first) < long
}
