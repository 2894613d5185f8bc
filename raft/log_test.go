package raft

import (
	"fmt"
	"slices"
	"testing"
)

// eachLog calls f with the terms of all logs of up to limit entries in terms 1 to 3.
func eachLog(limit int, f func(terms []Term)) {
	var extend func(terms []Term)
	extend = func(terms []Term) {
		f(slices.Clone(terms))
		if len(terms) == limit {
			return
		}
		for term := Term(1); term <= 3; term++ {
			if len(terms) == 0 || terms[len(terms)-1] <= term {
				extend(append(terms, term))
			}
		}
	}
	extend(nil)
}

// commonPrefix returns how far two logs are the same.
func commonPrefix(x, y []Term) Index {
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return Index(n)
}

// canCoexist reports whether two logs obey Log Matching: where they agree, they agree on all before.
func canCoexist(x, y []Term) bool {
	for i := int(commonPrefix(x, y)); i < len(x) && i < len(y); i++ {
		if x[i] == y[i] {
			return false
		}
	}
	return true
}

// logOf returns a log with these terms of which everything up to base is compacted.
func logOf(base int, terms []Term) *termLog {
	l := &termLog{configurations: []ConfigurationAt{{0, votersOf(3)}}}
	if base > 0 {
		l.base = EntryID{Index(base), terms[base-1]}
		l.last, l.durable, l.sizesFrom = l.base.Index, l.base.Index, l.base.Index
	}
	l.append(entriesOf(terms[base:]...))
	return l
}

// All pairs of logs of up to five entries, with every possible start of the leader's log, every floor
// and every number of runs that fit into a refusal.
func TestAgreesUpToFindsTheCommonPrefix(t *testing.T) {
	pairs := 0
	eachLog(5, func(ours []Term) {
		eachLog(5, func(theirs []Term) {
			if !canCoexist(ours, theirs) {
				return
			}
			pairs++
			common := commonPrefix(ours, theirs)
			for base := 0; base <= len(ours); base++ {
				l := logOf(base, ours)
				peer := logOf(0, theirs)
				for floor := Index(0); floor <= common; floor++ {
					for limit := 1; limit <= 3; limit++ {
						runs := peer.runsUpTo(peer.last, limit)
						got := l.agreesUpTo(runs, peer.last, floor)
						want := common
						switch {
						case len(runs) > 0 && common < runs[0].First-1:
							want = max(floor, min(l.last, runs[0].First-1)) // as far as the runs tell
						case common < l.base.Index:
							want = got // it needs what is gone; below
						}
						if got != want || (common < l.base.Index && len(runs) == len(peer.runs) && got >= l.base.Index && floor < l.base.Index) {
							t.Fatalf("leader %v from %d, peer %v (%d runs), floor %d: agree up to %d, want %d",
								ours, base+1, theirs, limit, floor, got, want)
						}
					}
				}
			}
		})
	})
	if pairs < 500 {
		t.Errorf("only %d pairs of logs", pairs)
	}
}

// term, has, lastTerm and runsUpTo, for all small logs.
func TestRunsTellTheTermOfEveryEntry(t *testing.T) {
	eachLog(5, func(terms []Term) {
		for base := 0; base <= len(terms); base++ {
			l := logOf(base, terms)
			for i := Index(0); i <= Index(len(terms))+1; i++ {
				term, ok := l.term(i)
				switch {
				case i < Index(base) || i > Index(len(terms)):
					if ok {
						t.Fatalf("%v from %d: has an entry at %d", terms, base+1, i)
					}
				case i == 0:
					if !ok || term != 0 {
						t.Fatalf("%v: term %d before the first entry", terms, term)
					}
				case !ok || term != terms[i-1] || !l.has(EntryID{i, term}) || l.has(EntryID{i, term + 1}):
					t.Fatalf("%v from %d: term %d at %d", terms, base+1, term, i)
				}
			}
			if len(terms) > 0 && l.lastTerm() != terms[len(terms)-1] {
				t.Fatalf("%v from %d: last term %d", terms, base+1, l.lastTerm())
			}
			for last := Index(base); last <= l.last; last++ {
				runs := l.runsUpTo(last, 9)
				for i := Index(base) + 1; i <= last; i++ {
					k := 0
					for k+1 < len(runs) && runs[k+1].First <= i {
						k++
					}
					if runs[k].Term != terms[i-1] || runs[len(runs)-1].First > last {
						t.Fatalf("%v from %d up to %d: runs %v", terms, base+1, last, runs)
					}
				}
			}
		}
	})
}

// Every request that a leader could make, to every follower: all pairs of logs of up to four entries
// and all places in them. What the follower then has is what the five rules of AppendEntries say.
func TestAppendEntriesForAllSmallLogs(t *testing.T) {
	requests := 0
	eachLog(4, func(have []Term) {
		eachLog(4, func(leader []Term) {
			if !canCoexist(have, leader) {
				return
			}
			for commit := Index(0); commit <= commonPrefix(have, leader); commit++ {
				for prev := Index(0); prev <= Index(len(leader)); prev++ {
					for last := prev; last <= Index(len(leader)); last++ {
						for _, leaderCommit := range []Index{0, prev, last, Index(len(leader))} {
							requests++
							checkAppend(t, have, leader, commit, prev, last, leaderCommit)
						}
					}
				}
			}
		})
	})
	if requests < 20_000 {
		t.Errorf("only %d requests", requests)
	}
}

