package tidy

import (
	"strings"
	"testing"
)

func TestHabitsFindTestsThatSleepOrSkip(t *testing.T) {
	source := `package x
import clock "time"
func TestX(t *testing.T) {
	clock.Sleep(1)
	t.Skip("why")
	t.Skipf("why %d", 1)
	t.SkipNow()
	b.Skip()
	println("in a test")
}
`
	expect(t, Habits(fake(t, map[string]string{"x/x_test.go": source})),
		"x/x_test.go:4: a test sleeps", "x/x_test.go:5: a test is skipped", "x/x_test.go:6: a test is skipped",
		"x/x_test.go:7: a test is skipped", "x/x_test.go:8: a test is skipped")
}

func TestHabitsFindPackagesThatPrintOrRunByThemselves(t *testing.T) {
	source := `package x
import (
	"fmt"
	"log"
	"log/slog"
	"time"
)
func f(w io.Writer, l *slog.Logger) {
	fmt.Println("x")
	fmt.Printf("x")
	print("x")
	log.Printf("x")
	slog.Info("x")
	l.Info("x")
	fmt.Fprintln(w, "x")
	slog.New(nil)
	time.Sleep(1)
}
func init() {}
func (t T) init() {}
`
	expect(t, Habits(fake(t, map[string]string{"x/x.go": source})),
		"x/x.go:9: prints", "x/x.go:10: prints", "x/x.go:11: prints", "x/x.go:12: log.Printf uses a logger",
		"x/x.go:13: slog.Info uses a logger", "x/x.go:19: init runs before main")
	program := strings.Replace(source, "package x", "package main", 1)
	expect(t, Habits(fake(t, map[string]string{"x/x.go": program})), "x/x.go:19: init runs before main")
}
