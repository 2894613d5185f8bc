package crashdisk

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// Images yields what crashes of d at this moment may leave, each with a text that says which: all
// that is pending lost; all kept; the first so many changes kept, in the order in which they were
// made; all kept but for one (and for what depends on it); all kept, but one sector of one write lost
// or torn in its middle; and the same for a write that was the last to be kept. Each image is a disk of
// its own, made when it is asked for. d is not changed, and may change meanwhile.
func (d *Disk) Images() iter.Seq2[string, *Disk] {
	d.mu.Lock()
	s, options := d.state.clone(), d.options
	d.mu.Unlock()
	return func(yield func(string, *Disk) bool) {
		pending := s.pending()
		image := func(what string, p plan) bool {
			return yield(what, with(options, s.crash(&p, &options)))
		}
		for n := range len(pending) + 1 {
			what := fmt.Sprintf("first %d of %d kept", n, len(pending))
			switch n {
			case len(pending):
				what = "all kept"
			case 0:
				what = "all lost"
			}
			if !image(what, plan{until: s.until(pending, n)}) {
				return
			}
		}
		for i, item := range pending {
			last := i == len(pending)-1
			if !last && !image("all kept but "+item.what, plan{until: s.until(pending, len(pending)), without: item.seq}) {
				return
			}
			for sector := range item.sectors(&options) {
				if item.barren(&s, sector, &options) {
					continue
				}
				for _, f := range []fate{fateOld, fateTorn} {
					if f == fateOld && item.sectors(&options) == 1 {
						continue // is the write as a whole
					}
					what := fmt.Sprintf("sector %d of %s %s", sector, item.what, f)
					p := plan{until: s.until(pending, len(pending)), hurt: item.seq, sector: sector, fate: f}
					if !image("all kept, "+what, p) {
						return
					}
					p.until = item.seq + 1
					if !last && !image("nothing after, "+what, p) {
						return
					}
				}
			}
		}
	}
}

// item is a change that is pending: of names, or of a file's content.
type item struct {
	seq   uint64
	what  string
	w     *write // nil for names
	inode int    // the file that w is of
}

// sectors returns how many sectors a write touches, 0 for anything else.
func (i *item) sectors(options *Options) int {
	if i.w == nil || i.w.truncate {
		return 0
	}
	sector := int64(options.SectorBytes)
	return int((i.w.offset+i.w.bytes+sector-1)/sector - i.w.offset/sector)
}

// barren reports whether it makes no difference what becomes of a sector of a write: zeros went where
// there were zeros, and nothing but zeros is pending there. Of files that are filled with zeros ahead of
// use, all sectors are so.
func (i *item) barren(s *state, sector int, options *Options) bool {
	if i.w.data != nil {
		return false
	}
	sectorBytes := int64(options.SectorBytes)
	start := (i.w.offset/sectorBytes + int64(sector)) * sectorBytes
	f := &s.inodes[i.inode].file
	for j := range f.writes {
		w := &f.writes[j]
		if w.data != nil && w.offset < start+sectorBytes && start < w.offset+w.bytes {
			return false
		}
	}
	before := make([]byte, sectorBytes)
	f.base.read(before, start)
	return withoutZeros(before) == nil
}

// pending lists what a crash may lose, in the order in which it was done.
func (s *state) pending() []item {
	var items []item
	for i := range s.changes {
		c := &s.changes[i]
		items = append(items, item{seq: c.seq, what: fmt.Sprintf("change of %s", c.describe())})
	}
	for i := range s.inodes {
		writes := s.inodes[i].file.writes
		for j := range writes {
			w := &writes[j]
			if w.state == synced {
				continue
			}
			what := fmt.Sprintf("write of %s %d+%d", s.nameOf(i), w.offset, w.bytes)
			if w.truncate {
				what = fmt.Sprintf("truncation of %s to %d", s.nameOf(i), w.offset)
			}
			items = append(items, item{seq: w.seq, what: what, w: w, inode: i})
		}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.seq, b.seq) })
	return items
}

// until returns the end of the first n pending changes.
func (s *state) until(pending []item, n int) uint64 {
	if n == len(pending) {
		return s.seq + 1
	}
	return pending[n].seq
}

// describe names what is changed.
func (c *change) describe() string {
	text := c.edits[0].name
	if c.count == 2 {
		text += " to " + c.edits[1].name
	}
	return text
}

// nameOf returns the base name that a file has now, or had.
func (s *state) nameOf(number int) string {
	for i := range s.inodes {
		for _, held := range []names{s.inodes[i].current, s.inodes[i].durable} {
			for _, e := range held {
				if e.inode == number {
					return e.name
				}
			}
		}
	}
	return "a removed file"
}

// plan is a verdict that is given in advance.
type plan struct {
	until   uint64 // what came at this place or later is lost
	without uint64 // this change is lost too; 0: none
	hurt    uint64 // the write of which one sector is hurt; 0: none
	sector  int    // which of its sectors
	fate    fate   // and how
}

func (p *plan) keeps(seq uint64) bool { return seq < p.until && seq != p.without }

func (p *plan) name(c *change) bool { return p.keeps(c.seq) }

func (p *plan) length(w *write) bool { return p.keeps(w.seq) }

func (p *plan) data(w *write, pieces []piece) {
	if !p.keeps(w.seq) {
		return
	}
	for i := range pieces {
		pieces[i].fate = fateNew
	}
	if w.seq == p.hurt {
		hurt := &pieces[p.sector]
		hurt.fate = p.fate
		hurt.tear = (hurt.to - hurt.from) / 2
	}
}
