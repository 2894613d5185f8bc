package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/ops"
	"github.com/quorate/quorate/server"
)

// defaultBump is by how much a restore raises the revision: more than a cluster writes between two backups, as etcd's
// documentation has it.
const defaultBump = 1_000_000_000

// restoreFlags are the flags of snapshot restore: etcdutl's.
type restoreFlags struct {
	options server.Options
	bump    int64
	mark    bool
	output  outputFlags
}

func snapshotRestoreCommand(w *world) *cobra.Command {
	f := new(restoreFlags)
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the data directory of a server of a new cluster out of a snapshot",
		Long: `Makes the data directory of one server of a new cluster, with all that is in a snapshot. Each server of the new
cluster is restored so, from the same file, with the same --initial-cluster and --initial-cluster-token, and
started with these flags after that: "quorate serve". The file is verified first. The directory must not
exist, or have nothing in it but an identity, which is kept ("quorate key" makes one). It is there whole
or not at all.

The new cluster has an id of its own, made of --initial-cluster and --initial-cluster-token; servers of the old
one are strangers to it. With the servers of the old cluster, choose another token. Clients may have seen later
revisions than that of the file; so revisions are raised by --bump-revision, and those before are compacted
(--mark-compacted): whoever watches from an old one is told to read again. Leases go on. Sessions, alarms
and tokens end.`,
		Example: `  # a cluster of one server
  quorate snapshot restore backup.snapshot --data-dir s1 --initial-cluster-token after-the-fire
  quorate serve --data-dir s1

  # one of three: the same on the others, with their own --name, --data-dir and URL
  quorate snapshot restore backup.snapshot --name s1 --data-dir s1 --initial-cluster-token after-the-fire \
    --initial-cluster s1=http://10.0.0.1:2380,s2=http://10.0.0.2:2380,s3=http://10.0.0.3:2380 \
    --initial-advertise-peer-urls http://10.0.0.1:2380`,
		Args: oneFile,
		RunE: func(_ *cobra.Command, words []string) error { return f.restore(w, words[0]) },
	}
	o, flags := &f.options, cmd.Flags()
	flags.StringVar(&o.Name, "name", "default", "name of this server in --initial-cluster")
	flags.StringVar(&o.DataDir, "data-dir", "", "the directory to be made (default NAME.quorate)")
	flags.StringVar(&o.InitialCluster, "initial-cluster", "",
		"all servers of the new cluster, as s1=http://10.0.0.1:2380,s2=http://10.0.0.2:2380 (default this one alone)")
	flags.StringVar(&o.InitialClusterToken, "initial-cluster-token", "etcd-cluster", "tells the new cluster from others of the same servers: choose a new one")
	flags.StringSliceVar(&o.InitialAdvertisePeerURLs, "initial-advertise-peer-urls", []string{"http://localhost:2380"}, "where other servers will find this one")
	flags.Int64Var(&f.bump, "bump-revision", defaultBump, "by how much the revision is raised")
	flags.BoolVar(&f.mark, "mark-compacted", true, "make what was before unreadable, so that whoever watches is told")
	f.output.add(cmd)
	_ = cmd.MarkFlagDirname("data-dir") // It exists.
	cmd.SetFlagErrorFunc(explainFlag(&foreignFlags{"etcdutl", []string{"skip-hash-check", "wal-dir", "initial-memory-map-size"}}))
	return cmd
}

func (f *restoreFlags) restore(w *world, file string) error {
	format, err := f.output.format(show.Table)
	if err != nil {
		return err
	}
	if f.bump < 0 {
		return usage("--bump-revision %d: revisions are raised only", f.bump)
	}
	host, err := f.options.Founding()
	if err != nil {
		return &failure{exitUsage, err}
	}
	longRun := newLongRun(w.err)
	restored, err := ops.Restore(ops.RestoreOptions{
		File: file, Host: host, BumpRevision: f.bump, MarkCompacted: f.mark, Progress: longRun.tell,
	})
	longRun.end()
	switch {
	case errors.Is(err, ops.ErrNotEmpty):
		return failed(err)
	case err != nil:
		return failed(fmt.Errorf("%w\nNothing was restored", err))
	}
	return failed(f.print(w, format, restored))
}

func (f *restoreFlags) print(w *world, format show.Format, r *ops.Restored) error {
	switch format {
	case show.JSON:
		return json.NewEncoder(w.out).Encode(r)
	case show.Simple:
		_, err := fmt.Fprintf(w.out, "%s, %s, %d, %d, %s\n", show.Printable(r.Directory), r.Cluster, r.Revision, r.Keys, r.Hash)
		return err
	}
	_, err := fmt.Fprintf(w.out, "%s\nThe hash must be the same on all servers of the new cluster. When all are restored, start each:\n\n  %s\n",
		show.Columns([][]string{
			{"directory", show.Printable(r.Directory)},
			{"cluster", fmt.Sprintf("%s, from %s", r.Cluster, r.FromCluster)},
			{"entry", fmt.Sprint(r.Index)},
			{"revision", fmt.Sprintf("%d, compacted at %d", r.Revision, r.CompactRevision)},
			{"keys", fmt.Sprint(r.Keys)},
			{"hash", r.Hash},
		}), f.serveLine(r))
	return err
}

// serveLine is how a restored server is started.
func (f *restoreFlags) serveLine(r *ops.Restored) string {
	o := &f.options
	words := []string{"quorate serve", "--name", show.Printable(o.Name), "--data-dir", show.Printable(r.Directory)}
	if o.InitialCluster != "" {
		words = append(words, "--initial-cluster", o.InitialCluster)
	}
	words = append(words, "--initial-cluster-token", show.Printable(o.InitialClusterToken),
		"--initial-advertise-peer-urls", strings.Join(o.InitialAdvertisePeerURLs, ","), "...")
	return strings.Join(words, " ")
}
