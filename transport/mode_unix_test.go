//go:build unix

package transport

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/internal/vfs"
)

func TestNobodyElseMayReadTheSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity")
	first, created, err := LoadOrCreateIdentity(vfs.OS{}, path, nil)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the file's mode is %o, want 600", got)
	}
	if again, _, err := LoadOrCreateIdentity(vfs.OS{}, path, nil); err != nil || again.Public() != first.Public() {
		t.Errorf("loaded %v, %v", again, err)
	}
	for want := uint64(1); want <= 2; want++ {
		if got, err := NextBoot(vfs.OS{}, path+".boots"); err != nil || got != want {
			t.Errorf("boot %d, %v, want %d", got, err, want)
		}
	}
}
