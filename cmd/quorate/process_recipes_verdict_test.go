package main

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// What the tests of recipes call wrong is tried on histories that are, and on some that are not.

// expectVerdict checks whether something is called wrong.
func expectVerdict(t *testing.T, what string, err error, wrong bool) {
	t.Helper()
	if (err != nil) != wrong {
		t.Errorf("%s: got verdict %v, want wrong %v", what, err, wrong)
	}
}

func TestOverlappingTenuresAreCalledWrong(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	for _, test := range []struct {
		what  string
		all   []tenure
		wrong bool
	}{
		{"one after the other", []tenure{{1, at(0), at(2)}, {2, at(2), at(4)}, {1, at(5), at(6)}}, false},
		{"the second begins too early", []tenure{{1, at(0), at(3)}, {2, at(2), at(4)}}, true},
		{"one within another", []tenure{{1, at(2), at(3)}, {2, at(0), at(9)}}, true},
		{"two of one", []tenure{{1, at(0), at(3)}, {1, at(2), at(4)}}, true},
	} {
		s := tenures{all: test.all}
		expectVerdict(t, test.what, s.overlap(), test.wrong)
	}
}

// event is a put of a key at a revision.
func event(revision int64, key, value string) *clientv3.Event {
	return &clientv3.Event{Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: revision}}
}

func TestCountersThatRepeatOrSkipAreCalledWrong(t *testing.T) {
	for what, test := range map[string]struct {
		values []string
		wrong  bool
	}{
		"1 2 3":         {[]string{"p1", "p2", "p3"}, false},
		"a repetition":  {[]string{"p1", "p2", "p2"}, true},
		"a gap":         {[]string{"p1", "p3"}, true},
		"another's":     {[]string{"p1", "q2"}, true},
		"from the past": {[]string{"p1", "p2", "p1"}, true},
	} {
		var events []*clientv3.Event
		for i, value := range test.values {
			events = append(events, event(int64(2+i), "n", value))
		}
		_, err := countedUp(events, "p")
		expectVerdict(t, what, err, test.wrong)
	}
}

func TestObservationsOutOfOrderAreCalledWrong(t *testing.T) {
	was := &mvccpb.KeyValue{CreateRevision: 10, Version: 3}
	for what, test := range map[string]struct {
		create, version int64
		wrong           bool
	}{
		"the next of the same":  {10, 4, false},
		"a leader who is later": {11, 1, false},
		"the same again":        {10, 3, true},
		"one is missing":        {10, 5, true},
		"a leader of before":    {9, 7, true},
	} {
		expectVerdict(t, what, observedAfter(was, &mvccpb.KeyValue{CreateRevision: test.create, Version: test.version}), test.wrong)
	}
}

func TestTransfersThatGoWrongAreCalledWrong(t *testing.T) {
	opening := []*clientv3.Event{event(2, account(0), "100"), event(2, account(1), "100"), event(2, account(2), "100"),
		event(2, account(3), "100"), event(2, account(4), "100")}
	first := []*clientv3.Event{event(3, account(0), "93"), event(3, account(1), "107"), event(3, "bank/moved/a/1", "0 1 7")}
	for what, test := range map[string]struct {
		events []*clientv3.Event
		asked  map[string]bool
		wrong  bool
	}{
		"one transfer":              {first, map[string]bool{"bank/moved/a/1": true}, false},
		"unknown, and made":         {first, map[string]bool{"bank/moved/a/1": false}, false},
		"unknown, and not made":     {nil, map[string]bool{"bank/moved/a/1": false}, false},
		"acknowledged and not made": {nil, map[string]bool{"bank/moved/a/1": true}, true},
		"made twice":                {append(first[:3:3], event(4, account(0), "86"), event(4, account(1), "114"), event(4, "bank/moved/a/1", "0 1 7")), nil, true},
		"half of it":                {[]*clientv3.Event{event(3, account(0), "93"), event(3, "bank/moved/a/1", "0 1 7")}, nil, true},
		"an update is lost":         {append(first[:3:3], event(4, account(0), "98"), event(4, account(2), "102"), event(4, "bank/moved/a/2", "0 2 2")), nil, true},
	} {
		b := &bank{asked: test.asked}
		expectVerdict(t, what, b.verdict(append(opening[:5:5], test.events...)), test.wrong)
	}
}

func TestAnswersThatAreNotOfTheirRevisionAreCalledWrong(t *testing.T) {
	events := []*clientv3.Event{event(2, "ordered/0", ""), event(3, "ordered/1", ""), event(4, "ordered/0", "")}
	for what, test := range map[string]struct {
		header, first, second int64
		wrong                 bool
	}{
		"as it was":        {3, 2, 3, false},
		"an older state":   {4, 2, 3, true},
		"a newer state":    {3, 4, 3, true},
		"a key is missing": {4, 4, 0, true},
	} {
		answer := &clientv3.GetResponse{Header: &pb.ResponseHeader{Revision: test.header}, Kvs: []*mvccpb.KeyValue{{Key: []byte("ordered/0"), ModRevision: test.first}}}
		if test.second != 0 {
			answer.Kvs = append(answer.Kvs, &mvccpb.KeyValue{Key: []byte("ordered/1"), ModRevision: test.second})
		}
		expectVerdict(t, what, historic([]*clientv3.GetResponse{answer}, events), test.wrong)
	}
}

func TestCopiesThatDifferAreCalledWrong(t *testing.T) {
	pair := func(key, value string, revision int64) map[string]*mvccpb.KeyValue {
		return map[string]*mvccpb.KeyValue{key: {Key: []byte(key), Value: []byte(value), ModRevision: revision}}
	}
	source := pair("source/1", "x", 5)
	for what, test := range map[string]struct {
		held, copied map[string]*mvccpb.KeyValue
		wrong        bool
	}{
		"the same":          {pair("source/1", "x", 5), pair("copy/1", "x", 9), false},
		"known of before":   {pair("source/1", "x", 4), pair("copy/1", "x", 9), true},
		"not known":         {nil, pair("copy/1", "x", 9), true},
		"not copied":        {pair("source/1", "x", 5), nil, true},
		"copied wrongly":    {pair("source/1", "x", 5), pair("copy/1", "y", 9), true},
		"copied under 2":    {pair("source/1", "x", 5), pair("copy/2", "x", 9), true},
		"another is copied": {pair("source/1", "x", 5), map[string]*mvccpb.KeyValue{"copy/1": {Value: []byte("x")}, "copy/2": {}}, true},
	} {
		m := &mirrored{held: test.held}
		expectVerdict(t, what, m.verdict(source, test.copied), test.wrong)
	}
	for what, test := range map[string]struct {
		held  map[string]*mvccpb.KeyValue
		wrong bool
	}{
		"no twins":     {nil, false},
		"one twin":     {pair(twin("a", 1), "x", 5), true},
		"both":         {map[string]*mvccpb.KeyValue{twin("a", 1): {Value: []byte("x")}, twin("b", 1): {Value: []byte("x")}}, false},
		"of two times": {map[string]*mvccpb.KeyValue{twin("a", 1): {Value: []byte("x")}, twin("b", 1): {Value: []byte("y")}}, true},
	} {
		m := &mirrored{held: test.held}
		expectVerdict(t, what, m.torn(), test.wrong)
	}
}
