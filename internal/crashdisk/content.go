package crashdisk

import (
	"bytes"
	"slices"
)

const (
	blockBytes  = 4096
	chunkBlocks = 16
	chunkBytes  = blockBytes * chunkBlocks
	// maxFileBytes bounds the table of chunks of one file, to 2 MiB; a longer file is refused with EFBIG.
	maxFileBytes = 1 << 34
)

// A block is never changed once it is in a chunk, nor a chunk once it is in a content, nor the table
// of chunks of a content: so a content can be copied by assignment, and what did not change between
// the durable and the current content of a file, or between two clones of a disk, is stored once.
//
// A block is kept up to its last byte that is not zero: most writes fill up their last block with zeros.
type (
	block []byte
	chunk [chunkBlocks]block
)

// content is the bytes of a file at one moment, a value. A nil block or chunk, and whatever lies
// behind the last chunk, is zeros, so that zeros cost nothing. Bytes at size and beyond are zeros.
type content struct {
	size   int64
	chunks []*chunk
}

// block returns the block that holds the byte at offset, or nil for zeros.
func (c content) block(offset int64) block {
	number := offset / chunkBytes
	if number >= int64(len(c.chunks)) || c.chunks[number] == nil {
		return nil
	}
	return c.chunks[number][offset%chunkBytes/blockBytes]
}

// read fills p with the bytes from offset on, with zeros beyond the end.
func (c content) read(p []byte, offset int64) {
	for len(p) > 0 {
		within := int(offset % blockBytes)
		n := min(len(p), blockBytes-within)
		b := c.block(offset)
		clear(p[copy(p[:n], b[min(within, len(b)):]):n])
		p, offset = p[n:], offset+int64(n)
	}
}

// write returns the content with n bytes at offset, longer if need be: data, and zeros for the rest.
// The data must never change afterwards: it becomes blocks of the content.
func (c content) write(offset int64, data []byte, n int64) content {
	next := content{size: max(c.size, offset+n), chunks: slices.Clone(c.chunks)}
	for n > 0 {
		step := min(n, chunkBytes-offset%chunkBytes)
		part := data[:min(int64(len(data)), step)]
		next.writeChunk(offset, part, int(step))
		data, offset, n = data[len(part):], offset+step, n-step
	}
	return next
}

// writeChunk replaces one chunk of a content whose table is not shared yet.
func (c *content) writeChunk(offset int64, data []byte, n int) {
	number := int(offset / chunkBytes)
	var changed chunk
	if number < len(c.chunks) && c.chunks[number] != nil {
		changed = *c.chunks[number]
	}
	for n > 0 {
		within := int(offset % blockBytes)
		step := min(n, blockBytes-within)
		part := data[:min(len(data), step)]
		place := &changed[offset%chunkBytes/blockBytes]
		*place = place.overwrite(within, part, step)
		data, offset, n = data[len(part):], offset+int64(step), n-step
	}
	if missing := number + 1 - len(c.chunks); missing > 0 {
		c.chunks = append(c.chunks, make([]*chunk, missing)...)
	}
	c.chunks[number] = &changed
}

// overwrite returns what b becomes when n bytes from within on are written: data, and zeros for the rest.
func (b block) overwrite(within int, data []byte, n int) block {
	data = withoutZeros(data)
	if within+n >= len(b) { // nothing of b is left behind them
		b = withoutZeros(b[:min(within, len(b))])
		switch {
		case len(data) == 0:
			return b
		case within == 0:
			return data
		}
	}
	next := make(block, max(len(b), within+len(data)))
	copy(next, b)
	written := next[within:min(within+n, len(next))]
	clear(written[copy(written, data):])
	return next
}

// writeZeros is write of n zeros, at no cost where there are zeros already.
func (c content) writeZeros(offset, n int64) content {
	end := offset + n
	next := content{size: max(c.size, end), chunks: c.chunks}
	cloned := false
	for offset < end {
		step := min(end-offset, chunkBytes-offset%chunkBytes)
		number := offset / chunkBytes
		if number >= int64(len(c.chunks)) {
			break
		}
		if c.chunks[number] != nil {
			if !cloned {
				next.chunks, cloned = slices.Clone(c.chunks), true
			}
			if step == chunkBytes {
				next.chunks[number] = nil
			} else {
				next.writeChunk(offset, nil, int(step))
			}
		}
		offset += step
	}
	return next
}

// truncate returns the content cut or extended to size.
func (c content) truncate(size int64) content {
	if size < c.size {
		c = c.writeZeros(size, c.size-size)
		c.chunks = c.chunks[:min(int64(len(c.chunks)), (size+chunkBytes-1)/chunkBytes)]
	}
	c.size = size
	return c
}

// flip returns the content with the bits of mask inverted in the byte at offset.
func (c content) flip(offset int64, mask byte) content {
	var b [1]byte
	c.read(b[:], offset)
	return c.write(offset, []byte{b[0] ^ mask}, 1)
}

// zeros is what much is compared with at once.
var zeros [512]byte

// withoutZeros returns p up to its last byte that is not zero, or nil if there is none.
func withoutZeros(p []byte) []byte {
	for len(p) >= len(zeros) && bytes.Equal(p[len(p)-len(zeros):], zeros[:]) {
		p = p[:len(p)-len(zeros)]
	}
	for len(p) > 0 && p[len(p)-1] == 0 {
		p = p[:len(p)-1]
	}
	if len(p) == 0 {
		return nil
	}
	return p
}
