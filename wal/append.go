package wal

import (
	"fmt"

	"github.com/quorate/quorate/wire"
)

// Append writes what the groups want, in that order, as one frame, or as several if it does not fit
// in a segment. It is durable after the next Sync. If a write makes no sense, the error is
// ErrRefused, and nothing of any is written; every other error is final: see ErrBroken.
func (l *Log) Append(writes []Write) error {
	if err := l.usable(); err != nil {
		return err
	}
	if err := l.stage(writes); err != nil {
		return err
	}
	for ops := l.ops; len(ops) > 0; {
		n, err := l.writeFrame(ops)
		if err != nil {
			return err
		}
		ops = ops[n:]
	}
	clear(l.ops) // the records are the caller's
	return nil
}

// Compact lets the log of a group begin after base, which is in the log or beyond its end. It is
// durable after the next Sync; Release then gives back the space.
func (l *Log) Compact(group wire.GroupID, base Base) error {
	return l.Append([]Write{{Group: group, Base: &base}})
}

// writeFrame writes as many of the ops as fit, and returns how many. Without ops it writes a frame
// that says only what is durable. Any error is final.
func (l *Log) writeFrame(ops []op) (int, error) {
	n, body := l.fit(ops)
	if n < 0 {
		if err := l.roll(ops); err != nil {
			return 0, l.breakWith(err)
		}
		if n, body = l.fit(ops); n < 0 {
			n, body = l.fitSome(ops)
		}
	}
	at := l.offset
	b, start := l.encode(ops[:n], body)
	if written, err := l.active.file.WriteAt(b, at); err != nil {
		return 0, l.breakWith(fmt.Errorf("write segment %s: %w", l.active.name, err))
	} else if written != len(b) {
		return 0, l.breakWith(fmt.Errorf("write segment %s: %d bytes of %d", l.active.name, written, len(b)))
	}
	l.wrote(ops[:n], at+int64(start))
	return n, nil
}

// firstFrame reports whether the next frame is the first of its segment.
func (l *Log) firstFrame() bool { return l.frames == 0 }

// room returns how many bytes a frame's body may have in the active segment.
func (l *Log) room() int {
	if l.active == nil {
		return -1
	}
	room := l.active.bytes - l.offset - frameHeaderBytes
	if l.firstFrame() {
		room -= blockBytes
	}
	return int(room)
}

// fit returns how many ops go into the next frame of the active segment, and the size of its body:
// all of them, or -1.
func (l *Log) fit(ops []op) (n, body int) {
	body = l.restatementBytes(l.firstFrame())
	for i := range ops {
		body += ops[i].size()
	}
	if body > l.room() {
		return -1, 0
	}
	return len(ops), body
}

// fitSome returns how many of the ops go into the first frame of a segment, into which not all fit.
// The segment was made for one at least.
func (l *Log) fitSome(ops []op) (n, body int) {
	body = l.restatementBytes(l.firstFrame())
	for n < len(ops) && body+ops[n].size() <= l.room() {
		body += ops[n].size()
		n++
	}
	return n, body
}

// restatementBytes returns the size of what the next frame repeats: the hard states of the frame
// before, or, at the beginning of a segment, everything about the groups but their entries.
func (l *Log) restatementBytes(firstOfSegment bool) int {
	if !firstOfSegment {
		return len(l.restating) * hardStateRecordBytes
	}
	bytes := len(l.sorted) * hardStateRecordBytes
	for _, g := range l.sorted {
		bytes += wire.Size(len(g.configurations[0].Bytes))
	}
	return bytes
}

