package wire_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// These tests are what a rolling upgrade rests on: what a later version may add, and what this one
// then does with it.

func TestFieldsAddedToTheFixedPartAreLeftUnread(t *testing.T) {
	for _, s := range sampleMessages() {
		b := wire.AppendMessage(nil, s.message, recordsOf(s.message)...)
		fixed := binary.LittleEndian.Uint16(b[2:])
		end := wire.MessageHeaderBytes + int(fixed)
		for _, added := range []int{1, 8, 65535 - int(fixed)} {
			b := slices.Insert(slices.Clone(b), end, slices.Repeat([]byte{0xEE}, added)...)
			binary.LittleEndian.PutUint16(b[2:], fixed+uint16(added))
			resealMessage(b)
			if got, err := wire.DecodeMessage(b); err != nil || !equal(got, *s.message) {
				t.Errorf("%s with %d bytes more: got %+v, %v, want %+v", s.name, added, got, err, *s.message)
			}
		}
	}
}

func TestMissingFixedFieldsAreRefused(t *testing.T) {
	for _, s := range sampleMessages() {
		b := wire.AppendMessage(nil, s.message, recordsOf(s.message)...)
		fixed := int(binary.LittleEndian.Uint16(b[2:]))
		needed := fixed
		if m, ok := s.message.Body.(*raft.AppendEntriesReply); ok && m.Promise {
			needed -= 8 // it was added: see below
		}
		for keep := range needed {
			b := slices.Delete(slices.Clone(b), wire.MessageHeaderBytes+keep, wire.MessageHeaderBytes+fixed)
			binary.LittleEndian.PutUint16(b[2:], uint16(keep))
			resealMessage(b)
			if got, err := wire.DecodeMessage(b); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%s with %d of %d fixed bytes: got %+v, %v", s.name, keep, fixed, got, err)
			}
		}
	}
}

// Servers from before there were promises answer without one, and leaders from then do not look for it.
func TestAnswerWithoutThePromiseFieldIsNone(t *testing.T) {
	without := &raft.AppendEntriesReply{Round: sampleRound, Verified: sampleIndex}
	with := *without
	with.Promise = true
	for _, c := range []struct {
		name  string
		fixed []byte
		want  bool
	}{
		{"of an earlier version", nil, false},
		{"not set", make([]byte, 8), false},
		{"set", []byte{1, 0, 0, 0, 0, 0, 0, 0}, true},
		{"with more behind it", []byte{1, 0, 0, 0, 0, 0, 0, 0, 7}, true},
	} {
		b := wire.AppendMessage(nil, &wire.Message{Group: 1, Term: 2, Body: without})
		if len(b) != wire.MessageHeaderBytes+16 {
			t.Fatalf("no promise takes %d bytes", len(b)-wire.MessageHeaderBytes)
		}
		b = append(b, c.fixed...)
		binary.LittleEndian.PutUint16(b[2:], uint16(len(b)-wire.MessageHeaderBytes))
		resealMessage(b)
		want := wire.Message{Group: 1, Term: 2, Body: without}
		if c.want {
			want.Body = &with
		}
		if got, err := wire.DecodeMessage(b); err != nil || !equal(got, want) {
			t.Errorf("%s: got %+v, %v", c.name, got.Body, err)
		}
	}
}

