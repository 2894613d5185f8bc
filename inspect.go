package quorate

import (
	"errors"
	"io/fs"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/transport"
)

// DirectoryInfo is what a data directory says of whose it is. What cannot be read is zero, and its error
// says why.
type DirectoryInfo struct {
	// Format is that of server.json; 0 if no server has lived here, or ServerError.
	Format         int
	Cluster        uint64
	Server         ServerID
	Name, Token    string
	Groups, Joined []GroupID // those it keeps, and those it has joined later
	PeerKeys       map[ServerID]transport.PublicKey
	ServerError    error

	Key           transport.PublicKey
	IdentityError error

	// Boot is the number of the last start. BootDamage says what is wrong with one of its copies, if the
	// other makes up for it.
	Boot                  uint64
	BootDamage, BootError error
}

// InspectDirectory reads a data directory's small files, and changes nothing. It takes no lock.
func InspectDirectory(path string) DirectoryInfo {
	files := vfs.ReadOnly{}
	d := &directory{files: files, path: path}
	var info DirectoryInfo
	if info.ServerError = d.readServerFile(); info.ServerError == nil && d.isNew() {
		info.ServerError = &fs.PathError{Op: "open", Path: d.name("server.json"), Err: fs.ErrNotExist}
	}
	if s := &d.server; info.ServerError == nil {
		info.Format, info.Cluster, info.Server = s.Format, s.Cluster, ServerID(s.Server)
		info.Name, info.Token, info.PeerKeys = s.Name, s.Token, map[ServerID]transport.PublicKey{}
		for _, g := range s.Groups {
			info.Groups = append(info.Groups, GroupID(g))
		}
		for _, j := range s.Joined {
			info.Joined = append(info.Joined, GroupID(j.Group))
		}
		for _, k := range s.Keys {
			info.PeerKeys[ServerID(k.Server)] = k.Key
		}
	}
	identity, _, err := transport.LoadOrCreateIdentity(files, d.name("identity"), nil)
	switch {
	case err == nil:
		info.Key = identity.Public()
	case errors.Is(err, vfs.ErrReadOnly): // it would have made one
		info.IdentityError = &fs.PathError{Op: "open", Path: d.name("identity"), Err: fs.ErrNotExist}
	default:
		info.IdentityError = err
	}
	info.Boot, info.BootDamage, info.BootError = transport.ReadBoot(files, d.name("boot"))
	return info
}
