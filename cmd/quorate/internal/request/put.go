package request

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Put is the flags of put. Its zero value stores a value and attaches no lease.
type Put struct {
	PrevKV                   bool
	IgnoreValue, IgnoreLease bool
	Lease                    string // hexadecimal; "" and "0" are none
}

// MaxValueBytes bounds what is read as a value; a server's limit on a request is lower by default.
const MaxValueBytes = 64 << 20

// AddFlags gives a command the flags of put.
func (p *Put) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&p.PrevKV, "prev-kv", false, "show what was there before")
	f.BoolVar(&p.IgnoreValue, "ignore-value", false, "keep the value that is there, which must exist")
	f.BoolVar(&p.IgnoreLease, "ignore-lease", false, "keep the lease that is attached to the key, which must exist")
	f.StringVar(&p.Lease, "lease", "0", "id of a lease to attach, in hexadecimal (0: none)")
}

// Op returns the request for a key and a value. Without a value it is read from input, up to
// MaxValueBytes; a nil input means that there is none to read. The error is a *Mistake, or one of reading.
func (p *Put) Op(words []string, input io.Reader) (clientv3.Op, error) {
	if err := p.checkWords(words); err != nil {
		return clientv3.Op{}, err
	}
	var options []clientv3.OpOption
	if p.PrevKV {
		options = append(options, clientv3.WithPrevKV())
	}
	if p.IgnoreLease {
		options = append(options, clientv3.WithIgnoreLease())
	}
	lease, err := strconv.ParseInt(p.Lease, 16, 64)
	if p.Lease != "" && err != nil {
		return clientv3.Op{}, mistake("--lease %s: want the id of a lease, in hexadecimal", quoted(p.Lease))
	}
	if lease != 0 {
		options = append(options, clientv3.WithLease(clientv3.LeaseID(lease)))
	}
	value := ""
	switch {
	case p.IgnoreValue:
		options = append(options, clientv3.WithIgnoreValue())
	case len(words) == 2:
		value = words[1]
	default:
		if value, err = readValue(input); err != nil {
			return clientv3.Op{}, err
		}
	}
	return clientv3.OpPut(words[0], value, options...), nil
}

func (p *Put) checkWords(words []string) error {
	switch {
	case len(words) == 0:
		return mistake("put needs a key")
	case len(words) > 2:
		return mistake("put takes a key and a value, and not %d words; quote what has blanks", len(words))
	case len(words) == 2 && p.IgnoreValue:
		return mistake("with --ignore-value there is no value (%s)", quoted(words[1]))
	case p.IgnoreLease && p.Lease != "" && p.Lease != "0":
		return mistake("--lease and --ignore-lease exclude each other: choose one")
	}
	return nil
}

func readValue(input io.Reader) (string, error) {
	if input == nil {
		return "", mistake("put needs a value")
	}
	b, err := io.ReadAll(io.LimitReader(input, MaxValueBytes+1))
	if err != nil {
		return "", fmt.Errorf("read the value from standard input: %w", err)
	}
	if len(b) > MaxValueBytes {
		return "", mistake("the value on standard input is longer than %d MiB", MaxValueBytes>>20)
	}
	return string(b), nil
}
