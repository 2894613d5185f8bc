package raft

import (
	"strings"
	"testing"
)

func TestNewRefusesAStateThatContradictsItself(t *testing.T) {
	at := func(index Index) ConfigurationAt { return ConfigurationAt{index, votersOf(3)} }
	good := func() State {
		return State{
			HardState:      HardState{CurrentTerm: 5, Commit: 12},
			Base:           EntryID{10, 2},
			Last:           20,
			Runs:           []TermRun{{2, 11}, {4, 15}},
			Configurations: []ConfigurationAt{at(3), at(17)},
			Applied:        11,
		}
	}
	if _, err := New(Options{ID: 1}, good()); err != nil {
		t.Fatalf("a good state: %v", err)
	}
	tests := []struct {
		name, want string
		spoil      func(s *State)
	}{
		{"no configuration", "no configuration is known", func(s *State) { s.Configurations = nil }},
		{"configuration after the base only", "no configuration is known", func(s *State) { s.Configurations = s.Configurations[1:] }},
		{"configurations out of order", "configuration at 3 after one at 3", func(s *State) { s.Configurations[1] = at(3) }},
		{"configuration behind the end", "configuration at 21, log ends at 20", func(s *State) { s.Configurations[1] = at(21) }},
		{"configuration without content", "configuration at 17 is empty", func(s *State) { s.Configurations[1].Configuration = nil }},
		{"end before base", "log ends at 9", func(s *State) { s.Last = 9 }},
		{"entries without terms", "has 0 runs", func(s *State) { s.Runs = nil }},
		{"terms without entries", "has 2 runs", func(s *State) { s.Last, s.Applied, s.HardState.Commit = 10, 10, 10 }},
		{"a gap after the base", "first run begins at 12", func(s *State) { s.Runs[0].First = 12 }},
		{"terms that fall", "run of term 1 at 15 after term 2", func(s *State) { s.Runs[1].Term = 1 }},
		{"terms that repeat", "run of term 2 at 15 after term 2", func(s *State) { s.Runs[1].Term = 2 }},
		{"terms that fall after the base", "run of term 1 at 11 after term 2", func(s *State) { s.Runs[0].Term = 1 }},
		{"runs out of order", "run of term 4 at 11 after term 2 at 11", func(s *State) { s.Runs[1].First = 11 }},
		{"a run behind the end", "last run begins at 21", func(s *State) { s.Runs[1].First = 21 }},
		{"a log from the future", "log ends in term 4, after the current term 3", func(s *State) { s.HardState.CurrentTerm = 3 }},
		{"committed entries lost", "commit index 21", func(s *State) { s.HardState.Commit = 21 }},
		{"applied entries lost", "has applied up to 21", func(s *State) { s.Applied = 21 }},
		{"a state older than the log", "has applied up to 9 only", func(s *State) { s.Applied = 9 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			state := good()
			test.spoil(&state)
			if _, err := New(Options{ID: 1}, state); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestOptionsThatAreNotSetHaveDefaults(t *testing.T) {
	var o Options
	o.setDefaults()
	if want := (Options{0, 10, 10, 1, 1 << 20, 8 << 20, 256, 64 << 20, 1 << 16, 0, false}); o != want {
		t.Errorf("defaults are %+v, want %+v", o, want)
	}
	for _, ticks := range []int{1, 2, 7} {
		o = Options{ElectionTicks: ticks, HeartbeatTicks: 100}
		if o.setDefaults(); o.HeartbeatTicks != max(1, ticks-1) {
			t.Errorf("%d ticks between heartbeats, %d before an election", o.HeartbeatTicks, o.ElectionTicks)
		}
	}
	for window, want := range map[int]int{-1: 9, 0: 9, 1: 1, 5: 5, 9: 9, 10: 9} {
		o = Options{ElectionTicks: 9, WindowTicks: window, HeartbeatTicks: 100}
		if o.setDefaults(); o.WindowTicks != want || o.HeartbeatTicks != max(1, want-1) {
			t.Errorf("a window of %d ticks becomes %d, want %d; with %d ticks between heartbeats", window, o.WindowTicks, want, o.HeartbeatTicks)
		}
	}
}
