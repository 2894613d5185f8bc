package request

import (
	"strings"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Get is the flags of get. Its zero value reads one key, linearizably, at the newest revision.
type Get struct {
	Prefix, FromKey bool

	Limit    int64 // keys; 0 is all
	Revision int64 // 0 is the newest

	Consistency string // "l" (also "") or "s"
	Order       string // "", "ASCEND" or "DESCEND", in any case
	SortBy      string // "", "CREATE", "KEY", "MODIFY", "VALUE" or "VERSION", in any case

	KeysOnly, CountOnly bool

	MinCreateRev, MaxCreateRev int64 // 0 is no bound
	MinModRev, MaxModRev       int64
}

// AddFlags gives a command the flags of get.
func (g *Get) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&g.Prefix, "prefix", false, "all keys that begin with the key; with an empty one, all keys")
	f.BoolVar(&g.FromKey, "from-key", false, "all keys from the key on, in the order of bytes")
	f.Int64Var(&g.Limit, "limit", 0, "at most so many keys (0: no limit)")
	f.StringVar(&g.Order, "order", "", "ASCEND or DESCEND (default ASCEND)")
	f.StringVar(&g.SortBy, "sort-by", "", "CREATE, KEY, MODIFY, VALUE or VERSION (default KEY)")
	f.Int64Var(&g.Revision, "rev", 0, "read as it was at this revision (0: now)")
	f.StringVar(&g.Consistency, "consistency", "l",
		"l: never stale (linearizable); s: what the asked server has, which may be old (serializable)")
	f.BoolVar(&g.KeysOnly, "keys-only", false, "keys without their values")
	f.BoolVar(&g.CountOnly, "count-only", false, "only the number of keys")
	f.Int64Var(&g.MinCreateRev, "min-create-rev", 0, "only keys created at this revision or later")
	f.Int64Var(&g.MaxCreateRev, "max-create-rev", 0, "only keys created at this revision or earlier")
	f.Int64Var(&g.MinModRev, "min-mod-rev", 0, "only keys last written at this revision or later")
	f.Int64Var(&g.MaxModRev, "max-mod-rev", 0, "only keys last written at this revision or earlier")
}

// Op returns the request for a key and an optional end of a range. The error is a *Mistake.
func (g *Get) Op(words []string) (clientv3.Op, error) {
	key, options, err := interval{"get", words, g.Prefix, g.FromKey}.options()
	if err != nil {
		return clientv3.Op{}, err
	}
	if err := g.checkNumbers(); err != nil {
		return clientv3.Op{}, err
	}
	if g.KeysOnly && g.CountOnly {
		return clientv3.Op{}, mistake("--keys-only and --count-only exclude each other: choose one")
	}
	serializable, err := serializable(g.Consistency)
	if err != nil {
		return clientv3.Op{}, err
	}
	if serializable {
		options = append(options, clientv3.WithSerializable())
	}
	sorting, err := g.sorting()
	if err != nil {
		return clientv3.Op{}, err
	}
	options = append(options, sorting...)
	if g.KeysOnly {
		options = append(options, clientv3.WithKeysOnly())
	}
	if g.CountOnly {
		options = append(options, clientv3.WithCountOnly())
	}
	options = append(options,
		clientv3.WithLimit(g.Limit), clientv3.WithRev(g.Revision),
		clientv3.WithMinCreateRev(g.MinCreateRev), clientv3.WithMaxCreateRev(g.MaxCreateRev),
		clientv3.WithMinModRev(g.MinModRev), clientv3.WithMaxModRev(g.MaxModRev))
	return clientv3.OpGet(key, options...), nil
}

func (g *Get) checkNumbers() error {
	for _, n := range []struct {
		flag  string
		value int64
	}{
		{"limit", g.Limit}, {"rev", g.Revision},
		{"min-create-rev", g.MinCreateRev}, {"max-create-rev", g.MaxCreateRev},
		{"min-mod-rev", g.MinModRev}, {"max-mod-rev", g.MaxModRev},
	} {
		if n.value < 0 {
			return mistake("--%s %d is negative", n.flag, n.value)
		}
	}
	return nil
}

// sorting returns no option for the order that results have anyway, so that the server need not sort.
func (g *Get) sorting() ([]clientv3.OpOption, error) {
	if g.Order == "" && g.SortBy == "" {
		return nil, nil
	}
	order := clientv3.SortAscend
	switch strings.ToUpper(g.Order) {
	case "", "ASCEND":
	case "DESCEND":
		order = clientv3.SortDescend
	default:
		return nil, mistake("--order %s: want ASCEND or DESCEND", quoted(g.Order))
	}
	var target clientv3.SortTarget
	switch strings.ToUpper(g.SortBy) {
	case "", "KEY":
		target = clientv3.SortByKey
	case "CREATE":
		target = clientv3.SortByCreateRevision
	case "MODIFY":
		target = clientv3.SortByModRevision
	case "VALUE":
		target = clientv3.SortByValue
	case "VERSION":
		target = clientv3.SortByVersion
	default:
		return nil, mistake("--sort-by %s: want CREATE, KEY, MODIFY, VALUE or VERSION", quoted(g.SortBy))
	}
	return []clientv3.OpOption{clientv3.WithSort(target, order)}, nil
}

// Serializable reads the flag --consistency. The error is a *Mistake.
func Serializable(consistency string) (bool, error) { return serializable(consistency) }

func serializable(consistency string) (bool, error) {
	switch consistency {
	case "", "l":
		return false, nil
	case "s":
		return true, nil
	}
	return false, mistake("--consistency %s: want l (linearizable) or s (serializable)", quoted(consistency))
}
