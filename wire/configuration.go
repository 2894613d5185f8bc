package wire

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
)

// Configuration is the payload of a configuration entry: who the servers are, who votes, which keys
// they have and where they are found.
type Configuration struct {
	// Members are sorted by id.
	Members []Member
	// Later is what a later version has put at the end; kept as it is.
	Later []byte
}

// Member is one server's entry in the configuration.
type Member struct {
	ID    raft.ServerID
	Roles Roles
	// Key is the server's Ed25519 public key, 32 bytes; empty while the member is unclaimed.
	Key []byte
	// Name is the operator's name for the server; may be empty.
	Name string
	// PeerURLs are where other servers reach it, ClientURLs where clients do.
	PeerURLs, ClientURLs []string
	// Traits are what is good to know of it. Bits that this version does not know are kept.
	Traits Traits
	// Later is what a later version has put at the end of the entry; kept as it is.
	Later []byte
}

// PeerAddress is the host and port of one of a member's PeerURLs. Links are the same whatever the scheme says, so two
// URLs with one address mean the same place.
func PeerAddress(u string) string {
	if _, address, found := strings.Cut(u, "://"); found {
		u = address
	}
	return strings.ToLower(strings.TrimRight(u, "/"))
}

// Roles says what a member counts for.
type Roles uint8

const (
	// RoleVoter: in C_new while the configuration is joint.
	RoleVoter Roles = 1 << iota
	// RoleOldVoter: in C_old while the configuration is joint.
	RoleOldVoter
	// RoleLearner: receives the log and counts for nothing.
	RoleLearner
	// RoleJoining: a learner that gets a vote as soon as it has caught up.
	RoleJoining

	knownRoles = RoleVoter | RoleOldVoter | RoleLearner | RoleJoining
)

// Traits say of a member what counts in no majority, so that a server which does not know them may leave them
// unread.
type Traits uint8

const (
	// TraitPreferred: it is to lead rather than those who are not preferred, as long as it is well.
	TraitPreferred Traits = 1 << iota

	// KnownTraits are all that this version knows.
	KnownTraits = TraitPreferred
)

const (
	// ConfigurationVersion is the layout drawn in doc.go.
	ConfigurationVersion = 1
	// MaxMembers bounds a configuration.
	MaxMembers = 256
	// MaxMemberBytes bounds one member's entry.
	MaxMemberBytes = 16 << 10
	// MaxLaterBytes bounds what a later version may put at a configuration's end.
	MaxLaterBytes = 64 << 10
	keyBytes      = 32
)

// ErrConfiguration: the bytes are no configuration.
var ErrConfiguration = errors.New("configuration is malformed")

// Raft returns what the core has to know of it.
func (c *Configuration) Raft() *raft.Configuration {
	r := &raft.Configuration{}
	for i := range c.Members {
		m := &c.Members[i]
		if m.Roles&RoleVoter != 0 {
			r.Voters = append(r.Voters, m.ID)
		}
		if m.Roles&RoleOldVoter != 0 {
			r.OldVoters = append(r.OldVoters, m.ID)
		}
		if m.Roles&RoleLearner != 0 {
			r.Learners = append(r.Learners, m.ID)
		}
	}
	r.Data = AppendConfiguration(nil, c)
	return r
}

// Member returns the entry of id; nil if there is none.
func (c *Configuration) Member(id raft.ServerID) *Member {
	i, ok := slices.BinarySearchFunc(c.Members, id, func(m Member, id raft.ServerID) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return nil
	}
	return &c.Members[i]
}

// Clone returns an independent copy.
func (c *Configuration) Clone() *Configuration {
	d := &Configuration{Members: slices.Clone(c.Members), Later: slices.Clone(c.Later)}
	for i := range d.Members {
		m := &d.Members[i]
		m.Key, m.Later = slices.Clone(m.Key), slices.Clone(m.Later)
		m.PeerURLs, m.ClientURLs = slices.Clone(m.PeerURLs), slices.Clone(m.ClientURLs)
	}
	return d
}

// AppendConfiguration appends the encoding of c to b. Equal configurations have equal encodings.
func AppendConfiguration(b []byte, c *Configuration) []byte {
	b = append(b, ConfigurationVersion)
	b = binary.AppendUvarint(b, uint64(len(c.Members)))
	for i := range c.Members {
		b = appendMember(b, &c.Members[i])
	}
	return append(b, c.Later...)
}

