package quorate

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// RestoredGroup says where the log of a group begins whose state was restored from elsewhere.
type RestoredGroup struct {
	Group GroupID
	// Index is that of the last entry in the restored state, not 0, and Time the log time there, in
	// nanoseconds: neither goes back.
	Index Index
	Time  uint64
	// Source tells the state from others: the hash of the file that it is from.
	Source [sha256.Size]byte
}

// restoredTerm is the term of the entry that a restored log begins after, and of the one in it.
const restoredTerm = raft.Term(1)

// CreateRestored makes the data directory of a server of a new cluster whose groups have a state already: Open
// finds a server that has begun to keep them. Of the options only Dir, Members, Name, Token and SegmentBytes are
// of account. Dir must not exist, or be new; an identity that is there is kept. All servers of the cluster must
// be made from the same members, token and groups: their logs are the same then. The state machine's own
// directory is the caller's to make; its DurableIndex must be Index.
//
// The log begins after the entry at Index, of term 1, and has one entry: a no-op, which carries the log time. The
// directory is complete when CreateRestored returns, and must not be used if it does not.
func CreateRestored(o Options, groups []RestoredGroup) (cluster uint64, err error) {
	return createRestoredOn(vfs.OS{}, o, groups)
}

// createRestoredOn makes the directory on any file system.
func createRestoredOn(files vfs.FS, o Options, groups []RestoredGroup) (cluster uint64, err error) {
	if err := o.Validate(); err != nil {
		return 0, fmt.Errorf("options: %w", err)
	}
	o = o.withDefaults()
	self, err := o.self()
	if err != nil {
		return 0, err
	}
	initial, cluster := initialConfiguration(&o)
	server := serverFile{Format: serverFormat, Cluster: cluster, Name: self.Name, Token: o.Token}
	for i := range initial.Members {
		if initial.Members[i].Name == self.Name {
			server.Server = uint64(initial.Members[i].ID)
		}
	}
	d, err := openDirectory(files, o.Dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if !d.isNew() {
		return 0, fmt.Errorf("data directory %s is of server %x of cluster %x already", d.path, d.server.Server, d.server.Cluster)
	}
	if _, _, err := transport.LoadOrCreateIdentity(d.files, d.name("identity"), nil); err != nil {
		return 0, err
	}
	boot, err := transport.NextBoot(d.files, d.name("boot"))
	if err != nil {
		return 0, err
	}
	var writes []wal.Write
	for _, g := range groups {
		if g.Group == 0 || g.Index == 0 {
			return 0, fmt.Errorf("group %d is restored at entry %d: neither can be 0", g.Group, g.Index)
		}
		writes = append(writes, g.beginning(cluster, initial))
		server.Groups = append(server.Groups, uint64(g.Group))
	}
	if err := writeRestoredLog(d, &o, &server, boot, writes); err != nil {
		return 0, err
	}
	return cluster, d.writeServerFile(server) // the last: it makes the directory one that is in use
}

// beginning is what the log of a restored group begins with. Everything in it follows from what all servers are
// given alike.
func (g *RestoredGroup) beginning(cluster uint64, initial *wire.Configuration) wal.Write {
	base := wal.Base{
		EntryID:       raft.EntryID{Index: g.Index, Term: restoredTerm},
		Hash:          g.baseHash(cluster),
		Configuration: wire.AppendConfiguration(nil, initial),
	}
	r := wire.Record{
		Kind: wire.RecordNoOp, Group: g.Group, Index: g.Index + 1, Term: restoredTerm,
		Payload: binary.LittleEndian.AppendUint64(nil, g.Time),
	}
	r.Hash = wire.EntryHash(base.Hash, &r)
	return wal.Write{
		Group: g.Group, Base: &base, HardState: &raft.HardState{CurrentTerm: restoredTerm, Commit: g.Index},
		First: r.Index, Records: [][]byte{wire.AppendRecord(nil, &r)},
	}
}

// baseHash stands for all that came before a restored log: the first 128 bits of the SHA-256 of "quorate restored"
// and, little-endian, the cluster, the group, the index, and then the hash of the source.
func (g *RestoredGroup) baseHash(cluster uint64) wire.Hash {
	b := []byte("quorate restored")
	b = binary.LittleEndian.AppendUint64(b, cluster)
	b = binary.LittleEndian.AppendUint64(b, uint64(g.Group))
	b = binary.LittleEndian.AppendUint64(b, uint64(g.Index))
	sum := sha256.Sum256(append(b, g.Source[:]...))
	return wire.Hash(sum[:16])
}

func writeRestoredLog(d *directory, o *Options, server *serverFile, boot uint64, writes []wal.Write) error {
	log, _, err := wal.Open(wal.Options{
		FS: d.files, Dir: d.name("wal"), SegmentBytes: o.SegmentBytes, Cluster: server.Cluster, Server: server.Server, Boot: boot,
	})
	if err != nil {
		return err
	}
	if len(writes) > 0 {
		err = log.Append(writes)
	}
	if err == nil {
		err = log.Seal() // which syncs
	}
	return errors.Join(err, log.Close())
}
