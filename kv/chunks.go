package kv

import (
	"errors"
	"fmt"
)

// Chunks is a range that is answered piece by piece, all of them as of one revision: what etcd's
// RangeStream sends. Nothing is held between two pieces, so that a slow reader costs nothing; if
// what is left to be read is compacted meanwhile, the next piece is CodeCompacted.
//
// It belongs to one goroutine.
type Chunks struct {
	store   *Store
	request rangeRequest // its key is where the next piece begins
	at      int64        // the revision that is read
	began   int64        // the store's when the first piece was read; 0: none was
	count   int64        // keys in the range up to here
	matched int64        // of these, those that were given
	done    bool
}

// ErrUnordered: a range that is to be sorted or filtered is not answered in pieces.
var ErrUnordered = errors.New("range in pieces is in the order of keys, without filters")

// RangeChunks begins a range that is answered in pieces. Whether the store is recent enough is the
// caller's business. The error is a Code, or ErrUnordered.
func (s *Store) RangeChunks(request []byte) (*Chunks, error) {
	if code := s.Check(KindRange, request); code != CodeOK {
		return nil, code
	}
	c := &Chunks{store: s}
	if code := c.request.decode(request); code != CodeOK {
		return nil, code
	}
	// A target without an order is passed over, as etcd does here.
	switch r := &c.request; {
	case r.hasFilters(), r.order == orderDescend, r.order == orderAscend && r.target != sortByKey:
		return nil, ErrUnordered
	}
	return c, nil
}

// Done reports whether the last piece was given.
func (c *Chunks) Done() bool { return c.done }

// Next returns the next piece: the fields of a RangeResponse without its header, of at most so many
// keys, and of as many bytes or one key more. Whether there is more behind the limit and how many keys
// there are is in the last piece. The answer's revision is the store's when the first piece was read.
// The error is the engine's.
func (c *Chunks) Next(keys, bytes int) (Answer, error) {
	if code := c.store.readable(); code != CodeOK {
		return Answer{Err: code}, nil
	}
	p, err := c.store.pin(c.request.keyRange)
	if err != nil {
		return Answer{}, fmt.Errorf("range: %w", err)
	}
	var a Answer
	if a.Err = c.begin(p); a.Err == CodeOK {
		a.Body, err = c.read(p, keys, bytes)
	}
	a.Revision = c.began
	if err = joinClose(err, p.close); err != nil {
		return Answer{}, fmt.Errorf("range: %w", err)
	}
	return a, nil
}

// begin settles which revision is read, or finds out that it is gone.
func (c *Chunks) begin(p *pinned) Code {
	asked := c.at
	if c.began == 0 {
		c.began, asked = p.revision, c.request.revision
	}
	at, code := resolve(asked, p.revision, p.compact)
	c.at = at
	return code
}

// read reads a piece. When the limit is reached it goes on counting: the count is of all keys.
func (c *Chunks) read(p *pinned, keys, bytes int) (b []byte, err error) {
	r, full := &c.request, false
	var last []byte
	err = p.read(r.keyRange, c.at, func(v *version) bool {
		wanted := !r.countOnly && (r.limit <= 0 || c.matched < r.limit)
		if wanted && (keys == 0 || len(b) >= bytes) {
			full = true
			return false
		}
		c.count++
		c.matched++
		if wanted {
			keys--
			b = appendKeyValue(b, rangeKVs, r.shown(v))
			last = append(last[:0], v.key...)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if full {
		r.key = append(last, 0) // the first key behind it
		return b, nil
	}
	c.done = true
	b = appendBool(b, rangeMore, !r.countOnly && r.limit > 0 && c.matched > r.limit)
	return appendInt(b, rangeCount, c.count), nil
}
