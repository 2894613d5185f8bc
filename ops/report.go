package ops

import (
	"fmt"
)

// Report is what is in a data directory. Its JSON form is part of the interface of the command line:
// fields are only added. Ids and hashes are in hexadecimal, as everywhere.
type Report struct {
	Directory string `json:"directory"`
	// Verified: everything was read, not only what it takes to tell the rest.
	Verified bool `json:"verified"`
	// Problems are what is wrong, the gravest first where one follows from another. Notes are what is
	// worth knowing and harmless.
	Problems []Problem `json:"problems"`
	Notes    []string  `json:"notes,omitempty"`

	Server   *ServerPart   `json:"server,omitempty"`
	Identity *IdentityPart `json:"identity,omitempty"`
	Boot     uint64        `json:"boot,omitempty"`
	Log      *LogPart      `json:"log,omitempty"`
	State    *StatePart    `json:"state,omitempty"`
}

// Problem is something that is wrong.
type Problem struct {
	// Where is a file, or a part of one.
	Where string `json:"where"`
	What  string `json:"what"`
	// Do says what an operator can do about it.
	Do string `json:"do"`
}

// ServerPart is what server.json says.
type ServerPart struct {
	Format  int      `json:"format"`
	Cluster string   `json:"cluster"`
	Server  string   `json:"server"`
	Name    string   `json:"name"`
	Token   string   `json:"token"`
	Groups  []uint64 `json:"groups,omitempty"`
	// Joined: the server has come to a cluster that was there.
	Joined bool `json:"joined,omitempty"`
	// PeerKeys are the keys of other servers that this one has believed, by their ids.
	PeerKeys map[string]string `json:"peer_keys,omitempty"`
}

// IdentityPart is the public half of the server's key pair.
type IdentityPart struct {
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
}

// LogPart is what is in the log.
type LogPart struct {
	Directory string        `json:"directory"`
	Bytes     int64         `json:"bytes"`
	Segments  []SegmentPart `json:"segments"`
	// Frames is the number of the last sound frame, Synced that of the last one known to be durable.
	Frames uint64 `json:"frames"`
	Synced uint64 `json:"synced"`
	// Boot is the highest boot number that has written.
	Boot uint64 `json:"boot"`
	// TornTail is what a crash has left unfinished. The next start cuts it away.
	TornTail *TornPart `json:"torn_tail,omitempty"`
	// Suspect: a torn tail was cut, and what may have been lost in it is not settled yet.
	Suspect bool        `json:"suspect,omitempty"`
	Groups  []GroupPart `json:"groups"`
}

// SegmentPart is a file of the log.
type SegmentPart struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	// Blank: it waits for use, and has no header yet.
	Blank      bool   `json:"blank,omitempty"`
	Number     uint64 `json:"number,omitempty"`
	Previous   uint64 `json:"previous,omitempty"`
	FirstFrame uint64 `json:"first_frame,omitempty"`
	LastFrame  uint64 `json:"last_frame,omitempty"`
	Records    int    `json:"records,omitempty"`
	// Used is up to which byte there are frames.
	Used int64 `json:"used,omitempty"`
}

// TornPart is where the log ends in the middle of a write.
type TornPart struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
}

// GroupPart is the log of one group.
type GroupPart struct {
	Group    uint64    `json:"group"`
	Term     uint64    `json:"term"`
	VotedFor string    `json:"voted_for,omitempty"`
	Commit   uint64    `json:"commit"`
	Base     EntryPart `json:"base"`
	// First and Last are the entries that the log has. First is above Last if there are none.
	First    uint64     `json:"first"`
	Last     uint64     `json:"last"`
	LastHash string     `json:"last_hash"`
	Terms    []TermPart `json:"terms,omitempty"`
	// Configuration is the newest in the log, from the entry at ConfigurationIndex.
	ConfigurationIndex uint64       `json:"configuration_index"`
	Configuration      []MemberPart `json:"configuration,omitempty"`
	// Kinds counts the entries by what they are. Only if everything was verified.
	Kinds map[string]int `json:"kinds,omitempty"`
}

// EntryPart names an entry.
type EntryPart struct {
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	Hash  string `json:"hash"`
}

// TermPart is a run of entries of one term.
type TermPart struct {
	Term  uint64 `json:"term"`
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// MemberPart is a member of a configuration.
type MemberPart struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Roles      []string `json:"roles"`
	Key        string   `json:"key,omitempty"`
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls,omitempty"`
}

// StatePart is what the state machine has on its disk.
type StatePart struct {
	Directory string `json:"directory"`
	Bytes     int64  `json:"bytes"`
	// Applied is the index of the last entry that is in the state; what the log has beyond is applied
	// again at the next start.
	Applied         uint64   `json:"applied"`
	Revision        int64    `json:"revision"`
	CompactRevision int64    `json:"compact_revision"`
	Digest          string   `json:"digest"`
	LogTime         uint64   `json:"log_time"`
	Leases          int      `json:"leases"`
	Sessions        int      `json:"sessions"`
	Alarms          []string `json:"alarms,omitempty"`

	// Installed: the state, or one before it, was brought whole from another server.
	Installed bool `json:"installed,omitempty"`
	// StagedBytes is how much there is of a state that is being brought from another server.
	StagedBytes int64 `json:"staged_bytes,omitempty"`

	// Hash is that of everything replicated, KVHash that of the keys as of Revision, and Census counts
	// what there is. Only if everything was verified.
	Hash   string      `json:"hash,omitempty"`
	KVHash string      `json:"kv_hash,omitempty"`
	Census *CensusPart `json:"census,omitempty"`
}

// CensusPart counts what is in a state.
type CensusPart struct {
	Keys       int64 `json:"keys"`
	Versions   int64 `json:"versions"`
	Tombstones int64 `json:"tombstones"`
	KeyBytes   int64 `json:"key_bytes"`
	ValueBytes int64 `json:"value_bytes"`
	LeaseKeys  int64 `json:"lease_keys"`
	Answers    int64 `json:"answers"`
	Tokens     int64 `json:"tokens"`
	Rows       int64 `json:"rows"`
}

// maxProblems bounds how many of one sort are listed.
const maxProblems = 20

func (r *Report) problem(where, what, do string) {
	r.Problems = append(r.Problems, Problem{Where: where, What: what, Do: do})
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// What an operator can do, in the words of every problem of a sort.
const (
	doReplace     = "keep the directory for inspection, and replace this server: quorate member replace, on a sound disk"
	doRestoreFile = "restore the file from a copy of this very directory; without one, replace this server: quorate member replace"
	doState       = "with the server stopped, move the state directory away: it is made anew from the log at the next start"
	doStart       = "start it: it gets a state from the other servers by itself, and keeps this one until it has it; " +
		"a server alone needs a snapshot and an empty directory: quorate snapshot restore"
	doUpgrade = "use the version that has written it, or a later one"
)
