package replica

import (
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// readAtATime bounds what is read from the log at once when a replica starts, in bytes.
const readAtATime = 1 << 20

// Restart turns what the log knows of a group into what a replica starts from. applied is how far the
// state machine is, durably. It reads the end of the log.
func Restart(log *wal.Log, g wal.Group, applied raft.Index) (State, error) {
	s := State{Raft: raft.State{
		HardState: g.HardState, Base: g.Base, Last: g.Last, Runs: g.Runs, Applied: max(applied, g.Base.Index),
	}, NeedsState: applied < g.Base.Index, Reached: applied}
	for _, at := range g.Configurations {
		c, err := wire.DecodeConfiguration(at.Bytes)
		if err != nil {
			return State{}, fmt.Errorf("configuration of entry %d: %w", at.Index, err)
		}
		s.Raft.Configurations = append(s.Raft.Configurations, raft.ConfigurationAt{Index: at.Index, Configuration: c.Raft()})
	}
	return s, s.readEnd(log, &g)
}

// TakeUp returns the write that lets a log begin after the state that was found beside it, with the position that was
// installed with it: a crash came between the two. It returns nil if the log begins there, or later. It comes before
// Restart.
func TakeUp(g *wal.Group, position []byte) (*wal.Write, error) {
	if position == nil {
		return nil, nil
	}
	p, err := wire.DecodePosition(position)
	if err != nil {
		return nil, fmt.Errorf("the state's place in the log: %w", err)
	}
	if p.Index <= g.Base.Index || !g.MayBeginAfter(p.Index, p.Hash) { // then this server heals first
		return nil, nil
	}
	w := &wal.Write{Group: g.ID, Base: &wal.Base{EntryID: p.EntryID, Hash: p.Hash, Configuration: p.Configuration}}
	if p.Term > g.HardState.CurrentTerm {
		w.HardState = &raft.HardState{CurrentTerm: p.Term, Commit: g.HardState.Commit}
	}
	return w, nil
}

// readEnd reads the entries that may still be truncated, and older ones until one tells the time.
func (s *State) readEnd(log *wal.Log, g *wal.Group) error {
	first := max(g.Base.Index, min(g.HardState.Commit, g.Last)) + 1
	for next := first; next <= g.Last; {
		records, err := log.Read(g.ID, next, g.Last, readAtATime)
		if err != nil {
			return err
		}
		s.Records = append(s.Records, records...)
		next += raft.Index(len(records))
	}
	for i := len(s.Records) - 1; i >= 0 && s.LogTime == 0; i-- {
		s.LogTime, _ = EntryTime(s.Records[i])
	}
	s.Before = g.BaseHash
	for i := first - 1; i > g.Base.Index; i-- {
		records, err := log.Read(g.ID, i, i, 1)
		if err != nil {
			return err
		}
		record := wire.Raw(records[0])
		if i == first-1 {
			s.Before = record.Hash()
		}
		if s.LogTime != 0 {
			break
		}
		s.LogTime, _ = EntryTime(record)
	}
	return nil
}
