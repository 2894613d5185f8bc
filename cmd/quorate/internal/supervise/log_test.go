package supervise

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeLog(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "server.log")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func readLog(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLastWordsAreOfThisLife(t *testing.T) {
	earlier := "an earlier life\n"
	for _, test := range []struct{ name, printed, want string }{
		{"nothing", "", ""},
		{"one line", "sync segment 7: no space left\n", "sync segment 7: no space left"},
		{"no line end", "one\ntwo", "two"},
		{"empty lines at the end", "one\n\n  \n", "one"},
		{"a panic", "all well\npanic: index 7 of 3\n\ngoroutine 1 [running]:\nmain.main()\n", "panic: index 7 of 3"},
		{"all locked up", "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [select]:\n", "fatal error: all goroutines are asleep - deadlock!"},
		{"no text", "\xff\xfe\n", "?"},
	} {
		log := writeLog(t, earlier+test.printed)
		if got := lastWords(log, int64(len(earlier))); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestLastWordsAreBounded(t *testing.T) {
	log := writeLog(t, strings.Repeat("x", 100_000))
	if got := lastWords(log, 0); len(got) != maxLastWords {
		t.Errorf("got %d bytes, want %d", len(got), maxLastWords)
	}
}

func TestLastWordsOfALogBegunAnewAreFound(t *testing.T) {
	log := writeLog(t, "new\n")
	if got := lastWords(log, 1000); got != "new" {
		t.Errorf("got %q", got)
	}
}

func TestAFullLogIsPutAsideAndItsWriterGoesOn(t *testing.T) {
	log := writeLog(t, "")
	writer, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	print := func(line string) {
		t.Helper()
		if _, err := writer.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	print("before\n")
	if err := boundLog(log, 8); err != nil || readLog(t, log) != "before\n" {
		t.Fatalf("a log below the bound changed: %q, %v", readLog(t, log), err)
	}
	if err := boundLog(log, 7); err != nil {
		t.Fatal(err)
	}
	print("after\n")
	if got := readLog(t, log); got != "after\n" {
		t.Errorf("the log holds %q", got)
	}
	if got := readLog(t, log+".1"); got != "before\n" {
		t.Errorf("what was put aside is %q", got)
	}
}

func TestAMissingLogIsWithinItsBound(t *testing.T) {
	if err := boundLog(filepath.Join(t.TempDir(), "none"), 1); err != nil {
		t.Error(err)
	}
}
