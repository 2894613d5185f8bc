package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

// perfLoads are etcdctl's, from the smallest to the largest; the first name is what it is called.
var perfLoads = []struct {
	names          []string
	limit, clients int
}{
	{[]string{"s", "small"}, 150, 50},
	{[]string{"m", "medium"}, 1000, 200},
	{[]string{"l", "large"}, 8000, 500},
	{[]string{"xl", "xLarge"}, 15000, 1000},
}

// perfDuration is for how long a check writes.
const perfDuration = time.Minute

func checkCommand(w *world, duration time.Duration) *cobra.Command {
	return family(&cobra.Command{
		Use:     "check perf",
		GroupID: groupCluster,
		Short:   "Check how fast the cluster writes",
		Example: `  quorate check perf
  quorate check perf --load m`,
	}, checkPerfCommand(w, duration))
}

// perfFlags are those of check perf.
type perfFlags struct {
	client      clientFlags
	load        string
	prefix      string
	autoCompact bool
	autoDefrag  bool
}

func checkPerfCommand(w *world, duration time.Duration) *cobra.Command {
	f := perfFlags{load: "s", prefix: "/etcdctl-check-perf/"}
	cmd := &cobra.Command{
		Use:   "perf",
		Short: "Write for a minute, and tell whether that is fast enough",
		Long: `Writes keys of 256 bytes and values of 1024 for a minute, as many a second as the load says, and deletes
them again. It passes if all writes are acknowledged, at 90% of the load's rate or more, none takes longer than half a second,
and they differ little (by a standard deviation of at most 0.1 s). The exit status is 1 if it does not.

  load       s    m     l     xl
  writes/s   150  1000  8000  15000
  clients    50   200   500   1000

Other clients of the cluster notice.`,
		Example: `  quorate check perf
  quorate check perf --load m --auto-compact -w json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, w, duration) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.load, "load", f.load, "how much to write: s, m, l or xl")
	flags.StringVar(&f.prefix, "prefix", f.prefix, "what the keys begin with; no key may be there before")
	flags.BoolVar(&f.autoCompact, "auto-compact", false, "afterwards, compact what was written and deleted")
	flags.BoolVar(&f.autoDefrag, "auto-defrag", false, "not necessary here: room that is free is used again by itself")
	f.client.add(cmd)
	return cmd
}

func (f *perfFlags) run(cmd *cobra.Command, w *world, duration time.Duration) error {
	if err := f.client.complete(cmd, w); err != nil {
		return err
	}
	load, err := f.perfLoad(duration)
	if err != nil {
		return err
	}
	printer, err := f.client.printer(w, show.Simple)
	if err != nil {
		return err
	}
	interrupted, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := f.client.connect(interrupted)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := f.expectNoKeys(interrupted, client); err != nil {
		return err
	}
	if f.autoDefrag {
		fmt.Fprintln(w.err, "--auto-defrag is not necessary: room that is free is used again by itself.")
	}
	outcome, err := f.write(interrupted, w, load)
	if err != nil {
		return err
	}
	// What was written goes, interrupted or not.
	if err := f.cleanUp(cmd.Context(), w, client); err != nil {
		return fmt.Errorf("delete what was written: %w\n\"quorate del --prefix %s\" does it, too", err, f.prefix)
	}
	if interrupted.Err() != nil {
		return failed(errors.New("interrupted; what was written is deleted"))
	}
	if err := printer.Perf(outcome); err != nil {
		return failed(err)
	}
	if !outcome.Passed() {
		return &failure{exitFailed, nil} // The outcome says it.
	}
	return nil
}

// perfLoad returns the load that was asked for.
func (f *perfFlags) perfLoad(duration time.Duration) (*perfLoad, error) {
	if f.prefix == "" {
		return nil, usage("--prefix is empty: all keys would be deleted")
	}
	for _, l := range perfLoads {
		for _, name := range l.names {
			if name == f.load {
				return &perfLoad{name: l.names[0], limit: l.limit, clients: l.clients, duration: duration,
					prefix: f.prefix, timeout: f.client.commandTimeout}, nil
			}
		}
	}
	return nil, usage("--load %s: want s, m, l or xl", f.load)
}

// expectNoKeys makes sure that nothing is deleted afterwards that was there before.
func (f *perfFlags) expectNoKeys(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, f.client.commandTimeout)
	defer cancel()
	there, err := client.Get(ctx, f.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	switch {
	case err != nil:
		return explainRead(err, f.client.commandTimeout)
	case there.Count > 0:
		return failed(fmt.Errorf("prefix %q has keys. Delete them with \"quorate del --prefix %s\" first, or choose another --prefix", f.prefix, f.prefix))
	}
	return nil
}

// write makes the load through as many clients as it wants.
func (f *perfFlags) write(ctx context.Context, w *world, load *perfLoad) (*show.Perf, error) {
	clients := make([]*clientv3.Client, load.clients)
	for i := range clients {
		client, err := newClient(f.client.endpoints, f.client.dialTimeout)
		if err != nil {
			return nil, failed(err)
		}
		defer client.Close()
		clients[i] = client
	}
	tell := func(string) {}
	if w.outTerminal {
		tell = func(text string) { fmt.Fprintf(w.err, "\r%s", text) }
		defer fmt.Fprintln(w.err)
	}
	return load.run(ctx, clients, tell), nil
}

// deletedAtOnce is how many keys one request deletes: however many there are, no request takes long.
const deletedAtOnce = 5000

// cleanUp deletes what was written, and compacts it.
func (f *perfFlags) cleanUp(ctx context.Context, w *world, client *clientv3.Client) error {
	within := func(do func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, f.client.commandTimeout)
		defer cancel()
		return explainWrite(do(ctx), f.client.commandTimeout)
	}
	revision, more := int64(0), true
	for more {
		err := within(func(ctx context.Context) error {
			written, err := client.Get(ctx, f.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(deletedAtOnce))
			if err != nil || len(written.Kvs) == 0 {
				more = false
				return err
			}
			first, last := string(written.Kvs[0].Key), string(written.Kvs[len(written.Kvs)-1].Key)
			deleted, err := client.Delete(ctx, first, clientv3.WithRange(last+"\x00"))
			if err == nil {
				revision, more = deleted.Header.Revision, written.More
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if !f.autoCompact || revision == 0 {
		return nil
	}
	return within(func(ctx context.Context) error {
		fmt.Fprintf(w.err, "Compacting with revision %d\n", revision)
		_, err := client.Compact(ctx, revision)
		if err == nil {
			fmt.Fprintf(w.err, "Compacted with revision %d\n", revision)
		}
		return err
	})
}
