package crashdisk

import "encoding/binary"

// fate is what becomes of a sector that was being written.
type fate uint8

const (
	fateOld     fate = iota // as before the write
	fateNew                 // as after the write
	fateTorn                // new up to some byte, old from there on
	fateZeros               // zeros
	fateGarbage             // noise, or what a removed file had there
	fates
)

func (f fate) String() string {
	return [...]string{"lost", "kept", "torn", "zeros", "garbage"}[f]
}

// piece is what one sector holds of a write. Positions count from the first byte of the first sector.
type piece struct {
	from, to       int // the bytes of the write
	ruined, intact int // the bytes that zeros and garbage take: from ruined up to intact
	fate           fate
	tear           int // how many bytes are new, if torn
	noise          uint64
	grave          *content // where garbage comes from; nil: from noise
}

// land returns the content after what a crash left of a write.
func (w *write) land(c content, v verdict, options *Options) content {
	sector := int64(options.SectorBytes)
	start := w.offset / sector * sector
	pieces := w.pieces(start, sector, options.DamageNeighbours)
	v.data(w, pieces)
	if same := sameFate(pieces); same == fateOld {
		return c
	} else if same == fateNew {
		return w.apply(c)
	}
	end := (w.offset + w.bytes + sector - 1) / sector * sector
	region := make([]byte, end-start)
	c.read(region, start)
	for i := range pieces {
		pieces[i].fill(region, w, start)
	}
	return c.write(start, region, int64(len(region)))
}

// pieces cuts a write into sectors, with everything lost.
func (w *write) pieces(start, sector int64, damageNeighbours bool) []piece {
	var pieces []piece
	end := w.offset + w.bytes
	for at := start; at < end; at += sector {
		p := piece{from: int(max(at, w.offset) - start), to: int(min(at+sector, end) - start)}
		p.ruined, p.intact = p.from, p.to
		if damageNeighbours {
			p.ruined, p.intact = int(at-start), int(at+sector-start)
		}
		pieces = append(pieces, p)
	}
	return pieces
}

// sameFate returns the fate that all pieces share, or fates if they differ.
func sameFate(pieces []piece) fate {
	for i := range pieces {
		if pieces[i].fate != pieces[0].fate {
			return fates
		}
	}
	return pieces[0].fate
}

// fill gives a sector its fate, in a region that starts at start and holds what was there before.
func (p *piece) fill(region []byte, w *write, start int64) {
	switch p.fate {
	case fateNew:
		w.copyTo(region[p.from:p.to], start+int64(p.from))
	case fateTorn:
		w.copyTo(region[p.from:p.from+p.tear], start+int64(p.from))
	case fateZeros:
		clear(region[p.ruined:p.intact])
	case fateGarbage:
		if p.grave != nil {
			p.grave.read(region[p.ruined:p.intact], start+int64(p.ruined))
		} else {
			scribble(region[p.ruined:p.intact], p.noise^uint64(start+int64(p.ruined)))
		}
	}
}

// copyTo copies what the write has for the bytes from offset on.
func (w *write) copyTo(p []byte, offset int64) {
	clear(p[copy(p, w.data[min(offset-w.offset, int64(len(w.data))):]):])
}

// scribble fills p with noise (xorshift64).
func scribble(p []byte, noise uint64) {
	noise = noise*0x9e3779b97f4a7c15 | 1
	var eight [8]byte
	for len(p) > 0 {
		noise ^= noise << 13
		noise ^= noise >> 7
		noise ^= noise << 17
		binary.LittleEndian.PutUint64(eight[:], noise)
		p = p[copy(p, eight[:]):]
	}
}
