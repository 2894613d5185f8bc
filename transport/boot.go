package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"

	"github.com/quorate/quorate/internal/vfs"
)

// The boot counter file: two copies, far enough apart that no write and no bad sector hits both.
//
//	offset size
//	   0    24  first copy
//	  24  4072  zeros
//	4096    24  second copy
//	4120        end
//
// A copy:
//
//	offset size
//	 0      8   magic "QRTBOOTS"
//	 8      4   version of this layout, 1
//	12      8   boot
//	20      4   CRC32C of bytes 0 to 19
const (
	bootMagic      = "QRTBOOTS"
	bootVersion    = 1
	bootCopyBytes  = 24
	bootCopyStride = 4096
	bootFileBytes  = bootCopyStride + bootCopyBytes
)

// NextBoot raises the counter in the file at path by one, makes that durable, and returns it; the
// first is 1. The directory must exist. No number is ever returned twice, nor a lower one after a
// higher, whatever write is torn and whichever one copy is lost; if both copies are unreadable the
// error is ErrDamaged (or ErrTooNew), and no number is given.
func NextBoot(files vfs.FS, path string) (uint64, error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createBootFile(files, path); err != nil {
			return 0, err
		}
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open boot counter %s: %w", path, err)
	}
	boot, err := raiseBoot(f)
	closeErr := f.Close()
	if err := errors.Join(err, closeErr); err != nil {
		return 0, fmt.Errorf("raise boot counter %s: %w", path, err)
	}
	// The start that made this file may have died before it synced the name.
	if err := syncDirectoryOf(files, path); err != nil {
		return 0, err
	}
	return boot, nil
}

func createBootFile(files vfs.FS, path string) error {
	b := make([]byte, bootFileBytes)
	copy(b, encodeBoot(1))
	copy(b[bootCopyStride:], encodeBoot(1))
	if err := writeNewFile(files, path, b); err != nil {
		return fmt.Errorf("create boot counter: %w", err)
	}
	return nil
}

// raiseBoot writes one copy, syncs it, and only then writes the other, so that at every instant one
// copy is whole. The copy with less to lose goes first. Since a number is returned only when both
// copies hold it, losing either later lowers nothing that anyone has seen.
func raiseBoot(f vfs.File) (uint64, error) {
	b := make([]byte, bootFileBytes) // A shorter file is read as if zeros followed: a damaged copy.
	if n, err := f.ReadAt(b, 0); n < len(b) && !errors.Is(err, io.EOF) {
		return 0, err
	}
	first, firstErr := decodeBoot(b)
	second, secondErr := decodeBoot(b[bootCopyStride:])
	if firstErr != nil && secondErr != nil {
		return 0, fmt.Errorf("first copy: %w; second copy: %w", firstErr, secondErr)
	}
	highest := max(first, second)
	if highest == math.MaxUint64 {
		return 0, fmt.Errorf("boot %d is the last number: %w", highest, ErrDamaged)
	}
	order := []int64{0, bootCopyStride}
	if second < first {
		order = []int64{bootCopyStride, 0}
	}
	for _, offset := range order {
		if err := writeSynced(f, encodeBoot(highest+1), offset); err != nil {
			return 0, err
		}
	}
	return highest + 1, nil
}

func encodeBoot(boot uint64) []byte {
	b := make([]byte, 0, bootCopyBytes)
	b = append(b, bootMagic...)
	b = binary.LittleEndian.AppendUint32(b, bootVersion)
	b = binary.LittleEndian.AppendUint64(b, boot)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeBoot returns 0 with an error for a copy that cannot be believed.
func decodeBoot(b []byte) (uint64, error) {
	b = b[:bootCopyBytes]
	if string(b[:len(bootMagic)]) != bootMagic {
		return 0, fmt.Errorf("does not begin with %s: %w", bootMagic, ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > bootVersion {
		return 0, fmt.Errorf("layout %d, this program knows %d: %w", v, bootVersion, ErrTooNew)
	}
	if crc32.Checksum(b[:20], castagnoli) != binary.LittleEndian.Uint32(b[20:]) {
		return 0, fmt.Errorf("checksum does not match: %w", ErrDamaged)
	}
	boot := binary.LittleEndian.Uint64(b[12:])
	if boot == 0 || binary.LittleEndian.Uint32(b[8:]) != bootVersion {
		return 0, fmt.Errorf("was never written so: %w", ErrDamaged)
	}
	return boot, nil
}
