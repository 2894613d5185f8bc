package raft_test

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// The answer to a probe with entries waits for the peer's disk, those to heartbeats do not. When they
// overtake it, that does not mean that the probe got lost: entries that are on their way are not sent
// once more with every read.
func TestProbeOfAPeerWithASlowDiskIsNotRepeatedWithEveryRead(t *testing.T) {
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	for _, s := range c.Servers {
		c.Install(s, 0, 1)
	}
	leader, slow := c.Server(1), c.Server(2)
	c.only(1, 3)
	c.elect(t, 1)
	c.Step(leader, raft.Propose{ID: 1, Entries: []raft.Entry{rafttest.Command("x"), rafttest.Command("y")}})
	c.Settle()
	c.Connected = nil
	requests := 0
	settleBut := func() {
		for c.Broken == "" && len(c.Network)+len(c.Server(3).Writes)+len(leader.Writes) > 0 {
			c.PersistAll(leader)
			c.PersistAll(c.Server(3))
			if len(c.Network) > 0 {
				e := c.Take(0)
				if m, is := e.Message.(*raft.AppendEntries); is && e.To == 2 && len(m.Entries) > 0 {
					requests++
				}
				c.Deliver(e)
			}
		}
	}
	c.Step(leader, raft.Tick{})
	settleBut()
	c.PersistAll(slow) // its term; from now on the disk of server 2 is slow
	for requests == 0 && c.Broken == "" {
		c.Step(leader, raft.Tick{})
		settleBut()
	}
	for read := range uint64(20) {
		c.Step(leader, raft.ReadIndex{ID: 10 + read})
		settleBut()
	}
	c.mustBeWhole(t)
	if len(slow.Writes) == 0 || requests == 0 {
		t.Fatalf("%d requests, %d writes under way: the test is about a probe that waits for the disk", requests, len(slow.Writes))
	}
	if requests > 2 {
		t.Errorf("%d requests with entries went to server 2 during 20 reads, want one and perhaps a second", requests)
	}
	c.Settle()
	for range 3 {
		c.Step(leader, raft.Tick{})
		c.Settle()
	}
	c.mustBeWhole(t)
	if p := leader.Core.Peer(2); p.Probing || p.MatchIndex != leader.Core.LastIndex() {
		t.Errorf("peer 2 matches up to %d of %d, probing %t", p.MatchIndex, leader.Core.LastIndex(), p.Probing)
	}
}

// countSent counts how often each entry was sent to a server.
func countSent(counts map[raft.Index]int, e raft.Envelope, to raft.ServerID) {
	if m, is := e.Message.(*raft.AppendEntries); is && e.To == to {
		for i := range m.Entries {
			counts[m.PrevLogIndex+raft.Index(i)+1]++
		}
	}
}

// Appends that arrive in any other order than they were sent in cost each entry one more journey, at
// most: later refusals say nothing that the first has not said.
func TestReorderedAppendsAreSentAgainAtMostOnce(t *testing.T) {
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for _, order := range orders {
		c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(2))
		leader := c.elect(t, 1)
		for i := range uint64(3) {
			c.Step(leader, raft.Propose{ID: i + 1, Entries: []raft.Entry{rafttest.Command("x")}})
		}
		var appends []raft.Envelope
		sent := map[raft.Index]int{}
		for len(c.Network) > 0 {
			appends = append(appends, c.Take(0))
		}
		if len(appends) != 3 {
			t.Fatalf("%d appends are on their way, want a window of 3", len(appends))
		}
		for _, e := range appends {
			countSent(sent, e, 2)
		}
		for _, i := range order {
			c.Deliver(appends[i])
		}
		c.PersistAll(leader)
		c.PersistAll(c.Server(2))
		for len(c.Network) > 0 {
			e := c.Take(0)
			countSent(sent, e, 2)
			c.Deliver(e)
			c.PersistAll(c.Server(2))
		}
		c.mustBeWhole(t)
		for i := raft.Index(2); i <= 4; i++ {
			if sent[i] > 2 || (order[0] == 0 && order[1] == 1 && sent[i] > 1) {
				t.Errorf("order %v: entry %d was sent %d times", order, i, sent[i])
			}
		}
		if got := c.Server(2).Applied; got != 4 {
			t.Errorf("order %v: server 2 has applied %d of 4 entries, without a single tick", order, got)
		}
	}
}

// The window is bounded in messages and in bytes, and opens again with the answers.
func TestWindowHasBounds(t *testing.T) {
	for _, test := range []struct {
		options raft.Options
		want    string // the requests on their way, each by its entries
	}{
		{raft.Options{MaxAppendBytes: 4, MaxInflightMessages: 2}, "2-3 4-5"},
		{raft.Options{MaxAppendBytes: 4, MaxInflightBytes: 5}, "2-3 4-5"},    // at the bound, not before it
		{raft.Options{MaxAppendBytes: 1}, "2-2 3-3 4-4 5-5 6-6 7-7 8-8 9-9"}, // one entry always fits
		{raft.Options{}, "2-9"},
	} {
		c := newGroup(test.options, rafttest.Voters(2))
		leader := c.elect(t, 1)
		var entries []raft.Entry
		for range 8 {
			entries = append(entries, rafttest.Command("xy"))
		}
		out := c.Step(leader, raft.Propose{ID: 1, Entries: entries})
		got := ""
		for _, m := range raft.SentTo(out, 2) {
			m := m.(*raft.AppendEntries)
			got += fmt.Sprintf(" %d-%d", m.PrevLogIndex+1, m.Last)
		}
		if got != " "+test.want {
			t.Errorf("%+v: sends%s, want %s", test.options, got, test.want)
		}
		c.Settle()
		c.mustBeWhole(t)
		if got := c.Server(2).Applied; got != 9 {
			t.Errorf("%+v: server 2 has applied %d of 9 entries", test.options, got)
		}
	}
}

// Entries whose sizes were forgotten go out one request at a time, and whoever fills them in may cut
// them short.
func TestPeerFarBehindIsBroughtUpOneRequestAtATime(t *testing.T) {
	terms := make([]raft.Term, 3*raft.MaxProbeEntries)
	for i := range terms {
		terms[i] = 1
	}
	c := newGroup(raft.Options{ElectionTicks: 10}, rafttest.Voters(3))
	c.Install(c.Server(1), 0, terms...) // after a restart it knows no sizes at all
	c.Fewer = func(n int) int { return n/2 + 1 }
	c.campaign(c.Server(1), false)
	most := 0
	for len(c.Network) > 0 || len(c.Server(1).Writes) > 0 {
		for _, s := range c.Servers {
			c.PersistAll(s)
		}
		underWay := 0
		for _, e := range c.Network {
			if m, is := e.Message.(*raft.AppendEntries); is && e.To == 2 && len(m.Entries) > 0 {
				underWay++
			}
		}
		most = max(most, underWay)
		if len(c.Network) > 0 {
			c.Deliver(c.Take(0))
		}
		if c.Broken != "" {
			break
		}
	}
	c.mustBeWhole(t)
	if got := len(c.Server(2).Disk.Log); got != len(terms)+1 || most != 1 {
		t.Errorf("server 2 has %d of %d entries, with up to %d requests on their way", got, len(terms)+1, most)
	}
}
