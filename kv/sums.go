package kv

import (
	"slices"
	//tidy:impure sums are asked for by other goroutines than the writer
	"sync"

	"github.com/quorate/quorate/wire"
)

// Kinds of sums. The numbers are on the wire for ever.
const (
	// SumDigest is the Digest at an index; Also is 0.
	SumDigest = 1
	// SumHash is the KVHash of everything: At is the revision, Also the compaction revision.
	SumHash = 2
)

const (
	// maxSums is how many digests are kept of the fine grain, and of the coarse: at high rates two servers would hardly
	// ever know the fine ones of the same indexes.
	maxSums = 48
	// coarse is how many times Options.SumEvery is between the coarse ones.
	coarse      = 256
	maxSumsRare = 16
)

// sums are the digests of the last indexes at which all servers note them.
type sums struct {
	// The writer's: what the batch under way has noted, and at multiples of what; and which marks it has passed.
	noted  []wire.Sum
	every  uint64
	passed marks
	passes bool // the batch has passed some

	mu         sync.Mutex // guards what follows
	fine, rare []wire.Sum // ascending
	marks      marks
}

// note notes the digest, if the index is one where it is noted.
func (s *sums) note(now *state, every uint64) {
	if now.applied%every == 0 {
		s.noted = append(s.noted, wire.Sum{Kind: SumDigest, At: now.applied, Value: now.digest})
		s.every = every
	}
}

// pass notes which marks are passed by the next command, whose log time it is told.
func (s *sums) pass(now *state, time uint64) {
	if s.passed.pass(now, time) {
		s.passes = true
	}
}

// publish shows what the batch has noted, now that it is committed.
func (s *sums) publish() {
	if len(s.noted) == 0 && !s.passes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks, s.passes = s.passed, false
	for _, sum := range s.noted {
		if sum.At%(s.every*coarse) == 0 {
			s.rare = appendSum(s.rare, sum, maxSumsRare)
		} else {
			s.fine = appendSum(s.fine, sum, maxSums)
		}
	}
	s.noted = s.noted[:0]
}

// appendSum appends a sum, and drops the oldest if there are too many.
func appendSum(list []wire.Sum, sum wire.Sum, most int) []wire.Sum {
	if len(list) == most {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, sum)
}

// Sums returns the digests of some of the last indexes: servers that have applied the same have the same. Any goroutine
// may call it.
func (s *Store) Sums() []wire.Sum {
	s.sums.mu.Lock()
	defer s.sums.mu.Unlock()
	return append(slices.Clone(s.sums.fine), s.sums.rare...)
}
