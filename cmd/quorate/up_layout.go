package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quorate/quorate/cmd/quorate/internal/supervise"
	"github.com/quorate/quorate/internal/vfs"
)

// layout is what quorate up remembers in its directory: servers know each other by addresses and keys
// that were settled at the first start.
//
//	DIR/up.json         this
//	DIR/up.lock         held while quorate up runs
//	DIR/s1/data/        a server's data directory
//	DIR/s1/server.log   what it prints; server.log.1 is before that
type layout struct {
	Format  int            `json:"format"`
	Token   string         `json:"token"`
	Servers []serverLayout `json:"servers"`

	dir   string
	isNew bool
}

// serverLayout is one server of a layout. Everything is on this machine.
type serverLayout struct {
	Name       string `json:"name"`
	ClientPort int    `json:"clientPort"`
	PeerPort   int    `json:"peerPort"`
}

const (
	layoutFormat = 1
	layoutFile   = "up.json"
	loopback     = "127.0.0.1"
	maxPort      = 1<<16 - 1
)

func localAddress(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

func localURL(port int) string { return "http://" + localAddress(port) }

// portsFrom returns three servers, with ports in a row from base on; base 0 means those of etcd's Procfile.
func portsFrom(base int) []serverLayout {
	servers := make([]serverLayout, 3)
	for i := range servers {
		port := base + 2*i
		if base == 0 {
			port = 2379 + i*10000
			if i > 0 {
				port += 10000
			}
		}
		servers[i] = serverLayout{Name: "s" + strconv.Itoa(i+1), ClientPort: port, PeerPort: port + 1}
	}
	return servers
}

// openLayout takes the lock of a directory, which is made if it is not there, and reads or makes its layout.
func openLayout(dir string, base int) (l *layout, lock io.Closer, err error) {
	if base < 0 || base > maxPort-5 {
		return nil, nil, usage("--base-port %d: want a port with five more above it", base)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, failed(err)
	}
	lock, err = vfs.OS{}.Lock(filepath.Join(dir, "up.lock"))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, nil, failed(fmt.Errorf("another quorate up runs in %s: stop it first, or choose another directory with --dir", dir))
	}
	if err != nil {
		return nil, nil, failed(err)
	}
	l, err = readLayout(dir, base)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return l, lock, nil
}

func readLayout(dir string, base int) (*layout, error) {
	name := filepath.Join(dir, layoutFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return newLayout(dir, base)
	}
	if err != nil {
		return nil, failed(err)
	}
	l := &layout{dir: dir}
	if err := json.Unmarshal(b, l); err != nil {
		return nil, failed(fmt.Errorf("read %s: %w", name, err))
	}
	if l.Format > layoutFormat {
		return nil, failed(fmt.Errorf("%s is of a later version (format %d; this program knows %d)", name, l.Format, layoutFormat))
	}
	if l.Format < 1 || len(l.Servers) == 0 {
		return nil, failed(fmt.Errorf("%s does not say which servers there are: it is damaged", name))
	}
	if base != 0 && base != l.Servers[0].ClientPort {
		return nil, usage("--base-port %d: the servers in %s know each other by ports from %d on. Leave the flag out, or choose another --dir",
			base, dir, l.Servers[0].ClientPort)
	}
	return l, nil
}

// newLayout makes a layout and writes it, whole or not at all. Nothing depends on it being durable
// before the servers have made their own directories so.
func newLayout(dir string, base int) (*layout, error) {
	l := &layout{Format: layoutFormat, Token: "up-" + rand.Text(), Servers: portsFrom(base), dir: dir, isNew: true}
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return nil, failed(err)
	}
	name := filepath.Join(dir, layoutFile)
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o600); err != nil {
		return nil, failed(err)
	}
	return l, failed(os.Rename(name+".new", name))
}

// endpoints are where clients find the servers.
func (l *layout) endpoints() []string {
	var list []string
	for _, s := range l.Servers {
		list = append(list, localAddress(s.ClientPort))
	}
	return list
}

// checkPorts makes sure that the ports are free, by taking each for a moment. A server would find it
// out by itself, but its message would be in a log.
func (l *layout) checkPorts() error {
	for _, s := range l.Servers {
		for _, port := range []int{s.ClientPort, s.PeerPort} {
			listener, err := net.Listen("tcp", localAddress(port))
			if err != nil {
				return failed(fmt.Errorf("port %d of server %s cannot be used: %w\n%s", port, s.Name, plainDialError(err), l.portAdvice()))
			}
			if err := listener.Close(); err != nil {
				return failed(err)
			}
		}
	}
	return nil
}

func (l *layout) portAdvice() string {
	if l.isNew {
		return "Choose six other ports in a row with --base-port, for example: quorate up --base-port 4001"
	}
	return fmt.Sprintf("The servers in %s know each other by their ports. Stop what uses this one, or begin anew: quorate up --dir other --base-port 4001", l.dir)
}

// remove takes back a layout that was made just now and will not be used.
func (l *layout) remove() {
	if l.isNew {
		_ = os.Remove(filepath.Join(l.dir, layoutFile)) // If it stays, it is used the next time.
	}
}

// children are the servers as processes of a program. more are arguments for all of them.
func (l *layout) children(program string, environ, more []string) ([]supervise.Child, error) {
	keys := make([]string, len(l.Servers)) // as --peer-key takes them
	cluster := make([]string, len(l.Servers))
	for i, s := range l.Servers {
		key, err := publicKey(vfs.OS{}, l.dataDir(s))
		if err != nil {
			return nil, failed(err)
		}
		keys[i] = s.Name + "=" + key.String()
		cluster[i] = s.Name + "=" + localURL(s.PeerPort)
	}
	var children []supervise.Child
	for i, s := range l.Servers {
		arguments := []string{"serve", "--stop-with-stdin",
			"--name=" + s.Name, "--data-dir=" + l.dataDir(s),
			"--listen-client-urls=" + localURL(s.ClientPort), "--advertise-client-urls=" + localURL(s.ClientPort),
			"--listen-peer-urls=" + localURL(s.PeerPort), "--initial-advertise-peer-urls=" + localURL(s.PeerPort),
			"--initial-cluster=" + strings.Join(cluster, ","), "--initial-cluster-token=" + l.Token}
		for j, key := range keys {
			if j != i {
				arguments = append(arguments, "--peer-key="+key)
			}
		}
		children = append(children, supervise.Child{Name: s.Name, Program: program, Arguments: append(arguments, more...),
			Environment: withoutFlags(environ), Log: l.logFile(s)})
	}
	return children, nil
}

func (l *layout) dataDir(s serverLayout) string { return filepath.Join(l.dir, s.Name, "data") }
func (l *layout) logFile(s serverLayout) string { return filepath.Join(l.dir, s.Name, "server.log") }

// withoutFlags leaves out the variables which serve takes for flags: they would be the same for all
// servers, and meant for another one.
func withoutFlags(environ []string) []string {
	kept := []string{} // not nil, which would mean the environment of this process
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "QUORATE_") && !strings.HasPrefix(entry, "ETCD_") {
			kept = append(kept, entry)
		}
	}
	return kept
}
