package request

import (
	"runtime"
	"strings"
	"testing"
)

// What reading words and transactions may allocate: a multiple of their size, and so much for each line,
// of which every one gets a set of flags.
const (
	textFactor = 64
	lineBytes  = 32 << 10
)

// bounded runs f, and fails the test if it allocates more than the text allows. The runtime counts for
// all goroutines, so an excess is measured again: f's own comes every time.
func bounded(t testing.TB, what, text string, f func()) {
	t.Helper()
	limit := uint64(textFactor*len(text) + lineBytes*(strings.Count(text, "\n")+1))
	var spent uint64
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if spent = after.TotalAlloc - before.TotalAlloc; spent <= limit {
			return
		}
	}
	t.Errorf("%s: %d bytes allocated for %d, more than %d", what, spent, len(text), limit)
}

func TestHostileTextCostsInProportion(t *testing.T) {
	const n = 100_000
	for name, text := range map[string]string{
		"many words":         "put " + strings.Repeat("a ", n),
		"many empty words":   "put " + strings.Repeat(`"" `, n),
		"many quotes":        "put " + strings.Repeat(`""''`, n),
		"many escapes":       `put "` + strings.Repeat(`\x00`, n) + `"`,
		"a quote left open":  "put '" + strings.Repeat("a", n),
		"many flags":         "put a b" + strings.Repeat(" --lease=1", n),
		"no flag of this":    "get " + strings.Repeat("-", n),
		"many lines":         strings.Repeat("mod(a) = 1\n", 1000),
		"many requests":      "\n" + strings.Repeat("get a\n", 1000),
		"many empty lines":   strings.Repeat("\n", n),
		"a compare too long": strings.Repeat("(", n),
	} {
		bounded(t, name+", as words", text, func() { _, _ = words(text) })
		bounded(t, name, text, func() { _, _ = ParseTxn(strings.NewReader(text), nil) })
	}
}
