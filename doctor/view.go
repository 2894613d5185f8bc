package doctor

import (
	"time" //tidy:impure moments and spans are arguments here: nobody asks a clock

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// View is what one server knows at a moment.
type View struct {
	// Now is the moment, and Started when the server began to look.
	Now, Started time.Time
	// ElectionTimeout is the shortest silence of a leader before another is elected.
	ElectionTimeout time.Duration

	Cluster uint64
	ID      raft.ServerID
	Role    raft.Role
	Term    raft.Term
	// Leader is that of Term; 0: none is known, since LeaderlessSince.
	Leader          raft.ServerID
	LeaderlessSince time.Time
	Commit, Applied raft.Index
	// Healing says which entries of its log this server has lost, and who has been asked for them; empty if it has all.
	Healing string
	// NeedsState: the others have entries that it has lost in their states only.
	NeedsState bool
	// Waiting is how many writes of this server's clients wait. StalledSince is since when some do and
	// nothing has been committed or applied; zero: something has.
	Waiting      int
	StalledSince time.Time
	// Configuration says who the servers are; nil: not known yet.
	Configuration *wire.Configuration

	// Links are those to the other servers. A server without one is not reached.
	Links []Link
	// Progress is what a leader knows of the others; empty elsewhere.
	Progress []Progress
	// Alarms are those that are on, at any server.
	Alarms []Alarm
	// NoState: this server has lost its state, and gets it from Feeder, if that is known.
	NoState bool
	Feeder  raft.ServerID
	// Differing are others whose states are not that of a majority. Undecided: states differ, and no majority agrees.
	Differing []raft.ServerID
	Undecided bool
	// Pace is how long the server waits for its leader; nil: not known.
	Pace *Pace
	// Disk is how the server's own disk is; nil: not known.
	Disk *Disk
}

// Link is what a server knows of its links with a peer.
type Link struct {
	ID raft.ServerID
	// Sending is the link from here to the peer, Receiving that from the peer to here.
	Sending, Receiving Direction
	// WasUp: one of them has been up since this server started.
	WasUp bool
	// Disowned: the peer has said that this server does not belong to the cluster.
	Disowned bool
}

// Direction is one of the two links with a peer.
type Direction struct {
	Up bool `json:"up"`
	// Since is when it came up, or since when it is down.
	Since time.Time `json:"since,omitzero"`
	// Error is why it is down, if that is known.
	Error string `json:"error,omitempty"`
}

// Progress is what a leader knows of another server.
type Progress struct {
	ID raft.ServerID
	// Silent is how long ago it answered last.
	Silent time.Duration
	// Takes is how long it takes of late to make entries durable, the way to it and back included.
	Takes time.Duration
	Match raft.Index
	// Stranded: the log no longer has what it needs.
	Stranded bool
}

// Alarm is an alarm of etcd's API.
type Alarm struct {
	Server raft.ServerID
	Type   string // NOSPACE or CORRUPT
}

func (v *View) link(id raft.ServerID) Link {
	for _, l := range v.Links {
		if l.ID == id {
			return l
		}
	}
	down := Direction{Since: v.Started}
	return Link{ID: id, Sending: down, Receiving: down}
}

func (v *View) progress(id raft.ServerID) (p Progress, known bool) {
	for _, p := range v.Progress {
		if p.ID == id {
			return p, true
		}
	}
	return Progress{}, false
}
