package ops

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// RestoreOptions say what a data directory is made of.
type RestoreOptions struct {
	// File is the snapshot.
	File string
	// Host are the options of the server that is to be: Dir, Members, Name and Token.
	Host quorate.Options
	// BumpRevision is by how much the revision is raised, so that no client takes a new revision for one that it
	// has seen. MarkCompacted makes those that were before unreadable, so that whoever watches is told.
	BumpRevision  int64
	MarkCompacted bool
	// Progress is as in Options.
	Progress func(what string, done, total int64)
}

// Restored says what has been made. Its JSON form is part of the interface of the command line.
type Restored struct {
	Directory string `json:"directory"`
	// Cluster is the new cluster's id, FromCluster that of the snapshot's.
	Cluster     string `json:"cluster"`
	FromCluster string `json:"from_cluster"`
	// Index is the last entry in the state, and the one after which the log begins.
	Index           uint64 `json:"index"`
	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compact_revision"`
	Keys            int64  `json:"keys"`
	// Hash is that of the state: the same on all servers that were restored from the same file alike.
	Hash string `json:"hash"`
}

const (
	// What is being made has the directory's name and the first of these; what was there before, with an identity
	// that is kept, has the second for a moment.
	restoringSuffix = ".restoring"
	beforeSuffix    = ".before"
)

// Restore makes the data directory of a server of a new cluster, with the state in a snapshot file. The file is
// verified first. The directory must not exist, or be empty but for an identity, which is kept. It is made beside
// its place and put there whole, so that a crash leaves either nothing or all.
func Restore(o RestoreOptions) (*Restored, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	dir := filepath.Clean(o.Host.Dir)
	if o.BumpRevision < 0 {
		return nil, fmt.Errorf("the revision can be raised only, not by %d", o.BumpRevision)
	}
	kept, err := vacant(dir)
	if err != nil {
		return nil, err
	}
	info, err := ReadSnapshotFile(o.File, o.Progress)
	if err != nil {
		return nil, err
	}
	building := dir + restoringSuffix
	if err := os.RemoveAll(building); err != nil { // of a restore that was interrupted
		return nil, err
	}
	if err := (vfs.OS{}).MkdirAll(building); err != nil {
		return nil, err
	}
	restored, err := o.build(building, kept, &info)
	if err == nil {
		err = putInPlace(building, dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("restore into %s: %w", dir, err), os.RemoveAll(building))
	}
	restored.Directory = dir
	return restored, nil
}

// vacant returns the bytes of the identity in a directory that has nothing else; nil if there is none, or no directory.
// If a restore was interrupted before the new directory had its name, the identity is in what was there before.
func vacant(dir string) (identity []byte, err error) {
	before, err := identityAlone(dir + beforeSuffix) // whoever put it there may have more in it, which is not ours to remove
	if err != nil {
		return nil, err
	}
	if identity, err = identityAlone(dir); identity == nil {
		identity = before
	}
	return identity, err
}

// identityAlone returns the bytes of the identity in a directory, and ErrNotEmpty if there is more in it.
func identityAlone(dir string) (identity []byte, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch e.Name() {
		case identityFile:
			if identity, err = os.ReadFile(filepath.Join(dir, identityFile)); err != nil {
				return nil, err
			}
		case lockFile:
		default:
			return nil, fmt.Errorf("%s is %w: it has %q; a restore needs a directory that does not exist, or has nothing in it but an identity: "+
				"move it away, or choose another --data-dir", dir, ErrNotEmpty, e.Name())
		}
	}
	return identity, nil
}

