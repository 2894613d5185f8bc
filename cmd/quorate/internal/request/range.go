package request

import (
	clientv3 "go.etcd.io/etcd/client/v3"
)

// interval is what a key, an optional end, --prefix and --from-key select.
type interval struct {
	command string
	words   []string
	prefix  bool
	fromKey bool
}

// options returns the key, and the options that make a request one about the interval.
func (i interval) options() (key string, options []clientv3.OpOption, err error) {
	switch {
	case len(i.words) == 0:
		return "", nil, mistake("%s needs a key", i.command)
	case len(i.words) > 2:
		return "", nil, mistake("%s takes a key and an optional end of a range, and not %d words; quote what has blanks",
			i.command, len(i.words))
	case i.prefix && i.fromKey:
		return "", nil, mistake("--prefix and --from-key exclude each other: choose one")
	case len(i.words) == 2 && (i.prefix || i.fromKey):
		return "", nil, mistake("with --prefix or --from-key there is no end of the range (%s)", quoted(i.words[1]))
	}
	key = i.words[0]
	switch {
	case len(i.words) == 2:
		options = append(options, clientv3.WithRange(i.words[1]))
	case i.prefix:
		options = append(options, clientv3.WithPrefix()) // of an empty key, too: all keys
	case i.fromKey:
		options = append(options, clientv3.WithFromKey())
	}
	return key, options, nil
}
