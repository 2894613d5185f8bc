package tidy

import "testing"

func TestProseFindsWhatIsLeftOpenAndNamesOfMachines(t *testing.T) {
	// Put together here so that this file does not contain them.
	open, machine, host := "TO"+"DO", "/ho"+"me", "pro"+"xy.golang.org"
	expect(t, Prose(fake(t, map[string]string{
		"a.md":     "fine\n" + open + ": more\nthe FIX" + "ME of it\nX" + "XX",
		"b.go":     "package b // " + open + "(me)",
		"c.sh":     "cd " + machine + "/me\nls /ro" + "ot\nls \"/wo" + "rk/x\"\nGOPROXY=https://" + host,
		"free.txt": open + "S UN" + open + " XX" + "X_gogo homework a/ho" + "me /ho" + "mes https://example.org/wo" + "rk /tmp/x",
	})),
		"a.md:2: leaves something open", "a.md:3: leaves something open", "a.md:4: leaves something open",
		"b.go:1: leaves something open",
		"c.sh:1: names a path", "c.sh:2: names a path", "c.sh:3: names a path", "c.sh:4: names the host")
}

func TestLinksMustLeadSomewhere(t *testing.T) {
	expect(t, Links(fake(t, map[string]string{
		"README.md":          "[a](docs/a.md) [b](docs) [c](https://example.org/x) [d](docs/gone.md)\n[e](docs/a.md#part) [f](gone.md#part)",
		"docs/a.md":          "[up](../README.md) [beside](deep/b.md) [wrong](docs/a.md)",
		"docs/deep/b.md":     "[b](b.md)",
		"docs/deep/notes.go": "package deep // [not Markdown](gone.md)",
	})),
		"README.md:1: links to docs/gone.md", "README.md:2: links to gone.md", "docs/a.md:1: links to docs/a.md")
}
