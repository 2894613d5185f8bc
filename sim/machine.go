package sim

import (
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// machine is the state machine of a server: the store, on an engine that can crash.
type machine struct {
	engine   *treekv.Engine
	store    *kv.Store
	underWay *replica.Apply // what it is applying
	// step is what it does towards another server's state, and positions where those states are that it has served.
	step      *replica.SnapshotWork
	positions map[raft.Index]*wire.Position
}

func (m *machine) start() { m.engine = treekv.New() }

// open opens the store on what the engine has.
func (m *machine) open(p *plan) (err error) {
	m.store, err = kv.Open(m.engine, kv.Options{Cluster: cluster, SumEvery: p.sums.every})
	return err
}

// crash ends the engine. keep says how many of the batches since the last flush are left.
func (m *machine) crash(keep func(batches int) int) {
	m.engine = m.engine.Crash(keep)
	m.store, m.underWay, m.step, m.positions = nil, nil, nil, nil
}

// durable returns the index up to which the state survives a crash now.
func (m *machine) durable() raft.Index {
	index, err := m.store.DurableIndex()
	if err != nil {
		panic(err) // a tree in memory has no errors
	}
	return raft.Index(index)
}

// apply applies entries, all of them: those that are no commands only advance the index. What they change
// is added to told, if that is not nil.
func (m *machine) apply(entries []replica.Entry, told *kv.Changes) ([][]byte, error) {
	commands := make([]kv.Command, len(entries))
	for i := range entries {
		e := &entries[i]
		commands[i] = kv.Command{Index: uint64(e.Index), Time: e.Command.Time, Kind: kv.Kind(e.Command.Kind), Request: e.Command.Request,
			Session: e.Command.Session}
	}
	answers, err := m.store.ApplyAndTell(commands, told)
	if err != nil {
		return nil, err
	}
	encoded := make([][]byte, len(answers))
	for i := range answers {
		encoded[i] = answers[i].Append(nil)
	}
	return encoded, nil
}

// read answers a range from what is applied now.
func (m *machine) read(request []byte) ([]byte, error) {
	a, err := m.store.Range(request)
	if err != nil {
		return nil, err
	}
	return a.Append(nil), nil
}

// readAll reads everything, and hashes it.
func (m *machine) readAll() (kv.KVHash, error) {
	c, err := m.store.NewScrub(0)
	if err != nil {
		return kv.KVHash{}, err
	}
	for done := false; !done && err == nil; {
		_, done, err = c.Step(1 << 20)
	}
	if closing := c.Close(); err == nil {
		err = closing
	}
	return c.Hash(), err
}

func (m *machine) flush() (raft.Index, error) {
	if err := m.store.Flush(); err != nil {
		return 0, err
	}
	return m.durable(), nil
}

func (m *machine) digest() [16]byte {
	d, _ := m.store.Digest()
	return d
}
