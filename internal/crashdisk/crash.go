package crashdisk

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/internal/choice"
)

// Personality is how a file system behaves in a crash.
type Personality uint8

const (
	// Strict loses everything that it may lose. It makes no choices.
	Strict Personality = iota
	// Ordered keeps changes of names and lengths in the order in which they were made, up to some
	// moment, as a journal does. Data arrives in any order.
	Ordered
	// Weak keeps any of the changes of names and lengths, as long as what they build on is kept too.
	// Data arrives in any order.
	Weak
)

func (p Personality) String() string {
	switch p {
	case Strict:
		return "strict"
	case Ordered:
		return "ordered"
	case Weak:
		return "weak"
	}
	return fmt.Sprintf("personality %d", uint8(p))
}

// The choices that a crash makes, in this order: names (the journal's end, or each change by
// itself), then the files by their place in the tree, and the writes of each as they were issued.
const (
	labelJournal = "crash.journal" // Ordered: how many changes of names and lengths are kept
	labelName    = "crash.name"    // Weak: whether a change of names is kept
	labelLength  = "crash.length"  // Weak: whether a change of a file's length is kept
	labelWrite   = "crash.write"   // lost, kept, cut at a sector, or each sector by itself
	labelCut     = "crash.cut"     // the sector at which a write is cut
	labelSector  = "crash.sector"  // what becomes of a sector: see fate
	labelTear    = "crash.tear"    // the byte at which a sector is torn
	labelGarbage = "crash.garbage" // noise, or which of the removed files shows through
	labelNoise   = "crash.noise"   // the noise
)

// verdict decides about everything that a crash may keep or lose.
type verdict interface {
	name(c *change) bool      // whether a change of names is kept; asked only if what it depends on is
	length(w *write) bool     // whether the change of length that came with a write is kept
	data(w *write, p []piece) // the fates of a write's sectors
}

// Crash cuts the power and puts it on again. The disk holds an image that a file system of that
// personality may leave, as source chooses. Every file and lock from before is dead: what is done to
// them returns ErrCrashed. What StopAt and FailAt planned is called off; operations count on.
func (d *Disk) Crash(source choice.Source, personality Personality) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var v verdict
	switch personality {
	case Strict:
		v = strictly{}
	case Ordered:
		v = orderedBy(&d.state, source)
	case Weak:
		v = &chosen{source: source, graves: d.state.graves, weak: true}
	default:
		panic("crashdisk: there is no " + personality.String())
	}
	d.state = d.state.crash(v, &d.options)
	d.end()
	d.faults.stopAt, d.faults.stopped, d.faults.fails = 0, false, nil
}

// Kill ends the process that uses the disk, but not the machine: files and locks from before are
// dead as after a crash, but nothing is lost, and nothing becomes durable.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.state.inodes {
		d.state.inodes[i].handles = 0
	}
	d.end()
}

// end lets files and locks die. It belongs to Crash and Kill.
func (d *Disk) end() {
	d.epoch++
	clear(d.locks)
}

// strictly loses everything.
type strictly struct{}

func (strictly) name(*change) bool    { return false }
func (strictly) length(*write) bool   { return false }
func (strictly) data(*write, []piece) {}

// chosen asks a source.
type chosen struct {
	source     choice.Source
	graves     []content
	weak       bool   // names and lengths one by one, and not in order
	journalEnd uint64 // if in order, the first change that is lost
}

// orderedBy chooses where the journal ends.
func orderedBy(s *state, source choice.Source) *chosen {
	journal := []uint64{s.seq + 1} // all is kept
	for i := range s.changes {
		journal = append(journal, s.changes[i].seq)
	}
	for i := range s.inodes {
		for _, w := range s.inodes[i].file.writes {
			if w.resizes && w.state != synced {
				journal = append(journal, w.seq)
			}
		}
	}
	slices.Sort(journal)
	return &chosen{source: source, graves: s.graves, journalEnd: journal[source.Choose(labelJournal, len(journal))]}
}

