package server

import (
	"fmt"

	"github.com/quorate/quorate"
)

// The machine implements quorate.Snapshots: the store does the work. What is here is who may do it when.

// SnapshotRequest implements quorate.Snapshots.
func (m *machine) SnapshotRequest() ([]byte, error) { return m.store.SnapshotRequest() }

// ServeSnapshot implements quorate.Snapshots.
func (m *machine) ServeSnapshot(request []byte, maxBytes int) ([]byte, quorate.Index, error) {
	chunk, index, err := m.store.ServeSnapshot(request, maxBytes)
	return chunk, quorate.Index(index), err
}

// StageSnapshot implements quorate.Snapshots.
func (m *machine) StageSnapshot(chunk []byte) (next []byte, complete bool, err error) {
	return m.store.StageSnapshot(chunk)
}

// InstallSnapshot implements quorate.Snapshots. Whoever watches is told that something has changed, and reads what from
// the store.
func (m *machine) InstallSnapshot(position []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.store.InstallSnapshot(position); err != nil {
		return err
	}
	durable, err := m.store.DurableIndex()
	if err != nil {
		return fmt.Errorf("read what is durable: %w", err)
	}
	m.durable.Store(durable)
	m.unflushed = 0
	m.feed.Add(nil, m.store.Revision(), m.store.CompactRevision())
	signal(m.compact)
	return nil
}

// DropStaged implements quorate.Snapshots.
func (m *machine) DropStaged() error { return m.store.DropStaged() }

// InstalledPosition implements quorate.Snapshots.
func (m *machine) InstalledPosition() []byte { return m.store.InstalledPosition() }

// LogTime implements quorate.Snapshots.
func (m *machine) LogTime() uint64 { return m.store.Time() }

// ReleaseSnapshots implements quorate.Snapshots.
func (m *machine) ReleaseSnapshots() { m.store.ReleaseSnapshots() }
