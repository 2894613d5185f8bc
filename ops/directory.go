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
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
)

// What is in a data directory.
const (
	serverFile   = "server.json"
	identityFile = "identity"
	bootFile     = "boot"
	lockFile     = "lock"
	logDir       = "wal"
	stateDir     = "state"
	stageDir     = "stage"  // in the state's: what is being brought from another server
	etcdDir      = "member" // etcd keeps everything in it
)

var (
	// ErrInUse: a server runs on the directory.
	ErrInUse = errors.New("a server runs on it")
	// ErrNoDirectory: there is no data directory of a server.
	ErrNoDirectory = errors.New("no data directory of a server of Quorate")
	// ErrSameCluster: what is restored would be the cluster that the snapshot is of.
	ErrSameCluster = errors.New("the new cluster would have the id of the old one")
	// ErrNotEmpty: there is something where a directory was to be made.
	ErrNotEmpty = errors.New("not empty")
)

// Options say how to look.
type Options struct {
	// Verify reads everything, and compares all that is stored twice.
	Verify bool
	// Progress is told how far something is, now and then; total is 0 if nobody knows. It may be nil.
	Progress func(what string, done, total int64)
}

// Directory is a data directory that is being looked at. While it is open, no server starts on it.
type Directory struct {
	path    string
	options Options
	lock    io.Closer // nil if there is none to be taken
	info    quorate.DirectoryInfo
	view    *wal.View // nil if the log cannot be read
	logged  wal.Inspected
	logErr  error
	notes   []string
}

// Open opens a data directory to be looked at, and reads its log. Nothing in it is changed.
func Open(path string, o Options) (*Directory, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	d := &Directory{path: path, options: o}
	if err := d.exists(); err != nil {
		return nil, err
	}
	if err := d.takeLock(); err != nil {
		return nil, err
	}
	d.info = quorate.InspectDirectory(path)
	d.openLog()
	return d, nil
}

// exists tells a data directory from anything else.
func (d *Directory) exists() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("look into %s: %w", d.path, err)
	}
	known := false
	for _, e := range entries {
		switch e.Name() {
		case serverFile, identityFile, bootFile, logDir, stateDir:
			known = true
		case etcdDir:
			return fmt.Errorf("%s: %w: it holds data of etcd, which is another format", d.path, ErrNoDirectory)
		}
	}
	if !known {
		return fmt.Errorf("%s: %w: it has neither %s nor %s nor %s: is it the directory that --data-dir names?",
			d.path, ErrNoDirectory, serverFile, logDir, stateDir)
	}
	return nil
}

// takeLock makes sure that no server runs. Where there is no lock to take, it says so.
func (d *Directory) takeLock() error {
	lock, err := (vfs.ReadOnly{}).Lock(filepath.Join(d.path, lockFile))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("%s: %w: stop it first, or look into a copy of the directory; quorate status and quorate doctor ask a server that runs",
			d.path, ErrInUse)
	case errors.Is(err, fs.ErrNotExist):
		d.notes = append(d.notes, "there is no lock file: this is a copy, or no server has ever run here")
	case err != nil:
		d.notes = append(d.notes, fmt.Sprintf("the lock cannot be taken (%v): if a server runs on the directory, what is shown may be half of something", err))
	default:
		d.lock = lock
	}
	return nil
}

// openLog reads the log.
func (d *Directory) openLog() {
	cluster, server := d.info.Cluster, uint64(d.info.Server)
	if d.info.ServerError != nil {
		cluster, server = d.ownersOfLog()
	}
	d.options.Progress("reading the log", 0, 0)
	d.view, d.logged, d.logErr = wal.Inspect(wal.Options{
		KeepHoles: true,
		FS:        vfs.ReadOnly{}, Dir: filepath.Join(d.path, logDir), Cluster: cluster, Server: server,
	})
}

// errFound ends a scan that has found what it was looking for.
var errFound = errors.New("found")

// ownersOfLog asks the first sound segment whose log it is, where server.json cannot tell.
func (d *Directory) ownersOfLog() (cluster, server uint64) {
	_ = wal.Scan(vfs.ReadOnly{}, filepath.Join(d.path, logDir), func(item wal.Item) error {
		if s := item.Segment; s != nil && s.Cluster != 0 {
			cluster, server = s.Cluster, s.Server
			return errFound
		}
		return nil
	})
	return cluster, server
}

// Close lets servers start again.
func (d *Directory) Close() error {
	var errs []error
	if d.view != nil {
		errs = append(errs, d.view.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// group returns the first and last entry that the log has of a group.
func (d *Directory) group(id quorate.GroupID) (first, last raft.Index, err error) {
	if d.view == nil {
		return 0, 0, fmt.Errorf("the log cannot be read: %w", d.logErr)
	}
	for _, g := range d.logged.Groups {
		if g.ID == id {
			return g.Base.Index + 1, g.Last, nil
		}
	}
	return 0, 0, fmt.Errorf("the log has no group %d", id)
}
