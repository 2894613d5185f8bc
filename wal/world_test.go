package wal

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// world runs a workload on a log, and knows what must be there after a crash.
type world struct {
	disk    *crashdisk.Disk
	options Options
	log     *Log
	model   *model
	// history is what the log may hold: after each write, and after each record of a write that may be
	// spread over several frames. What is durable is history[synced], at least.
	history []fingerprint
	steps   []fingerprint // of the write that is being put together
	synced  int
	err     error // the first: nothing is done any more
}

const testDir = "log"

func newWorld(disk *crashdisk.Disk) *world {
	w := &world{disk: disk, options: testOptions(disk, testDir), model: newModel()}
	w.options.Boot = 0
	w.history = []fingerprint{w.model.fingerprint()}
	return w
}

// do does something unless something has gone wrong.
func (w *world) do(what func() error) {
	if w.err == nil {
		w.err = what()
	}
}

// open starts the server.
func (w *world) open() {
	w.options.Boot++
	w.do(func() error {
		w.log = nil
		l, at, found, err := w.reopen(w.options.FS)
		if err == nil {
			w.log, w.model, w.history, w.synced = l, found, w.history[:at+1], at
		}
		return err
	})
}

// reopen opens the log on a disk, and says which moment of history it finds.
func (w *world) reopen(fs vfs.FS) (l *Log, at int, found *model, err error) {
	options := w.options
	options.FS = fs
	l, recovered, err := Open(options)
	if err != nil {
		return nil, 0, nil, err
	}
	if found, err = modelOf(l, recovered.Groups); err == nil {
		at, err = w.find(found.fingerprint())
	}
	if len(recovered.Healed) > 0 && err == nil {
		err = fmt.Errorf("healed %v, with nothing damaged", recovered.Healed)
	}
	if err != nil {
		return nil, 0, nil, errors.Join(err, l.Close())
	}
	return l, at, found, nil
}

// find returns where in history that is.
func (w *world) find(f fingerprint) (int, error) {
	for at := len(w.history) - 1; at >= 0; at-- {
		if w.history[at] == f {
			if at < w.synced {
				return 0, fmt.Errorf("lost: the log is as it was after step %d, and step %d was durable", at, w.synced)
			}
			return at, nil
		}
	}
	return 0, errors.New("phantom: the log is as it never was")
}

// apply does a write to the model.
func (w *world) apply(write Write) Write {
	w.model.apply(&write, func() { w.steps = append(w.steps, w.model.fingerprint()) })
	return write
}

func (w *world) create(id wire.GroupID) Write {
	return w.apply(Write{Group: id, Base: &Base{Configuration: fmt.Appendf(nil, "first configuration of %d", id)}})
}

func (w *world) hardState(id wire.GroupID, term raft.Term, vote raft.ServerID) Write {
	g := w.model.groups[id]
	return w.apply(Write{Group: id, HardState: &raft.HardState{CurrentTerm: term, VotedFor: vote, Commit: g.hardState.Commit}})
}

// entries appends entries, and says that all before them are committed.
func (w *world) entries(id wire.GroupID, n, payloadBytes int) Write {
	return w.replace(id, w.model.groups[id].last()+1, n, payloadBytes)
}

// replace puts entries of the current term in the place of those from an index on.
func (w *world) replace(id wire.GroupID, from raft.Index, n, payloadBytes int) Write {
	payloads := make([][]byte, n)
	for i := range payloads {
		payloads[i] = make([]byte, payloadBytes)
		copy(payloads[i], fmt.Sprintf("entry %d of group %d, written in step %d", from+raft.Index(i), id, len(w.history)))
	}
	return w.replaceBy(id, from, wire.RecordCommand, payloads)
}

// replaceBy does so with these. Every fifth entry is a configuration, whatever it should be.
func (w *world) replaceBy(id wire.GroupID, from raft.Index, kind uint8, payloads [][]byte) Write {
	g := w.model.groups[id]
	state := g.hardState
	state.Commit = from - 1
	all := w.apply(Write{Group: id, HardState: &state, TruncateFrom: from})
	all.First = from
	for i, payload := range payloads {
		kind := kind
		if (from+raft.Index(i))%5 == 0 {
			kind = wire.RecordConfiguration
		}
		record := w.model.next(id, state.CurrentTerm, kind, payload)
		w.apply(Write{Group: id, First: from + raft.Index(i), Records: [][]byte{record}})
		all.Records = append(all.Records, record)
	}
	return all
}

func (w *world) truncate(id wire.GroupID, from raft.Index) Write {
	return w.apply(Write{Group: id, TruncateFrom: from})
}

func (w *world) drop(id wire.GroupID) Write { return w.apply(Write{Group: id, Drop: true}) }

// base says where the log begins after an entry that it has.
func (w *world) base(id wire.GroupID, index raft.Index) Base {
	g := w.model.groups[id]
	base := Base{EntryID: raft.EntryID{Index: index}, Configuration: g.base.Configuration}
	for _, e := range g.entries[:index-g.base.Index] {
		r := wire.Raw(e)
		base.Term, base.Hash = r.Term(), r.Hash()
		if r.Kind() == wire.RecordConfiguration {
			base.Configuration = r.Payload()
		}
	}
	return base
}

func (w *world) compact(id wire.GroupID, index raft.Index) Write {
	base := w.base(id, index)
	return w.apply(Write{Group: id, Base: &base})
}

// install lets the log begin after an entry that it does not have.
func (w *world) install(id wire.GroupID, index raft.Index, term raft.Term) Write {
	return w.apply(Write{Group: id, Base: &Base{
		EntryID: raft.EntryID{Index: index, Term: term}, Hash: wire.Hash{1, 2, 3}, Configuration: []byte("installed"),
	}})
}

// append writes what fits into one frame: a crash keeps all of it or nothing.
func (w *world) append(writes ...Write) {
	w.steps = w.steps[max(0, len(w.steps)-1):]
	w.appendInFrames(writes...)
}

// appendInFrames writes what does not: a crash may keep the first of it.
func (w *world) appendInFrames(writes ...Write) {
	if w.err == nil {
		w.history = append(w.history, w.steps...)
	}
	w.steps = nil
	w.do(func() error { return w.log.Append(writes) })
}

func (w *world) sync() {
	w.do(func() error { return w.log.Sync() })
	w.noteSynced()
}

func (w *world) seal() {
	w.do(func() error { return w.log.Seal() })
	w.noteSynced()
}

func (w *world) noteSynced() {
	if w.err == nil {
		w.synced = len(w.history) - 1
	}
}

func (w *world) prepare() { w.do(func() error { return w.log.Prepare() }) }
func (w *world) release() { w.do(func() error { return w.log.Release() }) }
func (w *world) close()   { w.do(func() error { return w.log.Close() }) }

// kill ends the process, and starts it again.
func (w *world) kill() {
	if w.err == nil && w.disk != nil {
		w.disk.Kill()
	} else if w.err == nil {
		w.close()
	}
	w.open()
}

func (w *world) moveForward(limitBytes int) {
	w.do(func() error { _, err := w.log.MoveForward(limitBytes); return err })
}
