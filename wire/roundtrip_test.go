package wire_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// source makes random values. Each is drawn from a seed of its own, which a failure prints.
type source struct{ *rand.Rand }

const rounds = 1000

// forEachSeed runs f with that many seeds; to replay one, call f with it alone.
func forEachSeed(t *testing.T, f func(seed uint64, s source)) {
	for seed := range uint64(rounds) {
		f(seed, source{rand.New(rand.NewPCG(seed, 1))})
		if t.Failed() {
			return
		}
	}
}

// number is now small, now huge: both ends of every width occur.
func (s source) number() uint64 { return s.Uint64() >> s.IntN(65) }

func (s source) bytes(limit int) []byte {
	b := make([]byte, s.IntN(limit+1)>>s.IntN(8))
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return b
}

func (s source) record() *wire.Record {
	r := &wire.Record{
		Kind: uint8(s.number()), Flags: uint16(s.number()), Group: wire.GroupID(s.number()),
		Index: raft.Index(s.number()), Term: raft.Term(s.number()), Payload: s.bytes(2000),
	}
	copy(r.Hash[:], s.bytes(16))
	return r
}

func (s source) command() *wire.Command {
	return &wire.Command{
		Time: s.number(), Kind: uint8(s.number()), Level: uint16(s.number()),
		Origin:       wire.Origin{Server: raft.ServerID(s.number()), Boot: s.number(), Sequence: s.number()},
		Session:      wire.Session{ID: s.number(), Sequence: s.number(), Acknowledged: s.number()},
		AuthRevision: s.number(), User: s.bytes(wire.MaxUserBytes), Request: s.bytes(2000),
	}
}

func (s source) strings() []string {
	var list []string
	for range s.IntN(4) {
		list = append(list, string(s.bytes(100)))
	}
	return list
}

// roleSets are all that a member can be.
var roleSets = []wire.Roles{
	wire.RoleVoter, wire.RoleOldVoter, wire.RoleLearner, wire.RoleVoter | wire.RoleOldVoter, wire.RoleOldVoter | wire.RoleLearner,
	wire.RoleLearner | wire.RoleJoining, wire.RoleOldVoter | wire.RoleLearner | wire.RoleJoining,
}

func (s source) member(id raft.ServerID) wire.Member {
	m := wire.Member{
		ID: id, Roles: roleSets[s.IntN(len(roleSets))], Name: string(s.bytes(100)),
		PeerURLs: s.strings(), ClientURLs: s.strings(), Traits: wire.Traits(s.IntN(3)), Later: s.bytes(100),
	}
	if s.IntN(2) == 0 {
		m.Key = binary.LittleEndian.AppendUint64(make([]byte, 24), s.number())
	}
	return m
}

func (s source) configuration() *wire.Configuration {
	c := &wire.Configuration{}
	var ids []raft.ServerID
	for range 1 + s.IntN(9) {
		ids = append(ids, raft.ServerID(s.number()|1))
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		c.Members = append(c.Members, s.member(id))
	}
	c.Members[0].Roles = wire.RoleVoter
	c.Later = s.bytes(100)
	return c
}

// entries makes records in a row, and the message that says they are.
func (s source) entries(group wire.GroupID) *raft.AppendEntries {
	m := &raft.AppendEntries{
		PrevLogIndex: raft.Index(s.number() >> 1), PrevLogTerm: raft.Term(s.number()),
		LeaderCommit: raft.Index(s.number()), Round: raft.Round(s.number()),
	}
	m.Last = m.PrevLogIndex
	for range s.IntN(5) {
		m.Last++
		r := s.record()
		r.Group, r.Index, r.Kind = group, m.Last, uint8(1+s.IntN(3))
		e := raft.Entry{Term: r.Term, Kind: raft.EntryKind(r.Kind)}
		if r.Kind == wire.RecordConfiguration {
			c := s.configuration()
			e.Configuration, r.Payload = c.Raft(), wire.AppendConfiguration(nil, c)
		}
		e.Data = wire.AppendRecord(nil, r)
		m.Entries = append(m.Entries, e)
	}
	return m
}