func checkAppend(t *testing.T, have, leader []Term, commit, prev, last, leaderCommit Index) {
	t.Helper()
	core := newCore(t, 1, votersOf(3), HardState{CurrentTerm: 4, Commit: commit}, have...)
	m := &AppendEntries{PrevLogIndex: prev, Entries: entriesOf(leader[prev:last]...), LeaderCommit: leaderCommit, Round: 1}
	if prev > 0 {
		m.PrevLogTerm = leader[prev-1]
	}
	out := core.Step([]Input{from(2, 4, m)})

	wantLog, wantCommit, refused := slices.Clone(have), commit, false
	if int(prev) > len(have) || (prev > 0 && have[prev-1] != leader[prev-1]) {
		refused = true
	} else {
		for i := prev; i < last; i++ {
			if int(i) < len(wantLog) && wantLog[i] != leader[i] {
				wantLog = wantLog[:i]
			}
			if int(i) == len(wantLog) {
				wantLog = append(wantLog, leader[i])
			}
		}
		wantCommit = max(commit, min(leaderCommit, last))
	}
	about := fmt.Sprintf("log %v (commit %d), request %d to %d of %v (commit %d)", have, commit, prev+1, last, leader, leaderCommit)
	if got := termsOf(core); !slices.Equal(got, wantLog) || core.CommitIndex() != wantCommit {
		t.Fatalf("%s: log %v (commit %d), want %v (commit %d)", about, got, core.CommitIndex(), wantLog, wantCommit)
	}
	written := entriesOf(have...)
	if from := out.Persist.TruncateFrom; from != 0 {
		written = written[:from-1]
	}
	written = append(written, out.Persist.Entries...)
	if len(written) != len(wantLog) || (len(written) > 0 && written[len(written)-1].Term != wantLog[len(wantLog)-1]) {
		t.Fatalf("%s: the write makes %d entries of it, want %d", about, len(written), len(wantLog))
	}
	if slices.Equal(have, wantLog) && out.Persist.Ticket != 0 {
		t.Fatalf("%s: writes %+v, and nothing has changed", about, out.Persist)
	}
	switch reply := out.Send[0].Message.(type) {
	case *AppendEntriesReply:
		if refused || reply.Verified != last || len(out.Send) != 1 {
			t.Fatalf("%s: %s", about, reply)
		}
	case *AppendEntriesRefusal:
		if !refused || reply.Round != 1 || reply.Commit != commit || reply.LastLogIndex >= prev || len(out.Send) != 1 {
			t.Fatalf("%s: %s", about, reply)
		}
	}
}

// logModel is a log of entries that can all be told apart, and a disk.
type logModel struct {
	log     *termLog
	memory  []int // the entries, each a number of its own
	disk    []int
	writes  [][]int // what the disk will have after each write under way
	tickets []Ticket
	next    Ticket
	entries int
	term    Term
	dirty   bool
}

func (m *logModel) clone() *logModel {
	d := *m
	l := m.log.clone()
	d.log = &l
	d.memory, d.writes, d.tickets = slices.Clone(m.memory), slices.Clone(m.writes), slices.Clone(m.tickets)
	return &d
}

// do appends 1 or 2 entries, drops 1 or 2, closes a write, or makes the first or the last write durable.
func (m *logModel) do(what int) bool {
	switch what {
	case 0, 1:
		for range what + 1 {
			m.entries++
			m.memory = append(m.memory, m.entries)
			m.log.append([]Entry{{Term: m.term, Kind: KindCommand, Data: make([]byte, m.entries%3)}})
		}
		m.dirty = true
	case 2, 3:
		drop := what - 1
		if drop > len(m.memory) {
			return false
		}
		m.memory = m.memory[:len(m.memory)-drop]
		m.log.truncate(Index(len(m.memory)) + 1)
		m.term++ // only a leader of a later term makes a follower drop entries
		m.dirty = true
	case 4:
		if !m.dirty {
			return false
		}
		m.log.wrote(m.next)
		m.writes = append(m.writes, slices.Clone(m.memory))
		m.tickets = append(m.tickets, m.next)
		m.next++
		m.dirty = false
	case 5, 6:
		if len(m.writes) == 0 {
			return false
		}
		done := 1
		if what == 6 {
			done = len(m.writes)
		}
		m.disk = m.writes[done-1]
		m.log.persisted(m.tickets[done-1])
		m.writes, m.tickets = m.writes[done:], m.tickets[done:]
	}
	return true
}