// build makes everything in a directory.
func (o *RestoreOptions) build(dir string, identity []byte, info *kv.SnapshotInfo) (*Restored, error) {
	if identity != nil {
		if err := writeSynced(filepath.Join(dir, identityFile), identity); err != nil {
			return nil, err
		}
	}
	host := o.Host
	host.Dir = dir
	cluster, err := quorate.CreateRestored(host, []quorate.RestoredGroup{{
		Group: clientGroup, Index: quorate.Index(info.Index), Time: info.Time, Source: info.Hash,
	}})
	if err != nil {
		return nil, err
	}
	if cluster == info.Cluster {
		return nil, fmt.Errorf("%w, %x: the two would take each other's servers for their own; choose another --initial-cluster-token",
			ErrSameCluster, cluster)
	}
	again, err := o.buildState(filepath.Join(dir, stateDir), cluster)
	if err == nil && again.Hash != info.Hash {
		err = fmt.Errorf("%s has changed while it was read", o.File)
	}
	if err != nil {
		return nil, err
	}
	return o.check(filepath.Join(dir, stateDir), cluster, info)
}

// buildState makes the state out of the file.
func (o *RestoreOptions) buildState(dir string, cluster uint64) (kv.SnapshotInfo, error) {
	file, total, err := openSnapshot(o.File)
	if err != nil {
		return kv.SnapshotInfo{}, err
	}
	defer file.Close()
	engine, err := pebblekv.Open(dir, pebblekv.Options{})
	if err != nil {
		return kv.SnapshotInfo{}, err
	}
	info, err := kv.RestoreSnapshot(&countingReader{r: file, what: "restoring", total: total, progress: o.Progress}, engine,
		kv.RestoreOptions{Cluster: cluster, RaiseRevision: o.BumpRevision, MarkCompacted: o.MarkCompacted})
	return info, errors.Join(err, engine.Close())
}

// check opens the state as a server will, and looks whether it is what it should be.
func (o *RestoreOptions) check(dir string, cluster uint64, info *kv.SnapshotInfo) (*Restored, error) {
	engine, err := pebblekv.OpenReadOnly(dir, pebblekv.Options{})
	if err != nil {
		return nil, err
	}
	s, err := kv.Open(engine, kv.Options{Cluster: cluster, CacheBytes: -1})
	if err != nil {
		return nil, err
	}
	o.Progress("checking what was restored", 0, 0)
	hash, err := s.HashState()
	if err == nil && (hash.Applied != info.Index || hash.Revision != info.Revision+o.BumpRevision) {
		err = fmt.Errorf("the state is at entry %d and revision %d, and should be at %d and %d",
			hash.Applied, hash.Revision, info.Index, info.Revision+o.BumpRevision)
	}
	restored := &Restored{
		Cluster: fmt.Sprintf("%x", cluster), FromCluster: fmt.Sprintf("%x", info.Cluster), Index: hash.Applied,
		Revision: hash.Revision, CompactRevision: s.CompactRevision(), Keys: info.Keys, Hash: fmt.Sprintf("%x", hash.Hash),
	}
	return restored, errors.Join(err, s.Close())
}

// putInPlace gives a directory its name. What has the name has nothing but an identity, which is in the new one too.
func putInPlace(building, dir string) error {
	files := vfs.OS{}
	before := dir + beforeSuffix
	if err := syncTree(building); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err == nil {
		if err := removeIdentityAlone(before); err != nil {
			return err
		}
		if err := os.Rename(dir, before); err != nil {
			return fmt.Errorf("%w: if it is where a disk is mounted, choose a directory below it", err)
		}
	}
	if err := os.Rename(building, dir); err != nil {
		return err
	}
	if err := files.SyncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return removeIdentityAlone(before)
}

// removeIdentityAlone removes a directory that has nothing but an identity, if it is there. Of anything else it removes
// nothing.
func removeIdentityAlone(dir string) error {
	if _, err := identityAlone(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// syncTree makes all names in a directory durable. The files are.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return vfs.OS{}.SyncDir(path)
	})
}

// writeSynced makes a new file, durably but for its name.
func writeSynced(name string, content []byte) error {
	f, err := vfs.OS{}.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(content, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// countingReader tells how far it is.
type countingReader struct {
	r           io.Reader
	what        string
	done, total int64
	progress    func(what string, done, total int64)
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.done += int64(n)
	c.progress(c.what, c.done, c.total)
	return n, err
}
