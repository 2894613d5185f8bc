package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/quorate/quorate/raft"
)

// MessageKind tells what a message between servers is. The numbers are on the wire for ever; those
// missing below 16 are kept for the algorithm, those from 32 on for the host.
type MessageKind uint8

// The kinds of messages, as doc.go draws them.
const (
	KindRequestVote          MessageKind = 1
	KindRequestVoteReply     MessageKind = 2
	KindRequestPreVote       MessageKind = 3
	KindRequestPreVoteReply  MessageKind = 4
	KindAppendEntries        MessageKind = 5
	KindAppendEntriesReply   MessageKind = 6
	KindAppendEntriesRefusal MessageKind = 7
	KindTimeoutNow           MessageKind = 8
	KindSnapshotOffer        MessageKind = 9
	KindSnapshotRequest      MessageKind = 10
	KindSnapshotChunk        MessageKind = 11
	KindEntryRequest         MessageKind = 12
	KindEntryReply           MessageKind = 13

	KindForward      MessageKind = 16
	KindForwardReply MessageKind = 17
	KindReadRequest  MessageKind = 18
	KindReadReply    MessageKind = 19
	KindClaim        MessageKind = 20
	KindChange       MessageKind = 21
	KindChangeReply  MessageKind = 22
	KindSums         MessageKind = 23
	KindEntryDoubts  MessageKind = 24
)

const (
	// MessageHeaderBytes is the size of the header that all messages share.
	MessageHeaderBytes = 24
	// MessageVersion is the layout drawn in doc.go.
	MessageVersion = 1
	// MaxMessageBytes bounds a message; whatever is longer is refused unread.
	MaxMessageBytes = 32 << 20
)

// Message is a message between two replicas of a group. Who sent it is not in the bytes: the link
// knows. Body is one of raft's messages, or one of the structs below.
type Message struct {
	Group GroupID
	Term  raft.Term
	Body  any
}

// Forward carries commands from the server where clients brought them to the leader. Batches are
// numbered from 1 for each term of a leader, and taken in that order: a repeated one is taken once.
// The leader takes them in the very term that they are addressed to or not at all, so that once an
// entry of a later term is applied, a command that has not been applied never will be.
type Forward struct {
	// Boot is the sender's boot counter: an older one's batches are not taken any more.
	Boot  uint64
	Batch uint64
	// Commands are as AppendCommand encodes them; the leader sets their time.
	Commands [][]byte
}

// ForwardReply says that the leader has taken all batches up to Batch.
type ForwardReply struct {
	// Boot is that of the Forward.
	Boot  uint64
	Batch uint64
}

// ReadRequest asks the leader for an index at which linearizable reads may be served.
type ReadRequest struct {
	Boot   uint64
	Number uint64
}

// ReadReply answers the ReadRequest with the same boot and number.
type ReadReply struct {
	Boot   uint64
	Number uint64
	Index  raft.Index
}

// Claim tells the leader what the sender's entry in the configuration should say.
type Claim struct{ Member Member }

// Change asks the leader for other members. Like a Forward it is taken in the very term that it is addressed
// to, and one with a number that was taken before is not taken again.
type Change struct {
	// Boot is the sender's boot counter, and Number grows with each change that it asks for.
	Boot, Number uint64
	// Edits are at least one, at most MaxMembers.
	Edits []Edit
}

// Edit is what is to become of one member.
type Edit struct {
	// Member is the server. Of one that belongs to the group already Roles and PeerURLs are taken, unless
	// they are empty; and Key, if it has none. One that is new becomes a learner; with RoleVoter, or no role,
	// one that gets its vote as soon as it has caught up, for which nobody waits.
	Member Member
	// Remove: it is to leave the group. It is no error if it does not belong to it.
	Remove bool
	// SetTraits: its traits are to be Member.Traits, as far as they are known; without it they stay what they are.
	SetTraits bool
	// Existing: if it does not belong to the group, nothing of the change is to happen.
	Existing bool
}

// ChangeReply says what became of the Change with the same boot and number.
type ChangeReply struct {
	Boot, Number uint64
	Outcome      ChangeOutcome
	// Index is that of the configuration with which the change is complete, if it is ChangeDone.
	Index raft.Index
}

// ChangeOutcome is what became of a change. The numbers are on the wire for ever; who does not know one knows
// only that the change is not under way any more.
type ChangeOutcome uint64

