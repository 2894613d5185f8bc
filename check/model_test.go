package check

import (
	"reflect"
	"testing"

	"github.com/quorate/quorate/kv"
)

// modelStep is a request and the response that etcd gives to it.
type modelStep struct {
	request Request
	want    Response
}

func kvOf(key, value string, create, mod, version int64) KeyValue {
	return KeyValue{Key: key, Value: value, Create: create, Mod: mod, Version: version}
}

func TestModelAnswersAsEtcdDoes(t *testing.T) {
	a1, a2, b := kvOf("a", "1", 2, 2, 1), kvOf("a", "2", 2, 3, 2), kvOf("b", "x", 4, 4, 1)
	m := NewModel()
	for i, s := range []modelStep{
		{Range{Key: "a"}, Response{Revision: 1}},
		{Put{Key: "a", Value: "1", PrevKV: true}, Response{Revision: 2}},
		{Put{Key: "a", Value: "2", PrevKV: true}, Response{Revision: 3, KVs: []KeyValue{a1}}},
		{Put{Key: "b", Value: "x"}, Response{Revision: 4}},
		{Range{Key: "a", End: "\x00"}, Response{Revision: 4, KVs: []KeyValue{a2, b}, Count: 2}},
		{Range{Key: "a", End: "b"}, Response{Revision: 4, KVs: []KeyValue{a2}, Count: 1}},
		{Range{Key: "b", End: "a"}, Response{Revision: 4}},
		{Range{Key: "a", End: "c", Limit: 1}, Response{Revision: 4, KVs: []KeyValue{a2}, Count: 2, More: true}},
		{Range{Key: "a", Revision: 2}, Response{Revision: 4, KVs: []KeyValue{a1}, Count: 1}},
		{Range{Key: "a", Revision: 5}, Response{Revision: 4, Code: kv.CodeFutureRevision}},
		{Delete{Key: "c", End: "\x00"}, Response{Revision: 4}},
		{Delete{Key: "a", PrevKV: true}, Response{Revision: 5, KVs: []KeyValue{a2}, Count: 1}},
		{Range{Key: "a"}, Response{Revision: 5}},
		{Put{Key: "a", Value: "3"}, Response{Revision: 6}},
		{Range{Key: "a"}, Response{Revision: 6, KVs: []KeyValue{kvOf("a", "3", 6, 6, 1)}, Count: 1}},
		{Compact{Revision: 7}, Response{Revision: 6, Code: kv.CodeFutureRevision}},
		{Compact{Revision: 4}, Response{Revision: 6}},
		{Compact{Revision: 4}, Response{Revision: 6, Code: kv.CodeCompacted}},
		{Range{Key: "a", Revision: 3}, Response{Revision: 6, Code: kv.CodeCompacted}},
		{Range{Key: "a", Revision: 4}, Response{Revision: 6, KVs: []KeyValue{a2}, Count: 1}},
		{
			Txn{
				Compares: []Compare{{Key: "a", Target: TargetMod, Result: Equal, Number: 6}, {Key: "z", Target: TargetVersion, Result: Less, Number: 1}},
				Success:  []Request{Range{Key: "c"}, Put{Key: "c", Value: "y"}, Range{Key: "c"}, Delete{Key: "b"}},
			},
			Response{Revision: 7, Succeeded: true, Responses: []Response{
				{Revision: 6}, {Revision: 7}, {Revision: 7, KVs: []KeyValue{kvOf("c", "y", 7, 7, 1)}, Count: 1}, {Revision: 7, Count: 1},
			}},
		},
		{
			Txn{
				Compares: []Compare{{Key: "z", Target: TargetValue, Result: NotEqual, Value: "y"}}, // a key that is not there has no value
				Success:  []Request{Put{Key: "z"}},
				Failure:  []Request{Delete{Key: "z"}},
			},
			Response{Revision: 7, Responses: []Response{{Revision: 7}}},
		},
		{
			Txn{Success: []Request{Put{Key: "d"}, Range{Key: "a", Revision: 1}}}, // fails as a whole
			Response{Revision: 7, Code: kv.CodeCompacted},
		},
		{Range{Key: "d"}, Response{Revision: 7}},
	} {
		if got := m.Apply(0, s.request); !got.Equal(&s.want) {
			t.Errorf("step %d, %+v: got %+v, want %+v", i, s.request, got, s.want)
		}
	}
}

