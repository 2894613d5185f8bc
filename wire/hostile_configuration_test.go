package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/quorate/quorate/wire"
)

// memberEntry lays a member's entry out by hand, without its length.
func memberEntry(id uint64, roles byte, rest ...byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, id), roles), rest...)
}

// configurationOf lays a configuration out by hand.
func configurationOf(count uint64, entries ...[]byte) []byte {
	b := binary.AppendUvarint([]byte{wire.ConfigurationVersion}, count)
	for _, e := range entries {
		b = append(binary.AppendUvarint(b, uint64(len(e))), e...)
	}
	return b
}

// bare is what follows the roles of a member without key, name and addresses.
var bare = []byte{0, 0, 0, 0}

func TestConfigurationsThatLieAreRefused(t *testing.T) {
	voter := func(id uint64) []byte { return memberEntry(id, byte(wire.RoleVoter), bare...) }
	with := func(rest ...byte) []byte { return memberEntry(1, byte(wire.RoleVoter), rest...) }
	var many [][]byte
	for id := range uint64(wire.MaxMembers + 1) {
		many = append(many, voter(id+1))
	}
	urls := func(count uint64, rest []byte) []byte {
		return with(append(binary.AppendUvarint([]byte{0, 0}, count), rest...)...)
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		ok    bool
	}{
		{"one member", configurationOf(1, voter(1)), true},
		{"as many members as may be", configurationOf(wire.MaxMembers, many[:wire.MaxMembers]...), true},
		{"one too many", configurationOf(wire.MaxMembers+1, many...), false},
		{"nothing", nil, false},
		{"a version alone", []byte{wire.ConfigurationVersion}, false},
		{"no member", configurationOf(0), false},
		{"fewer members than it says", configurationOf(2, voter(1)), false},
		{"later bytes, as many as may be", append(configurationOf(1, voter(1)), make([]byte, wire.MaxLaterBytes)...), true},
		{"later bytes, one too many", append(configurationOf(1, voter(1)), make([]byte, wire.MaxLaterBytes+1)...), false},
		{"a trait", configurationOf(1, append(voter(1), 1)), true},
		{"no trait, and something later", configurationOf(1, append(voter(1), 0, 0)), true},
		{"no trait, in a byte", configurationOf(1, append(voter(1), 0)), false},
		{"nobody votes", configurationOf(1, memberEntry(1, byte(wire.RoleOldVoter), 0, 0, 0, 0)), false},
		{"a member without a role", configurationOf(2, voter(1), memberEntry(2, 0, 0, 0, 0, 0)), false},
		{"a voter that is a learner", configurationOf(1, memberEntry(1, byte(wire.RoleVoter|wire.RoleLearner), 0, 0, 0, 0)), false},
		{"a voter that is to become one", configurationOf(1, memberEntry(1, byte(wire.RoleVoter|wire.RoleJoining), 0, 0, 0, 0)), false},
		{"2^64-1 members", configurationOf(math.MaxUint64, voter(1)), false},
		{"members not sorted", configurationOf(2, voter(2), voter(1)), false},
		{"a member twice", configurationOf(2, voter(1), voter(1)), false},
		{"a member without id", configurationOf(1, voter(0)), false},
		{"an entry cut short", configurationOf(1, voter(1)[:8]), false},
		{"an entry longer than the rest", append(configurationOf(1), 200, 1, 2, 3), false},
		{"an entry as long as may be", configurationOf(1, append(voter(1), make([]byte, wire.MaxMemberBytes-13)...)), true},
		{"an entry too long", configurationOf(1, append(voter(1), make([]byte, wire.MaxMemberBytes-12)...)), false},
		{"a key of 31 bytes", configurationOf(1, with(append([]byte{31}, make([]byte, 34)...)...)), false},
		{"a key of 33 bytes", configurationOf(1, with(append([]byte{33}, make([]byte, 36)...)...)), false},
		{"a name longer than the entry", configurationOf(1, with(0, 9, 'a', 0, 0)), false},
		{"more addresses than bytes", configurationOf(1, urls(math.MaxUint64, []byte{0, 0})), false},
		{"addresses cut short", configurationOf(1, urls(16000, []byte{0, 0})), false},
		{"16,000 addresses, the second of which is a lie", configurationOf(1, urls(16000, append([]byte{0, 0xFF, 0xFF, 0xFF, 0x7F}, make([]byte, 16000)...))), false},
		{"16,000 empty addresses", configurationOf(1, urls(16000, make([]byte, 16001))), true},
		{"a number in more bytes than it needs", append([]byte{wire.ConfigurationVersion, 0x81, 0x00, 13}, voter(1)...), false},
		{"a length without end", append([]byte{wire.ConfigurationVersion, 1}, bytes.Repeat([]byte{0xFF}, 30)...), false},
	} {
		s := sample{file: c.name, decode: func(b []byte) (any, error) { return wire.DecodeConfiguration(b) }}
		value, err := decodeBounded(t, &s, c.bytes)
		if c.ok != (err == nil) || (err != nil && !errors.Is(err, wire.ErrConfiguration)) {
			t.Errorf("%s: got %+v, %v", c.name, value, err)
		}
		if err == nil {
			checkStable(t, c.bytes, value)
		}
	}
}

// A configuration outlives the message that it came in, whose buffer is used again.
func TestConfigurationDoesNotAliasItsBytes(t *testing.T) {
	b := wire.AppendConfiguration(nil, sampleConfiguration())
	got, err := wire.DecodeConfiguration(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !equal(got, sampleConfiguration()) {
		t.Errorf("got %+v after its bytes were overwritten", got)
	}
	for i, m := range got.Members {
		if len(m.Key) == 0 && m.Key != nil || len(m.Later) == 0 && m.Later != nil {
			t.Errorf("member %d keeps the buffer alive for nothing", i)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	original := sampleConfiguration()
	clone := original.Clone()
	if !equal(clone, original) {
		t.Fatalf("got %+v, want %+v", clone, original)
	}
	for i := range clone.Members {
		m := &clone.Members[i]
		m.ID++
		m.Name += "x"
		clear(m.Key)
		clear(m.Later)
		clear(m.PeerURLs)
		clear(m.ClientURLs)
	}
	if !equal(original, sampleConfiguration()) {
		t.Errorf("changing the clone changed the original to %+v", original)
	}
}