// encode puts the next frame together, with what else has to be written along with it. Start is
// where the body begins.
func (l *Log) encode(ops []op, body int) (b []byte, start int) {
	head := 0
	if l.firstFrame() {
		head = blockBytes
	}
	total := head + frameBytes(body)
	if l.active.reused && l.offset+int64(total) < l.active.bytes {
		total += blockBytes // so that the log ends with zeros, not with what an older segment had there
	}
	if cap(l.buffer) < total {
		l.buffer = make([]byte, 0, max(total, 2*cap(l.buffer)))
	}
	b = l.buffer[:head+frameHeaderBytes]
	clear(b)
	start = len(b)
	records := uint32(len(ops))
	if l.firstFrame() {
		l.active.header.put(b)
		records += uint32(2 * len(l.sorted))
		b = l.appendGroups(b)
	} else {
		records += uint32(len(l.restating))
		for _, g := range l.restating {
			b = appendHardState(b, g.id, g.hardState, 0, wire.Hash{})
		}
	}
	for i := range ops {
		b = ops[i].encode(b)
	}
	header := frameHeader{
		bodyChecksum: wire.Checksum(b[start:]),
		bodyBytes:    uint32(len(b) - start),
		records:      records,
		sequence:     l.sequence + 1,
		segment:      uint64(l.active.number),
		synced:       l.synced,
		boot:         l.options.Boot,
		block:        uint32((l.offset + int64(head)) / blockBytes),
	}
	if l.suspect {
		header.flags = flagSuspect
	}
	l.chain = header.put(b[head:], l.active.seed, l.chain)
	used := len(b)
	b = b[:total]
	clear(b[used:])
	return b, start
}

// appendGroups appends base and hard state of every group, and where its log ends.
func (l *Log) appendGroups(b []byte) []byte {
	for _, g := range l.sorted {
		b = wire.AppendRecord(b, &wire.Record{
			Kind: wire.RecordBase, Group: g.id, Index: g.base.Index, Term: g.base.Term, Hash: g.baseHash,
			Payload: g.configurations[0].Bytes,
		})
		b = appendHardState(b, g.id, g.hardState, g.last(), g.lastHash)
	}
	return b
}

// encode appends the record of an op.
func (o *op) encode(b []byte) []byte {
	switch o.kind {
	case wire.RecordHardState:
		return appendHardState(b, o.group.id, o.hardState, 0, wire.Hash{})
	case wire.RecordTruncate:
		return wire.AppendRecord(b, &wire.Record{Kind: o.kind, Group: o.group.id, Index: o.from})
	case wire.RecordBase:
		return wire.AppendRecord(b, &wire.Record{
			Kind: o.kind, Group: o.group.id, Index: o.base.Index, Term: o.base.Term, Hash: o.base.Hash,
			Payload: o.base.Configuration,
		})
	case wire.RecordDrop:
		return wire.AppendRecord(b, &wire.Record{Kind: o.kind, Group: o.group.id})
	}
	return append(b, o.record...)
}

// wrote takes note of a frame that has been written, with its body at that offset.
func (l *Log) wrote(ops []op, body int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.firstFrame()
	at := body + int64(l.restatementBytes(first))
	for i := range ops {
		size := ops[i].size()
		l.apply(&ops[i], positionOf(l.active.number, at, size))
		at += int64(size)
	}
	l.toRestate(ops, first)
	l.offset = (at + blockBytes - 1) &^ (blockBytes - 1)
	l.frames++
	l.sequence++
	l.sealed = false
	l.recount = l.recount || l.frames <= 2
	if cap(l.buffer) > keepBufferBytes {
		l.buffer = nil
	}
}

// keepBufferBytes bounds the memory that stays with the log between writes.
const keepBufferBytes = 4 << 20

// toRestate lists the groups whose hard states stand in the frame just written and nowhere else: the
// next frame repeats them, so that after it one damaged block never takes a vote away.
func (l *Log) toRestate(ops []op, first bool) {
	for _, g := range l.restating {
		g.restate = false
	}
	l.restating = l.restating[:0]
	if first {
		l.restating = append(l.restating, l.sorted...)
		return
	}
	for i := range ops {
		g := ops[i].group
		if ops[i].kind == wire.RecordHardState && !g.restate && l.groups[g.id] == g {
			g.restate = true
			l.restating = append(l.restating, g)
		}
	}
}
