package quorate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// rot damages the payloads of entries of a server that is closed, beyond what a checksum can mend, and returns
// how many. It leaves alone what was not known to be durable: that would be taken for a torn tail.
func (n *node) rot(t *testing.T, which func(raft.Index) bool) (rotten int) {
	t.Helper()
	type place struct {
		file   string
		offset int64
		frame  uint64
	}
	var places []place
	var frame, synced uint64
	err := wal.Scan(vfs.OS{}, filepath.Join(n.options.Dir, "wal"), func(at wal.Item) error {
		if at.Frame != nil {
			frame, synced = at.Frame.Sequence, at.Frame.Synced
		}
		if at.Record != nil && at.Record.IsEntry() && len(at.Record.Payload) > 4 && which(at.Record.Index) {
			places = append(places, place{at.File, at.Offset + wire.RecordHeaderBytes, frame})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	places = slices.DeleteFunc(places, func(p place) bool { return p.frame > synced })
	for _, p := range places {
		file, err := os.OpenFile(p.file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 3)
		if _, err := file.ReadAt(b, p.offset); err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0xff
		}
		if _, err := file.WriteAt(b, p.offset); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return len(places)
}

// TestServersWithDisjointRotHealEachOther: every server has lost a third of the log, each another one. No two of them
// have a whole one, and nobody can lead until they have it.
func TestServersWithDisjointRotHealEachOther(t *testing.T) {
	nodes := newCluster(t, 3)
	var want []string
	for i := range 60 {
		command := fmt.Sprint("command ", i)
		nodes[i%3].propose(t, command)
		want = append(want, command)
	}
	for _, n := range nodes {
		if err := n.host.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for k, n := range nodes {
		if rotten := n.rot(t, func(i raft.Index) bool { return int(i)%3 == k }); rotten < 18 {
			t.Fatalf("server %d has lost %d entries only", k, rotten)
		}
	}
	for _, n := range nodes {
		n.start(t)
	}
	for k, n := range nodes {
		if got := n.read(t); !slices.Equal(got, want) {
			t.Errorf("server %d has %q", k, got)
		}
		if h := n.group.Status().Healing; h != nil {
			t.Errorf("server %d heals still: %s", k, h.Text)
		}
	}
}

// TestAServerHealsWhileOthersServe: what a client asks of the server that heals waits until it has healed.
func TestAServerHealsWhileOthersServe(t *testing.T) {
	nodes := newCluster(t, 3)
	for i := range 20 {
		nodes[i%3].propose(t, fmt.Sprint("command ", i))
	}
	n := nodes[2]
	if err := n.host.Close(); err != nil {
		t.Fatal(err)
	}
	if rotten := n.rot(t, func(raft.Index) bool { return true }); rotten < 18 {
		t.Fatalf("it has lost %d entries only", rotten)
	}
	nodes[0].propose(t, "while it is away")
	n.start(t)
	n.propose(t, "there")
	if got := n.read(t); len(got) != 22 || got[21] != "there" || got[20] != "while it is away" {
		t.Errorf("got %q", got)
	}
	if err := n.host.Close(); err != nil {
		t.Fatal(err)
	}
	n.start(t)
	if got := n.read(t); len(got) != 22 {
		t.Errorf("started again: got %q", got)
	}
}
