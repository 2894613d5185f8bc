package quorate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/transport"
)

func TestInspectedDirectorySaysWhoseItIsAndStaysAsItIs(t *testing.T) {
	dir := t.TempDir()
	for what, err := range map[string]error{
		"server": InspectDirectory(dir).ServerError, "identity": InspectDirectory(dir).IdentityError, "boot": InspectDirectory(dir).BootError,
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of an empty directory: %v", what, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it has made %v, %v", left, err)
	}

	files := vfs.OS{}
	d, err := openDirectory(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	s := sampleServerFile()
	if err := d.writeServerFile(s); err != nil {
		t.Fatal(err)
	}
	identity, _, err := transport.LoadOrCreateIdentity(files, d.name("identity"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := transport.NextBoot(files, d.name("boot")); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	want := DirectoryInfo{
		Format: s.Format, Cluster: s.Cluster, Server: ServerID(s.Server), Name: s.Name, Token: s.Token,
		Groups: []GroupID{1, 7}, Joined: []GroupID{1}, PeerKeys: map[ServerID]transport.PublicKey{5: s.Keys[0].Key},
		Key: identity.Public(), Boot: 3,
	}
	if got := InspectDirectory(dir); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	boot, err := os.OpenFile(filepath.Join(dir, "boot"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := boot.WriteAt([]byte{0xff}, 14); err != nil {
		t.Fatal(err)
	}
	if err := boot.Close(); err != nil {
		t.Fatal(err)
	}
	if got := InspectDirectory(dir); got.BootDamage == nil || got.BootError != nil || got.Boot == 0 {
		t.Errorf("one copy of the boot counter is damaged: %+v", got)
	}
}
