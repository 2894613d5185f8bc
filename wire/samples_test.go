package wire_test

import (
	"bytes"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// The samples are one of each thing that this package encodes. Their numbers are chosen so that a
// reader of the dumps sees where each field lies: all bytes of a number begin with the same digit.
const (
	sampleCluster = uint64(0xC1C2C3C4C5C6C7C8)
	sampleGroup   = wire.GroupID(0x0102030405060708)
	sampleIndex   = raft.Index(0x1112131415161718)
	sampleTerm    = raft.Term(0x2122232425262728)
	sampleServer  = raft.ServerID(0x3132333435363738)
	sampleRound   = raft.Round(0x4142434445464748)
	sampleBoot    = uint64(0x51)
	sampleNumber  = uint64(0x6162)
)

// A sample is a value and how it is encoded and decoded.
type sample struct {
	file   string
	what   string
	value  any
	encode func() []byte
	decode func([]byte) (any, error)
	// checksummed says that no damaged byte passes.
	checksummed bool
}

func samples() []sample {
	list := []sample{{
		file:   "genesis",
		what:   "GenesisHash of cluster c1c2..c8 and group 0102..08",
		value:  wire.GenesisHash(sampleCluster, sampleGroup),
		encode: func() []byte { h := wire.GenesisHash(sampleCluster, sampleGroup); return h[:] },
		decode: func(b []byte) (any, error) { return wire.Hash(b), nil },
	}}
	for _, r := range sampleRecords() {
		list = append(list, recordSample(r.name, r.record))
	}
	for _, m := range sampleMessages() {
		list = append(list, messageSample(m.name, m.message))
	}
	command, configuration := sampleCommand(), sampleConfiguration()
	list = append(list, sample{
		file:   "command",
		what:   "Command",
		value:  *command,
		encode: func() []byte { return wire.AppendCommand(nil, command) },
		decode: func(b []byte) (any, error) { c, err := wire.DecodeCommand(b); return c, err },
	}, sample{
		file:   "configuration",
		what:   "Configuration of three members",
		value:  configuration,
		encode: func() []byte { return wire.AppendConfiguration(nil, configuration) },
		decode: func(b []byte) (any, error) { c, err := wire.DecodeConfiguration(b); return c, err },
	})
	preferred := samplePreference()
	return append(list, sample{
		file:   "configuration-preferred",
		what:   "Configuration of two members, one of them preferred",
		value:  preferred,
		encode: func() []byte { return wire.AppendConfiguration(nil, preferred) },
		decode: func(b []byte) (any, error) { c, err := wire.DecodeConfiguration(b); return c, err },
	})
}

// samplePreference prefers one of two servers.
func samplePreference() *wire.Configuration {
	return &wire.Configuration{Members: []wire.Member{
		{ID: sampleServer, Roles: wire.RoleVoter, Name: "one", Traits: wire.TraitPreferred}, {ID: sampleServer + 1, Roles: wire.RoleVoter, Name: "two"},
	}}
}

func recordSample(name string, r *wire.Record) sample {
	return sample{
		file:   "record-" + name,
		what:   "Record: " + name,
		value:  *r,
		encode: func() []byte { return wire.AppendRecord(nil, r) },
		decode: func(b []byte) (any, error) {
			got, size, err := wire.DecodeRecord(b)
			if err == nil && size != len(b) {
				return nil, errTrailing
			}
			return got, err
		},
		checksummed: true,
	}
}

func messageSample(name string, m *wire.Message) sample {
	return sample{
		file:        "message-" + name,
		what:        "Message: " + name,
		value:       *m,
		encode:      func() []byte { return wire.AppendMessage(nil, m, recordsOf(m)...) },
		decode:      func(b []byte) (any, error) { got, err := wire.DecodeMessage(b); return got, err },
		checksummed: true,
	}
}

type namedRecord struct {
	name   string
	record *wire.Record
}

// sampleEntries are three entries in a row, one of each kind, chained.
func sampleEntries() []namedRecord {
	entries := []namedRecord{
		{"command", &wire.Record{Kind: wire.RecordCommand, Payload: wire.AppendCommand(nil, sampleCommand())}},
		{"no-op", &wire.Record{Kind: wire.RecordNoOp}},
		{"configuration", &wire.Record{Kind: wire.RecordConfiguration, Payload: wire.AppendConfiguration(nil, sampleConfiguration())}},
	}
	previous := wire.GenesisHash(sampleCluster, sampleGroup)
	for i, e := range entries {
		e.record.Group, e.record.Index, e.record.Term = sampleGroup, sampleIndex+1+raft.Index(i), sampleTerm
		e.record.Hash = wire.EntryHash(previous, e.record)
		previous = e.record.Hash
	}
	return entries
}

// sampleRecords are one of each kind. What the log's own kinds hold is the log's business: here it is
// eight arbitrary bytes, or none.
func sampleRecords() []namedRecord {
	records := sampleEntries()
	copied := *records[0].record
	copied.Flags = wire.FlagCopy
	records = append(records, namedRecord{"command-copy", &copied})
	private := []byte("\x71\x72\x73\x74\x75\x76\x77\x78")
	for _, own := range []struct {
		name    string
		kind    uint8
		payload []byte
	}{
		{"hard-state", wire.RecordHardState, private},
		{"truncate", wire.RecordTruncate, nil},
		{"base", wire.RecordBase, private[:5]},
		{"drop", wire.RecordDrop, nil},
	} {
		records = append(records, namedRecord{own.name, &wire.Record{
			Kind: own.kind, Group: sampleGroup, Index: sampleIndex, Term: sampleTerm,
			Hash: wire.Hash(bytes.Repeat([]byte{0x81}, 16)), Payload: own.payload,
		}})
	}
	return records
}

type namedMessage struct {
	name    string
	message *wire.Message
}

func sampleMessages() []namedMessage {
	bodies := []struct {
		name string
		body any
	}{
		{"request-vote", &raft.RequestVote{LastLogIndex: sampleIndex, LastLogTerm: sampleTerm - 1, Transfer: true}},
		{"request-vote-reply", &raft.RequestVoteReply{Granted: true}},
		{"request-pre-vote", &raft.RequestPreVote{LastLogIndex: sampleIndex, LastLogTerm: sampleTerm - 1}},
		{"request-pre-vote-reply", &raft.RequestPreVoteReply{Granted: true}},
		{"append-entries", sampleAppendEntries()},
		{"append-entries-heartbeat", &raft.AppendEntries{
			PrevLogIndex: sampleIndex, PrevLogTerm: sampleTerm, Last: sampleIndex, LeaderCommit: sampleIndex - 1, Round: sampleRound,
		}},
		{"append-entries-reply", &raft.AppendEntriesReply{Round: sampleRound, Verified: sampleIndex}},
		{"append-entries-reply-promise", &raft.AppendEntriesReply{Round: sampleRound, Verified: sampleIndex, Promise: true}},
		{"append-entries-refusal", &raft.AppendEntriesRefusal{
			Round: sampleRound, Commit: sampleIndex - 0x10, LastLogIndex: sampleIndex,
			Runs: []raft.TermRun{{Term: sampleTerm - 2, First: sampleIndex - 8}, {Term: sampleTerm - 1, First: sampleIndex - 1}},
		}},
		{"timeout-now", &raft.TimeoutNow{}},
		{"snapshot-offer", &wire.SnapshotOffer{Base: sampleIndex}},
		{"snapshot-request", &wire.SnapshotRequest{Boot: sampleBoot, Number: sampleNumber, Request: []byte("what I have")}},
		{"snapshot-chunk", &wire.SnapshotChunk{
			Boot: sampleBoot, Number: sampleNumber, Outcome: wire.SnapshotServed, Chunk: []byte("what you lack"),
			Position: &wire.Position{
				EntryID: raft.EntryID{Index: sampleIndex, Term: sampleTerm}, Hash: wire.GenesisHash(1, 2),
				Configuration: wire.AppendConfiguration(nil, sampleConfiguration()),
			},
		}},
		{"snapshot-chunk-none", &wire.SnapshotChunk{
			Boot: sampleBoot, Number: sampleNumber, Outcome: wire.SnapshotUnavailable, Chunk: []byte{},
		}},
		{"entry-request", &wire.EntryRequest{Wanted: []wire.WantedEntry{
			{Index: sampleIndex, Term: sampleTerm, Hash: wire.Hash{0x71, 0x72}}, {Index: sampleIndex + 1, Term: sampleTerm, Hash: wire.Hash{0x81}},
		}}},
		{"entry-reply", &wire.EntryReply{Found: sampleFound()}},
		{"forward", &wire.Forward{Boot: sampleBoot, Batch: sampleNumber, Commands: [][]byte{
			wire.AppendCommand(nil, sampleCommand()), wire.AppendCommand(nil, &wire.Command{}),
		}}},
		{"forward-reply", &wire.ForwardReply{Boot: sampleBoot, Batch: sampleNumber}},
		{"read-request", &wire.ReadRequest{Boot: sampleBoot, Number: sampleNumber}},
		{"read-reply", &wire.ReadReply{Boot: sampleBoot, Number: sampleNumber, Index: sampleIndex}},
		{"sums", &wire.Sums{Sums: []wire.Sum{
			{Kind: 1, At: uint64(sampleIndex), Value: [16]byte{1, 2, 3, 16}}, {Kind: 2, At: sampleNumber, Also: sampleNumber - 1, Value: [16]byte{0xff}},
		}}},
		{"entry-doubts", &wire.EntryDoubts{Records: [][]byte{
			wire.AppendRecord(nil, sampleEntries()[0].record), wire.AppendRecord(nil, sampleEntries()[1].record),
		}}},
		{"claim", &wire.Claim{Member: sampleConfiguration().Members[0]}},
		{"change", &wire.Change{Boot: sampleBoot, Number: sampleNumber, Edits: []wire.Edit{
			{Member: sampleConfiguration().Members[0]}, {Member: wire.Member{ID: 7}, Remove: true}, {Member: wire.Member{ID: 8, Roles: wire.RoleVoter}, Existing: true},
		}}},
		{"change-traits", &wire.Change{Boot: sampleBoot, Number: sampleNumber, Edits: []wire.Edit{
			{Member: wire.Member{ID: 7, Traits: wire.TraitPreferred}, Existing: true, SetTraits: true}, {Member: wire.Member{ID: 8}, SetTraits: true},
		}}},
		{"change-reply", &wire.ChangeReply{Boot: sampleBoot, Number: sampleNumber, Outcome: wire.ChangeNotReady, Index: sampleIndex}},
	}
	var messages []namedMessage
	for _, b := range bodies {
		messages = append(messages, namedMessage{b.name, &wire.Message{Group: sampleGroup, Term: sampleTerm, Body: b.body}})
	}
	return messages
}

func sampleAppendEntries() *raft.AppendEntries {
	m := &raft.AppendEntries{PrevLogIndex: sampleIndex, PrevLogTerm: sampleTerm - 1, LeaderCommit: sampleIndex - 1, Round: sampleRound}
	for _, e := range sampleEntries() {
		entry := raft.Entry{Term: e.record.Term, Kind: raft.EntryKind(e.record.Kind), Data: wire.AppendRecord(nil, e.record)}
		if e.record.Kind == wire.RecordConfiguration {
			entry.Configuration = sampleConfiguration().Raft()
		}
		m.Entries = append(m.Entries, entry)
		m.Last = e.record.Index
	}
	return m
}

func sampleCommand() *wire.Command {
	return &wire.Command{
		Time:         0x9192939495969798,
		Kind:         0xA1,
		Level:        0xB1B2,
		Origin:       wire.Origin{Server: sampleServer, Boot: sampleBoot, Sequence: sampleNumber},
		Session:      wire.Session{ID: 0xD1D2D3D4D5D6D7D8, Sequence: 0xE1E2, Acknowledged: 0xE1E1},
		AuthRevision: 0x7F,
		User:         []byte("alice"),
		Request:      []byte("put a = 1"),
	}
}

// sampleConfiguration is joint: 1 votes in both, 2 is an unclaimed learner, 3 votes in the old one
// only, and a later version has written something about it.
func sampleConfiguration() *wire.Configuration {
	return &wire.Configuration{Members: []wire.Member{
		{
			ID: sampleServer, Roles: wire.RoleVoter | wire.RoleOldVoter,
			Key:        []byte("a key has thirty-two bytes in it"),
			Name:       "one",
			PeerURLs:   []string{"https://10.0.0.1:2380", "https://one.example:2380"},
			ClientURLs: []string{"https://10.0.0.1:2379"},
		},
		{ID: sampleServer + 1, Roles: wire.RoleLearner, PeerURLs: []string{"https://10.0.0.2:2380"}},
		{ID: sampleServer + 2, Roles: wire.RoleOldVoter, Name: "three", Traits: 0xF1, Later: []byte{0xF2, 0xF3}},
	}}
}

// sampleFound has an entry, and lacks one.
func sampleFound() []wire.FoundEntry {
	r := sampleEntries()[0].record
	return []wire.FoundEntry{
		{Index: r.Index, Term: r.Term, State: wire.EntryThere, Record: wire.AppendRecord(nil, r)},
		{Index: sampleIndex + 7, Term: sampleTerm, State: wire.EntryLacking},
	}
}
