package request

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxLineBytes bounds one line of a transaction; longer ones are refused. A server takes 1.5 MiB by default.
const maxLineBytes = 16 << 20

// Txn is a transaction: Then is done if all of If hold, and Else if not.
type Txn struct {
	If   []clientv3.Cmp
	Then []clientv3.Op
	Else []clientv3.Op
}

// ParseTxn reads the text of a transaction. If prompt is not nil, a person types it: prompt is called
// before each section, and reading ends with the third. Otherwise the input is read to its end,
// and text behind the third section is a mistake. The error names the line.
func ParseTxn(input io.Reader, prompt func(section string)) (Txn, error) {
	var txn Txn
	p := txnParser{lines: bufio.NewScanner(input), prompt: prompt}
	p.lines.Buffer(nil, maxLineBytes)

	p.section("compares:", func(line string) error {
		compare, err := parseCompare(line)
		txn.If = append(txn.If, compare)
		return err
	})
	p.section("success requests (get, put, del):", func(line string) error {
		op, err := parseOp(line)
		txn.Then = append(txn.Then, op)
		return err
	})
	p.section("failure requests (get, put, del):", func(line string) error {
		op, err := parseOp(line)
		txn.Else = append(txn.Else, op)
		return err
	})
	if prompt == nil {
		p.nothingMore()
	}
	if p.err != nil {
		return Txn{}, p.err
	}
	return txn, nil
}

// txnParser reads lines; after the first error it does nothing more.
type txnParser struct {
	lines  *bufio.Scanner
	number int // of the last line read, from 1
	prompt func(section string)
	err    error
}

// section hands every line to take, up to an empty one or to the end.
func (p *txnParser) section(title string, take func(line string) error) {
	if p.err != nil {
		return
	}
	if p.prompt != nil {
		p.prompt(title)
	}
	for p.next() {
		line := strings.Trim(p.lines.Text(), blanks)
		if line == "" {
			return
		}
		if err := take(line); err != nil {
			p.err = fmt.Errorf("line %d: %w", p.number, err)
			return
		}
	}
}

func (p *txnParser) nothingMore() {
	for p.err == nil && p.next() {
		if line := strings.Trim(p.lines.Text(), blanks); line != "" {
			p.err = mistake("line %d: %s: a transaction ends with the empty line behind its third section", p.number, line)
		}
	}
}

func (p *txnParser) next() bool {
	if p.lines.Scan() {
		p.number++
		return true
	}
	switch err := p.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		p.err = mistake("line %d is longer than %d MiB", p.number+1, maxLineBytes>>20)
	case err != nil:
		p.err = fmt.Errorf("read the transaction: %w", err)
	}
	return false
}

// parseOp reads one request, with the flags of the command of its name.
func parseOp(line string) (clientv3.Op, error) {
	typed, err := words(line)
	if err != nil {
		return clientv3.Op{}, err
	}
	name, typed := typed[0], typed[1:]
	cmd := &cobra.Command{Use: name}
	var op func(words []string) (clientv3.Op, error)
	switch name {
	case "put":
		put := new(Put)
		put.AddFlags(cmd)
		op = func(words []string) (clientv3.Op, error) { return put.Op(words, nil) }
	case "get":
		get := new(Get)
		get.AddFlags(cmd)
		op = get.Op
	case "del":
		del := new(Del)
		del.AddFlags(cmd)
		op = del.Op
	default:
		return clientv3.Op{}, mistake("%s is no request of a transaction: want put, get or del", quoted(name))
	}
	if err := cmd.ParseFlags(typed); err != nil {
		return clientv3.Op{}, mistake("%s: %v", name, err)
	}
	return op(cmd.Flags().Args())
}
