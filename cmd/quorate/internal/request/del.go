package request

import (
	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Del is the flags of del. Its zero value deletes one key.
type Del struct {
	Prefix, FromKey, Range, PrevKV bool
}

// AddFlags gives a command the flags of del.
func (d *Del) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&d.Prefix, "prefix", false, "all keys that begin with the key; with an empty one, all keys")
	f.BoolVar(&d.FromKey, "from-key", false, "all keys from the key on, in the order of bytes")
	f.BoolVar(&d.Range, "range", false, "all keys from the first word on, up to but without the second")
	f.BoolVar(&d.PrevKV, "prev-kv", false, "show what was deleted")
}

// Op returns the request for a key and an optional end of a range. The error is a *Mistake.
func (d *Del) Op(words []string) (clientv3.Op, error) {
	key, options, err := interval{"del", words, d.Prefix, d.FromKey}.options()
	if err != nil {
		return clientv3.Op{}, err
	}
	// Two words look like two keys. Taken for a range they would delete everything in between, and
	// etcdctl waits two seconds for somebody to stop it; we ask first.
	if len(words) == 2 && !d.Range {
		return clientv3.Op{}, mistake("del of two words deletes all keys from %s up to %s: if you mean that, add --range",
			quoted(words[0]), quoted(words[1]))
	}
	if d.PrevKV {
		options = append(options, clientv3.WithPrevKV())
	}
	return clientv3.OpDelete(key, options...), nil
}
