package main

import (
	"maps"
	"strings"
	"testing"
)

func TestMetricsAreAddedUpByName(t *testing.T) {
	got, err := parseMetrics(strings.NewReader(`# HELP a_total What "a" is.
# TYPE a_total counter
a_total{From="1",To="x y}"} 2
a_total{From="2"} 40 1700000000
b 1.5e+06

c_bucket{le="+Inf"} 7
`))
	want := metrics{"a_total": 42, "b": 1.5e6, "c_bucket": 7}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if v, found := got.first("z", "b", "c_bucket"); v != 1.5e6 || !found {
		t.Errorf("the first of them is %v, %v", v, found)
	}
	for _, wrong := range []string{"a", "a{x=\"1\"}", "a b"} {
		if got, err := parseMetrics(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q is taken for %v", wrong, got)
		}
	}
}

// A transaction of etcd's may not put one key twice.
func TestBulkLoadPutsEveryKeyAndNoneTwiceInARow(t *testing.T) {
	b := &bed{options: &options{valueBytes: 8}}
	b.fill()
	const keys = 1000
	put := b.putInOrder(keys)
	last := map[string]int{}
	for i := range 2 * keys {
		op := put(i)
		key := string(op.KeyBytes())
		if before, seen := last[key]; seen && i-before <= bulkOps {
			t.Fatalf("%s is put at %d and at %d", key, before, i)
		}
		last[key] = i
		if len(op.ValueBytes()) != 8 {
			t.Fatalf("a value of %d bytes", len(op.ValueBytes()))
		}
	}
	if len(last) != keys {
		t.Errorf("%d keys are put, want %d", len(last), keys)
	}
}
