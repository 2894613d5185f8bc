package pebblekv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ManifestEnd is where Pebble stops to read its manifest although there is more: what the rest names is not
// seen, and the state is an older one.
type ManifestEnd struct {
	Path   string
	Offset int64 // of the record that is not sound
	Bytes  int64 // from there to the end of the file
	// MayBeTorn: it is the last record, so that a crash while it was written may have left it so. Otherwise
	// it was durable once: the disk has changed it.
	MayBeTorn bool
}

// CheckManifest reads the manifest of a directory, and returns nil if it is sound to its end. Pebble itself
// takes whatever is not for the end, without a word. It changes nothing.
func CheckManifest(dir string, fs vfs.FS) (*ManifestEnd, error) {
	if fs == nil {
		fs = vfs.Default
	}
	found, err := pebble.Peek(dir, fs)
	if err != nil || !found.Exists {
		return nil, err
	}
	b, err := readAll(fs, found.ManifestFilename)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	end := soundEnd(b)
	if end == int64(len(b)) {
		return nil, nil
	}
	rest := b[end:]
	return &ManifestEnd{Path: found.ManifestFilename, Offset: end, Bytes: int64(len(rest)), MayBeTorn: !goesOn(rest)}, nil
}

func readAll(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// soundEnd returns where the records of a manifest end that Pebble can read.
func soundEnd(b []byte) int64 {
	records := record.NewReader(bytes.NewReader(b), 0)
	for {
		at := records.Offset()
		r, err := records.Next()
		if errors.Is(err, io.EOF) {
			return int64(len(b))
		}
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return at
		}
	}
}

// The header of a piece of a record: checksum, length, kind.
const (
	pieceLengthAt    = 4
	pieceHeaderBytes = 7
)

// goesOn tells whether there is something behind the piece of a record that b begins with.
func goesOn(b []byte) bool {
	if len(b) < pieceHeaderBytes {
		return false
	}
	next := pieceHeaderBytes + int(binary.LittleEndian.Uint16(b[pieceLengthAt:]))
	return next < len(b) && len(bytes.Trim(b[next:], "\x00")) > 0
}
