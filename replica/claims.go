package replica

import (
	"bytes"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// claims brings the configuration in the log in line with what servers say of themselves: their keys,
// proved to this server by their links, their names and client addresses.
type claims struct {
	keys    []KeyKnown
	members []wire.Member // as claimed, sorted as they came
	dirty   bool          // something changed since the last comparison
	now     int
}

// maxNameBytes bounds what a server may call itself.
const maxNameBytes = 1 << 10

// claimTicks is how often a follower repeats a claim that the configuration does not show yet.
const claimTicks = 50

// keyKnown notes a key that a link has proved. The first one stays: links accept no other.
func (c *claims) keyKnown(id raft.ServerID, key []byte) {
	if !slices.ContainsFunc(c.keys, func(k KeyKnown) bool { return k.ID == id }) {
		c.keys = append(c.keys, KeyKnown{id, slices.Clone(key)})
		c.dirty = true
	}
}

// claimed notes what a server says of itself; nobody speaks for another.
func (c *claims) claimed(from raft.ServerID, m *wire.Member) {
	if m.ID != from || len(m.Name) > maxNameBytes {
		return
	}
	c.dirty = true
	for i := range c.members {
		if c.members[i].ID == from {
			c.members[i] = *m
			return
		}
	}
	c.members = append(c.members, *m)
}

// tick lets a follower tell the leader, now and then, what the configuration should say of it.
func (c *claims) tick(r *Replica) {
	c.now++
	if c.now%claimTicks != 0 {
		return
	}
	c.dirty = true
	own := r.configuration.Member(r.options.Member.ID)
	if r.leads() || r.leader == 0 || own == nil || sameClaim(own, &r.options.Member) {
		return
	}
	r.send(r.leader, r.term, &wire.Claim{Member: r.options.Member})
}

func sameClaim(a, b *wire.Member) bool {
	return bytes.Equal(a.Key, b.Key) && a.Name == b.Name && slices.Equal(a.ClientURLs, b.ClientURLs)
}

// propose lets a leader propose the configuration with all claims in it, if that is another one.
func (c *claims) propose(r *Replica) {
	if !c.dirty || r.membership.asked {
		return
	}
	if !r.termHasCommitted() || r.configurationIndex > r.core.CommitIndex() {
		return // one change at a time, and none before this term has committed: look again then
	}
	c.dirty = false
	want := r.configuration.Clone()
	if c.apply(r, want) {
		r.proposeConfiguration(want) // if somebody's claim does not fit, nobody could read the entry, and it is none
	}
}

// apply writes the claims into the configuration. A key counts only if a link has proved it to this
// server, and only where none stands yet.
func (c *claims) apply(r *Replica, want *wire.Configuration) bool {
	changed := false
	for i := range want.Members {
		m := &want.Members[i]
		claim := c.claimOf(r, m.ID)
		if len(m.Key) == 0 {
			if key := c.keyOf(r, m.ID); key != nil {
				m.Key, changed = key, true
			}
		}
		if claim != nil && (claim.Name != m.Name || !slices.Equal(claim.ClientURLs, m.ClientURLs)) {
			m.Name, m.ClientURLs, changed = claim.Name, claim.ClientURLs, true
		}
	}
	return changed
}

func (c *claims) claimOf(r *Replica, id raft.ServerID) *wire.Member {
	if id == r.options.Member.ID {
		return &r.options.Member
	}
	for i := range c.members {
		if c.members[i].ID == id {
			return &c.members[i]
		}
	}
	return nil
}

func (c *claims) keyOf(r *Replica, id raft.ServerID) []byte {
	if id == r.options.Member.ID && len(r.options.Member.Key) > 0 {
		return r.options.Member.Key
	}
	for _, k := range c.keys {
		if k.ID == id {
			return k.Key
		}
	}
	return nil
}

// adoptConfiguration takes over the configuration that the core has in force.
func (r *Replica) adoptConfiguration() error {
	at := r.core.Configuration()
	configuration, err := wire.DecodeConfiguration(at.Configuration.Data)
	if err != nil {
		return err
	}
	r.leaving, r.leavingTicks = nil, 0
	if before := r.configuration; before != nil && at.Index > r.core.CommitIndex() {
		for i := range before.Members {
			if configuration.Member(before.Members[i].ID) == nil {
				r.leaving = append(r.leaving, before.Members[i])
			}
		}
	}
	r.configuration, r.configurationIndex = configuration, at.Index
	return nil
}
