package crashdisk

// What became of a write that is not in the base of its file.
const (
	dirty     = iota // not synced: a crash may lose it, Sync will make it durable
	abandoned        // a Sync failed: the kernel calls it clean and forgets it, a crash may lose it for ever
	synced           // durable, but kept apart because an abandoned one precedes it
)

// write is a change of a file's content since the base of that file: a write, or a truncation.
type write struct {
	seq      uint64 // place among all changes of the disk
	state    int8
	truncate bool   // the file got the length offset
	resizes  bool   // the length of the file changed with it
	offset   int64  // where the data went
	bytes    int64  // how many
	data     []byte // these bytes, without the zeros at their end; never changed
}

// apply returns the content after the whole of w.
func (w *write) apply(c content) content {
	switch {
	case w.truncate:
		return c.truncate(w.offset)
	case w.data == nil:
		return c.writeZeros(w.offset, w.bytes)
	default:
		return c.write(w.offset, w.data, w.bytes)
	}
}

// fileState is a file without its names: a value, like content. The slice of writes is only ever
// appended to or replaced, so that clones may share it.
type fileState struct {
	current content // what reads see: base and all writes
	durable content // what is left if everything that may be lost is: base and the synced writes
	base    content // what no crash can change
	writes  []write
	unread  []int64 // the blocks that cannot be read until they are written again; replaced as a whole, for clones share it
}

// add makes a change, not durable yet.
func (f *fileState) add(w write) {
	before := f.current.size
	f.current = w.apply(f.current)
	w.resizes = f.current.size != before
	f.writes = append(f.writes, w)
}

// sync makes what is dirty durable.
func (f *fileState) sync() {
	forgotten := false
	for i := range f.writes {
		forgotten = forgotten || f.writes[i].state == abandoned
	}
	if !forgotten {
		f.durable, f.base, f.writes = f.current, f.current, nil
		return
	}
	f.settle(synced)
	f.durable = f.base
	for i := range f.writes {
		if f.writes[i].state == synced {
			f.durable = f.writes[i].apply(f.durable)
		}
	}
}

// abandon is a sync that failed: what was dirty is now called clean, and only a crash (or the memory
// running short) tells whether it reached the disk.
func (f *fileState) abandon() { f.settle(abandoned) }

// settle gives the dirty writes their next state.
func (f *fileState) settle(state int8) {
	settled := make([]write, len(f.writes))
	copy(settled, f.writes)
	for i := range settled {
		if settled[i].state == dirty {
			settled[i].state = state
		}
	}
	f.writes = settled
}

// settled returns a file with nothing pending.
func settled(c content, unread []int64) fileState {
	return fileState{current: c, durable: c, base: c, unread: unread}
}

// none is the inode number of a name that is not there.
const none = -1

// edit gives a name in a directory another inode, or none.
type edit struct {
	dir  int
	name string
	to   int
}

// change is a change of names that happens in one step: creating, removing, renaming.
type change struct {
	seq       uint64
	abandoned bool    // a SyncDir failed: no later one makes it durable
	edits     [2]edit // the second is used by a rename
	count     int
}

func (c *change) all() []edit { return c.edits[:c.count] }

// dependsOn reports whether c cannot be on the disk without the earlier change: both change one name.
func (c *change) dependsOn(earlier *change) bool {
	for _, mine := range c.all() {
		for _, other := range earlier.all() {
			if mine.dir == other.dir && mine.name == other.name {
				return true
			}
		}
	}
	return false
}

func (c *change) touches(dir int) bool {
	for _, e := range c.all() {
		if e.dir == dir {
			return true
		}
	}
	return false
}

// syncedWith says which of the pending changes a sync of dir makes durable: those of dir, and what
// they depend on, except for what was abandoned and what depends on that.
func syncedWith(changes []change, dir int) []bool {
	chosen := make([]bool, len(changes))
	for i := len(changes) - 1; i >= 0; i-- {
		chosen[i] = chosen[i] || changes[i].touches(dir)
		if chosen[i] {
			for j := range i {
				chosen[j] = chosen[j] || changes[i].dependsOn(&changes[j])
			}
		}
	}
	for i := range changes {
		chosen[i] = chosen[i] && !changes[i].abandoned
		if !chosen[i] {
			for j := i + 1; j < len(changes); j++ {
				chosen[j] = chosen[j] && !changes[j].dependsOn(&changes[i])
			}
		}
	}
	return chosen
}
