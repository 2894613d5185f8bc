package replica

import (
	"errors"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// libraryFetch marks the ids of fetches for the library; others have ids without that bit. A server that healed has asked
// for others, in ids without the second bit: what comes of them is nobody's any more.
const (
	libraryFetch = uint64(1) << 63
	healthyFetch = uint64(1) << 62
)

// library answers the requests of servers that have lost entries. It does so for any server of the group, whoever
// leads: entries that have the hash that was asked for are the right ones, and none of the algorithm's business.
type library struct {
	// reading has one answer for each server at most: what one asks for meanwhile it must ask for again.
	reading []answering
	mark    uint64 // in all ids
	nextID  uint64
}

// answering is a reply for which entries are being read.
type answering struct {
	id uint64
	to raft.ServerID
	// term is that in which this server looked. It is the reply's: what it lacked then it may have got since, and acknowledged in that
	// term, before a later one that it knows of now.
	term  raft.Term
	found []wire.FoundEntry
	// wanted are consecutive entries that are being read.
	wanted []wire.WantedEntry
}

// lookUp says what is known of an entry without reading the log, and which it is if it is there; or that the log is to be read; 0 and
// false: nothing may be said about it yet.
type lookUp func(w *wire.WantedEntry) (state wire.EntryState, record wire.Raw, read bool)

// maxLibraryBytes bounds one reply, unless its first entry is larger.
const maxLibraryBytes = 1 << 20

// requested takes in a request, in a term, and returns the reply, or what must be read for it first.
func (l *library) requested(from raft.ServerID, term raft.Term, m *wire.EntryRequest, look lookUp) (reply *wire.EntryReply, fetch *Fetch) {
	if slices.ContainsFunc(l.reading, func(a answering) bool { return a.to == from }) {
		return nil, nil
	}
	a := answering{to: from, term: term}
	for i := range m.Wanted {
		w := &m.Wanted[i]
		state, record, read := look(w)
		switch {
		case read && (len(a.wanted) == 0 || w.Index == a.wanted[len(a.wanted)-1].Index+1):
			a.wanted = append(a.wanted, *w)
		case state != 0:
			a.found = append(a.found, wire.FoundEntry{Index: w.Index, Term: w.Term, State: state, Record: record})
		}
	}
	if len(a.wanted) == 0 {
		return &wire.EntryReply{Found: a.found}, nil
	}
	l.nextID++
	a.id = l.nextID | l.mark
	l.reading = append(l.reading, a)
	return nil, &Fetch{ID: a.id, First: a.wanted[0].Index, Last: a.wanted[len(a.wanted)-1].Index, LimitBytes: maxLibraryBytes}
}

// fetched completes a reply by what was read, and returns it with the term that it is to be sent in. The error is not nil if this server
// must not go on.
func (l *library) fetched(in *Fetched) (to raft.ServerID, term raft.Term, reply *wire.EntryReply, err error) {
	i := slices.IndexFunc(l.reading, func(a answering) bool { return a.id == in.ID })
	if i < 0 {
		return 0, 0, nil, nil
	}
	a := l.reading[i]
	l.reading = slices.Delete(l.reading, i, i+1)
	switch {
	case errors.Is(in.Err, wal.ErrCompacted):
		w := &a.wanted[0]
		a.found = append(a.found, wire.FoundEntry{Index: w.Index, Term: w.Term, State: wire.EntryCompacted})
	case errors.Is(in.Err, wal.ErrNoEntry), errors.Is(in.Err, wal.ErrNoGroup), isHole(in.Err): // it has changed meanwhile
	case in.Err != nil:
		return 0, 0, nil, in.Err
	}
	for k, record := range in.Records {
		if k == len(a.wanted) {
			break
		}
		w, raw := &a.wanted[k], wire.Raw(record)
		if raw.Index() != w.Index {
			break // it is no answer to this
		}
		f := wire.FoundEntry{Index: w.Index, Term: w.Term, State: wire.EntryLacking}
		if w.Hash == (wire.Hash{}) || raw.Term() == w.Term && raw.Hash() == w.Hash {
			f.Term, f.State, f.Record = raw.Term(), wire.EntryThere, record
		}
		a.found = append(a.found, f)
	}
	return a.to, a.term, &wire.EntryReply{Found: a.found}, nil
}

func isHole(err error) bool {
	var hole *wal.HoleError
	return errors.As(err, &hole)
}

// entriesRequested answers a server that has lost entries.
func (r *Replica) entriesRequested(from raft.ServerID, m *wire.EntryRequest) {
	term := r.core.CurrentTerm()
	reply, fetch := r.library.requested(from, term, m, func(w *wire.WantedEntry) (wire.EntryState, wire.Raw, bool) {
		is, ok := r.core.TermAt(w.Index)
		switch {
		case w.Index > r.core.LastIndex():
			return wire.EntryLacking, nil, false
		case !ok:
			return wire.EntryCompacted, nil, false
		case w.Term != 0 && is != w.Term:
			return wire.EntryLacking, nil, false
		case w.Index > r.core.Durable():
			return 0, nil, false
		}
		return 0, nil, true
	})
	if fetch != nil {
		r.work.Fetch = append(r.work.Fetch, *fetch)
	}
	r.replyWithEntries(from, term, reply)
}

// entriesFetched answers with what was read.
func (r *Replica) entriesFetched(in *Fetched) {
	to, term, reply, err := r.library.fetched(in)
	if err != nil {
		r.work.Fatal = err
		return
	}
	r.replyWithEntries(to, term, reply)
}

// replyWithEntries sends a reply unless it says nothing, or the term is not durable: that an entry is lacking, or another one in its place,
// means something only if it stays true. Whoever asks will ask again.
func (r *Replica) replyWithEntries(to raft.ServerID, term raft.Term, reply *wire.EntryReply) {
	if reply == nil || len(reply.Found) == 0 || r.persisted < r.termTicket {
		return
	}
	r.send(to, term, reply)
}
