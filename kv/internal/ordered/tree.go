package ordered

import (
	"bytes"
	"slices"
)

// maxEntries is how many entries a leaf, or children an inner node, may have. 16 keeps a node's
// keys within a few cache lines and a copied node cheap.
const maxEntries = 16

// Tree is an ordered map. The zero value is empty and ready for use.
type Tree struct {
	root  *node  // nil when empty
	owner *owner // nodes with this token are ours alone; nil: we own none
	count int
}

// owner is a token: it is only ever compared for identity. It has a byte so that two of them never
// have the same address.
type owner struct{ _ byte }

// node is a leaf (children is nil; keys and values go together) or an inner node: everything under
// children[i] is at least keys[i] and less than keys[i+1]. keys[0] is not looked at, because
// children[0] also takes whatever is smaller.
type node struct {
	owner    *owner
	keys     [][]byte
	values   [][]byte
	children []*node
}

// Len returns the number of entries.
func (t *Tree) Len() int { return t.count }

// Reset empties the tree.
func (t *Tree) Reset() { *t = Tree{} }

// Clone returns a tree with the same entries. It takes constant time: both trees give up owning
// their nodes and copy what they change from now on.
func (t *Tree) Clone() Tree {
	t.owner = nil
	return Tree{root: t.root, count: t.count}
}

// Get returns the value of key.
func (t *Tree) Get(key []byte) (value []byte, ok bool) {
	n := t.root
	if n == nil {
		return nil, false
	}
	for n.children != nil {
		n = n.children[n.childOf(key)]
	}
	i, ok := n.find(key)
	if !ok {
		return nil, false
	}
	return n.values[i], true
}

// Set stores value under key. The tree keeps both slices: the caller must not change them after.
func (t *Tree) Set(key, value []byte) {
	t.ensureOwner()
	if t.root == nil {
		t.root = &node{owner: t.owner}
	}
	t.root = t.owned(t.root)
	right, added := t.set(t.root, key, value)
	if added {
		t.count++
	}
	if right != nil {
		t.root = &node{owner: t.owner, keys: [][]byte{nil, right.least()}, children: []*node{t.root, right}}
	}
}

// Delete removes key if it is there. Nodes are removed when they are empty and never merged: a tree
// that only shrinks keeps its height a little too long, and is still correct.
func (t *Tree) Delete(key []byte) {
	if _, ok := t.Get(key); !ok {
		return
	}
	t.ensureOwner()
	t.root = t.owned(t.root)
	t.delete(t.root, key)
	t.count--
	for len(t.root.children) == 1 {
		t.root = t.root.children[0]
	}
	if t.count == 0 {
		t.root = nil
	}
}

func (t *Tree) ensureOwner() {
	if t.owner == nil {
		t.owner = &owner{}
	}
}

// owned returns n if it is this tree's to change, else a copy that is.
func (t *Tree) owned(n *node) *node {
	if n.owner == t.owner {
		return n
	}
	c := &node{owner: t.owner, keys: cloneWithRoom(n.keys)}
	if n.children != nil {
		c.children = cloneWithRoom(n.children)
	} else {
		c.values = cloneWithRoom(n.values)
	}
	return c
}

// cloneWithRoom returns a copy that can take one more element without another copy: most nodes are
// copied because something comes into them.
func cloneWithRoom[T any](s []T) []T {
	return append(make([]T, 0, len(s)+1), s...)
}

// set stores into the subtree of n, which is owned. If n overflows, its upper half is returned as
// a node of its own.
func (t *Tree) set(n *node, key, value []byte) (right *node, added bool) {
	if n.children == nil {
		i, found := n.find(key)
		if found {
			n.values[i] = value
			return nil, false
		}
		n.keys = slices.Insert(n.keys, i, key)
		n.values = slices.Insert(n.values, i, value)
		return t.split(n), true
	}
	i := n.childOf(key)
	n.children[i] = t.owned(n.children[i])
	grown, added := t.set(n.children[i], key, value)
	if grown != nil {
		n.keys = slices.Insert(n.keys, i+1, grown.least())
		n.children = slices.Insert(n.children, i+1, grown)
		right = t.split(n)
	}
	return right, added
}

// split cuts an overfull node in two and returns the upper one, or nil if there was room.
func (t *Tree) split(n *node) *node {
	if len(n.keys) <= maxEntries {
		return nil
	}
	half := len(n.keys) / 2
	right := &node{owner: t.owner, keys: slices.Clone(n.keys[half:])}
	n.keys = truncated(n.keys, half)
	if n.children != nil {
		right.children = slices.Clone(n.children[half:])
		n.children = truncated(n.children, half)
	} else {
		right.values = slices.Clone(n.values[half:])
		n.values = truncated(n.values, half)
	}
	return right
}

// truncated cuts s to n elements and forgets the others, so that they can be collected.
func truncated[T any](s []T, n int) []T {
	clear(s[n:])
	return s[:n]
}

// delete removes key, which is there, from the subtree of n, which is owned.
func (t *Tree) delete(n *node, key []byte) {
	if n.children == nil {
		i, _ := n.find(key)
		n.keys = slices.Delete(n.keys, i, i+1)
		n.values = slices.Delete(n.values, i, i+1)
		return
	}
	i := n.childOf(key)
	child := t.owned(n.children[i])
	n.children[i] = child
	t.delete(child, key)
	if len(child.keys) == 0 {
		n.keys = slices.Delete(n.keys, i, i+1)
		n.children = slices.Delete(n.children, i, i+1)
	}
}

// find returns where key is in a leaf, or where it would go.
func (n *node) find(key []byte) (int, bool) {
	lo, hi := 0, len(n.keys)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if bytes.Compare(n.keys[mid], key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(n.keys) && bytes.Equal(n.keys[lo], key)
}

// childOf returns which child of an inner node would have key.
func (n *node) childOf(key []byte) int {
	lo, hi := 1, len(n.keys)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if bytes.Compare(n.keys[mid], key) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// least returns a lower bound of everything under n that is also greater than everything to its
// left: the first key of its first leaf.
func (n *node) least() []byte {
	for n.children != nil {
		n = n.children[0]
	}
	return n.keys[0]
}
