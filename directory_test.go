package quorate

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/quorate/quorate/transport"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares bytes with a file under testdata, and returns what that has.
func golden(t *testing.T, name string, got []byte) (want []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
	return want
}

func sampleServerFile() serverFile {
	return serverFile{
		Format: 1, Cluster: 0x0123456789abcdef, Server: 0xfedcba9876543210, Name: "a", Token: "t",
		Groups: []uint64{1, 7}, Keys: []knownKey{{Server: 5, Key: transport.PublicKey{1, 2, 3}}},
		Joined: []joinedGroup{{Group: 1, Initial: []byte("first"), Configuration: []byte("then"), Index: 9}},
	}
}

func TestServerFileIsPinned(t *testing.T) {
	later := sampleServerFile() // as of the version that remembers whom it has met
	later.Met = []metStart{{Key: transport.PublicKey{1, 2, 3}, Boot: 4, Process: []byte("sixteen bytes...")}}
	later.Copied = "why"
	for name, s := range map[string]serverFile{"server.json": sampleServerFile(), "server-met.json": later} {
		got, err := s.seal()
		if err != nil {
			t.Fatal(err)
		}
		want := golden(t, name, got)
		var read serverFile
		if err := read.unseal(want); err != nil || !reflect.DeepEqual(read, s) {
			t.Errorf("%s: got %+v, %v, want %+v", name, read, err, s)
		}
	}
}

func TestDamagedServerFileIsNotBelieved(t *testing.T) {
	s := sampleServerFile()
	b, err := s.seal()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			damaged := bytes.Clone(b)
			damaged[i] ^= 1 << bit
			var read serverFile
			if err := read.unseal(damaged); err == nil && !reflect.DeepEqual(read, s) {
				t.Fatalf("bit %d of byte %d: believed %+v", bit, i, read)
			}
		}
	}
}