// appendMember appends a member's entry with its length in front, so that a later version may add
// fields at its end.
func appendMember(b []byte, m *Member) []byte {
	var e []byte
	e = binary.LittleEndian.AppendUint64(e, uint64(m.ID))
	e = append(e, byte(m.Roles))
	e = appendBytes(e, m.Key)
	e = appendBytes(e, []byte(m.Name))
	for _, urls := range [][]string{m.PeerURLs, m.ClientURLs} {
		e = binary.AppendUvarint(e, uint64(len(urls)))
		for _, u := range urls {
			e = appendBytes(e, []byte(u))
		}
	}
	if m.Traits != 0 || len(m.Later) > 0 {
		e = append(e, byte(m.Traits))
	}
	return appendBytes(b, append(e, m.Later...))
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// DecodeConfiguration decodes a configuration that fills b. What it returns does not alias b.
func DecodeConfiguration(b []byte) (*Configuration, error) {
	if len(b) < 1 {
		return nil, ErrConfiguration
	}
	if b[0] != ConfigurationVersion {
		return nil, fmt.Errorf("configuration layout %d: %w", b[0], ErrTooNew)
	}
	count, n := uvarint(b[1:])
	if n <= 0 || count == 0 || count > MaxMembers {
		return nil, ErrConfiguration
	}
	b = b[1+n:]
	c := &Configuration{}
	for range count {
		m, rest, err := decodeMember(b)
		if err != nil {
			return nil, err
		}
		if len(c.Members) > 0 && m.ID <= c.Members[len(c.Members)-1].ID {
			return nil, fmt.Errorf("%w: members are not sorted", ErrConfiguration)
		}
		c.Members, b = append(c.Members, m), rest
	}
	if len(b) > MaxLaterBytes {
		return nil, ErrConfiguration
	}
	c.Later = copyOf(b)
	return c, c.checkRoles()
}

// checkRoles refuses what no majority can be counted in.
func (c *Configuration) checkRoles() error {
	voters := 0
	for i := range c.Members {
		switch r := c.Members[i].Roles; {
		case r == 0:
			return fmt.Errorf("%w: member %x has no role", ErrConfiguration, c.Members[i].ID)
		case r&RoleVoter != 0 && r&RoleLearner != 0:
			return fmt.Errorf("%w: member %x is a voter and a learner", ErrConfiguration, c.Members[i].ID)
		case r&RoleJoining != 0 && r&RoleLearner == 0:
			return fmt.Errorf("%w: member %x joins, and is no learner", ErrConfiguration, c.Members[i].ID)
		case r&RoleVoter != 0:
			voters++
		}
	}
	if voters == 0 {
		return fmt.Errorf("%w: nobody votes", ErrConfiguration)
	}
	return nil
}

func decodeMember(b []byte) (Member, []byte, error) {
	d := decoder{b: b}
	entry := decoder{b: d.bytes(MaxMemberBytes)}
	var m Member
	if len(entry.b) < 9 {
		return Member{}, nil, ErrConfiguration
	}
	m.ID = raft.ServerID(binary.LittleEndian.Uint64(entry.b))
	m.Roles = Roles(entry.b[8])
	entry.b = entry.b[9:]
	m.Key = copyOf(entry.bytes(keyBytes))
	m.Name = string(entry.bytes(MaxMemberBytes))
	m.PeerURLs = entry.strings()
	m.ClientURLs = entry.strings()
	if len(entry.b) > 0 {
		m.Traits, m.Later = Traits(entry.b[0]), copyOf(entry.b[1:])
		entry.bad = entry.bad || m.Traits == 0 && len(m.Later) == 0 // none of them are not written
	}
	if d.bad || entry.bad || m.ID == 0 || (len(m.Key) != 0 && len(m.Key) != keyBytes) {
		return Member{}, nil, ErrConfiguration
	}
	if m.Roles&^knownRoles != 0 {
		// To ignore a role would be to count majorities otherwise than the servers that know it.
		return Member{}, nil, fmt.Errorf("roles %#x of member %d: %w", uint8(m.Roles), m.ID, ErrTooNew)
	}
	return m, d.b, nil
}

// copyOf returns a copy of v; nil if v is empty, so that nothing keeps the bytes around it alive.
func copyOf(v []byte) []byte { return append([]byte(nil), v...) }

// decoder takes fields off the front of b; bad once one did not fit.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(limit uint64) []byte {
	n := d.uvarint()
	if n > limit || n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) strings() []string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n) // at once: it grows by many steps otherwise, and each leaves garbage
	for range n {
		v := d.bytes(MaxMemberBytes)
		if d.bad {
			return nil
		}
		list = append(list, string(v))
	}
	return list
}