// check compares what the log believes to be durable, and when, with what is.
func (m *logModel) check() string {
	on := func(disk []int, i Index) bool { return int(i) <= len(disk) && slices.Equal(disk[:i], m.memory[:i]) }
	if m.log.last != Index(len(m.memory)) || !on(m.disk, m.log.durable) {
		return fmt.Sprintf("last %d, durable %d; it has %v, its disk %v", m.log.last, m.log.durable, m.memory, m.disk)
	}
	for i := Index(0); i <= m.log.last; i++ {
		ticket := m.log.ticketOf(i, m.next)
		switch k := slices.Index(m.tickets, ticket); {
		case ticket == 0:
			if !on(m.disk, i) {
				return fmt.Sprintf("%d needs no write; it has %v, its disk %v", i, m.memory, m.disk)
			}
		case k >= 0:
			if !on(m.writes[k], i) {
				return fmt.Sprintf("%d needs write %d; it has %v, that write makes %v", i, ticket, m.memory, m.writes[k])
			}
		case ticket != m.next || !m.dirty:
			return fmt.Sprintf("%d needs write %d, which nobody asked for (next %d)", i, ticket, m.next)
		}
	}
	if len(m.writes) == 0 && !m.dirty && m.log.durable != m.log.last {
		return fmt.Sprintf("everything is written, durable is %d of %d", m.log.durable, m.log.last)
	}
	bytes := uint64(0)
	for i, e := range m.memory {
		bytes += uint64(e % 3)
		if got := m.log.sizeThrough(Index(i+1)) - m.log.sizeThrough(0); got != bytes {
			return fmt.Sprintf("entries up to %d have %d bytes, want %d", i+1, got, bytes)
		}
	}
	return ""
}

// Every sequence of a few appends, truncations, writes and reports of the disk: what the log takes for
// durable is, and who waits for the ticket of an entry waits long enough, and not for ever. The report
// of a write never vouches for entries that came in the place of those that it wrote.
func TestTicketsVouchForTheRightEntries(t *testing.T) {
	depth := 8
	if raceEnabled {
		depth = 5
	}
	sequences := 0
	var extend func(m *logModel, path []int)
	extend = func(m *logModel, path []int) {
		if wrong := m.check(); wrong != "" {
			t.Fatalf("after %v: %s", path, wrong)
		}
		sequences++
		if len(path) == depth {
			return
		}
		for what := range 7 {
			if d := m.clone(); d.do(what) {
				extend(d, append(path, what))
			}
		}
	}
	extend(&logModel{log: &termLog{configurations: []ConfigurationAt{{0, votersOf(3)}}}, next: 1, term: 1}, nil)
	t.Logf("%d sequences", sequences)
}

// All logs of four entries of 0 to 3 bytes, from every entry on, into every limit.
func TestFitTakesAsManyEntriesAsTheLimitAllows(t *testing.T) {
	eachTuple(4, 4, func(sizes []uint64) {
		l := &termLog{configurations: []ConfigurationAt{{0, votersOf(3)}}}
		for _, size := range sizes {
			l.append([]Entry{{Term: 1, Kind: KindCommand, Data: make([]byte, size)}})
		}
		for first := Index(1); first <= 4; first++ {
			for limit := range 14 {
				wantLast, wantBytes := first, int(sizes[first-1])
				for wantLast < 4 && wantBytes+int(sizes[wantLast]) <= limit {
					wantBytes += int(sizes[wantLast])
					wantLast++
				}
				if last, bytes := l.fit(first, limit); last != wantLast || bytes != wantBytes {
					t.Fatalf("sizes %v from %d into %d bytes: up to %d (%d bytes), want %d (%d bytes)", sizes, first, limit, last, bytes, wantLast, wantBytes)
				}
			}
		}
	})
}

// The sizes of a long log are forgotten from its start on, and those that are left stay right.
func TestSizesOfTheLatestEntriesAreKept(t *testing.T) {
	l := &termLog{configurations: []ConfigurationAt{{0, votersOf(3)}}}
	const entries = 5*maxSizes + 123
	for i := range entries {
		l.append([]Entry{{Term: 1, Kind: KindCommand, Data: make([]byte, i%7)}})
		if i%10_000 == 0 && len(l.sizes) > 2*maxSizes {
			t.Fatalf("%d sizes are kept, the bound is %d", len(l.sizes), 2*maxSizes)
		}
	}
	if kept := l.last - l.sizesFrom; kept < maxSizes {
		t.Errorf("the sizes of the latest %d entries are known, want at least %d", kept, maxSizes)
	}
	bytes := uint64(0)
	for i := l.sizesFrom + 1; i <= l.last; i++ {
		bytes += uint64((i - 1) % 7)
		if got := l.sizeThrough(i) - l.sizeThrough(l.sizesFrom); got != bytes {
			t.Fatalf("entries %d to %d have %d bytes, want %d", l.sizesFrom+1, i, got, bytes)
		}
	}
	l.truncate(l.sizesFrom - 10)
	l.append([]Entry{{Term: 2, Kind: KindCommand, Data: make([]byte, 5)}})
	if last, bytes := l.fit(l.last, 100); last != l.last || bytes != 5 {
		t.Errorf("after a truncation far back, the last entry has %d bytes, want 5", bytes)
	}
}
