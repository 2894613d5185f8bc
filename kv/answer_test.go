package kv

import (
	"bytes"
	"testing"
)

func TestAnswersComeBackAsTheyWere(t *testing.T) {
	for _, a := range []Answer{
		{},
		{Revision: 1},
		{Revision: 1 << 40, Body: []byte{0}},
		{Err: CodeTooDeep, Revision: 12},
		{Err: CodeCompacted, Revision: 12},
	} {
		got, err := ParseAnswer(a.Append([]byte("before"))[6:])
		if err != nil || got.Err != a.Err || got.Revision != a.Revision || !bytes.Equal(got.Body, a.Body) {
			t.Errorf("%+v came back as %+v, %v", a, got, err)
		}
	}
}

func TestDamagedAnswersAreErrors(t *testing.T) {
	for _, b := range [][]byte{nil, {0}, {0, 0x80}, {byte(maxCode) + 1, 1}, {255, 1},
		{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}} {
		if a, err := ParseAnswer(b); err == nil {
			t.Errorf("%x parsed as %+v", b, a)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add((&Answer{Revision: 300, Body: []byte("body")}).Append(nil))
	f.Add((&Answer{Err: CodeKeyNotFound, Revision: 1}).Append(nil))
	f.Add([]byte{0, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnswer(b)
		if err != nil {
			return
		}
		again, err := ParseAnswer(a.Append(nil))
		if err != nil || again.Err != a.Err || again.Revision != a.Revision || !bytes.Equal(again.Body, a.Body) {
			t.Fatalf("%+v became %+v, %v", a, again, err)
		}
	})
}
