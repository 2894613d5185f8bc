package quorate

import (
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
)

// beyond is a state machine that has a state already.
type beyond struct {
	silent
	index Index
}

func (b beyond) DurableIndex() Index { return b.index }

// A directory is complete when it is said to be, whatever happens then; and whatever fails before is said.
func TestRestoredDirectoryIsDurable(t *testing.T) {
	group := RestoredGroup{Group: 1, Index: 50, Time: 7}
	options := diskOptions(func(err error) { t.Error(err) })
	operations := 0
	for n := 0; ; n++ { // 0: none fails
		disk := crashdisk.New(crashdisk.Options{KeepOperations: 1 << 12})
		disk.FailAt(n, syscall.EIO)
		_, err := createRestoredOn(disk, options, []RestoredGroup{group})
		if n == 0 {
			if err != nil {
				t.Fatal(err)
			}
			operations = disk.Operation()
			h, err := openOn(disk.CrashNow(), options)
			if err != nil {
				t.Fatal(err)
			}
			g, err := h.Start(1, beyond{index: group.Index})
			if err != nil {
				t.Fatal(err)
			}
			if err := proposeUnless(t, g, "an entry", nil); err != nil {
				t.Error(err)
			}
			if s := g.Status().Raft; s.CommitIndex < group.Index+2 {
				t.Errorf("after a crash it is at %+v", s)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if n > operations {
			break
		}
		if err == nil {
			t.Errorf("operation %d of %d fails, and nobody minds", n, operations)
		}
	}
}