// wanted asks for some entries.
func (s source) wanted() *wire.EntryRequest {
	m := &wire.EntryRequest{}
	for range 1 + s.IntN(wire.MaxWanted) {
		m.Wanted = append(m.Wanted, wire.WantedEntry{Index: raft.Index(s.number()), Term: raft.Term(s.number()), Hash: s.record().Hash})
	}
	return m
}

// found answers for some.
func (s source) found(group wire.GroupID) *wire.EntryReply {
	m := &wire.EntryReply{}
	for range s.IntN(5) {
		r := s.record()
		r.Group, r.Kind = group, uint8(1+s.IntN(3))
		f := wire.FoundEntry{Index: r.Index, Term: r.Term, State: wire.EntryState(1 + s.IntN(5))}
		if f.State == wire.EntryThere {
			f.Record = wire.AppendRecord(nil, r)
		}
		m.Found = append(m.Found, f)
	}
	return m
}

// doubts brings some entries.
func (s source) doubts(group wire.GroupID) *wire.EntryDoubts {
	m := &wire.EntryDoubts{}
	for range 1 + s.IntN(5) {
		r := s.record()
		r.Group, r.Kind = group, uint8(1+s.IntN(3))
		m.Records = append(m.Records, wire.AppendRecord(nil, r))
	}
	return m
}

// messages makes one of each kind.
func (s source) messages() []*wire.Message {
	group := wire.GroupID(s.number())
	refusal := &raft.AppendEntriesRefusal{Round: raft.Round(s.number()), Commit: raft.Index(s.number()), LastLogIndex: raft.Index(s.number())}
	for range s.IntN(1001) >> s.IntN(12) {
		refusal.Runs = append(refusal.Runs, raft.TermRun{Term: raft.Term(s.number()), First: raft.Index(s.number())})
	}
	forward := &wire.Forward{Boot: s.number(), Batch: s.number()}
	for range s.IntN(4) {
		forward.Commands = append(forward.Commands, wire.AppendCommand(nil, s.command()))
	}
	var messages []*wire.Message
	for _, body := range []any{
		&raft.RequestVote{LastLogIndex: raft.Index(s.number()), LastLogTerm: raft.Term(s.number()), Transfer: s.IntN(2) == 0},
		&raft.RequestVoteReply{Granted: s.IntN(2) == 0},
		&raft.RequestPreVote{LastLogIndex: raft.Index(s.number()), LastLogTerm: raft.Term(s.number())},
		&raft.RequestPreVoteReply{Granted: s.IntN(2) == 0},
		s.entries(group),
		&raft.AppendEntriesReply{Round: raft.Round(s.number()), Verified: raft.Index(s.number()), Promise: s.IntN(2) == 0},
		refusal,
		&raft.TimeoutNow{},
		&wire.Sums{Sums: []wire.Sum{{Kind: s.number(), At: s.number(), Also: s.number(), Value: [16]byte{byte(s.number()), 15: byte(s.number())}}, {}}},
		s.doubts(group),
		&wire.SnapshotOffer{Base: raft.Index(s.number())},
		&wire.SnapshotRequest{Boot: s.number(), Number: s.number(), Request: s.bytes(1000)},
		&wire.SnapshotChunk{Boot: s.number(), Number: s.number(), Outcome: wire.SnapshotUnavailable, Chunk: s.bytes(1000)},
		&wire.SnapshotChunk{
			Boot: s.number(), Number: s.number(), Outcome: wire.SnapshotServed, Chunk: s.bytes(1000), Position: &wire.Position{
				EntryID:       raft.EntryID{Index: raft.Index(s.number() | 1), Term: raft.Term(s.number() | 1)},
				Configuration: wire.AppendConfiguration(nil, sampleConfiguration()),
			},
		},
		s.wanted(), s.found(group),
		forward,
		&wire.ForwardReply{Boot: s.number(), Batch: s.number()},
		&wire.ReadRequest{Boot: s.number(), Number: s.number()},
		&wire.ReadReply{Boot: s.number(), Number: s.number(), Index: raft.Index(s.number())},
		&wire.Claim{Member: s.member(raft.ServerID(s.number() | 1))},
		&wire.Change{Boot: s.number(), Number: s.number(), Edits: []wire.Edit{
			{Member: s.member(raft.ServerID(s.number() | 1)), Remove: s.IntN(2) == 0, Existing: s.IntN(2) == 0, SetTraits: s.IntN(2) == 0}, {Member: s.member(raft.ServerID(s.number() | 1))},
		}},
		&wire.ChangeReply{Boot: s.number(), Number: s.number(), Outcome: wire.ChangeOutcome(s.number()), Index: raft.Index(s.number())},
	} {
		messages = append(messages, &wire.Message{Group: group, Term: raft.Term(s.number()), Body: body})
	}
	return messages
}

