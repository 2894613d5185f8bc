package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/wal"
)

const (
	serverFile = "server.json" // the host's; there as soon as a server has lived in a directory
	stateDir   = "state"
	etcdDir    = "member" // etcd keeps everything in it
)

// used says what a data directory knows.
type used struct {
	// cluster: it knows the cluster by itself, and is not to be begun anew: a server has begun to keep its log there,
	// or has joined. A start that failed before that has left traces, but none that matter.
	cluster bool
	// joined: it did not belong to the cluster at first.
	joined bool
}

func (o *Options) used() (used, error) {
	b, err := os.ReadFile(filepath.Join(o.DataDir, serverFile))
	if errors.Is(err, fs.ErrNotExist) {
		return used{}, nil
	}
	if err != nil {
		return used{}, fmt.Errorf("--data-dir: %w", err)
	}
	var file struct {
		Server struct {
			Groups []uint64          `json:"groups"`
			Joined []json.RawMessage `json:"joined"`
		} `json:"server"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return used{cluster: true}, nil // it is damaged: the host will say how
	}
	joined := len(file.Server.Joined) > 0
	return used{cluster: joined || len(file.Server.Groups) > 0, joined: joined}, nil
}

// checkDirectory refuses directories in which this server must not begin.
func (s *Server) checkDirectory() error {
	o := &s.options
	if err := o.refuseEtcd(); err != nil {
		return err
	}
	used, err := o.used()
	if err == nil && !used.cluster && o.joins() {
		return cmp.Or(o.checkJoin(), errors.New("this server has not joined the cluster yet, which comes before its start"))
	}
	return err
}

func (o *Options) refuseEtcd() error {
	if _, err := os.Stat(filepath.Join(o.DataDir, etcdDir)); err == nil {
		return fmt.Errorf("--data-dir %s holds data of etcd, which is another format: give this server a directory of its own", o.DataDir)
	}
	return nil
}

// members are the servers of the cluster, or none if the directory knows.
func (s *Server) members() ([]quorate.Member, error) {
	o := &s.options
	used, err := o.used()
	if err != nil || used.joined || used.cluster && (o.InitialCluster == "" || o.InitialClusterState == stateExisting) {
		return nil, err
	}
	servers := []namedServer{{o.Name, o.InitialAdvertisePeerURLs}}
	if o.InitialCluster != "" {
		if servers, err = parseCluster(o.InitialCluster); err != nil {
			return nil, fmt.Errorf("--initial-cluster: %w", err)
		}
	}
	members := make([]quorate.Member, len(servers))
	for i, n := range servers {
		members[i] = quorate.Member{Name: n.name, PeerURLs: n.urls, Key: o.PeerKeys[n.name]}
	}
	if !used.cluster && len(members) > 1 {
		return members, checkTrust(members)
	}
	return members, nil
}

// checkTrust refuses a new cluster of which servers could never believe each other: a key that nobody
// has vouched for is believed on this machine only.
func checkTrust(members []quorate.Member) error {
	var distant []string
	for _, m := range members {
		for _, u := range m.PeerURLs {
			address, err := addressOf(u, "http", "https")
			if err != nil {
				return fmt.Errorf("--initial-cluster: %w", err)
			}
			if host, _ := splitPort(address); !isLoopback(host) && m.Key.IsZero() {
				distant = append(distant, m.Name)
				break
			}
		}
	}
	if len(distant) > 0 {
		return fmt.Errorf("the public keys of %s are needed: servers on other machines are believed only by keys that the operator gives",
			strings.Join(distant, ", "))
	}
	return nil
}

// explain says what an operator can do about a host that does not open.
func explain(err error, o *Options) error {
	var damage *wal.DamageError
	var hole *wal.HoleError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("--data-dir %s is in use by another process: stop it, or give this server a directory of its own: %w", o.DataDir, err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("--listen-peer-urls %s is in use by another process: stop it, or choose another port: %w",
			strings.Join(o.ListenPeerURLs, ","), err)
	case errors.Is(err, quorate.ErrNewerFormat), errors.Is(err, wal.ErrNewerFormat):
		return fmt.Errorf("--data-dir %s was written by a newer version: start that version again: %w", o.DataDir, err)
	case errors.Is(err, quorate.ErrOtherCluster), errors.Is(err, wal.ErrOtherCluster), errors.Is(err, wal.ErrOtherServer):
		return fmt.Errorf("--data-dir %s: %w", o.DataDir, err)
	case errors.Is(err, quorate.ErrCopied):
		return err // it says everything
	case errors.As(err, &damage), errors.As(err, &hole):
		return fmt.Errorf("--data-dir %s: the log is damaged: %w", o.DataDir, err)
	}
	return fmt.Errorf("--data-dir %s: %w", o.DataDir, err)
}

// explainState does the same for the state.
func explainState(err error, dir string) error {
	switch {
	case err == nil || errors.Is(err, quorate.ErrStateLost):
		return err
	case errors.Is(err, kv.ErrNewerFormat):
		return fmt.Errorf("%s was written by a newer version: start that version again: %w", dir, err)
	case errors.Is(err, kv.ErrOtherCluster):
		return fmt.Errorf("%s is the state of another cluster, beside the log of this one: restore the directory that belongs here: %w", dir, err)
	}
	return explainUnread(fmt.Errorf("the state in %s cannot be opened: %w", dir, err))
}

// listenAll listens on URLs that have been validated.
func listenAll(flag string, urls []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, u := range urls {
		address, err := addressOf(u, "http")
		if err != nil {
			return listeners, fmt.Errorf("%s: %w", flag, err)
		}
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return listeners, fmt.Errorf("%s %s is in use by another process: stop it, or choose another port: %w", flag, u, err)
		}
		if err != nil {
			return listeners, fmt.Errorf("%s %s: %w", flag, u, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// diskUsage tells how large a directory is. Looking costs a call for each file, so what was seen is
// good for a while.
type diskUsage struct {
	dir string

	mu    sync.Mutex // guards what follows
	seen  time.Time
	total int64
}

const diskUsageFor = 5 * time.Second

func newDiskUsage(dir string) *diskUsage { return &diskUsage{dir: dir} }

// bytes returns the size of all files in the directory. How much of it is in use an LSM tree does not
// know without reading it; what is not, compactions give back by themselves.
func (d *diskUsage) bytes() (total, inUse int64) {
	d.mu.Lock()
	total, fresh := d.total, time.Since(d.seen) < diskUsageFor
	d.mu.Unlock()
	if fresh {
		return total, total
	}
	total = directoryBytes(d.dir)
	d.mu.Lock()
	d.seen, d.total = time.Now(), total
	d.mu.Unlock()
	return total, total
}

// directoryBytes adds up files; those that vanish meanwhile count nothing.
func directoryBytes(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
