package crashdisk

import (
	"bytes"
	"slices"
)

const (
	blockBytes  = 4096
	chunkBlocks = 64
	chunkBytes  = blockBytes * chunkBlocks
	// maxFileBytes bounds the table of chunks of one file, to 2 MiB; a longer file is refused with EFBIG.
	maxFileBytes = 1 << 36
)

// A block is never changed once it is in a chunk, nor a chunk once it is in a content, nor the table
// of chunks of a content: so a content can be copied by assignment, and what did not change between
// the durable and the current content of a file, or between two clones of a disk, is stored once.
type (
	block [blockBytes]byte
	chunk [chunkBlocks]*block
)

var zeroBlock block

// content is the bytes of a file at one moment, a value. A nil block or chunk, and whatever lies
// behind the last chunk, is zeros, so that zeros cost nothing. Bytes at size and beyond are zeros.
type content struct {
	size   int64
	chunks []*chunk
}

// block returns the block that holds the byte at offset, or nil for zeros.
func (c content) block(offset int64) *block {
	number := offset / chunkBytes
	if number >= int64(len(c.chunks)) || c.chunks[number] == nil {
		return nil
	}
	return c.chunks[number][offset%chunkBytes/blockBytes]
}

// read fills p with the bytes from offset on, with zeros beyond the end.
func (c content) read(p []byte, offset int64) {
	for len(p) > 0 {
		within := offset % blockBytes
		n := min(len(p), int(blockBytes-within))
		if b := c.block(offset); b != nil {
			copy(p[:n], b[within:])
		} else {
			clear(p[:n])
		}
		p, offset = p[n:], offset+int64(n)
	}
}

// write returns the content with data at offset, longer if need be. The data must never change
// afterwards: whole blocks of it become blocks of the content.
func (c content) write(offset int64, data []byte) content {
	next := content{size: max(c.size, offset+int64(len(data))), chunks: slices.Clone(c.chunks)}
	for len(data) > 0 {
		n := min(len(data), int(chunkBytes-offset%chunkBytes))
		next.writeChunk(offset, data[:n])
		data, offset = data[n:], offset+int64(n)
	}
	return next
}

// writeChunk replaces one chunk of a content whose table is not shared yet.
func (c *content) writeChunk(offset int64, data []byte) {
	number := int(offset / chunkBytes)
	var changed chunk
	if number < len(c.chunks) && c.chunks[number] != nil {
		changed = *c.chunks[number]
	}
	for len(data) > 0 {
		within := offset % blockBytes
		n := min(len(data), int(blockBytes-within))
		place := &changed[offset%chunkBytes/blockBytes]
		*place = overwrite(*place, int(within), data[:n])
		data, offset = data[n:], offset+int64(n)
	}
	if missing := number + 1 - len(c.chunks); missing > 0 {
		c.chunks = append(c.chunks, make([]*chunk, missing)...)
	}
	c.chunks[number] = &changed
}

// overwrite returns the block that b becomes when data is written into it.
func overwrite(b *block, within int, data []byte) *block {
	if len(data) == blockBytes {
		if isZero(data) {
			return nil
		}
		return (*block)(data)
	}
	if b == nil && isZero(data) {
		return nil
	}
	var next block
	if b != nil {
		next = *b
	}
	copy(next[within:], data)
	return &next
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
				next.writeChunk(offset, make([]byte, step))
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
	return c.write(offset, []byte{b[0] ^ mask})
}

// isZero reports whether all bytes of p are 0.
func isZero(p []byte) bool {
	for len(p) > blockBytes {
		if !bytes.Equal(p[:blockBytes], zeroBlock[:]) {
			return false
		}
		p = p[blockBytes:]
	}
	return bytes.Equal(p, zeroBlock[:len(p)])
}
