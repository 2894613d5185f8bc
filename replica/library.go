package replica

import (
	"errors"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// libraryFetch marks the ids of fetches for the library; others have ids without that bit.
const libraryFetch = uint64(1) << 63

// library answers the requests of servers that have lost entries. It does so for any server of the group, whoever
// leads: entries that have the hash that was asked for are the right ones, and none of the algorithm's business.
type library struct {
	// reading has one answer for each server at most: what one asks for meanwhile it must ask for again.
	reading []answering
	nextID  uint64
}

// answering is a reply for which entries are being read.
type answering struct {
	id    uint64
	to    raft.ServerID
	found []wire.FoundEntry
	// wanted are consecutive entries that are being read.
	wanted []wire.WantedEntry
}

// lookUp says what is known of an entry without reading it; 0 and false: nothing may be said about it yet.
type lookUp func(w *wire.WantedEntry) (state wire.EntryState, read bool)

// maxLibraryBytes bounds one reply, unless its first entry is larger.
const maxLibraryBytes = 1 << 20

// requested takes in a request, and returns the reply, or what must be read for it first.
func (l *library) requested(from raft.ServerID, m *wire.EntryRequest, look lookUp) (reply *wire.EntryReply, fetch *Fetch) {
	if slices.ContainsFunc(l.reading, func(a answering) bool { return a.to == from }) {
		return nil, nil
	}
	a := answering{to: from}
	for i := range m.Wanted {
		w := &m.Wanted[i]
		state, read := look(w)
		switch {
		case read && (len(a.wanted) == 0 || w.Index == a.wanted[len(a.wanted)-1].Index+1):
			a.wanted = append(a.wanted, *w)
		case state != 0:
			a.found = append(a.found, wire.FoundEntry{Index: w.Index, Term: w.Term, State: state})
		}
	}
	if len(a.wanted) == 0 {
		return &wire.EntryReply{Found: a.found}, nil
	}
	l.nextID++
	a.id = l.nextID | libraryFetch
	l.reading = append(l.reading, a)
	return nil, &Fetch{ID: a.id, First: a.wanted[0].Index, Last: a.wanted[len(a.wanted)-1].Index, LimitBytes: maxLibraryBytes}
}

// fetched completes a reply by what was read. The error is not nil if this server must not go on.
func (l *library) fetched(in *Fetched) (to raft.ServerID, reply *wire.EntryReply, err error) {
	i := slices.IndexFunc(l.reading, func(a answering) bool { return a.id == in.ID })
	if i < 0 {
		return 0, nil, nil
	}
	a := l.reading[i]
	l.reading = slices.Delete(l.reading, i, i+1)
	switch {
	case errors.Is(in.Err, wal.ErrCompacted):
		w := &a.wanted[0]
		a.found = append(a.found, wire.FoundEntry{Index: w.Index, Term: w.Term, State: wire.EntryCompacted})
	case errors.Is(in.Err, wal.ErrNoEntry), errors.Is(in.Err, wal.ErrNoGroup), isHole(in.Err): // it has changed meanwhile
	case in.Err != nil:
		return 0, nil, in.Err
	}
	for k, record := range in.Records {
		if k == len(a.wanted) {
			break
		}
		w, raw := &a.wanted[k], wire.Raw(record)
		f := wire.FoundEntry{Index: w.Index, Term: w.Term, State: wire.EntryLacking}
		if w.Hash == (wire.Hash{}) || raw.Term() == w.Term && raw.Hash() == w.Hash {
			f.Term, f.State, f.Record = raw.Term(), wire.EntryThere, record
		}
		a.found = append(a.found, f)
	}
	return a.to, &wire.EntryReply{Found: a.found}, nil
}

func isHole(err error) bool {
	var hole *wal.HoleError
	return errors.As(err, &hole)
}

// vows lets a reply say only what stays true: that an entry is lacking means something only if the term with
// which it is said is durable.
func vows(m *wire.EntryReply, durable bool) *wire.EntryReply {
	if durable {
		return m
	}
	m.Found = slices.DeleteFunc(m.Found, func(f wire.FoundEntry) bool { return f.State == wire.EntryLacking })
	return m
}

// entriesRequested answers a server that has lost entries.
func (r *Replica) entriesRequested(from raft.ServerID, m *wire.EntryRequest) {
	reply, fetch := r.library.requested(from, m, func(w *wire.WantedEntry) (wire.EntryState, bool) {
		term, ok := r.core.TermAt(w.Index)
		switch {
		case w.Index > r.core.LastIndex():
			return wire.EntryLacking, false
		case !ok:
			return wire.EntryCompacted, false
		case w.Term != 0 && term != w.Term:
			return wire.EntryLacking, false
		case w.Index > r.core.Durable():
			return 0, false
		}
		return 0, true
	})
	if fetch != nil {
		r.work.Fetch = append(r.work.Fetch, *fetch)
	}
	r.replyWithEntries(from, reply)
}

// entriesFetched answers with what was read.
func (r *Replica) entriesFetched(in *Fetched) {
	to, reply, err := r.library.fetched(in)
	if err != nil {
		r.work.Fatal = err
		return
	}
	r.replyWithEntries(to, reply)
}

// replyWithEntries sends a reply unless it says nothing.
func (r *Replica) replyWithEntries(to raft.ServerID, reply *wire.EntryReply) {
	if reply == nil || len(vows(reply, r.persisted >= r.termTicket).Found) == 0 {
		return
	}
	r.send(to, r.core.CurrentTerm(), reply)
}
