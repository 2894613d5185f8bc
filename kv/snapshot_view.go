package kv

import (
	"fmt"
	"slices"
	//tidy:impure whoever serves peers is another goroutine than the writer
	"sync"
)

// maxViews bounds how many states are pinned at a time. When there is one too many, the one goes that was
// used longest ago: its dialogues go on in another.
const maxViews = 8

// view is a pinned state. It costs nothing but the disk space of what has been replaced since.
type view struct {
	state state
	owner *views

	mu   sync.Mutex // guards base: an iterator is cloned by one goroutine at a time
	base Iterator   // is never moved

	users int  // guarded by the owner's mutex
	gone  bool // guarded likewise: whoever is the last to use it closes it
	idle  int  // guarded likewise: calls of release since it was used
}

// views are those that are pinned, the one that was used last at the end.
type views struct {
	mu   sync.Mutex // guards list and what belongs to it in its views
	list []*view
}

// newView pins what the engine holds now. It returns nil if that is nothing.
func newView(e Engine) (*view, error) {
	base, err := e.NewIterator(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("pin a view: %w", err)
	}
	v := &view{base: base}
	it, err := v.open(nil, nil)
	if err != nil {
		return nil, joinClose(err, base.Close)
	}
	value, found := find(it, appliedKey())
	if err = it.Error(); found && err == nil {
		v.state, err = parseState(value)
	}
	if err = joinClose(err, it.Close); err != nil || !found {
		return nil, joinClose(err, base.Close)
	}
	return v, nil
}

// open opens an iterator on the view.
func (v *view) open(lo, hi []byte) (Iterator, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.base.Clone(lo, hi)
}

// find returns a view for which wanted is true, for use until done is called; nil if there is none.
func (vs *views) find(wanted func(*state) bool) *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for i, v := range slices.Backward(vs.list) {
		if wanted(&v.state) {
			vs.list = append(slices.Delete(vs.list, i, i+1), v)
			v.users++
			v.idle = 0
			return v
		}
	}
	return nil
}

// add adds a view, which is in use from now on, and closes the one that was used longest ago if there is no
// room.
func (vs *views) add(v *view) {
	vs.mu.Lock()
	v.owner, v.users = vs, 1
	vs.list = append(vs.list, v)
	vs.mu.Unlock()
	vs.drop(func(i, count int, _ *view) bool { return count-i > maxViews })
}

// drop takes the views from the list for which out is true, and closes them, or leaves that to the last who
// uses them.
func (vs *views) drop(out func(i, count int, v *view) bool) {
	vs.mu.Lock()
	var closing, kept []*view
	for i, v := range vs.list {
		switch {
		case !out(i, len(vs.list), v):
			kept = append(kept, v)
		case v.users > 0:
			v.gone = true
		default:
			closing = append(closing, v)
		}
	}
	vs.list = kept
	vs.mu.Unlock()
	for _, v := range closing {
		v.close()
	}
}

// done ends a use.
func (v *view) done() {
	v.owner.mu.Lock()
	v.users--
	last := v.gone && v.users == 0
	v.owner.mu.Unlock()
	if last {
		v.close()
	}
}

// close lets go of the view. Its iterator was never moved, so there is nothing that it could report.
func (v *view) close() { _ = v.base.Close() }

// ReleaseSnapshots closes pinned views that were not used since the last call but one. Any goroutine may call
// it.
func (s *Store) ReleaseSnapshots() {
	s.views.drop(func(_, _ int, v *view) bool {
		v.idle++
		return v.idle > 1 && v.users == 0
	})
}
