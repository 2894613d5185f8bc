package request

import (
	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Watch is the flags of watch. Its zero value watches one key from now on.
type Watch struct {
	Prefix bool

	Revision         int64 // the first to be told of; 0 is the next one
	PrevKV, Progress bool
}

// AddFlags gives a command the flags of watch.
func (w *Watch) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&w.Prefix, "prefix", false, "all keys that begin with the key; with an empty one, all keys")
	f.Int64Var(&w.Revision, "rev", 0, "begin with what happened at this revision (0: with what happens next)")
	f.BoolVar(&w.PrevKV, "prev-kv", false, "print what was there before, too")
	f.BoolVar(&w.Progress, "progress-notify", false, "print now and then up to which revision all has been told, while nothing happens")
}

// Options returns what to watch: a key, and how. The error is a *Mistake.
func (w *Watch) Options(words []string) (key string, options []clientv3.OpOption, err error) {
	key, options, err = interval{command: "watch", words: words, prefix: w.Prefix}.options()
	if err != nil {
		return "", nil, err
	}
	if w.Revision < 0 {
		return "", nil, mistake("--rev %d is negative", w.Revision)
	}
	options = append(options, clientv3.WithRev(w.Revision))
	if w.PrevKV {
		options = append(options, clientv3.WithPrevKV())
	}
	if w.Progress {
		options = append(options, clientv3.WithProgressNotify())
	}
	return key, options, nil
}
