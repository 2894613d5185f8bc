package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxLastWords bounds the line shown of a dead child, in bytes.
const maxLastWords = 400

// boundLog puts a log that has reached a size aside, under its name and ".1", and begins it anew. The
// process that writes it keeps its descriptor, so the log is copied and emptied: lines written in
// between are lost. It writes at the end always, so what it writes next is the first line.
func boundLog(name string, maxBytes int64) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Size() < maxBytes {
		return err
	}
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(name + ".1")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("put log %s aside: %w", name, err)
	}
	return os.Truncate(name, 0)
}

// lastWords returns the last line that is not empty of what was printed since the log had a size;
// of a Go program that crashed, the line which says why, for many others follow it.
func lastWords(name string, since int64) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	if info.Size() < since {
		since = 0 // It was begun anew.
	}
	tail := make([]byte, min(info.Size()-since, 16<<10))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	line := ""
	for each := range strings.Lines(string(tail)) {
		each = strings.TrimSpace(each)
		if each != "" {
			line = each
		}
		if strings.HasPrefix(each, "panic: ") || strings.HasPrefix(each, "fatal error: ") {
			break
		}
	}
	if len(line) > maxLastWords {
		line = line[:maxLastWords]
	}
	return strings.ToValidUTF8(line, "?")
}
