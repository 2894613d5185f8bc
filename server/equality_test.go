package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
)

// TestServerThatDiffersEndsAndIsFedAnew: one of three says another hash than the others. It ends, its state is set aside
// when it starts again, and then it is as the others.
func TestServerThatDiffersEndsAndIsFedAnew(t *testing.T) {
	options := clusterOptions(t, 3)
	fatal := make(chan error, 1)
	options[1].OnFatal = func(err error) { fatal <- err }
	var log lines
	options[1].Logger = log.logger()
	servers := make([]*Server, 3)
	for i, o := range options {
		var err error
		if servers[i], err = Start(o); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = servers[i].Close() }() // one has failed
	}
	client := connect(t, servers[0])
	for i := range 300 {
		if _, err := client.Put(testContext(t), fmt.Sprint("key", i), "value"); err != nil {
			t.Fatal(err)
		}
	}
	say := func(i int) {
		servers[i].machine.scrubbed.add(quorate.Sum{Kind: kv.SumHash, At: 7, Value: [16]byte{byte(i % 2)}})
	}
	say(0)
	say(1)
	eventually(t, "one has heard the other, which is gone once two say the same", func() bool {
		return servers[0].group.Status().Sums.Undecided != nil
	})
	say(2)
	ctx := testContext(t)
	select {
	case err := <-fatal:
		var differs *quorate.DiffersError
		if !errors.As(err, &differs) || differs.Sum.At != 7 {
			t.Fatalf("ended with: %v", err)
		}
	case <-ctx.Done():
		t.Fatal("it goes on")
	}
	eventually(t, "the others say so", func() bool {
		for _, f := range servers[0].Report().Findings {
			if f.Code == "state-differs" && f.About == "n1" {
				return true
			}
		}
		return false
	})
	if got := servers[0].group.Status().Sums; got.Different != 1 || got.Compared < 3 {
		t.Errorf("compared %+v", got)
	}
	_ = servers[1].Close()
	options[1].OnFatal = func(err error) { t.Errorf("fatal again: %v", err) }
	s, err := Start(options[1])
	if err != nil {
		t.Fatal(err)
	}
	servers[1] = s
	got, err := connect(t, s).Get(testContext(t), "key", clientv3.WithPrefix())
	if err != nil || got.Count != 300 {
		t.Errorf("read %v, %v", got, err)
	}
	if !strings.Contains(log.String(), "set aside") {
		t.Error("the state was not set aside")
	}
}

// TestAlarmIsRaisedWhenNobodyCanTell: two servers that differ cannot know who is right. Nothing is served any more.
func TestAlarmIsRaisedWhenNobodyCanTell(t *testing.T) {
	servers := startAll(t, clusterOptions(t, 2))
	client := connect(t, servers[0])
	if _, err := client.Put(testContext(t), "key", "value"); err != nil {
		t.Fatal(err)
	}
	for i, s := range servers {
		s.machine.scrubbed.add(quorate.Sum{Kind: kv.SumHash, At: 7, Value: [16]byte{byte(i)}})
	}
	eventually(t, "the alarm is raised", func() bool {
		_, err := client.Get(context.Background(), "key")
		return err != nil && strings.Contains(err.Error(), "corrupt")
	})
	alarms, err := client.AlarmList(testContext(t))
	if err != nil || len(alarms.Alarms) != 1 {
		t.Errorf("alarms %v, %v", alarms, err)
	}
}

// TestAlarmIsRaisedOnceAndByTheLeaderOnly, and not before all have spoken: until then a majority may agree after all.
func TestAlarmIsRaisedOnceAndByTheLeaderOnly(t *testing.T) {
	s := start(t, clusterOptions(t, 1)[0])
	if _, err := connect(t, s).Put(testContext(t), "key", "value"); err != nil { // so it leads
		t.Fatal(err)
	}
	status := func(role raft.Role, undecided *replica.Undecided) *replica.Status {
		return &replica.Status{Raft: raft.Status{Role: role}, Sums: replica.SumStatus{Undecided: undecided}}
	}
	for _, now := range []*replica.Status{
		status(raft.Leader, nil),
		status(raft.Leader, &replica.Undecided{}),
		status(raft.Follower, &replica.Undecided{AllSpoke: true}),
	} {
		if s.judgeSums(testContext(t), now); len(s.store.Alarms()) > 0 {
			t.Fatalf("alarms %v after %+v", s.store.Alarms(), now.Sums)
		}
	}
	undecided := status(raft.Leader, &replica.Undecided{AllSpoke: true})
	s.judgeSums(testContext(t), undecided)
	alarms := s.store.Alarms()
	if len(alarms) != 1 || alarms[0] != (kv.Alarm{Member: uint64(s.host.ID()), Type: kv.AlarmCorrupt}) {
		t.Fatalf("alarms %v", alarms)
	}
	before := s.store.AppliedIndex()
	if s.judgeSums(testContext(t), undecided); s.store.AppliedIndex() != before {
		t.Error("the alarm is raised again and again")
	}
}

// TestStateThatWasChangedSilentlyIsFoundAndHealed: a byte of a value is changed in the files of one server, with right
// checksums. It answers wrongly, until all have read what they have; then it gets the state of the others.
func TestStateThatWasChangedSilentlyIsFoundAndHealed(t *testing.T) {
	options := clusterOptions(t, 3)
	fatal := make(chan error, 1)
	options[2].OnFatal = func(err error) { fatal <- err }
	servers := startAll(t, options[:2])
	third, err := Start(options[2])
	if err != nil {
		t.Fatal(err)
	}
	client := connect(t, servers[0])
	put, err := client.Put(testContext(t), "key", "value")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has the key", func() bool { return third.store.Revision() == put.Header.Revision })
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	changeSilently(t, options[2])
	if third, err = Start(options[2]); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		got, err := connect(t, third).Get(testContext(t), "key")
		if err != nil || len(got.Kvs) != 1 {
			t.Fatal(got, err)
		}
		return string(got.Kvs[0].Value)
	}
	if got := read(); got == "value" {
		t.Fatal("nothing was changed")
	}
	for _, s := range append(servers, third) {
		eventually(t, "it has the key", func() bool { return s.store.Revision() == put.Header.Revision })
		if err := s.scrubOnce(testContext(t), 0); err != nil {
			t.Fatal(err)
		}
	}
	ctx := testContext(t)
	select {
	case err := <-fatal:
		t.Log(err)
	case <-ctx.Done():
		t.Fatal("it goes on")
	}
	_ = third.Close() // it has failed
	if third, err = Start(options[2]); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = third.Close() }()
	if got := read(); got != "value" {
		t.Errorf("reads %q", got)
	}
}

// changeSilently changes a byte of the value of the last version that a state holds.
func changeSilently(t *testing.T, o Options) {
	t.Helper()
	engine, err := pebblekv.Open(filepath.Join(o.DataDir, stateDir), pebblekv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := engine.NewIterator(kv.VersionsSpan())
	if err != nil {
		t.Fatal(err)
	}
	if !it.Last() {
		t.Fatal("nothing is there")
	}
	key, value := bytes.Clone(it.Key()), bytes.Clone(it.Value())
	value[len(value)-1] ^= 1
	batch := engine.NewBatch()
	batch.Set(key, value)
	if err := errors.Join(it.Close(), batch.Commit(), engine.Flush(), engine.Close()); err != nil {
		t.Fatal(err)
	}
}
