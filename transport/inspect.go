package transport

import (
	"errors"
	"fmt"
	"io"

	"github.com/quorate/quorate/internal/vfs"
)

// ReadBoot returns the number of the last start in the file at path, and changes nothing. Both copies
// count: damaged says what is wrong with one, if the other makes up for it. The error is ErrDamaged or
// ErrTooNew if neither can be used, and fs.ErrNotExist if there is no such file.
func ReadBoot(files vfs.FS, path string) (boot uint64, damaged error, err error) {
	f, err := files.Open(path)
	if err != nil {
		return 0, nil, fmt.Errorf("open boot counter %s: %w", path, err)
	}
	defer f.Close()
	b := make([]byte, bootFileBytes) // A shorter file is read as if zeros followed: a damaged copy.
	if n, err := f.ReadAt(b, 0); n < len(b) && !errors.Is(err, io.EOF) {
		return 0, nil, fmt.Errorf("read boot counter %s: %w", path, err)
	}
	first, firstErr := decodeBoot(b)
	second, secondErr := decodeBoot(b[bootCopyStride:])
	if firstErr != nil && secondErr != nil {
		return 0, nil, fmt.Errorf("read boot counter %s: first copy: %w; second copy: %w", path, firstErr, secondErr)
	}
	switch {
	case firstErr != nil:
		damaged = fmt.Errorf("first copy: %w", firstErr)
	case secondErr != nil:
		damaged = fmt.Errorf("second copy: %w", secondErr)
	}
	return max(first, second), damaged, nil
}