// prefix stands before what is appended, to see that nothing reaches in front of its own bytes.
var prefix = []byte("prefix")

// afterPrefix checks that the prefix still stands, and returns what comes after it.
func afterPrefix(t *testing.T, b []byte) []byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(b, prefix)
	if !ok {
		t.Errorf("the bytes in front were overwritten: %q", b[:len(prefix)])
	}
	return rest
}

func TestRecordsComeBack(t *testing.T) {
	forEachSeed(t, func(seed uint64, s source) {
		want := s.record()
		b := afterPrefix(t, wire.AppendRecord(slices.Clone(prefix), want))
		got, size, err := wire.DecodeRecord(append(b, "what follows"...))
		if err != nil || !equal(got, *want) {
			t.Errorf("seed %d: got %+v, %v, want %+v", seed, got, err, *want)
		}
		if size != len(b) || size != wire.Size(len(want.Payload)) || size%wire.RecordAlign != 0 {
			t.Errorf("seed %d: size %d, encoded %d, payload %d", seed, size, len(b), len(want.Payload))
		}
		raw := wire.Raw(b)
		read := wire.Record{Kind: raw.Kind(), Flags: want.Flags, Group: want.Group, Index: raw.Index(), Term: raw.Term(), Hash: raw.Hash(), Payload: raw.Payload()}
		if !equal(read, *want) || !raw.Sealed() {
			t.Errorf("seed %d: read field by field %+v, want %+v", seed, read, *want)
		}
	})
}

// A record's bytes are the same whether its place was known before its payload was laid out, or after.
func TestSealedRecordIsTheAppendedOne(t *testing.T) {
	forEachSeed(t, func(seed uint64, s source) {
		r := s.record()
		previous := r.Hash
		laidOut := make([]byte, wire.Size(len(r.Payload)))
		copy(laidOut[wire.RecordHeaderBytes:], r.Payload)
		if wire.Raw(laidOut).Sealed() {
			t.Errorf("seed %d: sealed before it was", seed)
		}
		for i := range wire.RecordHeaderBytes {
			laidOut[i] = byte(s.Uint32()) // whatever stood there
		}
		header := *r
		header.Hash, header.Payload = wire.Hash{9}, []byte("not this one")
		hash := wire.SealRecord(laidOut, len(r.Payload), header, previous)

		r.Hash = wire.EntryHash(previous, r)
		if want := wire.AppendRecord(nil, r); !bytes.Equal(laidOut, want) || hash != r.Hash {
			t.Errorf("seed %d: sealed %x, appended %x", seed, laidOut, want)
		}
	})
}

func TestCommandsComeBack(t *testing.T) {
	forEachSeed(t, func(seed uint64, s source) {
		want := s.command()
		b := afterPrefix(t, wire.AppendCommand(slices.Clone(prefix), want))
		if got, err := wire.DecodeCommand(b); err != nil || !equal(got, *want) {
			t.Errorf("seed %d: got %+v, %v, want %+v", seed, got, err, *want)
		}
		want.Time = s.number()
		wire.SetCommandTime(b, want.Time)
		if got, err := wire.DecodeCommand(b); err != nil || !equal(got, *want) {
			t.Errorf("seed %d: with another time, got %+v, %v, want %+v", seed, got, err, *want)
		}
	})
}

