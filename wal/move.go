package wal

import (
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// MoveForward copies entries that are still needed out of the oldest segment, at most limitBytes of
// them but at least one, and returns how many. After the next two Syncs Release gives the segment back
// once nothing is left in it. Only the writer calls it, if a group that writes seldom keeps old segments alive.
func (l *Log) MoveForward(limitBytes int) (entries int, err error) {
	oldest, err := l.oldest()
	if err != nil || oldest == nil || oldest == l.active {
		return 0, err
	}
	for _, g := range l.sorted {
		first, last, ok := g.within(oldest.number)
		if !ok {
			continue
		}
		records, err := l.Read(g.id, first, last, limitBytes)
		if err != nil {
			return 0, err
		}
		for _, record := range records {
			setCopyFlag(record)
		}
		return len(records), l.Append([]Write{{Group: g.id, First: first, Records: records}})
	}
	return 0, nil
}

// oldest returns the log's first segment; nil if there is none.
func (l *Log) oldest() (*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usableLocked(); err != nil || len(l.segments) == 0 {
		return nil, err
	}
	return l.segments[0], nil
}

// within returns the first consecutive entries of the group that are in that segment.
func (g *group) within(segment uint32) (first, last raft.Index, ok bool) {
	for i := range g.positions {
		if g.positions[i].segment != segment {
			if ok {
				break
			}
			continue
		}
		last = g.first + raft.Index(i)
		if !ok {
			first, ok = last, true
		}
	}
	return first, last, ok
}

// PinnedBy returns the groups that keep the oldest segment alive, and how many bytes of segments the
// log has in use.
func (l *Log) PinnedBy() (groups []wire.GroupID, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		bytes += s.bytes
	}
	for _, g := range l.sorted {
		if oldest, ok := g.oldest(); ok && oldest == l.segments[0].number {
			groups = append(groups, g.id)
		}
	}
	return groups, bytes
}