func (v *chosen) name(c *change) bool {
	if !v.weak {
		return c.seq < v.journalEnd
	}
	return v.source.Choose(labelName, 2) == 1
}

func (v *chosen) length(w *write) bool {
	if !v.weak {
		return w.seq < v.journalEnd
	}
	return v.source.Choose(labelLength, 2) == 1
}

// data decides about the sectors of a write. That all of them are alike, or all up to one, is what
// mostly happens; were each always for itself, no large write would ever be whole.
func (v *chosen) data(_ *write, pieces []piece) {
	switch v.source.Choose(labelWrite, 4) {
	case 0:
	case 1:
		for i := range pieces {
			pieces[i].fate = fateNew
		}
	case 2:
		cut := v.source.Choose(labelCut, len(pieces))
		for i := range cut {
			pieces[i].fate = fateNew
		}
		v.sector(&pieces[cut])
	case 3:
		for i := range pieces {
			v.sector(&pieces[i])
		}
	}
}

func (v *chosen) sector(p *piece) {
	p.fate = fate(v.source.Choose(labelSector, int(fates)))
	switch p.fate {
	case fateTorn:
		if p.to-p.from > 1 {
			p.tear = 1 + v.source.Choose(labelTear, p.to-p.from-1)
		}
	case fateGarbage:
		if grave := v.source.Choose(labelGarbage, 1+len(v.graves)); grave > 0 {
			p.grave = &v.graves[grave-1]
		} else {
			p.noise = uint64(v.source.Choose(labelNoise, 1<<16))
		}
	}
}

// crash returns what a crash leaves: everything durable, no handles, and only the inodes to which
// names lead, numbered by their place in the tree.
func (s *state) crash(v verdict, options *Options) state {
	kept := s.keptNames(v)
	after := newState()
	after.graves, after.seq = s.graves, s.seq
	moved := map[int]int{rootInode: rootInode} // looked up, never walked
	todo := []int{rootInode}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		held := slices.Clone(kept[dir])
		for i, e := range held {
			number, known := moved[e.inode]
			if !known {
				old := &s.inodes[e.inode]
				number = len(after.inodes)
				after.inodes = append(after.inodes, inode{directory: old.directory, file: settled(old.file.afterCrash(v, options), old.file.unread)})
				moved[e.inode] = number
				if old.directory {
					todo = append(todo, e.inode)
				}
			}
			held[i].inode = number
		}
		at := &after.inodes[moved[dir]]
		at.current, at.durable = held, held
	}
	after.collect += 2 * len(after.inodes)
	return after
}

// keptNames returns what the directories hold after a crash, by inode.
func (s *state) keptNames(v verdict) []names {
	kept := make([]names, len(s.inodes))
	for i := range s.inodes {
		kept[i] = s.inodes[i].durable
	}
	lost := make([]bool, len(s.changes))
	for i := range s.changes {
		c := &s.changes[i]
		for j := range i {
			lost[i] = lost[i] || lost[j] && c.dependsOn(&s.changes[j])
		}
		lost[i] = lost[i] || !v.name(c)
		if lost[i] {
			continue
		}
		for _, e := range c.all() {
			kept[e.dir] = kept[e.dir].with(e.name, e.to)
		}
	}
	return kept
}

// afterCrash returns what a crash leaves of a file. The length is kept apart from the data: data may
// have arrived beyond an end that did not move, and shows if a later change of the length is kept.
func (f *fileState) afterCrash(v verdict, options *Options) content {
	c, length := f.base, f.base.size
	for i := range f.writes {
		w := &f.writes[i]
		certain := w.state == synced
		keepsLength := certain || w.resizes && v.length(w)
		if w.truncate {
			if keepsLength {
				c, length = c.truncate(w.offset), w.offset
			}
			continue
		}
		if keepsLength {
			length = max(length, w.offset+w.bytes)
		}
		if certain {
			c = w.apply(c)
		} else {
			c = w.land(c, v, options)
		}
	}
	return c.truncate(length)
}
