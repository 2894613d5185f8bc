package raft_test

import (
	"sync"
	"sync/atomic"
)

// visited is the set of states that were met, each with what was left of the bounds. A state that
// comes up with no more left of any bound than it had before is not new: whatever can happen from here
// could happen from there, and ends in the same states but for what is left. So nothing that is broken
// is missed. A fingerprint has 64 bits, and no state is looked at twice: among n states one is taken
// for another, and is not gone through, with a probability of about n²/2⁶⁵: for 10⁸, once in 3,700 runs,
// each of which makes its fingerprints with another seed.
type visited struct {
	shards [shards]shard
	// rests has, for each code, how much is left of each bound, four bits for each.
	rests  []uint64
	sizes  []int
	all    atomic.Int64
	unlike atomic.Int64
}

const shards = 256

// shard is open addressing, at most two thirds full. A slot is free if its print is 0.
type shard struct {
	mu     sync.Mutex // guards what follows
	prints []uint64
	codes  []uint16
	count  int
}

// newVisited returns an empty set for the story with those bounds.
func newVisited(b bounds) *visited {
	v := &visited{rests: []uint64{0}}
	for k, n := range b.counts() {
		size := max(*n, 0) + 1 // an unlimited bound stays what it is
		v.sizes = append(v.sizes, size)
		before := v.rests
		v.rests = nil
		for left := range size {
			for _, rest := range before {
				v.rests = append(v.rests, rest|uint64(left)<<(4*k))
			}
		}
		if size > 8 || len(v.rests) > 1<<16 {
			panic("these bounds are too large for their code")
		}
	}
	return v
}

// counts are the bounds that something is taken off.
func (b *bounds) counts() [15]*int {
	return [...]*int{&b.campaigns, &b.heartbeats, &b.proposals, &b.reads, &b.crashes, &b.duplicates, &b.slowWrites, &b.merges, &b.losses, &b.overtakes, &b.changes, &b.transfers, &b.ticks, &b.compactions, &b.installs}
}

// code numbers what is left of the bounds.
func (v *visited) code(left *bounds) uint16 {
	code, stride := 0, 1
	for k, n := range left.counts() {
		code += max(*n, 0) * stride
		stride *= v.sizes[k]
	}
	return uint16(code)
}

// covers reports whether code x leaves at least as much of each bound as y.
func (v *visited) covers(x, y uint16) bool {
	const high = 0x8888888888888888
	return ((v.rests[x]|high)-v.rests[y])&high == high
}

func (v *visited) states() int { return int(v.unlike.Load()) }
func (v *visited) visits() int { return int(v.all.Load()) }

// add reports whether the state is new, and how many there are. A visit with less left gives its
// place to one with more.
func (v *visited) add(print uint64, code uint16) (visits int, isNew bool) {
	print = max(print, 1)
	s := &v.shards[print%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if 3*(s.count+1) > 2*len(s.prints) {
		s.grow()
	}
	mask := uint64(len(s.prints) - 1)
	at := print / shards & mask
	met := false
	for ; s.prints[at] != 0; at = (at + 1) & mask {
		if s.prints[at] != print {
			continue
		}
		switch met = true; {
		case v.covers(s.codes[at], code):
			return 0, false
		case v.covers(code, s.codes[at]):
			s.codes[at] = code
			return int(v.all.Add(1)), true
		}
	}
	s.prints[at], s.codes[at] = print, code
	s.count++
	if !met {
		v.unlike.Add(1)
	}
	return int(v.all.Add(1)), true
}

func (s *shard) grow() {
	prints, codes := s.prints, s.codes
	s.prints = make([]uint64, max(64, 2*len(prints)))
	s.codes = make([]uint16, len(s.prints))
	mask := uint64(len(s.prints) - 1)
	for i, print := range prints {
		if print == 0 {
			continue
		}
		at := print / shards & mask
		for s.prints[at] != 0 {
			at = (at + 1) & mask
		}
		s.prints[at], s.codes[at] = print, codes[i]
	}
}
