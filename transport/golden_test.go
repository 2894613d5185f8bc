package transport

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares bytes with a file under testdata, as a hexadecimal dump that people can review.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	dump := dumpBytes(b)
	if *update {
		if err := os.WriteFile(path, []byte(dump), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if dump != string(want) {
		t.Errorf("%s has changed; a format that is in use must not. Got:\n%swant:\n%s", name, dump, want)
	}
}

// dumpBytes writes eight bytes to a line, and leaves out long runs of zeros.
func dumpBytes(b []byte) string {
	var s strings.Builder
	zeros := false
	for at := 0; at < len(b); at += 8 {
		line := b[at:min(at+8, len(b))]
		if strings.Trim(string(line), "\x00") == "" && at > 0 && at+8 < len(b) {
			if !zeros {
				s.WriteString("*\n")
			}
			zeros = true
			continue
		}
		zeros = false
		fmt.Fprintf(&s, "%06x  %s\n", at, hex.EncodeToString(line))
	}
	fmt.Fprintf(&s, "%06x\n", len(b))
	return s.String()
}