// What can become of a change. But for ChangeDone it has not happened.
const (
	ChangeDone       ChangeOutcome = 1
	ChangeBusy       ChangeOutcome = 2
	ChangeNotReady   ChangeOutcome = 3
	ChangeNotAllowed ChangeOutcome = 4
	// ChangeHandedBack: the leader hands over, and whoever leads next may be asked.
	ChangeHandedBack ChangeOutcome = 5
)

// SnapshotOffer tells a server that the leader's log no longer has what it needs: it needs a state at Base or above,
// which it may ask any server for.
type SnapshotOffer struct {
	// Base is the last entry that the leader's log does not have any more.
	Base raft.Index
}

// SnapshotRequest asks for a piece of a state. What it says is the state machines' business.
type SnapshotRequest struct {
	// Boot is the sender's boot counter, and Number grows with each request.
	Boot, Number uint64
	Request      []byte
}

// SnapshotChunk answers the SnapshotRequest with the same boot and number.
type SnapshotChunk struct {
	Boot, Number uint64
	Outcome      SnapshotOutcome
	// Position is where in the log the state is that the chunk is a piece of. None but with SnapshotServed.
	Position *Position
	// Chunk is the state machines' business. None with a Position says where the sender's state is, which is not ahead.
	Chunk []byte
}

// SnapshotOutcome is what became of a request for a piece of a state. The numbers are on the wire for ever; who does
// not know one knows only that there is no piece.
type SnapshotOutcome uint64

// What can become of a request for a piece of a state.
const (
	SnapshotServed SnapshotOutcome = 1
	// SnapshotUnavailable: the sender has no state to give, or not now. Another server may.
	SnapshotUnavailable SnapshotOutcome = 2
)

// Sums says what the sender's state machine was like at moments that all servers pass. Whoever has another sum for the
// same moment has another state.
type Sums struct {
	Sums []Sum
}

// Sum is one of them.
type Sum struct {
	// Kind is the state machine's; sums of different kinds are never compared.
	Kind uint64
	// At and Also say of which moment it is, as the kind has it.
	At, Also uint64
	Value    [16]byte
}

// sumBytes is what a sum takes up in a message.
const sumBytes = 3*8 + 16

var (
	// ErrChecksum: the message was damaged on its way.
	ErrChecksum = errors.New("message checksum is wrong")
	// ErrMalformed: the bytes are no message of any version.
	ErrMalformed = errors.New("message is malformed")
)

// AppendMessage appends the encoding of a message to b. In an AppendEntries, the entries' records
// are taken from records, back to back, and not from the body.
func AppendMessage(b []byte, m *Message, records ...[]byte) []byte {
	start := len(b)
	b = slices.Grow(b, roomFor(m.Body, records))
	b = append(b, make([]byte, MessageHeaderBytes)...)
	kind, b := appendFixed(b, m.Body)
	fixedBytes := len(b) - start - MessageHeaderBytes
	b = appendVariable(b, m.Body)
	for _, r := range records {
		b = append(b, r...)
	}
	h := b[start:]
	h[0], h[1] = byte(kind), MessageVersion
	binary.LittleEndian.PutUint16(h[2:], uint16(fixedBytes))
	binary.LittleEndian.PutUint64(h[8:], uint64(m.Group))
	binary.LittleEndian.PutUint64(h[16:], uint64(m.Term))
	binary.LittleEndian.PutUint32(h[4:], messageChecksum(h))
	return b
}

// roomFor is about how many bytes a message takes, and not less where it is large: a buffer that grows
// under a batch of entries is copied, again and again.
func roomFor(body any, records [][]byte) int {
	const small = 128 // the header, the fixed part, what other messages have besides
	room := small
	for _, r := range records {
		room += len(r)
	}
	switch m := body.(type) {
	case *Forward:
		for _, c := range m.Commands {
			room += binary.MaxVarintLen32 + len(c)
		}
	case *SnapshotChunk:
		room += len(m.Chunk)
		if m.Position != nil {
			room += len(m.Position.Configuration)
		}
	case *EntryReply:
		for i := range m.Found {
			room += foundBytes + len(m.Found[i].Record)
		}
	}
	return room
}

// messageChecksum covers everything but itself.
func messageChecksum(b []byte) uint32 {
	return crc32.Update(Checksum(b[:4]), castagnoli, b[8:])
}

