package kv

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

// TestCacheForgetsWhatWasUsedLongestAgo compares the cache with a list in order of use.
func TestCacheForgetsWhatWasUsedLongestAgo(t *testing.T) {
	const room = 10
	c := newMetaCache(room * (cacheEntryBytes + 2))
	rng := rand.New(rand.NewSource(1))
	var used []string // newest first
	want := map[string]keyMeta{}
	for step := range 5000 {
		key := fmt.Sprintf("%02d", rng.Intn(2*room))
		at := slices.Index(used, key)
		if rng.Intn(2) == 0 {
			got, ok := c.get([]byte(key))
			if ok != (at >= 0) || ok && got != want[key] {
				t.Fatalf("step %d: get(%s) = %v %v, want %v %v", step, key, got, ok, want[key], at >= 0)
			}
			if !ok {
				continue
			}
		} else {
			want[key] = keyMeta{exists: rng.Intn(2) == 0, create: int64(step), version: 1}
			c.put([]byte(key), want[key])
		}
		if at >= 0 {
			used = slices.Delete(used, at, at+1)
		}
		used = slices.Insert(used, 0, key)
		used = used[:min(len(used), room)]
		if c.used > c.limit || len(c.entries) != len(used) {
			t.Fatalf("step %d: %d entries in %d bytes of %d, want %d entries", step, len(c.entries), c.used, c.limit, len(used))
		}
	}
}

func TestCacheWithoutRoomKeepsNothing(t *testing.T) {
	for _, limit := range []int{-1, cacheEntryBytes} {
		c := newMetaCache(limit)
		c.put([]byte("a"), keyMeta{exists: true})
		if _, ok := c.get([]byte("a")); ok || c.used != 0 {
			t.Errorf("limit %d: remembered, %d bytes", limit, c.used)
		}
	}
}
