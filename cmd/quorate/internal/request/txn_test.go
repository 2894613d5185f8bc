package request

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// story writes a transaction with a line for each part.
func story(txn Txn) []string {
	var lines []string
	for _, compare := range txn.If {
		lines = append(lines, "if "+describeCompare(compare))
	}
	for _, op := range txn.Then {
		lines = append(lines, "then "+describe(op))
	}
	for _, op := range txn.Else {
		lines = append(lines, "else "+describe(op))
	}
	return lines
}

func TestTextMakesATransaction(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"etcdctl's example", `mod("key1") > "0"

put key1 "overwrote-key1"

put key1 "created-key1"
put key2 "some extra key"

`, []string{"if MOD(key1) GREATER 0", "then put key1=overwrote-key1", "else put key1=created-key1", "else put key2=some extra key"}},
		{"the end instead of an empty line", "\n\nget a", []string{"else get a"}},
		{"only requests", "\nput a 1\n", []string{"then put a=1"}},
		{"blanks and line ends of Windows", "value(\"a\") = \"1\"\r\n \t\r\n  get a  \r\n", []string{"if VALUE(a) EQUAL 1", "then get a"}},
		{"empty lines at the end", "\n\n\n\n  \n", nil},
		{"every kind of request", "\nput a 1 --prev-kv\nget a b --limit 2\ndel --prefix a\n",
			[]string{"then put a=1 prev", "then get a..b limit=2", "then del a..b"}},
		{"every kind of condition", `version("a") = "1"
ver("a") != "2"
create("a") < "3"
c("a") > "4"
mod("a") = "5"
m("a") = "-6"
value("a") = "x y"
val("a") = ""
lease("a") = "ff"
`, []string{"if VERSION(a) EQUAL 1", "if VERSION(a) NOT_EQUAL 2", "if CREATE(a) LESS 3", "if CREATE(a) GREATER 4", "if MOD(a) EQUAL 5",
			"if MOD(a) EQUAL -6", "if VALUE(a) EQUAL x y", "if VALUE(a) EQUAL ", "if LEASE(a) EQUAL 255"}},
		{"conditions without quotes", "mod(fruit/apple)>7\nvalue(a)=b\n", []string{"if MOD(fruit/apple) GREATER 7", "if VALUE(a) EQUAL b"}},
		{"keys with parentheses and escapes", `value("a) = \"b") = 'it "is"'`, []string{`if VALUE(a) = "b) EQUAL it "is"`}},
	} {
		txn, err := ParseTxn(strings.NewReader(test.text), nil)
		if got := story(txn); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}

func TestMistakesOfATransactionNameTheirLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"value", "line 1: not a condition: value"},
		{"value(\"a\"", "line 1: the parenthesis after value is not closed"},
		{"value(\"a) = 1", "line 1: a double quote is not closed"},
		{"value(a) 1", "line 1: a condition needs one of = != < >"},
		{"value(a) <= 1", "line 1: a condition needs one of = != < >"},
		{"value(a) = 1 2", "line 1: too much behind the condition"},
		{"value(a) = \"1", "line 1: a double quote is not closed"},
		{"size(a) = 1", "line 1: conditions are about value, version, create, mod or lease, and not size"},
		{"mod(a) = x", "line 1: mod is compared with a number, and not with x"},
		{"mod(a) =", `line 1: mod is compared with a number, and not with ""`},
		{"lease(a) = xyz", "line 1: lease is compared with a number"},
		{"mod(a) = 1\nfoo", "line 2: not a condition: foo"},
		{"\nwatch a", "line 2: watch is no request of a transaction"},
		{"\n\"\" a", `line 2: "" is no request of a transaction`},
		{"\nput a", "line 2: put needs a value"},
		{"\nput a b c", "line 2: put takes a key and a value"},
		{"\nput 'a", "line 2: a single quote is not closed"},
		{"\n\nget", "line 3: get needs a key"},
		{"\n\ndel a b", "line 3: del of two words"},
		{"\nget a --nope", "line 2: get: unknown flag: --nope"},
		{"\nget a --help", "line 2: get: "},
		{"\nget a --limit x", "line 2: get: invalid argument"},
		{"\n\n\n\nput a 1", "line 5: put a 1: a transaction ends with the empty line"},
	} {
		_, err := ParseTxn(strings.NewReader(test.text), nil)
		if m := new(Mistake); !errors.As(err, &m) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: got error %v, want a mistake %q", test.text, err, test.want)
		}
	}
}

func TestAPersonIsPromptedAndReadingEndsWithTheThirdSection(t *testing.T) {
	var prompts []string
	input := strings.NewReader("value(a) = 1\n\nput a 2\n\nget a\n\nnot for us")
	txn, err := ParseTxn(input, func(section string) { prompts = append(prompts, section) })
	if err != nil || len(story(txn)) != 3 {
		t.Errorf("got %q, %v", story(txn), err)
	}
	want := []string{"compares:", "success requests (get, put, del):", "failure requests (get, put, del):"}
	if !slices.Equal(prompts, want) {
		t.Errorf("prompted %q, want %q", prompts, want)
	}
}

func TestALineThatIsTooLongIsAMistake(t *testing.T) {
	_, err := ParseTxn(io.MultiReader(strings.NewReader("\n"), io.LimitReader(letters{}, maxLineBytes+1)), nil)
	if m := new(Mistake); !errors.As(err, &m) || !strings.HasPrefix(err.Error(), "line 2 is longer than 16 MiB") {
		t.Errorf("got error %v", err)
	}
}

type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestATransactionThatCannotBeReadIsNoMistake(t *testing.T) {
	_, err := ParseTxn(iotest.ErrReader(io.ErrUnexpectedEOF), nil)
	if m := new(Mistake); !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &m) {
		t.Errorf("got error %v", err)
	}
}

// FuzzParseTxn looks for text that makes the parser panic, refuse without naming the typist's mistake,
// or make more of it than there is.
func FuzzParseTxn(f *testing.F) {
	f.Add("mod(\"key1\") > \"0\"\n\nput key1 \"a\"\n\nput key2 'b c' --lease=7\n\n")
	f.Add("value(a) = \"\\x00\\u00e9\"\n\nget --prefix \"\" --sort-by KEY\ndel --range a b\n")
	f.Add("lease('(') != ff\n\n\n")
	f.Add("ver(\"a\") ! 1")
	f.Fuzz(func(t *testing.T, text string) {
		var txn Txn
		var err error
		bounded(t, "transaction", text, func() { txn, err = ParseTxn(strings.NewReader(text), nil) })
		if m := new(Mistake); err != nil && !errors.As(err, &m) {
			t.Fatalf("refused with %v, which is no mistake of the typist", err)
		}
		if parts := len(txn.If) + len(txn.Then) + len(txn.Else); parts > strings.Count(text, "\n")+1 {
			t.Fatalf("%d parts of %d lines", parts, strings.Count(text, "\n")+1)
		}
		for _, op := range append(txn.Then, txn.Else...) {
			_ = describe(op) // Building the message must not panic.
		}
	})
}

// FuzzWords looks for words that do not come back when they are quoted.
func FuzzWords(f *testing.F) {
	f.Add("key", "value")
	f.Add("", "\"'\\")
	f.Add("\x00\xff", "é\n")
	f.Fuzz(func(t *testing.T, first, second string) {
		got, err := words(fmt.Sprintf("%q %q", first, second))
		if err != nil || !slices.Equal(got, []string{first, second}) {
			t.Fatalf("%q %q: got %q, %v", first, second, got, err)
		}
	})
}
