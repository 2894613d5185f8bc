package crashdisk

import (
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// entry is a name in a directory.
type entry struct {
	name  string
	inode int
}

// names is what a directory holds, sorted by name. It is a value: a change makes another slice.
type names []entry

func (n names) search(name string) (int, bool) {
	return slices.BinarySearchFunc(n, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}

// find returns the inode of a name, or none.
func (n names) find(name string) int {
	if i, found := n.search(name); found {
		return n[i].inode
	}
	return none
}

// with returns the names in which name means inode, or does not exist if that is none.
func (n names) with(name string, inode int) names {
	i, found := n.search(name)
	switch {
	case found && inode == none:
		return slices.Concat(n[:i], n[i+1:])
	case found:
		next := slices.Clone(n)
		next[i].inode = inode
		return next
	case inode == none:
		return n
	default:
		next := make(names, len(n)+1)
		copy(next, n[:i])
		next[i] = entry{name, inode}
		copy(next[i+1:], n[i:])
		return next
	}
}

// inode is a file or a directory, whatever its names are.
type inode struct {
	directory bool
	handles   int // how many open files refer to it; what is open lives on without a name
	file      fileState
	current   names // of a directory: what List sees
	durable   names // of a directory: what a crash cannot take away
}

// state is everything on a disk, and in the memory of the kernel before it. It knows nothing of
// locks, handles and faults. Copies share what they can; clone makes one.
type state struct {
	inodes  []inode  // by number; the root directory is 0
	free    []int    // numbers not in use
	collect int      // collect garbage when there would be more inodes than this
	changes []change // of names, pending, oldest first
	seq     uint64   // of the latest change of names or content
	graves  []content
}

// rootInode is the number of the root directory.
const rootInode = 0

// maxGraves bounds what is remembered of removed files, to be found again in unwritten sectors.
const maxGraves = 4

func newState() state {
	return state{inodes: []inode{{directory: true}}, collect: 16}
}

func (s *state) nextSeq() uint64 {
	s.seq++
	return s.seq
}

// split returns the components of a name. Relative names start at the root.
func split(name string) []string {
	clean := strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

// walk returns the inode at the end of parts, as names are now.
func (s *state) walk(parts []string) (int, error) {
	at := rootInode
	for _, part := range parts {
		if !s.inodes[at].directory {
			return none, syscall.ENOTDIR
		}
		if at = s.inodes[at].current.find(part); at == none {
			return none, fs.ErrNotExist
		}
	}
	return at, nil
}

// directory returns the inode of a directory.
func (s *state) directory(name string) (int, error) {
	dir, err := s.walk(split(name))
	if err == nil && !s.inodes[dir].directory {
		err = syscall.ENOTDIR
	}
	return dir, err
}

// locate returns the directory that name is or would be in, and the inode it has or none. What is
// returned as edit leaves all as it is.
func (s *state) locate(name string) (edit, error) {
	parts := split(name)
	if len(parts) == 0 {
		return edit{}, syscall.EISDIR
	}
	dir, err := s.walk(parts[:len(parts)-1])
	if err != nil {
		return edit{}, err
	}
	if !s.inodes[dir].directory {
		return edit{}, syscall.ENOTDIR
	}
	base := parts[len(parts)-1]
	return edit{dir, base, s.inodes[dir].current.find(base)}, nil
}

// open returns the inode of an existing file.
func (s *state) open(name string) (int, error) {
	inode, err := s.walk(split(name))
	if err == nil && s.inodes[inode].directory {
		err = syscall.EISDIR
	}
	return inode, err
}

// create makes a file or a directory, whose name must be free.
func (s *state) create(name string, directory bool) (int, error) {
	at, err := s.locate(name)
	if err != nil {
		return none, err
	}
	if at.to != none {
		return none, fs.ErrExist
	}
	at.to = s.newInode(inode{directory: directory})
	s.change(at)
	return at.to, nil
}

// mkdirAll makes a directory and its missing parents, each a change of its own.
func (s *state) mkdirAll(name string) error {
	parts := split(name)
	for i := range parts {
		dir := strings.Join(parts[:i+1], "/")
		if inode, err := s.walk(parts[:i+1]); err == nil && s.inodes[inode].directory {
			continue
		} else if err == nil {
			return syscall.ENOTDIR
		}
		if _, err := s.create(dir, true); err != nil {
			return err
		}
	}
	return nil
}

// remove takes the name of a file away.
func (s *state) remove(name string) error {
	at, err := s.locate(name)
	switch {
	case err != nil:
		return err
	case at.to == none:
		return fs.ErrNotExist
	case s.inodes[at.to].directory:
		return syscall.EISDIR
	}
	s.bury(at.to)
	at.to = none
	s.change(at)
	return nil
}

// rename gives an inode another name, which it takes from whatever has it.
func (s *state) rename(oldName, newName string) error {
	from, err := s.locate(oldName)
	if err != nil {
		return err
	}
	to, err := s.locate(newName)
	if err != nil {
		return err
	}
	if from.to == none {
		return fs.ErrNotExist
	}
	movesDirectory := s.inodes[from.to].directory
	switch old, now := split(oldName), split(newName); {
	case to.to != none && s.inodes[to.to].directory:
		return fs.ErrExist // which os.Rename says, although rename(2) would replace an empty directory
	case movesDirectory && len(now) > len(old) && slices.Equal(old, now[:len(old)]):
		return syscall.EINVAL // a directory cannot go into itself
	case movesDirectory && to.to != none:
		return syscall.ENOTDIR
	case to.to == from.to:
		return nil
	case to.to != none:
		s.bury(to.to)
	}
	to.to, from.to = from.to, none
	s.change(from, to)
	return nil
}

// change makes edits as one pending change.
func (s *state) change(edits ...edit) {
	c := change{seq: s.nextSeq(), count: len(edits)}
	copy(c.edits[:], edits)
	s.changes = append(s.changes, c)
	for _, e := range edits {
		dir := &s.inodes[e.dir]
		dir.current = dir.current.with(e.name, e.to)
	}
}

// syncDir makes the names in a directory durable.
func (s *state) syncDir(dir int) {
	chosen := syncedWith(s.changes, dir)
	all := !slices.Contains(chosen, false)
	var left []change
	for i, c := range s.changes {
		switch {
		case !chosen[i]:
			left = append(left, c)
			continue
		case all: // the same, without a list of names for every change
			for _, e := range c.all() {
				s.inodes[e.dir].durable = s.inodes[e.dir].current
			}
			continue
		}
		for _, e := range c.all() {
			d := &s.inodes[e.dir]
			d.durable = d.durable.with(e.name, e.to)
		}
	}
	s.changes = left
}

// abandonNames is a syncDir that failed.
func (s *state) abandonNames(dir int) {
	changes := slices.Clone(s.changes)
	for i := range changes {
		changes[i].abandoned = changes[i].abandoned || changes[i].touches(dir)
	}
	s.changes = changes
}

// bury remembers the content of a file whose name or end is being taken away: its blocks are free
// again, and what was in them may show up where a crash kept another write from arriving.
func (s *state) bury(inode int) {
	if c := s.inodes[inode].file.current; c.size > 0 {
		s.graves = append([]content{c}, s.graves[:min(len(s.graves), maxGraves-1)]...)
	}
}

// newInode returns the number of a new inode.
func (s *state) newInode(n inode) int {
	if len(s.free) == 0 && len(s.inodes) >= s.collect {
		s.collectGarbage()
	}
	if last := len(s.free) - 1; last >= 0 {
		number := s.free[last]
		s.free = s.free[:last]
		s.inodes[number] = n
		return number
	}
	s.inodes = append(s.inodes, n)
	return len(s.inodes) - 1
}

// collectGarbage frees the inodes that neither a name nor a handle nor a pending change leads to.
func (s *state) collectGarbage() {
	inUse := make([]bool, len(s.inodes))
	todo := []int{rootInode}
	for i := range s.inodes {
		if s.inodes[i].handles > 0 {
			todo = append(todo, i)
		}
	}
	for i := range s.changes {
		for _, e := range s.changes[i].all() {
			todo = append(todo, e.dir, e.to)
		}
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if at == none || inUse[at] {
			continue
		}
		inUse[at] = true
		for _, e := range s.inodes[at].current {
			todo = append(todo, e.inode)
		}
		for _, e := range s.inodes[at].durable {
			todo = append(todo, e.inode)
		}
	}
	s.free = nil
	for i := len(inUse) - 1; i > 0; i-- {
		if !inUse[i] {
			s.inodes[i] = inode{}
			s.free = append(s.free, i)
		}
	}
	s.collect = 2*(len(s.inodes)-len(s.free)) + 16
}

// clone returns a copy that changes by itself. Nobody has files of it open.
func (s *state) clone() state {
	c := *s
	c.inodes = slices.Clone(s.inodes)
	for i := range c.inodes {
		c.inodes[i].handles = 0
		c.inodes[i].file.writes = slices.Clip(c.inodes[i].file.writes)
	}
	c.free = slices.Clone(s.free)
	c.changes = slices.Clip(s.changes)
	return c
}

// strict returns what a crash leaves that loses everything it may lose.
func (s *state) strict() state {
	c := state{inodes: make([]inode, len(s.inodes)), free: slices.Clone(s.free), collect: s.collect, seq: s.seq, graves: s.graves}
	for i := range s.inodes {
		old := &s.inodes[i]
		c.inodes[i] = inode{directory: old.directory, file: settled(old.file.durable, old.file.unread), current: old.durable, durable: old.durable}
	}
	return c
}

// used returns how many bytes the files take that have a name or are open.
func (s *state) used() int64 {
	var total int64
	counted := make([]bool, len(s.inodes))
	count := func(number int) {
		if !counted[number] {
			counted[number] = true
			total += s.inodes[number].file.current.size
		}
	}
	for i := range s.inodes {
		if s.inodes[i].handles > 0 {
			count(i)
		}
		for _, e := range s.inodes[i].current {
			count(e.inode)
		}
	}
	return total
}