func TestConfigurationsComeBack(t *testing.T) {
	forEachSeed(t, func(seed uint64, s source) {
		want := s.configuration()
		b := afterPrefix(t, wire.AppendConfiguration(slices.Clone(prefix), want))
		got, err := wire.DecodeConfiguration(b)
		if err != nil || !equal(got, want) {
			t.Fatalf("seed %d: got %+v, %v, want %+v", seed, got, err, want)
		}
		core := got.Raft()
		if !bytes.Equal(core.Data, b) {
			t.Errorf("seed %d: the core gets %x, the log has %x", seed, core.Data, b)
		}
		for i := range got.Members {
			m := &got.Members[i]
			if got.Member(m.ID) != m || got.Member(m.ID-1) != nil && (i == 0 || got.Members[i-1].ID != m.ID-1) {
				t.Errorf("seed %d: member %d is not found by its id", seed, m.ID)
			}
			if slices.Contains(core.Voters, m.ID) != (m.Roles&wire.RoleVoter != 0) ||
				slices.Contains(core.OldVoters, m.ID) != (m.Roles&wire.RoleOldVoter != 0) ||
				slices.Contains(core.Learners, m.ID) != (m.Roles&wire.RoleLearner != 0) {
				t.Errorf("seed %d: member %d with roles %b, and the core has %+v", seed, m.ID, m.Roles, core)
			}
		}
		if !slices.IsSorted(core.Voters) || !slices.IsSorted(core.OldVoters) || !slices.IsSorted(core.Learners) {
			t.Errorf("seed %d: not sorted: %+v", seed, core)
		}
	})
}

func TestMessagesComeBack(t *testing.T) {
	forEachSeed(t, func(seed uint64, s source) {
		for _, want := range s.messages() {
			b := afterPrefix(t, wire.AppendMessage(slices.Clone(prefix), want, recordsOf(want)...))
			if got, err := wire.DecodeMessage(b); err != nil || !equal(got, *want) {
				t.Errorf("seed %d: got %+v, %v, want %+v", seed, got.Body, err, want.Body)
			}
		}
	})
}

// One AppendEntries may carry records from several places, for instance from memory and from disk.
func TestRecordsOfOneMessageMayComeInAnyPieces(t *testing.T) {
	m := &wire.Message{Group: sampleGroup, Term: sampleTerm, Body: sampleAppendEntries()}
	records := recordsOf(m)
	want := wire.AppendMessage(nil, m, records...)
	if got := wire.AppendMessage(nil, m, slices.Concat(records...)); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestBodyThatIsNoMessageIsOurOwnMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("AppendMessage encoded a body of no kind")
		}
	}()
	wire.AppendMessage(nil, &wire.Message{Body: "neither"})
}

// Whoever appends to what was decoded must not write over what comes after it in the buffer.
func TestDecodedSlicesCannotGrowIntoTheirNeighbours(t *testing.T) {
	forward := &wire.Message{Body: &wire.Forward{Commands: [][]byte{
		wire.AppendCommand(nil, sampleCommand()), wire.AppendCommand(nil, sampleCommand()),
	}}}
	m, err := wire.DecodeMessage(wire.AppendMessage(nil, forward))
	if err != nil {
		t.Fatal(err)
	}
	command := m.Body.(*wire.Forward).Commands[0]
	decoded, err := wire.DecodeCommand(command)
	if err != nil {
		t.Fatal(err)
	}
	entries := &wire.Message{Group: sampleGroup, Body: sampleAppendEntries()}
	m, err = wire.DecodeMessage(wire.AppendMessage(nil, entries, recordsOf(entries)...))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"a forwarded command": command,
		"a command's user":    decoded.User,
		"an entry's record":   m.Body.(*raft.AppendEntries).Entries[0].Data,
	} {
		if len(b) != cap(b) {
			t.Errorf("%s has %d bytes and room for %d", name, len(b), cap(b))
		}
	}
}

func TestPeerAddressIsTheSamePlaceWhateverTheSchemeSays(t *testing.T) {
	for _, u := range []string{"a:1", "http://a:1", "https://A:1/", "HTTP://a:1//"} {
		if got := wire.PeerAddress(u); got != "a:1" {
			t.Errorf("%s: got %q", u, got)
		}
	}
	if got := wire.PeerAddress("http://a:12"); got == "a:1" {
		t.Errorf("another port is the same place")
	}
}
