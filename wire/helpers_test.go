package wire_test

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// equal compares two values field by field. An empty slice equals a nil one: the bytes cannot tell
// them apart.
func equal(a, b any) bool { return equalValues(reflect.ValueOf(a), reflect.ValueOf(b)) }

func equalValues(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() {
		return false
	}
	if !a.IsValid() {
		return true
	}
	if a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return equalValues(a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equalValues(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		for i := range a.NumField() {
			if !equalValues(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

// The tests compute checksums by what doc.go says, and not with the functions under test.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// resealRecord makes both checksums of the record at the start of b right again, and returns its
// whole size; 0 if b is too short for it.
func resealRecord(b []byte) int {
	if len(b) < 64 {
		return 0
	}
	payloadBytes := uint64(binary.LittleEndian.Uint32(b[8:]))
	size := (64 + payloadBytes + 7) / 8 * 8
	if size <= uint64(len(b)) {
		binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[64:64+payloadBytes], castagnoli))
	}
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:64], castagnoli))
	if size > uint64(len(b)) {
		return 0
	}
	return int(size)
}

// resealMessage makes the checksum of a message right again, and with entries those of the records
// in it as far as they can be told.
func resealMessage(b []byte) {
	if len(b) < 24 {
		return
	}
	if fixed := int(binary.LittleEndian.Uint16(b[2:])); wire.MessageKind(b[0]) == wire.KindAppendEntries && 24+fixed < len(b) {
		for rest := b[24+fixed:]; len(rest) > 0; {
			size := resealRecord(rest)
			if size == 0 {
				break
			}
			rest = rest[size:]
		}
	}
	sum := crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
	binary.LittleEndian.PutUint32(b[4:], sum)
}

// recordsOf returns the entries' records of a message, as AppendMessage takes them.
func recordsOf(m *wire.Message) [][]byte {
	body, ok := m.Body.(*raft.AppendEntries)
	if !ok {
		return nil
	}
	var records [][]byte
	for _, e := range body.Entries {
		records = append(records, e.Data)
	}
	return records
}

// allocated returns how many bytes f allocates, garbage included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// undump reads bytes back from what hex.Dump has written. Lines that begin with # are comments.
func undump(t testing.TB, text string) []byte {
	t.Helper()
	var b []byte
	for _, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		columns, _, _ := strings.Cut(line, "|")
		offset, columns, _ := strings.Cut(columns, " ")
		row, err := hex.DecodeString(strings.ReplaceAll(columns, " ", ""))
		at, offsetErr := hex.DecodeString(offset)
		if err != nil || offsetErr != nil || len(at) != 4 {
			t.Fatalf("not a line of a dump: %q", line)
		}
		if got := int(binary.BigEndian.Uint32(at)); got != len(b) {
			t.Fatalf("line %q says offset %d, want %d", line, got, len(b))
		}
		b = append(b, row...)
	}
	return b
}
