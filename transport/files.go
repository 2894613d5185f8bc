package transport

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/quorate/quorate/internal/vfs"
)

var (
	// ErrDamaged: a key file is not what this package wrote. It is never repaired by guessing: an
	// identity made anew is another server, and a boot counter started anew a stale copy.
	ErrDamaged = errors.New("damaged")
	// ErrTooNew: a key file was written by a later version of this program.
	ErrTooNew = errors.New("written by a later version")
)

// writeNewFile stores data under a name that is not there yet, so that the name is either absent or
// leads to all of data: written aside, synced, renamed, and the directory synced.
func writeNewFile(files vfs.FS, path string, data []byte) error {
	aside := path + ".new"
	if err := files.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove left-over %s: %w", aside, err)
	}
	f, err := files.Create(aside)
	if err != nil {
		return fmt.Errorf("create %s: %w", aside, err)
	}
	if err := writeSynced(f, data, 0); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", aside, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", aside, err)
	}
	if err := files.Rename(aside, path); err != nil {
		return fmt.Errorf("rename %s to %s: %w", aside, path, err)
	}
	return syncDirectoryOf(files, path)
}

func writeSynced(f vfs.File, data []byte, offset int64) error {
	if _, err := f.WriteAt(data, offset); err != nil {
		return err
	}
	return f.Sync()
}

func syncDirectoryOf(files vfs.FS, path string) error {
	if err := files.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", path, err)
	}
	return nil
}

// readExactly reads a file that must be size bytes long.
func readExactly(f vfs.File, size int64) ([]byte, error) {
	got, err := f.Size()
	if err != nil {
		return nil, err
	}
	if got != size {
		return nil, fmt.Errorf("%d bytes long, want %d: %w", got, size, ErrDamaged)
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); n < len(data) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return data, nil
}
