package quorate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate"
)

// restored is a register that has a state already, up to an entry.
type restored struct {
	register
	first quorate.Index // that it was given
	time  uint64        // of the last command
}

const restoredAt = 50

func (r *restored) DurableIndex() quorate.Index { return restoredAt }

func (r *restored) Apply(entries []quorate.Entry) [][]byte {
	if r.first == 0 {
		r.first = entries[0].Index
	}
	for i := range entries {
		r.time = max(r.time, entries[i].Command.Time)
	}
	return r.register.Apply(entries)
}

func TestRestoredServersGoOnFromWhereTheirStateIs(t *testing.T) {
	group := quorate.RestoredGroup{Group: 1, Index: restoredAt, Time: 7_000_000_000, Source: [32]byte{1}}
	var members []quorate.Member
	for i := range 3 {
		members = append(members, quorate.Member{Name: fmt.Sprint("n", i), PeerURLs: []string{freeAddress(t)}})
	}
	servers := map[quorate.ServerID]bool{}
	var nodes []*node
	for i, m := range members {
		o := quorate.Options{Dir: t.TempDir(), Members: members, Name: m.Name, SegmentBytes: 1 << 20,
			OnFatal: func(err error) { t.Errorf("server %d must not go on: %v", i, err) }}
		for _, wrong := range []quorate.RestoredGroup{{Group: 1}, {Index: 1}} {
			if _, err := quorate.CreateRestored(quorate.Options{Dir: t.TempDir(), Members: members, Name: m.Name}, []quorate.RestoredGroup{wrong}); err == nil {
				t.Errorf("%+v is restored", wrong)
			}
		}
		cluster, err := quorate.CreateRestored(o, []quorate.RestoredGroup{group})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := quorate.CreateRestored(o, []quorate.RestoredGroup{group}); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("restored over a directory that has a server: %v", err)
		}
		info := quorate.InspectDirectory(o.Dir)
		if info.Cluster != cluster || info.Name != m.Name || len(info.Groups) != 1 || info.Groups[0] != 1 || info.ServerError != nil {
			t.Errorf("made is %+v, want group 1 of cluster %x", info, cluster)
		}
		servers[info.Server] = true
		nodes = append(nodes, &node{options: o})
	}
	if len(servers) != len(members) {
		t.Errorf("the servers are %v", servers)
	}
	var machines []*restored
	for _, n := range nodes {
		host, err := quorate.Open(n.options)
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close()
		m := &restored{}
		n.host, n.machine = host, &m.register
		if n.group, err = host.Start(1, m); err != nil {
			t.Fatal(err)
		}
		machines = append(machines, m)
	}
	nodes[1].propose(t, "after it")
	for i, n := range nodes {
		wantCommands(t, n.read(t), "after it")
		if m := machines[i]; m.first != restoredAt+1 || m.time < group.Time {
			t.Errorf("server %d: the first entry is %d, and the last command of time %d, want %d, and no earlier than %d", i, m.first, m.time, restoredAt+1, group.Time)
		}
	}
}
