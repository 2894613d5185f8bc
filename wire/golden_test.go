package wire_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

var errTrailing = errors.New("bytes are left over")

func (s *sample) path() string { return filepath.Join("testdata", s.file+".hex") }

// golden returns the sample's bytes as the file in testdata has them.
func (s *sample) golden(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	return undump(t, string(text))
}

// The formats are for ever: a difference here is a format that old logs and old servers do not have.
// Only a new layout version may bring a new file; the old file stays, and is still decoded.
func TestEncodingsAreThoseOfTheGoldenFiles(t *testing.T) {
	for _, s := range samples() {
		if *update {
			text := "# " + s.what + "\n" + hex.Dump(s.encode())
			if err := os.WriteFile(s.path(), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := s.encode(), s.golden(t); string(got) != string(want) {
			t.Errorf("%s: got\n%swant\n%s", s.path(), hex.Dump(got), hex.Dump(want))
		}
	}
}

func TestGoldenFilesDecodeToTheirValues(t *testing.T) {
	for _, s := range samples() {
		got, err := s.decode(s.golden(t))
		if err != nil {
			t.Errorf("%s: %v", s.path(), err)
		} else if !equal(got, s.value) {
			t.Errorf("%s: got %+v, want %+v", s.path(), got, s.value)
		}
	}
}

// A golden file that no test reads pins nothing.
func TestEveryGoldenFileHasItsSample(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range samples() {
		want = append(want, s.path())
	}
	slices.Sort(want)
	if !slices.Equal(files, want) {
		t.Errorf("testdata has %q, want %q", files, want)
	}
}
