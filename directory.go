package quorate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// directory is a server's data directory.
//
//	server.json   which server of which cluster this is, and the keys of peers that it has believed
//	identity      its key pair
//	boot          its boot counter
//	starts        its last starts, by which it is told from a copy of itself
//	ballast       set aside for when the disk is full; see space.go
//	wal/          the log
//
// State machines may keep their own directories beside these.
type directory struct {
	files  vfs.FS
	path   string
	lock   io.Closer
	server serverFile
}

// sealedFile is the content of server.json: the server file and the CRC32C, in hexadecimal, of its
// bytes without white space.
type sealedFile struct {
	Checksum string          `json:"checksum"`
	Server   json.RawMessage `json:"server"`
}

// serverFile says which server this is. Fields are only ever added; a change of meaning raises Format.
type serverFile struct {
	Format  int    `json:"format"`
	Cluster uint64 `json:"cluster,string"`
	Server  uint64 `json:"server,string"`
	Name    string `json:"name"`
	Token   string `json:"token"`
	// Groups are those that this server has begun to keep. Their log is never begun again: if it is
	// gone, so is what this server has promised, and it must join anew.
	Groups []uint64 `json:"groups,omitempty"`
	// Keys are the first keys of peers, believed before the configuration in the log had them.
	Keys []knownKey `json:"keys,omitempty"`
	// Met are the last starts of peers that this server has had a link with: an older one, or a copy, is let in no more.
	Met []metStart `json:"met,omitempty"`
	// Copied is what a peer has said that shows this directory to be a copy, or an older state, of one that has been used
	// since. It is never used again.
	Copied string `json:"copied,omitempty"`
	// Joined is what a server that has joined the cluster later was told of each group.
	Joined []joinedGroup `json:"joined,omitempty"`
}

// joinedGroup is what a server that joins must know of a group.
type joinedGroup struct {
	Group uint64 `json:"group"`
	// Initial is the configuration with which the group's log begins.
	Initial []byte `json:"initial"`
	// Configuration was in force when the server joined, and is at Index of the log. Until its own log is as
	// far, the server knows the others by this, and by nothing older: those of long ago may be gone.
	Configuration []byte `json:"configuration"`
	Index         uint64 `json:"index,string"`
}

type knownKey struct {
	Server uint64              `json:"server,string"`
	Key    transport.PublicKey `json:"key"`
}

// metStart is a start of the server that has a key.
type metStart struct {
	Key     transport.PublicKey `json:"key"`
	Boot    uint64              `json:"boot,string"`
	Process []byte              `json:"process"`
}

// maxMet bounds the starts that are remembered: those of servers that left long ago go first.
const maxMet = transport.MaxPeers

const serverFormat = 1

// openDirectory opens or makes the data directory, and takes its lock.
func openDirectory(files vfs.FS, path string) (*directory, error) {
	if err := files.MkdirAll(path); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if err := files.SyncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := files.Lock(filepath.Join(path, "lock"))
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	d := &directory{files: files, path: path, lock: lock}
	if err := d.readServerFile(); err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

func (d *directory) name(base string) string { return filepath.Join(d.path, base) }

// isNew reports whether no server has lived here yet.
func (d *directory) isNew() bool { return d.server.Format == 0 }

func (d *directory) readServerFile() error {
	name := d.name("server.json")
	f, err := d.files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size > 1<<20 {
		err = errors.New("it is too long")
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err == nil {
		err = d.server.unseal(b)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w; restore it, or join this server to its cluster anew", name, err)
	}
	if d.server.Format > serverFormat {
		return fmt.Errorf("%s has format %d, this version knows up to %d: %w", name, d.server.Format, serverFormat, ErrNewerFormat)
	}
	return nil
}

// seal returns the bytes of server.json.
func (s *serverFile) seal() ([]byte, error) {
	inner, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(sealedFile{checksumOf(inner), inner}, "", "  ")
	return append(b, '\n'), err
}

// unseal reads the bytes of server.json. A damaged one is believed in nothing.
func (s *serverFile) unseal(b []byte) error {
	var sealed sealedFile
	if err := json.Unmarshal(b, &sealed); err != nil {
		return err
	}
	var inner bytes.Buffer
	if err := json.Compact(&inner, sealed.Server); err != nil {
		return err
	}
	if sealed.Checksum != checksumOf(inner.Bytes()) {
		return errors.New("it is damaged: its checksum is wrong")
	}
	var read serverFile
	if err := json.Unmarshal(sealed.Server, &read); err != nil {
		return err
	}
	if read.Format < 1 || read.Cluster == 0 || read.Server == 0 {
		return errors.New("it does not say which server of which cluster this is")
	}
	*s = read
	return nil
}

func checksumOf(b []byte) string { return fmt.Sprintf("%08x", wire.Checksum(b)) }

// errServerFile: what server.json says on the disk is not known any more, unless the disk is only full.
var errServerFile = errors.New("write what this server knows of its cluster")

// writeServerFile replaces server.json in one step, durably.
func (d *directory) writeServerFile(s serverFile) error {
	b, err := s.seal()
	if err != nil {
		return err
	}
	if err := replaceFile(d.files, d.name("server.json"), b); err != nil {
		return fmt.Errorf("%w: %w", errServerFile, err)
	}
	d.server = s
	return nil
}

// replaceFile writes a file aside, syncs it, and renames it into place.
func replaceFile(files vfs.FS, name string, content []byte) error {
	aside := name + ".new"
	if err := files.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove left-over %s: %w", aside, err)
	}
	f, err := files.Create(aside)
	if err != nil {
		return fmt.Errorf("create %s: %w", aside, err)
	}
	if _, err = f.WriteAt(content, 0); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", aside, err)
	}
	if err := files.Rename(aside, name); err != nil {
		return fmt.Errorf("rename %s: %w", aside, err)
	}
	if err := files.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", name, err)
	}
	return nil
}

// believe makes the first key of a peer durable.
func (d *directory) believe(id raft.ServerID, key transport.PublicKey) error {
	for _, k := range d.server.Keys {
		if k.Server == uint64(id) {
			if k.Key != key {
				return fmt.Errorf("server %x showed key %s before", id, k.Key.Fingerprint())
			}
			return nil
		}
	}
	s := d.server
	s.Keys = append(slices.Clone(s.Keys), knownKey{uint64(id), key})
	return d.writeServerFile(s)
}

// keeps reports whether this server has begun to keep a group.
func (d *directory) keeps(group GroupID) bool { return slices.Contains(d.server.Groups, uint64(group)) }

// beginToKeep notes that from now on the group's log must be there.
func (d *directory) beginToKeep(group GroupID) error {
	if d.keeps(group) {
		return nil
	}
	s := d.server
	s.Groups = append(slices.Clone(s.Groups), uint64(group))
	return d.writeServerFile(s)
}

func (d *directory) close() error { return d.lock.Close() }