func appendFixed(b []byte, body any) (MessageKind, []byte) {
	put := func(values ...uint64) []byte {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		return b
	}
	switch m := body.(type) {
	case *raft.RequestVote:
		return KindRequestVote, put(uint64(m.LastLogIndex), uint64(m.LastLogTerm), flag(m.Transfer))
	case *raft.RequestVoteReply:
		return KindRequestVoteReply, put(flag(m.Granted))
	case *raft.RequestPreVote:
		return KindRequestPreVote, put(uint64(m.LastLogIndex), uint64(m.LastLogTerm))
	case *raft.RequestPreVoteReply:
		return KindRequestPreVoteReply, put(flag(m.Granted))
	case *raft.AppendEntries:
		return KindAppendEntries, put(uint64(m.PrevLogIndex), uint64(m.PrevLogTerm), uint64(m.LeaderCommit), uint64(m.Round))
	case *raft.AppendEntriesReply:
		b = put(uint64(m.Round), uint64(m.Verified))
		if m.Promise {
			b = put(flag(m.Promise)) // added later: it is left out where it says no more than its absence
		}
		return KindAppendEntriesReply, b
	case *raft.AppendEntriesRefusal:
		return KindAppendEntriesRefusal, put(uint64(m.Round), uint64(m.Commit), uint64(m.LastLogIndex))
	case *raft.TimeoutNow:
		return KindTimeoutNow, b
	case *EntryRequest:
		return KindEntryRequest, b
	case *EntryReply:
		return KindEntryReply, b
	case *Forward:
		return KindForward, put(m.Boot, m.Batch)
	case *ForwardReply:
		return KindForwardReply, put(m.Boot, m.Batch)
	case *ReadRequest:
		return KindReadRequest, put(m.Boot, m.Number)
	case *ReadReply:
		return KindReadReply, put(m.Boot, m.Number, uint64(m.Index))
	case *Claim:
		return KindClaim, b
	case *Change:
		return KindChange, put(m.Boot, m.Number)
	case *ChangeReply:
		return KindChangeReply, put(m.Boot, m.Number, uint64(m.Outcome), uint64(m.Index))
	case *Sums:
		return KindSums, b
	case *EntryDoubts:
		return KindEntryDoubts, b
	case *SnapshotOffer:
		return KindSnapshotOffer, put(uint64(m.Base))
	case *SnapshotRequest:
		return KindSnapshotRequest, put(m.Boot, m.Number)
	case *SnapshotChunk:
		return KindSnapshotChunk, put(m.Boot, m.Number, uint64(m.Outcome))
	}
	panic(fmt.Sprintf("no message kind for %T", body))
}

func appendVariable(b []byte, body any) []byte {
	switch m := body.(type) {
	case *raft.AppendEntriesRefusal:
		for _, r := range m.Runs {
			b = binary.LittleEndian.AppendUint64(b, uint64(r.Term))
			b = binary.LittleEndian.AppendUint64(b, uint64(r.First))
		}
	case *EntryRequest:
		b = appendWanted(b, m)
	case *EntryReply:
		b = appendFound(b, m)
	case *Forward:
		for _, c := range m.Commands {
			b = binary.AppendUvarint(b, uint64(len(c)))
			b = append(b, c...)
		}
	case *Claim:
		b = appendMember(b, &m.Member)
	case *Change:
		for i := range m.Edits {
			b = append(b, byte(flag(m.Edits[i].Remove)|flag(m.Edits[i].Existing)<<1|flag(m.Edits[i].SetTraits)<<2))
			b = appendMember(b, &m.Edits[i].Member)
		}
	case *Sums:
		b = appendSums(b, m.Sums)
	case *EntryDoubts:
		for _, record := range m.Records {
			b = append(b, record...)
		}
	case *SnapshotRequest:
		b = append(b, m.Request...)
	case *SnapshotChunk:
		var position []byte
		if m.Position != nil {
			position = AppendPosition(nil, m.Position)
		}
		b = binary.AppendUvarint(b, uint64(len(position)))
		b = append(append(b, position...), m.Chunk...)
	}
	return b
}

