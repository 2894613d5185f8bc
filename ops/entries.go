package ops

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// Entry is an entry of a group's log. Its JSON form is part of the interface of the command line.
type Entry struct {
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Kind is what the entry is: command, no-op, configuration; Command is the kind of command.
	Kind    string `json:"kind"`
	Command string `json:"command,omitempty"`
	// LogTime is the group's, in nanoseconds; 0 for configurations.
	LogTime uint64 `json:"log_time,omitempty"`
	// Bytes is the size of what the entry carries.
	Bytes int    `json:"bytes"`
	Hash  string `json:"hash"`
	// Text says what it asks for.
	Text string `json:"text,omitempty"`
	// Session is that of the client, and the number of the request in it.
	Session string `json:"session,omitempty"`
	// Wrong says why the entry cannot be read, or is empty.
	Wrong string `json:"wrong,omitempty"`
}

// readAtOnce bounds how much of the log is read at once.
const readAtOnce = 1 << 20

// Entries calls visit with the entries of a group from first to last; of those the log does not have, it
// is not called. Values are shown only if they are asked for. It ends at the first error of visit. A
// *wal.DamageError says that what was sound a moment ago is no more.
func (d *Directory) Entries(id quorate.GroupID, first, last uint64, values bool, visit func(*Entry) error) error {
	from, to, err := d.group(id)
	if err != nil {
		return err
	}
	from, to = max(from, raft.Index(first)), min(to, raft.Index(last))
	for next := from; next <= to; {
		records, err := d.view.Read(id, next, to, readAtOnce)
		var hole *wal.HoleError
		if errors.As(err, &hole) {
			next++ // it is among the problems
			continue
		}
		if err != nil {
			return err
		}
		for _, b := range records {
			if err := visit(describe(wire.Raw(b), values)); err != nil {
				return err
			}
		}
		next += raft.Index(len(records))
	}
	return nil
}

// describe decodes an entry.
func describe(r wire.Raw, values bool) *Entry {
	hash := r.Hash()
	e := &Entry{Index: uint64(r.Index()), Term: uint64(r.Term()), Bytes: len(r.Payload()), Hash: hex.EncodeToString(hash[:])}
	switch r.Kind() {
	case wire.RecordConfiguration:
		e.Kind = "configuration"
		c, err := wire.DecodeConfiguration(r.Payload())
		if err != nil {
			e.Wrong = err.Error()
			return e
		}
		for i, m := range membersOf(c) {
			if i > 0 {
				e.Text += ", "
			}
			e.Text += fmt.Sprintf("%s %s %v", m.ID, m.Name, m.Roles)
		}
		return e
	case wire.RecordNoOp:
		e.Kind = "no-op"
	case wire.RecordCommand:
		e.Kind = "command"
	default:
		e.Kind, e.Wrong = fmt.Sprintf("kind %d", r.Kind()), "this version does not know such entries"
		return e
	}
	if e.Kind == "no-op" {
		e.LogTime, _ = replica.EntryTime(r)
		return e
	}
	c, err := wire.DecodeCommand(r.Payload())
	if err != nil {
		e.Wrong = err.Error()
		return e
	}
	e.LogTime, e.Command, e.Text = c.Time, kv.Kind(c.Kind).String(), kv.Describe(kv.Kind(c.Kind), c.Request, values)
	if c.Session.ID != 0 {
		e.Session = fmt.Sprintf("%d/%d", c.Session.ID, c.Session.Sequence)
	}
	return e
}

// membersOf lists the members of a configuration.
func membersOf(c *wire.Configuration) []MemberPart {
	var members []MemberPart
	for i := range c.Members {
		m := &c.Members[i]
		members = append(members, MemberPart{
			ID: fmt.Sprintf("%x", m.ID), Name: m.Name, Roles: rolesOf(m.Roles), Key: hex.EncodeToString(m.Key),
			PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs,
		})
	}
	return members
}

func rolesOf(r wire.Roles) []string {
	var roles []string
	for _, role := range [...]struct {
		bit  wire.Roles
		name string
	}{{wire.RoleVoter, "voter"}, {wire.RoleOldVoter, "old voter"}, {wire.RoleLearner, "learner"}, {wire.RoleJoining, "joining"}} {
		if r&role.bit != 0 {
			roles = append(roles, role.name)
		}
	}
	return roles
}
