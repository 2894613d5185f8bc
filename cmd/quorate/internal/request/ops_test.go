package request

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ask parses words as a command line does, and describes the request they make.
func ask(t *testing.T, line string, input io.Reader) (string, error) {
	t.Helper()
	typed, err := words(line)
	if err != nil {
		t.Fatal(err)
	}
	cmd := new(cobra.Command)
	var put Put
	var get Get
	var del Del
	make := map[string]func(words []string) (clientv3.Op, error){
		"put": func(words []string) (clientv3.Op, error) { return put.Op(words, input) },
		"get": get.Op, "del": del.Op,
	}
	switch typed[0] {
	case "put":
		put.AddFlags(cmd)
	case "get":
		get.AddFlags(cmd)
	case "del":
		del.AddFlags(cmd)
	}
	if err := cmd.ParseFlags(typed[1:]); err != nil {
		return "", err
	}
	op, err := make[typed[0]](cmd.Flags().Args())
	if err != nil {
		return "", err
	}
	return describe(op), nil
}

func TestWordsAndFlagsMakeTheRequestOfTheirCommand(t *testing.T) {
	for _, test := range []struct{ line, input, want string }{
		{"put key value", "", "put key=value"},
		{"put key", "from\ninput\n", "put key=from\ninput\n"},
		{"put key", "", "put key="},
		{"put key value --prev-kv", "", "put key=value prev"},
		{"put key --ignore-value", "not read", "put key= keepvalue"},
		{"put key value --ignore-lease", "", "put key=value keeplease"},
		{"put key value --lease=ff", "", "put key=value lease=255"},
		{"put key -- -v", "", "put key=-v"},

		{"get key", "", "get key"},
		{"get key end", "", "get key..end"},
		{"get --prefix key", "", "get key..kez"},
		{`get --prefix "k\xff"`, "", "get k\xff..l"},
		{`get --prefix ""`, "", "get \x00..\x00"},
		{"get --from-key key", "", "get key..\x00"},
		{`get --from-key ""`, "", "get \x00..\x00"},
		{`get ""`, "", "get "},
		{"get key --rev 7 --limit 3", "", "get key limit=3 rev=7"},
		{"get key --consistency s", "", "get key serializable"},
		{"get key --consistency l", "", "get key"},
		{"get key --keys-only", "", "get key keysonly"},
		{"get key --count-only", "", "get key countonly"},
		{"get key --order DESCEND", "", "get key sort=DESCEND/KEY"},
		{"get key --order ascend", "", "get key"},
		{"get key --sort-by MODIFY", "", "get key sort=ASCEND/MOD"},
		{"get key --sort-by create --order descend", "", "get key sort=DESCEND/CREATE"},
		{"get key --sort-by VALUE", "", "get key sort=ASCEND/VALUE"},
		{"get key --sort-by VERSION", "", "get key sort=ASCEND/VERSION"},
		{"get k --min-create-rev 1 --max-create-rev 2 --min-mod-rev 3 --max-mod-rev 4", "", "get k created=1-2 modified=3-4"},

		{"del key", "", "del key"},
		{"del --prefix key --prev-kv", "", "del key..kez prev"},
		{"del --from-key key", "", "del key..\x00"},
		{"del --range key end", "", "del key..end"},
		{"del --range key", "", "del key"},
	} {
		got, err := ask(t, test.line, strings.NewReader(test.input))
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v; want %q", test.line, got, err, test.want)
		}
	}
}

func TestContradictionsAreMistakes(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"put", "needs a key"},
		{"put a b c", "not 3 words"},
		{"put key value --ignore-value", "no value"},
		{"put key value --ignore-lease --lease=7", "exclude each other"},
		{"put key value --lease=xyz", "hexadecimal"},
		{"get", "needs a key"},
		{"get a b c", "not 3 words"},
		{"get --prefix --from-key a", "exclude each other"},
		{"get --prefix a b", "no end of the range (b)"},
		{"get --keys-only --count-only a", "exclude each other"},
		{"get a --limit=-1", "--limit -1 is negative"},
		{"get a --rev=-1", "--rev -1 is negative"},
		{"get a --min-create-rev=-1", "--min-create-rev -1 is negative"},
		{"get a --max-create-rev=-1", "--max-create-rev -1 is negative"},
		{"get a --min-mod-rev=-1", "--min-mod-rev -1 is negative"},
		{"get a --max-mod-rev=-1", "--max-mod-rev -1 is negative"},
		{"get a --order UP", "ASCEND or DESCEND"},
		{"get a --sort-by SIZE", "want CREATE, KEY"},
		{"get a --consistency x", "want l (linearizable)"},
		{"del", "needs a key"},
		{"del --prefix --from-key a", "exclude each other"},
		{"del a b", "add --range"},
		{"del a b --prefix", "no end of the range (b)"},
	} {
		_, err := ask(t, test.line, nil)
		if m := new(Mistake); !errors.As(err, &m) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want a mistake with %q", test.line, err, test.want)
		}
	}
}

func TestAValueThatCannotBeReadIsNoMistake(t *testing.T) {
	_, err := ask(t, "put key", iotest.ErrReader(io.ErrUnexpectedEOF))
	if m := new(Mistake); !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &m) {
		t.Errorf("got error %v", err)
	}
}

func TestAValueIsReadUpToABound(t *testing.T) {
	_, err := ask(t, "put key", io.LimitReader(zeros{}, MaxValueBytes+1))
	if m := new(Mistake); !errors.As(err, &m) {
		t.Errorf("got error %v, want a mistake", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
