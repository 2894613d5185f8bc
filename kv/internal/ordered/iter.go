package ordered

import "bytes"

// Iter walks the entries of a tree with lo <= key < hi, in either direction. It sees the tree as it
// was when Init was called, provided that the tree has been cloned since or is not changed; a tree
// that is changed in place makes the iterator's position meaningless until the next seek by Init.
// The zero value walks nothing.
type Iter struct {
	root   *node
	lo, hi []byte  // nil: no bound
	path   []frame // root to leaf; the leaf's frame is the position; empty: not on an entry
}

type frame struct {
	n *node
	i int // which child, or which entry of the leaf
}

// Init points the iterator at a tree, positioned on nothing. A nil bound is no bound. The iterator
// keeps the slices.
func (it *Iter) Init(t *Tree, lo, hi []byte) {
	it.root, it.lo, it.hi, it.path = t.root, lo, hi, it.path[:0]
}

// Valid reports whether the iterator is on an entry.
func (it *Iter) Valid() bool { return len(it.path) > 0 }

// Key returns the key under the iterator; it must be valid.
func (it *Iter) Key() []byte {
	f := &it.path[len(it.path)-1]
	return f.n.keys[f.i]
}

// Value returns the value under the iterator; it must be valid.
func (it *Iter) Value() []byte {
	f := &it.path[len(it.path)-1]
	return f.n.values[f.i]
}

// First moves to the first entry within the bounds.
func (it *Iter) First() bool { return it.SeekGE(it.lo) }

// Last moves to the last entry within the bounds.
func (it *Iter) Last() bool {
	if it.hi != nil {
		return it.SeekLT(it.hi)
	}
	it.path = it.path[:0]
	if it.root != nil {
		it.descendLast(it.root)
	}
	return it.checkLow()
}

// SeekGE moves to the first entry at or after key, within the bounds.
func (it *Iter) SeekGE(key []byte) bool {
	if it.lo != nil && bytes.Compare(key, it.lo) < 0 {
		key = it.lo
	}
	it.path = it.path[:0]
	if it.root == nil {
		return false
	}
	n := it.root
	for n.children != nil {
		i := n.childOf(key)
		it.path = append(it.path, frame{n, i})
		n = n.children[i]
	}
	i, _ := n.find(key)
	it.path = append(it.path, frame{n, i})
	if i == len(n.keys) { // everything in this leaf is smaller
		it.climbNext()
	}
	return it.checkHigh()
}

// SeekLT moves to the last entry before key, within the bounds.
func (it *Iter) SeekLT(key []byte) bool {
	if it.hi != nil && bytes.Compare(key, it.hi) > 0 {
		key = it.hi
	}
	it.path = it.path[:0]
	if it.root == nil {
		return false
	}
	n := it.root
	for n.children != nil {
		i := n.childOf(key)
		it.path = append(it.path, frame{n, i})
		n = n.children[i]
	}
	i, _ := n.find(key)
	it.path = append(it.path, frame{n, i - 1})
	if i == 0 { // everything in this leaf is greater or equal
		it.climbPrev()
	}
	return it.checkLow()
}

// Next moves one entry up; the iterator must be valid.
func (it *Iter) Next() bool {
	f := &it.path[len(it.path)-1]
	f.i++
	if f.i == len(f.n.keys) {
		it.climbNext()
	}
	return it.checkHigh()
}

// Prev moves one entry down; the iterator must be valid.
func (it *Iter) Prev() bool {
	f := &it.path[len(it.path)-1]
	f.i--
	if f.i < 0 {
		it.climbPrev()
	}
	return it.checkLow()
}

// climbNext leaves an exhausted leaf for the first entry after it.
func (it *Iter) climbNext() {
	for it.path = it.path[:len(it.path)-1]; len(it.path) > 0; it.path = it.path[:len(it.path)-1] {
		f := &it.path[len(it.path)-1]
		if f.i+1 < len(f.n.children) {
			f.i++
			it.descendFirst(f.n.children[f.i])
			return
		}
	}
}

// climbPrev leaves an exhausted leaf for the last entry before it.
func (it *Iter) climbPrev() {
	for it.path = it.path[:len(it.path)-1]; len(it.path) > 0; it.path = it.path[:len(it.path)-1] {
		f := &it.path[len(it.path)-1]
		if f.i > 0 {
			f.i--
			it.descendLast(f.n.children[f.i])
			return
		}
	}
}

func (it *Iter) descendFirst(n *node) {
	for n.children != nil {
		it.path = append(it.path, frame{n, 0})
		n = n.children[0]
	}
	it.path = append(it.path, frame{n, 0})
}

func (it *Iter) descendLast(n *node) {
	for n.children != nil {
		it.path = append(it.path, frame{n, len(n.children) - 1})
		n = n.children[len(n.children)-1]
	}
	it.path = append(it.path, frame{n, len(n.keys) - 1})
}

func (it *Iter) checkHigh() bool {
	if it.Valid() && it.hi != nil && bytes.Compare(it.Key(), it.hi) >= 0 {
		it.path = it.path[:0]
	}
	return it.Valid()
}

func (it *Iter) checkLow() bool {
	if it.Valid() && it.lo != nil && bytes.Compare(it.Key(), it.lo) < 0 {
		it.path = it.path[:0]
	}
	return it.Valid()
}
