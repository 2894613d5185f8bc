package ops

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/kv"
)

// SnapshotPart is what is in a snapshot file. Its JSON form is part of the interface of the command line.
type SnapshotPart struct {
	File    string `json:"file"`
	Cluster string `json:"cluster"`
	// Index is the last entry in it, and LogTime the group's time there.
	Index           uint64 `json:"index"`
	LogTime         uint64 `json:"log_time"`
	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compact_revision"`
	Keys            int64  `json:"keys"`
	Versions        int64  `json:"versions"`
	Bytes           int64  `json:"bytes"`
	// Hash is the SHA-256 of all but itself, which the file ends with.
	Hash string `json:"hash"`
}

// describeSnapshot puts what is known of a snapshot file into words.
func describeSnapshot(name string, i *kv.SnapshotInfo) *SnapshotPart {
	return &SnapshotPart{
		File: name, Cluster: fmt.Sprintf("%x", i.Cluster), Index: i.Index, LogTime: i.Time, Revision: i.Revision,
		CompactRevision: i.CompactRevision, Keys: i.Keys, Versions: i.Versions, Bytes: i.Size, Hash: hex.EncodeToString(i.Hash[:]),
	}
}

// SnapshotStatus reads a snapshot file to its end, verifies it, and says what is in it.
func SnapshotStatus(name string, progress func(what string, done, total int64)) (*SnapshotPart, error) {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	info, err := ReadSnapshotFile(name, progress)
	if err != nil {
		return nil, err
	}
	return describeSnapshot(name, &info), nil
}

// ReadSnapshotFile reads a snapshot file to its end, and verifies it.
func ReadSnapshotFile(name string, progress func(what string, done, total int64)) (kv.SnapshotInfo, error) {
	file, total, err := openSnapshot(name)
	if err != nil {
		return kv.SnapshotInfo{}, err
	}
	defer file.Close()
	info, err := kv.ReadSnapshot(&countingReader{r: bufio.NewReaderSize(file, readAtOnce), what: "verifying", total: total, progress: progress})
	return info, explainSnapshot(name, err)
}

func openSnapshot(name string) (file *os.File, bytes int64, err error) {
	if file, err = os.Open(name); err != nil {
		return nil, 0, err
	}
	stat, err := file.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, stat.Size(), nil
}

// explainSnapshot says what an operator can do about a file that is no good.
func explainSnapshot(name string, err error) error {
	switch {
	case errors.Is(err, kv.ErrSnapshotFile):
		return fmt.Errorf("%s: %w: take another snapshot, or use an earlier one; those of etcd cannot be restored here", name, err)
	case errors.Is(err, kv.ErrNewerFormat):
		return fmt.Errorf("%s was written by a newer version: use that version, or a later one: %w", name, err)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// SaveSnapshot writes what copy copies into a file of that name, and verifies it on the way. The file gets its name
// when all of it is there and durable; one that had the name is replaced then, and not before. Whatever goes wrong,
// nothing is left behind.
func SaveSnapshot(name string, copy func(io.Writer) error, progress func(what string, done, total int64)) (*SnapshotPart, error) {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	if stat, err := os.Stat(name); err == nil && !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is there already, and is no file", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part")
	if err != nil {
		return nil, fmt.Errorf("save snapshot: %w", err)
	}
	info, err := fillSnapshot(file, copy, progress)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("save snapshot %s: %w", name, err), os.Remove(file.Name()))
	}
	if err := (vfs.OS{}).SyncDir(filepath.Dir(name)); err != nil {
		return nil, fmt.Errorf("save snapshot %s: %w", name, err)
	}
	return describeSnapshot(name, &info), nil
}

// fillSnapshot writes the file while somebody reads along, and makes it durable.
func fillSnapshot(file *os.File, copy func(io.Writer) error, progress func(what string, done, total int64)) (kv.SnapshotInfo, error) {
	reader, writer := io.Pipe()
	type result struct {
		info kv.SnapshotInfo
		err  error
	}
	verified := make(chan result, 1)
	go func() { // ends with the pipe
		info, err := kv.ReadSnapshot(bufio.NewReaderSize(reader, readAtOnce))
		_ = reader.CloseWithError(err) // whoever writes learns of it; without an error, there is nothing more to be written
		verified <- result{info, err}
	}()
	counting := &countingWriter{w: io.MultiWriter(file, writer), progress: progress}
	err := copy(counting)
	_ = writer.CloseWithError(err) // which never fails
	r := <-verified
	switch {
	case err != nil && !errors.Is(err, r.err):
		return r.info, err
	case r.err != nil:
		return r.info, fmt.Errorf("what came is not whole: %w", r.err)
	}
	return r.info, file.Sync()
}

// countingWriter tells how far it is.
type countingWriter struct {
	w        io.Writer
	done     int64
	progress func(what string, done, total int64)
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.done += int64(n)
	c.progress("saving", c.done, 0)
	return n, err
}