func TestOtherBitsOfAFlagAreLeftUnread(t *testing.T) {
	b := wire.AppendMessage(nil, &wire.Message{Group: 1, Term: 2, Body: &raft.RequestVoteReply{}})
	binary.LittleEndian.PutUint64(b[wire.MessageHeaderBytes:], ^uint64(1))
	resealMessage(b)
	got, err := wire.DecodeMessage(b)
	if want := (wire.Message{Group: 1, Term: 2, Body: &raft.RequestVoteReply{}}); err != nil || !equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestVariablePartOfAKindWithoutOneIsLeftUnread(t *testing.T) {
	for _, s := range sampleMessages() {
		switch s.message.Body.(type) {
		case *raft.AppendEntries, *raft.AppendEntriesRefusal, *wire.Forward, *wire.Claim, *wire.Change, *wire.SnapshotRequest, *wire.SnapshotChunk,
			*wire.EntryRequest, *wire.EntryReply, *wire.EntryDoubts, *wire.Sums:
			continue
		}
		b := wire.AppendMessage(nil, s.message, []byte("from a later version"))
		if got, err := wire.DecodeMessage(b); err != nil || !equal(got, *s.message) {
			t.Errorf("%s: got %+v, %v, want %+v", s.name, got, err, *s.message)
		}
	}
}

func TestReserveOfARecordIsLeftUnread(t *testing.T) {
	r := sampleEntries()[0].record
	b := wire.AppendRecord(nil, r)
	for at := 56; at < wire.RecordHeaderBytes; at++ {
		if b[at] != 0 {
			t.Errorf("byte %d is %d, want 0", at, b[at])
		}
		b[at] = 0xEE
	}
	resealRecord(b)
	if got, _, err := wire.DecodeRecord(b); err != nil || !equal(got, *r) {
		t.Errorf("got %+v, %v, want %+v", got, err, *r)
	}
}

func TestUnknownFlagsAndKindsOfRecordsSurvive(t *testing.T) {
	want := wire.Record{Kind: 200, Flags: 0xFFFE, Group: 1, Index: 2, Term: 3, Payload: []byte("later")}
	b := wire.AppendRecord(nil, &want)
	if got, size, err := wire.DecodeRecord(b); err != nil || size != len(b) || !equal(got, want) || got.IsEntry() {
		t.Errorf("got %+v, size %d, %v, want %+v", got, size, err, want)
	}
}

func TestLaterBytesOfAConfigurationSurvive(t *testing.T) {
	want := sampleConfiguration()
	for i := range want.Members {
		want.Members[i].Later = slices.Repeat([]byte{byte(i), 0xEE}, i*100+1)
	}
	want.Later = []byte("later")
	for range 2 {
		got, err := wire.DecodeConfiguration(want.Clone().Raft().Data)
		if err != nil || !equal(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
		want = got
	}
}

// What this version cannot read it must neither take for damage nor read half.
func TestWhatIsTooNewIsSaidToBe(t *testing.T) {
	record := func(change func(b []byte)) []byte {
		b := wire.AppendRecord(nil, sampleEntries()[0].record)
		change(b)
		resealRecord(b)
		return b
	}
	message := func(change func(b []byte)) []byte {
		b := wire.AppendMessage(nil, sampleMessages()[0].message)
		change(b)
		resealMessage(b)
		return b
	}
	command := wire.AppendCommand(nil, sampleCommand())
	command[8]++
	configuration := wire.AppendConfiguration(nil, sampleConfiguration())
	configuration[0]++
	otherRoles := configurationOf(1, memberEntry(1, byte(wire.RoleVoter|wire.RoleJoining<<1), bare...))
	laterEntry := func(r wire.Record) []byte {
		r.Group, r.Index, r.Term = sampleGroup, 1, 1
		return messageWith(&raft.AppendEntries{}, wire.AppendRecord(nil, &r))
	}
	decodeRecord := func(b []byte) error { _, _, err := wire.DecodeRecord(b); return err }
	decodeMessage := func(b []byte) error { _, err := wire.DecodeMessage(b); return err }
	decodeCommand := func(b []byte) error { _, err := wire.DecodeCommand(b); return err }
	decodeConfiguration := func(b []byte) error { _, err := wire.DecodeConfiguration(b); return err }
	for _, c := range []struct {
		name   string
		decode func([]byte) error
		bytes  []byte
	}{
		{"record layout", decodeRecord, record(func(b []byte) { b[13]++ })},
		{"message layout", decodeMessage, message(func(b []byte) { b[1]++ })},
		{"message kind for the algorithm", decodeMessage, message(func(b []byte) { b[0] = 14 })},
		{"message kind for the replica", decodeMessage, message(func(b []byte) { b[0] = 25 })},
		{"message kind for the host", decodeMessage, message(func(b []byte) { b[0] = 255 })},
		{"command layout", decodeCommand, command},
		{"configuration layout", decodeConfiguration, configuration},
		{"role", decodeConfiguration, otherRoles},
		{"role in a message", decodeMessage, laterEntry(wire.Record{Kind: wire.RecordConfiguration, Payload: otherRoles})},
		{"first kept kind of entry", decodeMessage, laterEntry(wire.Record{Kind: 4})},
		{"last kept kind of entry", decodeMessage, laterEntry(wire.Record{Kind: 15})},
	} {
		if err := c.decode(c.bytes); !errors.Is(err, wire.ErrTooNew) {
			t.Errorf("%s: got %v, want %v", c.name, err, wire.ErrTooNew)
		}
	}
}
