package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/transport"
)

func keyCommand(w *world) *cobra.Command {
	var name, dataDir string
	cmd := &cobra.Command{
		Use:     "key --data-dir DIR",
		GroupID: groupServers,
		Short:   "Print a server's public key, for --peer-key of the others",
		Long: `Prints the public key of the server of a data directory. A server that never ran gets its key now, and
keeps it. With --name, the line is as serve --peer-key takes it.`,
		Example: `  quorate key --data-dir s1
  quorate serve ... --peer-key "$(quorate key --name s2 --data-dir s2)"`,
		Args: noWords,
	}
	cmd.Flags().StringVar(&name, "name", "", "print NAME=KEY")
	cmd.Flags().StringVar(&dataDir, "data-dir", "default.quorate", "the server's data directory; it is made if it is not there")
	cmd.SetFlagErrorFunc(explainFlag(etcdFlags()))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if dataDir == "" {
			return usage("--data-dir is empty")
		}
		key, err := publicKey(vfs.OS{}, dataDir)
		if err != nil {
			return failed(err)
		}
		if name != "" {
			name += "="
		}
		_, err = fmt.Fprintf(w.out, "%s%s\n", name, key)
		return failed(err)
	}
	return cmd
}

// publicKey returns the key of the server of a data directory. It makes the identity under the lock
// that a server takes, so that the two cannot each make one.
func publicKey(files vfs.FS, dataDir string) (transport.PublicKey, error) {
	name := filepath.Join(dataDir, "identity")
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		if err := files.MkdirAll(dataDir); err != nil {
			return transport.PublicKey{}, err
		}
		if err := files.SyncDir(filepath.Dir(dataDir)); err != nil {
			return transport.PublicKey{}, err
		}
		lock, err := files.Lock(filepath.Join(dataDir, "lock"))
		if err != nil {
			return transport.PublicKey{}, fmt.Errorf("data directory %s: %w", dataDir, err)
		}
		defer lock.Close()
	}
	identity, _, err := transport.LoadOrCreateIdentity(files, name, nil)
	if err != nil {
		return transport.PublicKey{}, err
	}
	return identity.Public(), nil
}
