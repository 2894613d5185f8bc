package raft

import (
	"slices"
	"sort"

	"github.com/quorate/quorate/internal/invariant"
)

// termLog is what the core keeps of the log: no bytes, only where each term begins, which
// configurations it holds, how far it is durable, and how large its latest entries are.
type termLog struct {
	// base is the entry before the first that the log still has; {0, 0} for a whole log.
	base EntryID
	// last is the index of the last entry, base.Index if there is none.
	last Index
	// runs are the terms of the entries from base.Index+1 to last.
	runs []TermRun
	// configurations are those in the log, ascending; the first is the one in force at base.
	configurations []ConfigurationAt

	// durable is the last index up to which all entries are on this server's disk.
	durable Index
	// writes are those under way, ascending by ticket.
	writes []pendingWrite

	// sizes[i] is how many bytes the entries after sizesFrom and up to sizesFrom+1+i have, sizesBase
	// added. It covers the latest entries only, maxSizes to twice as many.
	sizes     []uint64
	sizesFrom Index
	sizesBase uint64
}

// ConfigurationAt is a configuration and the index of its entry.
type ConfigurationAt struct {
	Index         Index
	Configuration *Configuration
}

// pendingWrite says that once ticket is durable, so is everything up to last. A truncation lowers
// last, so that the report of an old write never vouches for the entries that came in their place.
type pendingWrite struct {
	ticket Ticket
	last   Index
}

// maxSizes is how many of the latest entries have known sizes at least. A peer that needs older
// ones is brought up to date one message at a time.
const maxSizes = 1 << 16

// term returns the term of the entry at i; false if the log has no such entry.
func (l *termLog) term(i Index) (Term, bool) {
	if i == l.base.Index {
		return l.base.Term, true
	}
	if i < l.base.Index || i > l.last {
		return 0, false
	}
	return l.runs[l.runOf(i)].Term, true
}

// runOf returns which run holds entry i.
func (l *termLog) runOf(i Index) int {
	return sort.Search(len(l.runs), func(k int) bool { return l.runs[k].First > i }) - 1
}

// lastTerm returns the term of the last entry.
func (l *termLog) lastTerm() Term {
	if len(l.runs) == 0 {
		return l.base.Term
	}
	return l.runs[len(l.runs)-1].Term
}

// has reports whether the log has the entry e.
func (l *termLog) has(e EntryID) bool {
	term, ok := l.term(e.Index)
	return ok && term == e.Term
}

// append adds entries at the end.
func (l *termLog) append(entries []Entry) {
	for i := range entries {
		e := &entries[i]
		l.last++
		if len(l.runs) == 0 || l.runs[len(l.runs)-1].Term != e.Term {
			invariant.Check(e.Term >= l.lastTerm(), "append of term %d after term %d", e.Term, l.lastTerm())
			l.runs = append(l.runs, TermRun{Term: e.Term, First: l.last})
		}
		if e.Kind == KindConfiguration {
			l.configurations = append(l.configurations, ConfigurationAt{l.last, e.Configuration})
		}
		l.sizes = append(l.sizes, l.sizeThrough(l.last-1)+uint64(len(e.Data)))
	}
	if len(l.sizes) > 2*maxSizes {
		drop := len(l.sizes) - maxSizes
		l.sizesBase = l.sizes[drop-1]
		l.sizesFrom += Index(drop)
		l.sizes = slices.Delete(l.sizes, 0, drop)
	}
}

// truncate drops the entries from index from on.
func (l *termLog) truncate(from Index) {
	invariant.Check(from > l.base.Index && from <= l.last, "truncate from %d, log is %d to %d", from, l.base.Index+1, l.last)
	l.last = from - 1
	l.durable = min(l.durable, l.last)
	for i := range l.writes {
		l.writes[i].last = min(l.writes[i].last, l.last)
	}
	for len(l.runs) > 0 && l.runs[len(l.runs)-1].First > l.last {
		l.runs = l.runs[:len(l.runs)-1]
	}
	for l.configurations[len(l.configurations)-1].Index > l.last {
		l.configurations = l.configurations[:len(l.configurations)-1]
	}
	if l.last < l.sizesFrom {
		l.sizesFrom, l.sizes = l.last, l.sizes[:0]
	} else {
		l.sizes = l.sizes[:l.last-l.sizesFrom]
	}
}

// configuration returns the latest one in the log, committed or not. (Paper §6.)
func (l *termLog) configuration() *ConfigurationAt {
	return &l.configurations[len(l.configurations)-1]
}

// wrote notes that the write with ticket holds everything up to the end of the log.
func (l *termLog) wrote(ticket Ticket) {
	l.writes = append(l.writes, pendingWrite{ticket, l.last})
}

// persisted notes that the writes up to ticket are durable.
func (l *termLog) persisted(ticket Ticket) {
	done := 0
	for done < len(l.writes) && l.writes[done].ticket <= ticket {
		l.durable = max(l.durable, l.writes[done].last)
		done++
	}
	l.writes = slices.Delete(l.writes, 0, done)
}

// ticketOf returns the write that makes everything up to i durable: 0 if it is, next if that write
// is still being put together.
func (l *termLog) ticketOf(i Index, next Ticket) Ticket {
	if i <= l.durable {
		return 0
	}
	for _, w := range l.writes {
		if w.last >= i {
			return w.ticket
		}
	}
	return next
}

// sizeThrough returns the bytes of the entries up to i, counted from somewhere.
func (l *termLog) sizeThrough(i Index) uint64 {
	if i <= l.sizesFrom {
		return l.sizesBase
	}
	return l.sizes[i-l.sizesFrom-1]
}

// fit returns how far entries from first on go into limit bytes, at least one of them, and their
// bytes. Sizes must be known from first on.
func (l *termLog) fit(first Index, limit int) (last Index, bytes int) {
	before := l.sizeThrough(first - 1)
	n := sort.Search(int(l.last-first), func(k int) bool {
		return l.sizeThrough(first+Index(k)+1)-before > uint64(limit)
	})
	last = first + Index(n)
	return last, int(l.sizeThrough(last) - before)
}

// runsUpTo describes the terms of the entries up to last, at most limit runs, the latest of them.
func (l *termLog) runsUpTo(last Index, limit int) []TermRun {
	end := l.runOf(last) + 1
	return slices.Clone(l.runs[max(0, end-limit):end])
}

// agreesUpTo returns the last index up to which a log that ends at last and has those runs can
// agree with this one. By Log Matching that is the highest index at which both have the same term.
// Nothing is known below the first run, so the answer then is the entry before it; and never below
// floor, where the other log is known to agree.
func (l *termLog) agreesUpTo(runs []TermRun, last, floor Index) Index {
	i := min(last, l.last)
	for k := len(runs) - 1; k >= 0 && i > floor; k-- {
		if runs[k].First > i {
			continue
		}
		if at := l.lastOfTerm(runs[k].Term, i); at >= runs[k].First {
			return max(at, floor)
		}
		i = runs[k].First - 1
	}
	return max(i, floor)
}

// lastOfTerm returns the last index up to i whose entry is of term; 0 if there is none.
func (l *termLog) lastOfTerm(term Term, i Index) Index {
	k := sort.Search(len(l.runs), func(k int) bool { return l.runs[k].Term > term }) - 1
	if k < 0 || l.runs[k].Term != term || l.runs[k].First > i {
		if term == l.base.Term && i >= l.base.Index {
			return l.base.Index
		}
		return 0
	}
	if k+1 < len(l.runs) {
		i = min(i, l.runs[k+1].First-1)
	}
	return i
}
