package sim

import (
	"errors"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/wal"
)

// mistakes is how often, of a million starts on a disk that has a log, somebody confuses disks first.
const mistakes = 50_000

// startsAsAnother is what an operator does who confuses directories: a server of another cluster, or
// another server of this one, is started on this server's disk. It must be refused, and leave the disk
// as it is, for after that the right one starts on it.
func (s *server) startsAsAnother() {
	w := s.world
	w.counts.Mistakes++
	options := wal.Options{FS: s.disk, Dir: walDir, SegmentBytes: w.plan.segmentBytes, Cluster: cluster, Server: uint64(s.id), Boot: s.boot}
	want := wal.ErrOtherServer
	if w.dice.either(s.labels.mistaken) {
		options.Cluster, want = cluster+1, wal.ErrOtherCluster
	} else {
		options.Server++
	}
	if _, _, err := wal.Open(options); !errors.Is(err, want) {
		w.check.Fail("R3", "server %x of cluster %x starts on the log of server %d of this cluster: %v", options.Server, options.Cluster, s.id, err)
	}
	if ours, foreign := s.machine.openedBy(cluster), s.machine.openedBy(cluster+1); ours == nil && !errors.Is(foreign, kv.ErrOtherCluster) {
		w.check.Fail("R3", "a server of another cluster starts on the state of server %d: %v", s.id, foreign)
	}
}

// openedBy returns why a server of a cluster may not go on with what the engine has, or nil if it may.
// While there is nothing in it, nobody may.
func (m *machine) openedBy(cluster uint64) error {
	store, err := kv.Open(m.copyOfEngine(), kv.Options{Cluster: cluster})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if store.AppliedIndex() == 0 {
		return errNothing
	}
	return nil
}

// copyOfEngine returns an engine that holds what this one does, which nobody has open.
func (m *machine) copyOfEngine() *treekv.Engine {
	all := func(batches int) int { return batches }
	copied := m.engine.Crash(all)
	m.engine = m.engine.Crash(all)
	return copied
}

// errNothing: there is nothing in the engine.
var errNothing = errors.New("the engine is empty")