func TestModelReadsThePast(t *testing.T) {
	m := NewModel()
	before := m.now()
	m.Apply(0, Put{Key: "a", Value: "1"})
	after := m.now()
	m.Apply(0, Put{Key: "a", Value: "2"})
	m.Apply(0, Compact{Revision: 3})
	if got := m.readAt(Range{Key: "a"}, before); got.Count != 0 || got.Revision != 1 {
		t.Errorf("at the beginning: %+v", got)
	}
	if got := m.readAt(Range{Key: "a"}, after); got.Count != 1 || got.KVs[0].Value != "1" || got.Revision != 2 {
		t.Errorf("after the first put: %+v", got)
	}
	if got := m.readAt(Range{Key: "a", Revision: 2}, m.now()); got.Code != kv.CodeCompacted {
		t.Errorf("below the compaction: %+v", got)
	}
}

func TestResponsesThatDifferAreNotEqual(t *testing.T) {
	base := Response{Revision: 1, KVs: []KeyValue{{Key: "a"}}, Count: 1, Responses: []Response{{Count: 1}}}
	others := []Response{
		{Revision: 2, KVs: base.KVs, Count: 1, Responses: base.Responses},
		{Code: 1, Revision: 1, KVs: base.KVs, Count: 1, Responses: base.Responses},
		{Revision: 1, KVs: []KeyValue{{Key: "b"}}, Count: 1, Responses: base.Responses},
		{Revision: 1, KVs: base.KVs, Count: 2, Responses: base.Responses},
		{Revision: 1, KVs: base.KVs, Count: 1, More: true, Responses: base.Responses},
		{Revision: 1, KVs: base.KVs, Count: 1, Succeeded: true, Responses: base.Responses},
		{Revision: 1, KVs: base.KVs, Count: 1, Responses: []Response{{Count: 2}}},
		{Revision: 1, KVs: base.KVs, Count: 1},
	}
	for _, other := range others {
		if base.Equal(&other) {
			t.Errorf("%+v equals %+v", base, other)
		}
		if reflect.DeepEqual(base, other) {
			t.Errorf("the test compares %+v with itself", base)
		}
	}
	if same := base; !base.Equal(&same) {
		t.Error("a response does not equal itself")
	}
}

func TestModelTellsWhatHasChanged(t *testing.T) {
	a1, a2, b := kvOf("a", "1", 2, 2, 1), kvOf("a", "2", 2, 3, 2), kvOf("b", "x", 4, 4, 1)
	m := NewModel()
	for _, r := range []Request{
		Put{Key: "a", Value: "1"}, Put{Key: "a", Value: "2"}, Put{Key: "b", Value: "x"}, Delete{Key: "a", End: "\x00"},
		Delete{Key: "a"}, Put{Key: "a", Value: "3"}, Compact{Revision: 4},
	} {
		m.Apply(0, r)
	}
	for i, want := range [][]Change{
		nil, {{KeyValue: a1}}, {{KeyValue: a2, Before: &a1}}, {{KeyValue: b}},
		{{KeyValue: kvOf("a", "", 0, 5, 0), Deleted: true, Before: &a2}, {KeyValue: kvOf("b", "", 0, 5, 0), Deleted: true, Before: &b}},
		{{KeyValue: kvOf("a", "3", 6, 6, 1)}}, nil,
	} {
		if got := m.Changes(int64(i + 1)); !reflect.DeepEqual(got, want) {
			t.Errorf("revision %d: got %+v, want %+v", i+1, got, want)
		}
	}
	if m.Revision() != 6 || m.Compacted() != 4 {
		t.Errorf("revision %d, compacted %d", m.Revision(), m.Compacted())
	}
}