// DecodeMessage decodes a message that fills b. What it returns aliases b.
func DecodeMessage(b []byte) (Message, error) {
	if len(b) < MessageHeaderBytes || len(b) > MaxMessageBytes {
		return Message{}, ErrMalformed
	}
	if binary.LittleEndian.Uint32(b[4:]) != messageChecksum(b) {
		return Message{}, ErrChecksum
	}
	if b[1] != MessageVersion {
		return Message{}, fmt.Errorf("message layout %d: %w", b[1], ErrTooNew)
	}
	m := Message{
		Group: GroupID(binary.LittleEndian.Uint64(b[8:])),
		Term:  raft.Term(binary.LittleEndian.Uint64(b[16:])),
	}
	fixedBytes := int(binary.LittleEndian.Uint16(b[2:]))
	if len(b) < MessageHeaderBytes+fixedBytes {
		return Message{}, ErrMalformed
	}
	f := fixed{b: b[MessageHeaderBytes : MessageHeaderBytes+fixedBytes]}
	variable := b[MessageHeaderBytes+fixedBytes:]
	var err error
	m.Body, err = decodeBody(MessageKind(b[0]), m.Group, &f, variable)
	if err == nil && f.short {
		err = ErrMalformed
	}
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// fixed reads the fixed part of a message. Fields that a later version has added are left unread.
type fixed struct {
	b     []byte
	short bool
}

func (f *fixed) u64() uint64 {
	if len(f.b) < 8 {
		f.short = true
		return 0
	}
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

func (f *fixed) index() raft.Index { return raft.Index(f.u64()) }
func (f *fixed) term() raft.Term   { return raft.Term(f.u64()) }
func (f *fixed) round() raft.Round { return raft.Round(f.u64()) }
func (f *fixed) flag() bool        { return f.u64()&1 != 0 }

// laterFlag is one that earlier versions do not send, and then it is not set.
func (f *fixed) laterFlag() bool { return len(f.b) >= 8 && f.flag() }

func decodeBody(kind MessageKind, group GroupID, f *fixed, variable []byte) (any, error) {
	switch kind {
	case KindRequestVote:
		return &raft.RequestVote{LastLogIndex: f.index(), LastLogTerm: f.term(), Transfer: f.flag()}, nil
	case KindRequestVoteReply:
		return &raft.RequestVoteReply{Granted: f.flag()}, nil
	case KindRequestPreVote:
		return &raft.RequestPreVote{LastLogIndex: f.index(), LastLogTerm: f.term()}, nil
	case KindRequestPreVoteReply:
		return &raft.RequestPreVoteReply{Granted: f.flag()}, nil
	case KindAppendEntries:
		m := &raft.AppendEntries{PrevLogIndex: f.index(), PrevLogTerm: f.term(), LeaderCommit: f.index(), Round: f.round()}
		return m, decodeEntries(m, group, variable)
	case KindAppendEntriesReply:
		return &raft.AppendEntriesReply{Round: f.round(), Verified: f.index(), Promise: f.laterFlag()}, nil
	case KindAppendEntriesRefusal:
		m := &raft.AppendEntriesRefusal{Round: f.round(), Commit: f.index(), LastLogIndex: f.index()}
		return m, decodeRuns(m, variable)
	case KindTimeoutNow:
		return &raft.TimeoutNow{}, nil
	case KindSnapshotOffer:
		return &SnapshotOffer{Base: f.index()}, nil
	case KindSnapshotRequest:
		return &SnapshotRequest{Boot: f.u64(), Number: f.u64(), Request: variable}, nil
	case KindSnapshotChunk:
		m := &SnapshotChunk{Boot: f.u64(), Number: f.u64(), Outcome: SnapshotOutcome(f.u64())}
		return m, decodeChunk(m, variable)
	case KindEntryRequest:
		m := &EntryRequest{}
		return m, decodeWanted(m, variable)
	case KindEntryReply:
		m := &EntryReply{}
		return m, decodeFound(m, group, variable)
	case KindForward:
		m := &Forward{Boot: f.u64(), Batch: f.u64()}
		return m, decodeCommands(m, variable)
	case KindForwardReply:
		return &ForwardReply{Boot: f.u64(), Batch: f.u64()}, nil
	case KindReadRequest:
		return &ReadRequest{Boot: f.u64(), Number: f.u64()}, nil
	case KindReadReply:
		return &ReadReply{Boot: f.u64(), Number: f.u64(), Index: f.index()}, nil
	case KindClaim:
		member, rest, err := decodeMember(variable)
		if err == nil && len(rest) > 0 {
			err = ErrMalformed
		}
		return &Claim{Member: member}, err
	case KindChange:
		m := &Change{Boot: f.u64(), Number: f.u64()}
		return m, decodeEdits(m, variable)
	case KindChangeReply:
		return &ChangeReply{Boot: f.u64(), Number: f.u64(), Outcome: ChangeOutcome(f.u64()), Index: f.index()}, nil
	case KindSums:
		m := &Sums{}
		return m, decodeSums(m, variable)
	case KindEntryDoubts:
		m := &EntryDoubts{}
		return m, decodeDoubts(m, group, variable)
	}
	return nil, fmt.Errorf("message kind %d: %w", kind, ErrTooNew)
}

func appendSums(b []byte, sums []Sum) []byte {
	for i := range sums {
		s := &sums[i]
		b = binary.LittleEndian.AppendUint64(b, s.Kind)
		b = binary.LittleEndian.AppendUint64(b, s.At)
		b = binary.LittleEndian.AppendUint64(b, s.Also)
		b = append(b, s.Value[:]...)
	}
	return b
}

func decodeSums(m *Sums, b []byte) error {
	if len(b)%sumBytes != 0 {
		return ErrMalformed
	}
	for ; len(b) > 0; b = b[sumBytes:] {
		m.Sums = append(m.Sums, Sum{
			Kind: binary.LittleEndian.Uint64(b), At: binary.LittleEndian.Uint64(b[8:]), Also: binary.LittleEndian.Uint64(b[16:]),
			Value: [16]byte(b[24:sumBytes]),
		})
	}
	return nil
}

// decodeEntries checks every record and that they follow the entry before them without a gap.
func decodeEntries(m *raft.AppendEntries, group GroupID, b []byte) error {
	index := m.PrevLogIndex
	m.Entries = make([]raft.Entry, 0, len(b)/(4*RecordHeaderBytes))
	for len(b) > 0 {
		r, size, err := DecodeRecord(b)
		if err != nil {
			return fmt.Errorf("entry after %d: %w", index, err)
		}
		index++
		if r.Kind > RecordConfiguration && r.Kind <= lastEntryKind {
			return fmt.Errorf("entry %d is of kind %d: %w", index, r.Kind, ErrTooNew)
		}
		if !r.IsEntry() || r.Group != group || r.Index != index || index == 0 {
			return fmt.Errorf("%w: record of kind %d, group %d, index %d where entry %d of group %d belongs",
				ErrMalformed, r.Kind, r.Group, r.Index, index, group)
		}
		e := raft.Entry{Term: r.Term, Kind: raft.EntryKind(r.Kind), Data: b[:size:size]}
		if r.Kind == RecordConfiguration {
			c, err := DecodeConfiguration(r.Payload)
			if err != nil {
				return fmt.Errorf("configuration at %d: %w", index, err)
			}
			e.Configuration = c.Raft()
		}
		m.Entries = append(m.Entries, e)
		b = b[size:]
	}
	m.Last = index
	return nil
}

func decodeRuns(m *raft.AppendEntriesRefusal, b []byte) error {
	if len(b)%16 != 0 || len(b) > 16*1024 {
		return ErrMalformed
	}
	for ; len(b) > 0; b = b[16:] {
		m.Runs = append(m.Runs, raft.TermRun{
			Term:  raft.Term(binary.LittleEndian.Uint64(b)),
			First: raft.Index(binary.LittleEndian.Uint64(b[8:])),
		})
	}
	return nil
}

// decodeCommands checks that every command is one: the leader appends them unread, and what is in the
// log has to mean the same to every server.
func decodeCommands(m *Forward, b []byte) error {
	for len(b) > 0 {
		size, n := uvarint(b)
		if n <= 0 || size < minCommandBytes || size > MaxPayloadBytes || size > uint64(len(b)-n) {
			return ErrMalformed
		}
		command := b[n : n+int(size) : n+int(size)]
		if _, err := DecodeCommand(command); err != nil {
			return fmt.Errorf("forwarded command: %w", err)
		}
		m.Commands = append(m.Commands, command)
		b = b[n+int(size):]
	}
	return nil
}

// decodeEdits takes no edit of a later version for one of this: what is to happen must not be guessed.
func decodeEdits(m *Change, b []byte) error {
	for len(b) > 0 {
		what := b[0]
		if what > 7 {
			return fmt.Errorf("edit of kind %d: %w", what, ErrTooNew)
		}
		member, rest, err := decodeMember(b[1:])
		if err != nil {
			return err
		}
		m.Edits, b = append(m.Edits, Edit{Member: member, Remove: what&1 != 0, Existing: what&2 != 0, SetTraits: what&4 != 0}), rest
	}
	if len(m.Edits) == 0 || len(m.Edits) > MaxMembers {
		return ErrMalformed
	}
	return nil
}

// decodeChunk takes a chunk apart. A piece of a state without its place in the log is none.
func decodeChunk(m *SnapshotChunk, b []byte) error {
	size, n := uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) || (size == 0) != (m.Outcome != SnapshotServed) {
		return ErrMalformed
	}
	m.Chunk = b[n+int(size):]
	if size == 0 {
		return nil
	}
	position, err := DecodePosition(b[n : n+int(size)])
	m.Position = &position
	return err
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
