package wal

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
)

// A disk that finds that a sector is not what was written to it reads nothing there (EIO). What was in it is lost like what
// has rotted, and heals like that, if it is known to have been durable. At the end of the log it is not taken for a torn tail: a crash
// leaves no sector that cannot be read.

// unreadByte is what stands for what could not be read. No header of a frame or a record, and no block of zeros, is made of it.
const unreadByte = 0xee

// readContent fills b, which has the size of the segment. What the disk does not read is unreadByte, and in the blocks that it returns,
// ascending. It is an error if it says anything but EIO.
func (s *segment) readContent(b []byte) (unread []int64, err error) {
	if err = s.readAt(b, 0); !errors.Is(err, syscall.EIO) {
		return nil, err
	}
	for at := int64(0); at < int64(len(b)); at += blockBytes {
		block := b[at:min(at+blockBytes, int64(len(b)))]
		switch one := s.readAt(block, at); {
		case errors.Is(one, syscall.EIO):
			unread = append(unread, at)
			for i := range block {
				block[i] = unreadByte
			}
		case one != nil:
			return nil, one
		}
	}
	return unread, nil
}

// readCurrent reads the current segment.
func (r *recovery) readCurrent() (err error) {
	if r.unread, err = r.current.readContent(r.content); len(r.unread) == 0 {
		return err
	}
	r.current.unread = true
	if r.notRead == nil {
		r.notRead = &readError{r.current.name, r.unread[0], syscall.EIO}
	}
	return nil
}

// tailIsUnread reports whether something at the end of the log was not read, where a frame was begun. Behind a block of zeros no frame is
// durable: they lie one behind the other.
func (r *recovery) tailIsUnread() error {
	if r.current == nil || r.offset >= r.current.bytes || isZero(r.content[r.offset:r.offset+blockBytes]) {
		return nil
	}
	if i := slices.IndexFunc(r.unread, func(at int64) bool { return at >= r.offset }); i >= 0 {
		return &readError{r.current.name, r.unread[i], fmt.Errorf("%w: it is not known what the end of the log was", syscall.EIO)}
	}
	return nil
}
