package ledger

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAppendAddsLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := Append("", "nowhere"); err != nil {
		t.Error(err)
	}
	for _, values := range [][]any{{map[string]int{"a": 1}}, {"two", "at once"}} {
		if err := Append(file, values...); err != nil {
			t.Fatal(err)
		}
	}
	if err := Append(file, "none of these", make(chan int)); err == nil {
		t.Error("a channel was written")
	}
	got, err := os.ReadFile(file)
	if want := "{\"a\":1}\n\"two\"\n\"at once\"\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if err := Append(filepath.Join(file, "below"), 1); err == nil {
		t.Error("written below a file")
	}
}
