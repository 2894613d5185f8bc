package raft

// Status is a copy of what an operator wants to see.
type Status struct {
	ID          ServerID
	Role        Role
	CurrentTerm Term
	VotedFor    ServerID
	Leader      ServerID // of CurrentTerm; 0: not known
	CommitIndex Index
	LastApplied Index
	// Base is the entry after which the log begins.
	Base          EntryID
	LastIndex     Index
	LastTerm      Term
	Durable       Index // last index that is on this server's disk
	Configuration ConfigurationAt
	// Peers is filled at the leader only, sorted by id.
	Peers []PeerStatus
}

// PeerStatus is what the leader knows of one other server.
type PeerStatus struct {
	ID         ServerID
	NextIndex  Index
	MatchIndex Index
	// Probing: one request at a time, until it is known where the logs agree. Waiting: one is on its way.
	Probing, Waiting bool
	// Stranded: the log no longer has what the peer needs.
	Stranded bool
	// Inflight is how many appends are on their way in the window, InflightBytes what their entries
	// have together, and InflightLast the last entry of the latest; 0 if there are none.
	Inflight, InflightBytes int
	InflightLast            Index
	// SilentTicks is how long ago the peer last answered, in ticks.
	SilentTicks int
}

// Status describes the core.
func (c *Core) Status() Status {
	s := Status{
		ID:            c.id,
		Role:          c.role,
		CurrentTerm:   c.currentTerm,
		VotedFor:      c.votedFor,
		Leader:        c.leader,
		CommitIndex:   c.commitIndex,
		LastApplied:   c.lastApplied,
		Base:          c.log.base,
		LastIndex:     c.log.last,
		LastTerm:      c.log.lastTerm(),
		Durable:       c.log.durable,
		Configuration: *c.log.configuration(),
	}
	s.Peers = c.AppendPeers(nil)
	return s
}

// AppendPeers appends what the leader knows of each other server, sorted by id; nothing if this server
// does not lead. It is the part of Status that is worth asking for often.
func (c *Core) AppendPeers(peers []PeerStatus) []PeerStatus {
	if c.role != Leader {
		return peers
	}
	for _, p := range c.leadState.peers {
		status := PeerStatus{
			ID: p.id, NextIndex: p.nextIndex, MatchIndex: p.matchIndex, Probing: p.probing, Waiting: p.waiting,
			Stranded: p.stranded, SilentTicks: c.leadState.now - p.contact,
			Inflight: len(p.inflight), InflightBytes: p.inflightBytes,
		}
		if len(p.inflight) > 0 {
			status.InflightLast = p.inflight[len(p.inflight)-1].last
		}
		peers = append(peers, status)
	}
	return peers
}

// Options returns how the core is tuned, defaults included.
func (c *Core) Options() Options { return c.options }

// Base returns the entry after which the log begins; {0, 0} for a whole log.
func (c *Core) Base() EntryID { return c.log.base }

// CurrentTerm returns the latest term seen.
func (c *Core) CurrentTerm() Term { return c.currentTerm }

// Role returns what this server is in the current term.
func (c *Core) Role() Role { return c.role }

// Leader returns the leader of the current term; 0 if it is not known.
func (c *Core) Leader() ServerID { return c.leader }

// CommitIndex returns the last index known to be committed.
func (c *Core) CommitIndex() Index { return c.commitIndex }

// LastIndex returns the index of the last entry in the log.
func (c *Core) LastIndex() Index { return c.log.last }

// Durable returns the last index up to which all entries are on this server's disk.
func (c *Core) Durable() Index { return c.log.durable }

// TermAt returns the term of the entry at index; false if the log does not have it.
func (c *Core) TermAt(index Index) (Term, bool) { return c.log.term(index) }

// Configuration returns the configuration in force and the index of its entry.
func (c *Core) Configuration() ConfigurationAt { return *c.log.configuration() }
