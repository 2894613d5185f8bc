package wal

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/wire"
)

// Item is something that Scan has found: a segment, a frame, a record, or bytes that are none of these.
type Item struct {
	File   string
	Offset int64
	// One of these is not nil, or Unknown is not 0.
	Segment *SegmentItem
	Frame   *FrameItem
	Record  *wire.Record // valid during the call only
	// Unknown is how many bytes there are, not zeros, that belong to no frame of this segment: an older
	// segment's rest, what a crash has torn, or damage.
	Unknown int64
	// Wrong says what is wrong with it, or is empty.
	Wrong string
}

// SegmentItem is what a segment's header says. A blank one says nothing.
type SegmentItem struct {
	Blank            bool
	Cluster, Server  uint64
	Number, Previous uint64
	Bytes            int64
	FirstFrame       uint64
	ChainBefore      [chainBytes]byte
}

// FrameItem is what a frame's header says.
type FrameItem struct {
	Sequence, Synced, Boot uint64
	Records                int
	BodyBytes              int
	Suspect                bool
	Chain                  [chainBytes]byte
}

// Scan shows what is in the segments of a directory, in order, sound or not, without judging what
// belongs to the log. It changes nothing and takes no lock: of a log that is being written, it may show
// a frame half. It ends at the first error of visit, or of the file system.
func Scan(fsys vfs.FS, dir string, visit func(Item) error) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, base := range names {
		number, ok := segmentNumber(base)
		if !ok {
			continue
		}
		s, err := openSegment(fsys, filepath.Join(dir, base), number)
		if err != nil {
			return err
		}
		sc := scan{segment: s, visit: visit}
		if err := errors.Join(sc.run(), s.file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// scan shows one segment.
type scan struct {
	segment *segment
	visit   func(Item) error
	content []byte
	chain   chain
	unknown int64 // how many bytes before the current place
}

func (sc *scan) run() error {
	s := sc.segment
	if s.bytes%blockBytes != 0 || s.bytes == 0 {
		return sc.visit(Item{File: s.name, Offset: s.bytes, Wrong: "the file has no whole number of blocks"})
	}
	sc.content = make([]byte, s.bytes)
	if _, err := s.readContent(sc.content); err != nil {
		return err
	}
	if err := sc.header(); err != nil {
		return err
	}
	at := int64(blockBytes)
	for at < s.bytes {
		h, ok := decodeFrameHeader(sc.content[at:], s.seed, uint64(s.number), uint32(at/blockBytes))
		if !ok {
			if isZero(sc.content[at : at+blockBytes]) {
				if err := sc.flush(at); err != nil {
					return err
				}
			} else {
				sc.unknown += blockBytes
			}
			at += blockBytes
			continue
		}
		if err := sc.flush(at); err != nil {
			return err
		}
		next, err := sc.frame(&h, at)
		if err != nil {
			return err
		}
		at = next
	}
	return sc.flush(at)
}

func (sc *scan) header() error {
	s := sc.segment
	item := Item{File: s.name, Segment: &SegmentItem{Bytes: s.bytes, Blank: true}}
	h, err := decodeSegmentHeader(sc.content)
	switch {
	case err == nil:
		s.seed, sc.chain = seedOf(h.chain), h.chain
		*item.Segment = SegmentItem{
			Cluster: h.cluster, Server: h.server, Number: h.number, Previous: h.previous, Bytes: int64(h.bytes),
			FirstFrame: h.firstFrame, ChainBefore: h.chain,
		}
		if h.number != uint64(s.number) || int64(h.bytes) != s.bytes {
			item.Wrong = fmt.Sprintf("this is segment %d of %d bytes, in a file of %d", h.number, h.bytes, s.bytes)
		}
	case !isZero(sc.content[:blockBytes]):
		item.Segment.Blank = false
		item.Wrong = err.Error()
	}
	return sc.visit(item)
}

// flush shows the bytes before a place that belong to nothing.
func (sc *scan) flush(at int64) error {
	if sc.unknown == 0 {
		return nil
	}
	item := Item{File: sc.segment.name, Offset: at - sc.unknown, Unknown: sc.unknown}
	sc.unknown = 0
	return sc.visit(item)
}

// frame shows a frame and its records, and returns where to go on.
func (sc *scan) frame(h *frameHeader, at int64) (next int64, err error) {
	item := Item{File: sc.segment.name, Offset: at, Frame: &FrameItem{
		Sequence: h.sequence, Synced: h.synced, Boot: h.boot, Records: int(h.records), BodyBytes: int(h.bodyBytes),
		Suspect: h.flags&flagSuspect != 0, Chain: h.chain,
	}}
	if h.chain != nextChain(sc.chain, sc.content[at:]) {
		item.Wrong = "does not follow from the frame before it"
	}
	sc.chain = h.chain
	start := at + frameHeaderBytes
	if int64(h.bodyBytes) > int64(len(sc.content))-start {
		item.Wrong = "is longer than its segment"
		return at + blockBytes, sc.visit(item)
	}
	body := sc.content[start : start+int64(h.bodyBytes)]
	if wire.Checksum(body) != h.bodyChecksum {
		item.Wrong = "the body is damaged"
	}
	if err := sc.visit(item); err != nil {
		return 0, err
	}
	next = at + int64(frameBytes(len(body)))
	for from := 0; from < len(body); {
		record, size, err := wire.DecodeRecord(body[from:])
		shown := Item{File: sc.segment.name, Offset: start + int64(from), Record: &record}
		if err != nil {
			shown.Wrong = err.Error()
		}
		if err := sc.visit(shown); err != nil {
			return 0, err
		}
		if err != nil && (size == 0 || errors.Is(err, wire.ErrShort)) {
			break
		}
		from += size
	}
	return next, nil
}
