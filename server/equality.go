package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// Sums implements quorate.Sums.
func (m *machine) Sums() []quorate.Sum { return append(m.store.Sums(), m.scrubbed.list()...) }

// scrubbed are the hashes over everything that were made last.
type scrubbed struct {
	mu   sync.Mutex // guards sums
	sums []quorate.Sum
}

// maxScrubbed is how many of them are compared: others may be behind.
const maxScrubbed = 8

func (s *scrubbed) add(sum quorate.Sum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums = append(s.sums[max(0, len(s.sums)-maxScrubbed+1):], sum)
}

func (s *scrubbed) list() []quorate.Sum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sums)
}

// watchSums looks again and again whether states differ.
func (s *Server) watchSums(ctx context.Context) {
	next := time.NewTicker(lookEvery)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			now := s.group.Status()
			s.judgeSums(ctx, &now)
		}
	}
}

// judgeSums raises the alarm CORRUPT once states differ and nothing will ever tell which is right: every voter has said
// what it has, and no majority agrees. Then whatever is answered may be wrong, so nothing is, anywhere, until somebody
// has looked: that is what the alarm means in etcd, too. As long as a majority agrees it is not raised: whoever differs
// is fed anew, and the others are right.
func (s *Server) judgeSums(ctx context.Context, now *replica.Status) {
	if u := now.Sums.Undecided; u == nil || !u.AllSpoke || now.Raft.Role != raft.Leader {
		return
	}
	alarm := kv.Alarm{Member: uint64(s.host.ID()), Type: kv.AlarmCorrupt}
	if slices.ContainsFunc(s.store.Alarms(), func(a kv.Alarm) bool { return a.Type == kv.AlarmCorrupt }) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, alarmPatience)
	defer cancel()
	_, err := s.group.ProposeCommand(ctx, wire.Command{Kind: uint8(kv.KindAlarm), Request: kv.AlarmRequest(alarm)})
	s.logger.Error("states differ, and no majority agrees: nothing is served until somebody has looked", "difference", now.Sums.Undecided.String(),
		"todo", "find out which servers are right, mark the state of the others (docs/operating.md), then quorate alarm disarm", "err", err)
}

// alarmPatience bounds how long it is waited for an alarm to be raised.
const alarmPatience = time.Second
