package request

import (
	"errors"
	"slices"
	"testing"
)

func TestWordsAreSplitAtBlanksOutsideQuotes(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{" \t ", nil},
		{"put key value", []string{"put", "key", "value"}},
		{"  put\tkey  value \r", []string{"put", "key", "value"}},
		{`put "two words" 'and more'`, []string{"put", "two words", "and more"}},
		{`put "a\"b" 'a"b'`, []string{"put", `a"b`, `a"b`}},
		{`put "line\nend" 'no\nescape'`, []string{"put", "line\nend", `no\nescape`}},
		{`"\x00\xff" "\u00e9"`, []string{"\x00\xff", "é"}},
		{`--lease="7" a""b`, []string{"--lease=7", "ab"}},
		{`"" ''`, []string{"", ""}},
		{`C:\dir back\slash`, []string{`C:\dir`, `back\slash`}},
		{"\xff\xfe", []string{"\xff\xfe"}},
	} {
		got, err := words(test.line)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("words of %q: got %q, %v; want %q", test.line, got, err, test.want)
		}
	}
}

func TestOpenQuotesAndUnknownEscapesAreMistakes(t *testing.T) {
	for _, line := range []string{`put "key`, `put 'key`, `put "key\`, `put "\q"`, `put "\x0"`, `'"`, `"'`} {
		_, err := words(line)
		if m := new(Mistake); !errors.As(err, &m) {
			t.Errorf("words of %q: got error %v, want a mistake", line, err)
		}
	}
}
