package quorate

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// What rots while a server runs is found, and ends it: the next start heals.
func TestLogIsReadAgainAndAgainAndRotEndsTheServer(t *testing.T) {
	disk := crashdisk.New(crashdisk.Options{})
	fatal := make(chan error, 1)
	options := diskOptions(func(err error) { fatal <- err })
	options.ScrubBytesPerSecond = 1 << 30
	h, g := alone(t, disk, options)
	defer h.Close()
	for range 20 {
		if err := proposeUnless(t, g, strings.Repeat("an entry", 100), fatal); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.writer.seal(); err != nil { // nobody writes any more
		t.Fatal(err)
	}
	var rots wal.Item
	if err := wal.Scan(disk, h.directory.name("wal"), func(at wal.Item) error {
		if rots.File == "" && at.Record != nil && at.Record.IsEntry() && len(at.Record.Payload) > 100 {
			rots = at
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-fatal:
		t.Fatalf("nothing has rotted: %v", err)
	default:
	}
	file, err := disk.Open(rots.File)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(make([]byte, 50), rots.Offset+wire.RecordHeaderBytes+20); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-fatal:
		if !strings.Contains(err.Error(), "scrub the log") || !strings.Contains(err.Error(), rots.File) {
			t.Errorf("it ends with %v, want what has rotted in %s", err, rots.File)
		}
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
}
