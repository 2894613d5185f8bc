package choice

import "math/bits"

// Random answers from a seed. Each label has a stream of its own, derived from the seed and the label
// alone, so that a world which stops asking one kind of question gets the same answers to the others.
type Random struct {
	seed    uint64
	streams map[string]*stream // looked up, never walked
}

// stream is the state of one SplitMix64 generator.
type stream struct{ state uint64 }

// FromSeed returns the source of a seed. Every seed is as good as any other, 0 included.
func FromSeed(seed uint64) *Random {
	return &Random{seed: seed, streams: make(map[string]*stream)}
}

// Choose implements Source. It allocates only when a label is new.
func (r *Random) Choose(label string, n int) int {
	mustBePositive(label, n)
	s := r.streams[label]
	if s == nil {
		s = &stream{state: derive(r.seed, label)}
		r.streams[label] = s
	}
	return int(s.below(uint64(n)))
}

// below returns a number below n, each with the same probability: the upper half of a product of
// 128 bits, drawn again in the rare case in which some numbers would come up once too often.
func (s *stream) below(n uint64) uint64 {
	high, low := bits.Mul64(s.next(), n)
	if low < n {
		for tooMany := -n % n; low < tooMany; {
			high, low = bits.Mul64(s.next(), n)
		}
	}
	return high
}

func (s *stream) next() uint64 {
	s.state += golden
	return mix(s.state)
}

// golden is 2^64 divided by the golden ratio, the step of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of SplitMix64: it spreads every bit of its argument over all of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// derive hashes a seed and a label (FNV-1a over the label, mixed before and after), so that
// neighbouring seeds and similar labels give unrelated streams.
func derive(seed uint64, label string) uint64 {
	hash := mix(seed+golden) ^ 0xcbf29ce484222325
	for i := range len(label) {
		hash = (hash ^ uint64(label[i])) * 0x100000001b3
	}
	return mix(hash)
}
