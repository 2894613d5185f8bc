package replica

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// applying hands committed entries to the state machine, one run of them at a time.
type applying struct {
	// applied is how far the state machine is; next the first entry not handed to it; end the last
	// that may be.
	applied, next, end raft.Index
	// underWay are the entries that the state machine has now.
	underWay []Entry
	// fetching: entries are being read from the log for it, under id.
	fetching bool
	id       uint64
	// fetchedRecords are those that were read, from next on.
	fetchedRecords [][]byte
	// term is that of the last entry applied.
	term raft.Term
}

// startApply hands over the next run, unless one is under way.
func (r *Replica) startApply() {
	a := &r.apply
	if len(a.underWay) > 0 || a.fetching || a.next > a.end || r.snapshot.blocks() {
		return
	}
	records := a.fetchedRecords
	a.fetchedRecords = nil
	if len(records) == 0 {
		last := min(a.end, a.next+raft.Index(r.options.MaxApplyEntries)-1)
		span, ok := r.tail.span(a.next, last, r.options.MaxApplyBytes)
		if !ok {
			a.fetching = true
			a.id += 2
			r.work.Fetch = append(r.work.Fetch, Fetch{ID: a.id, First: a.next, Last: last, LimitBytes: r.options.MaxApplyBytes})
			return
		}
		records = span
	}
	work := &Apply{Entries: make([]Entry, 0, len(records))}
	for _, record := range records {
		e, err := entryOf(record)
		if err != nil {
			r.work.Fatal = err
			return
		}
		work.Entries = append(work.Entries, e)
	}
	a.underWay = work.Entries
	a.next += raft.Index(len(records))
	r.work.Apply = work
}

// FeatureLevel is the highest level of commands that this version can apply.
const FeatureLevel uint16 = 0

// entryOf decodes a committed entry. What cannot be read as a command is nothing to any server's state
// machine: no entry can stop the servers one after the other. But what a later version would apply must
// not be passed over: this server's state would differ from the others', so it stops.
func entryOf(record wire.Raw) (Entry, error) {
	e := Entry{Index: record.Index(), Term: record.Term()}
	if record.Kind() != wire.RecordCommand {
		return e, nil
	}
	c, err := wire.DecodeCommand(record.Payload())
	switch {
	case errors.Is(err, wire.ErrTooNew):
		return e, fmt.Errorf("apply entry %d: %w: upgrade this server", e.Index, err)
	case err == nil && c.Level > FeatureLevel:
		return e, fmt.Errorf("apply entry %d: it needs feature level %d, this version has %d: upgrade this server",
			e.Index, c.Level, FeatureLevel)
	case err == nil:
		e.Command = c
	}
	return e, nil
}

func (a *applying) fetched(in *Fetched) {
	if !a.fetching || in.ID != a.id {
		return
	}
	a.fetching = false
	if len(in.Records) > 0 && wire.Raw(in.Records[0]).Index() == a.next {
		a.fetchedRecords = in.Records
	}
}

// appliedBatch answers the commands of the run under way that came from this server's clients.
func (r *Replica) appliedBatch(answers []Answered) {
	a := &r.apply
	entries := a.underWay
	a.underWay = nil
	for i := range entries {
		e := &entries[i]
		if e.Term > a.term {
			a.term = e.Term
			r.commands.termApplied(e.Term)
		}
		a.applied = e.Index
		if o := &e.Command.Origin; o.Server == r.options.Member.ID && o.Boot == r.options.Boot && e.Command.Kind != 0 {
			r.commands.applied(r, o.Sequence, e.Index, answers[i])
		}
	}
	r.batch = append(r.batch, raft.Applied{Index: a.applied})
	r.reads.applied(r)
}
