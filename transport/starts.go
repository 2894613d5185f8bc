package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/quorate/quorate/internal/vfs"
)

// Start is one start of a server: its number, and random bytes that no other start has. A directory knows the
// starts that it has been through, and peers remember the last that they have met. A copy of a directory does not
// know the starts of the original since, nor the original those of the copy: so they are told apart, though both
// have the same key, and though both go on counting.
type Start struct {
	Boot    uint64
	Process [16]byte
}

// MaxStarts is how many starts a directory knows: its last ones.
const MaxStarts = 128

// The file of starts:
//
//	offset size
//	     0    8  magic "QRTSTART"
//	     8    4  version of this layout, 1
//	    12    4  how many starts, 1 to 128
//	    16   24  each: boot (8), process (16); boots ascend
//	     .    4  CRC32C of all bytes before
//
// It is replaced as a whole at every start.
const (
	startsMagic       = "QRTSTART"
	startsVersion     = 1
	startsHeaderBytes = 16
	startBytes        = 24
	maxStartsBytes    = startsHeaderBytes + MaxStarts*startBytes + 4
)

// NextStart raises the boot counter as NextBoot does, adds this start to those in the file at path, with 16 bytes of
// random (nil: crypto/rand), makes both durable, and returns all that the file has, ascending: the last is this one.
// A file of starts that is damaged is begun anew, and forgotten says why: what it says can be trusted less than that,
// but a server does not have to stay away for it.
func NextStart(files vfs.FS, bootPath, path string, random io.Reader) (starts []Start, forgotten, err error) {
	boot, err := NextBoot(files, bootPath)
	if err != nil {
		return nil, nil, err
	}
	starts, err = readStarts(files, path)
	if errors.Is(err, ErrDamaged) {
		starts, forgotten, err = nil, err, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if n := len(starts); n > 0 && starts[n-1].Boot >= boot {
		return nil, nil, fmt.Errorf("%s says boot %d and %s knows of boot %d: they are not of one directory at one time: %w",
			bootPath, boot, path, starts[n-1].Boot, ErrDamaged)
	}
	process, err := newNonce(random)
	if err != nil {
		return nil, nil, err
	}
	starts = append(starts, Start{boot, process})
	starts = starts[max(0, len(starts)-MaxStarts):]
	if err := writeNewFile(files, path, encodeStarts(starts)); err != nil {
		return nil, nil, fmt.Errorf("note this start: %w", err)
	}
	return starts, forgotten, nil
}

func readStarts(files vfs.FS, path string) ([]Start, error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open starts %s: %w", path, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("read starts %s: %w", path, err)
	}
	b := make([]byte, min(size, maxStartsBytes))
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read starts %s: %w", path, err)
	}
	starts, err := decodeStarts(b)
	if err != nil {
		return nil, fmt.Errorf("read starts %s: %w", path, err)
	}
	return starts, nil
}

func encodeStarts(starts []Start) []byte {
	b := make([]byte, 0, startsHeaderBytes+len(starts)*startBytes+4)
	b = append(b, startsMagic...)
	b = binary.LittleEndian.AppendUint32(b, startsVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(starts)))
	b = appendStarts(b, starts)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeStarts looks at the version first: a later layout may differ in all the rest.
func decodeStarts(b []byte) ([]Start, error) {
	if len(b) < startsHeaderBytes || string(b[:8]) != startsMagic {
		return nil, fmt.Errorf("does not begin with %s: %w", startsMagic, ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > startsVersion {
		return nil, fmt.Errorf("layout %d, this program knows %d: %w", v, startsVersion, ErrTooNew)
	}
	n := binary.LittleEndian.Uint32(b[12:])
	if n == 0 || n > MaxStarts || len(b) != startsHeaderBytes+int(n)*startBytes+4 {
		return nil, fmt.Errorf("%d bytes for %d starts: %w", len(b), n, ErrDamaged)
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return nil, fmt.Errorf("checksum does not match: %w", ErrDamaged)
	}
	starts, ok := splitStarts(body[startsHeaderBytes:])
	if !ok || binary.LittleEndian.Uint32(b[8:]) != startsVersion {
		return nil, fmt.Errorf("was never written so: %w", ErrDamaged)
	}
	return starts, nil
}

func appendStarts(b []byte, starts []Start) []byte {
	for _, s := range starts {
		b = binary.LittleEndian.AppendUint64(b, s.Boot)
		b = append(b, s.Process[:]...)
	}
	return b
}

// splitStarts is the reverse of appendStarts; it is false for what that never makes of a list that ascends.
func splitStarts(b []byte) (starts []Start, ok bool) {
	if len(b)%startBytes != 0 || len(b) > MaxStarts*startBytes {
		return nil, false
	}
	starts = make([]Start, 0, len(b)/startBytes)
	var previous uint64
	for ; len(b) > 0; b = b[startBytes:] {
		s := Start{Boot: binary.LittleEndian.Uint64(b), Process: [16]byte(b[8:startBytes])}
		if s.Boot <= previous {
			return nil, false
		}
		starts, previous = append(starts, s), s.Boot
	}
	return starts, true
}

// follows says whether a directory that knows these starts, ascending, has been through another one that was seen of
// it before. Of one that is older than all of them it cannot be said, and of no starts nothing: then it is believed.
func follows(starts []Start, seen Start) bool {
	if len(starts) == 0 || seen.Boot < starts[0].Boot {
		return true
	}
	for _, s := range starts {
		if s.Boot == seen.Boot {
			return s == seen
		}
	}
	return false
}
