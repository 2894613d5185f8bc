package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/ops"
)

func snapshotCommand(w *world) *cobra.Command {
	return family(&cobra.Command{
		Use:     "snapshot save|status|restore",
		GroupID: groupCluster,
		Short:   "Save all that a cluster holds in a file, and make a new cluster of it",
		Long: `Saves all that a server holds in one file, shows and verifies such a file, and makes the data directories of a
new cluster out of it. The file is our own format; snapshots of etcd cannot be restored.

In the file are all keys with the versions that are not compacted, leases, and sessions. Who belongs to the
cluster is not.`,
		Example: `  quorate snapshot save backup.snapshot
  quorate snapshot status backup.snapshot
  quorate snapshot restore backup.snapshot --data-dir s1 --initial-cluster-token after-the-fire`,
	}, snapshotSaveCommand(w), snapshotStatusCommand(w), snapshotRestoreCommand(w))
}

func oneFile(cmd *cobra.Command, words []string) error {
	if len(words) != 1 || words[0] == "" {
		return usage("snapshot %s takes a file", cmd.Name())
	}
	return nil
}

func snapshotSaveCommand(w *world) *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save all that a server holds in a file",
		Long: `Saves all that one server holds, as of one moment, in a file. The server goes on serving. It is verified on the
way, and has its name only when all of it is there and durable; a file that had the name stays until then.

A server is asked for what it has itself, whoever leads: if it lags, so does the file. --endpoints names the
one that is asked. However long it takes, the command waits, as long as something comes at least every
--command-timeout.`,
		Example: `  quorate snapshot save backup.snapshot
  quorate snapshot save --endpoints 10.0.0.1:2379 /backup/$(date +%F).snapshot
  quorate snapshot save backup.snapshot --output json | jq .revision`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := client.complete(cmd, w); err != nil {
				return err
			}
			if len(client.endpoints) != 1 {
				return usage("a snapshot is taken of one server: name one with --endpoints, not %d", len(client.endpoints))
			}
			c, printer, err := client.open(cmd, w, show.Table)
			if err != nil {
				return err
			}
			defer c.Close()
			ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			return client.save(ctx, w, c, printer, words[0])
		},
	}
	client.add(cmd)
	return cmd
}

// save saves a snapshot, and prints what is in it.
func (f *clientFlags) save(ctx context.Context, w *world, c *clientv3.Client, p *show.Printer, name string) error {
	longRun := newLongRun(w.err)
	saved, err := ops.SaveSnapshot(name, func(into io.Writer) error { return f.copySnapshot(ctx, c, into) }, longRun.tell)
	longRun.end()
	if err != nil {
		return failed(fmt.Errorf("%w\nNothing was saved", err))
	}
	if p.Format == show.Table {
		fmt.Fprintf(w.out, "Saved in %s.\n\n", show.Printable(name))
	}
	return failed(printSnapshot(p, saved))
}

// errStalled: nothing has come for as long as somebody was willing to wait.
var errStalled = errors.New("the server has sent nothing more")

// copySnapshot copies what a server sends, as long as something comes.
func (f *clientFlags) copySnapshot(ctx context.Context, c *clientv3.Client, into io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(f.commandTimeout, func() {
		cancel(fmt.Errorf("%w for %v; --command-timeout waits longer", errStalled, f.commandTimeout))
	})
	defer patience.Stop()
	answer, err := c.SnapshotWithVersion(ctx)
	if err == nil {
		_, err = io.Copy(into, &patientReader{answer.Snapshot, patience, f.commandTimeout})
		err = errors.Join(err, answer.Snapshot.Close())
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

// patientReader begins to wait anew for each piece. What is done with the one before does not count.
type patientReader struct {
	io.Reader
	patience *time.Timer
	wait     time.Duration
}

func (r *patientReader) Read(b []byte) (int, error) {
	r.patience.Reset(r.wait)
	defer r.patience.Stop()
	return r.Reader.Read(b)
}

func snapshotStatusCommand(w *world) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:   "status FILE",
		Short: "Verify a snapshot, and show what is in it",
		Long: `Reads a snapshot to its end, verifies each part of it and the whole, and shows of which cluster and of which
moment it is.

Exit status: 0 if it is whole, 1 if it is damaged, cut off, or no snapshot.`,
		Example: `  quorate snapshot status backup.snapshot
  quorate snapshot status backup.snapshot --output json`,
		Args: oneFile,
		RunE: func(_ *cobra.Command, words []string) error {
			format, err := output.format(show.Table)
			if err != nil {
				return err
			}
			longRun := newLongRun(w.err)
			status, err := ops.SnapshotStatus(words[0], longRun.tell)
			longRun.end()
			if err != nil {
				return failed(err)
			}
			return failed(printSnapshot(&show.Printer{Out: w.out, Format: format}, status))
		},
	}
	output.add(cmd)
	cmd.SetFlagErrorFunc(explainFlag(nil))
	return cmd
}

// printSnapshot prints what is in a snapshot. The format simple has etcdutl's columns: hash, revision, keys, size.
func printSnapshot(p *show.Printer, s *ops.SnapshotPart) error {
	switch p.Format {
	case show.JSON:
		return json.NewEncoder(p.Out).Encode(s)
	case show.Simple:
		_, err := fmt.Fprintf(p.Out, "%.8s, %d, %d, %s\n", s.Hash, s.Revision, s.Keys, inBytes(s.Bytes))
		return err
	}
	_, err := io.WriteString(p.Out, show.Columns([][]string{
		{"cluster", s.Cluster},
		{"entry", fmt.Sprint(s.Index)},
		{"revision", fmt.Sprintf("%d, %s", s.Revision, compacted(s.CompactRevision))},
		{"keys", fmt.Sprintf("%d, with %d versions", s.Keys, s.Versions)},
		{"size", fmt.Sprintf("%s (%d bytes)", inBytes(s.Bytes), s.Bytes)},
		{"SHA-256", s.Hash},
	}))
	return err
}
