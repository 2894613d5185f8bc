// Package wire is the bytes of entries, messages, commands and configurations.
//
// # What
//
// An entry is encoded once, by the leader that appends it. The same bytes are the record in the
// log, the frame on the network, and what the followers write: nobody encodes it again. Messages
// carry such records, and what else servers of a group tell each other; commands and configurations
// are what entries hold. The formats are for ever: each is drawn below and pinned by a dump under
// testdata.
//
// The package keeps no log, opens no link, and does not check the chain of hashes, since it does
// not know the entry before: whoever appends does (Raw.Follows). Encoders trust their callers and
// do not check the bounds below: what a server is about to propose, it decodes first.
//
// # Units
//
// Sizes and offsets are bytes; one-letter sizes are drawn where they are given. Integers are
// little-endian and unsigned. "varint" is seven bits a byte, least significant first, the high bit
// set on all but the last, and never longer than it need be: every number has one encoding. Log
// time is in nanoseconds since the group's first leader. Every checksum is CRC32C.
//
// # Shape
//
//	               AppendCommand        SealRecord or AppendRecord       AppendMessage
//	Command ─────────────────────▶ payload ────────────────▶ record ────────────────▶ message
//	Configuration ───────────────▶                          (to the log)             (to a peer)
//	          AppendConfiguration
//
//	message ──DecodeMessage──▶ Message{Body: *raft.AppendEntries{Entries: records}, *Forward, ...}
//	record  ──DecodeRecord───▶ Record;  Raw reads single fields of a record known to be sound
//	payload ──DecodeCommand, DecodeConfiguration──▶ Command, *Configuration
//
// A record, in the log and in messages:
//
//	offset size
//	 0      4   checksum of bytes 4 to 63
//	 4      4   checksum of the payload
//	 8      4   length n of the payload
//	12      1   kind
//	13      1   layout: 1; 0 while the record has no header yet
//	14      2   flags: bit 0, the entry is written a second time; the other bits are kept
//	16      8   group
//	24      8   index
//	32      8   term
//	40     16   hash of the entry
//	56      8   kept: written as zeros, left unread
//	64      n   payload
//	64+n  0-7   zeros, up to a multiple of 8
//
//	kind        payload
//	 0          never written: zeros on the disk are no record
//	 1          command: below
//	 2          no-op: log time (8), or nothing
//	 3          configuration: below
//	 4 to  15   kept for entries of later versions
//	16 to  19   hard state, truncate, base, drop: the log's own, drawn by the log, never in a message
//	20 to 255   kept for the log
//
// The hash of an entry is the first 16 bytes of the SHA-256 of
//
//	hash of the entry before (16), group (8), index (8), term (8), n (4), kind (1), payload (n)
//
// where the hash before the first entry is the first 16 bytes of the SHA-256 of
//
//	"quorate genesis" and a zero (16), cluster (8), group (8)
//
// A message:
//
//	offset size
//	 0      1   kind
//	 1      1   layout: 1
//	 2      2   length f of the fixed part
//	 4      4   checksum of bytes 0 to 3 and of all from 8 on
//	 8      8   group
//	16      8   the sender's term when it made the message
//	24      f   fixed part: fields of 8 bytes
//	24+f        variable part, to the end
//
//	kind                      fixed part                                         variable part
//	 1  RequestVote           last log index, last log term, flag transfer       -
//	 2  RequestVoteReply      flag granted                                       -
//	 3  RequestPreVote        last log index, last log term                      -
//	 4  RequestPreVoteReply   flag granted                                       -
//	 5  AppendEntries         index and term before, leader's commit, round      records, in a row
//	 6  AppendEntriesReply    round, verified index, flag promise?               -
//	 7  AppendEntriesRefusal  round, commit, last log index                      runs: term, first index
//	 8  TimeoutNow            -                                                  -
//	 9  SnapshotOffer         base                                               -
//	10  SnapshotRequest       boot, number                                       what the state machine asks for
//	11  SnapshotChunk         boot, number, outcome                              varint length, position; a piece of a state
//	12  EntryRequest          -                                                  each: index, term, hash (16); both 0 if not known
//	13  EntryReply            -                                                  each: index, term, state (8), and if that is 1, a record
//	16  Forward               boot, batch                                        each: varint length, command
//	17  ForwardReply          boot, batch                                        -
//	18  ReadRequest           boot, number                                       -
//	19  ReadReply             boot, number, index                                -
//	20  Claim                 -                                                  a member's entry
//	21  Change                boot, number                                       each: flags leaves 1, must belong 2, traits 4 (1), a member's entry
//	22  ChangeReply           boot, number, outcome, index                       -
//	23  Sums                  -                                                  each 40 bytes: kind, at, also, sum (16)
//	24  EntryDoubts           -                                                  records, in a row
//
// Kept are, for the algorithm, 14 and 15; for the replica, 25 to 31; for the host, 32 to 255. 0 is never
// sent. A flag is bit 0 of its field. A field with a question mark was added: it may be missing, and then a
// flag is not set.
//
// A command:
//
//	offset size
//	 0      8   log time, set by the leader
//	 8      1   layout: 1
//	 9      1   kind: 0 none, 1 to 239 the state machine's, 240 to 255 the host's
//	10      2   feature level
//	12      8   origin: server
//	20          varints: origin's boot and sequence; session's id, sequence and acknowledged;
//	            authorization revision; length u of the user's name
//	        u   user's name
//	            request, to the end
//
// A configuration:
//
//	1         layout: 1
//	varint    number of members
//	          members' entries, ascending by id
//	          what later versions add, to the end: at most 64 KiB
//
// A position in a group's log, here and beside a state that was received:
//
//	offset size
//	 0      1   layout: 1
//	 1      8   index
//	 9      8   term
//	17     16   hash of the entry
//	33          configuration in force there, to the end
//
// and a member's entry, here, in a Claim and in a Change:
//
//	varint    length e of what follows
//	8         id
//	1         roles: bit 0 voter, bit 1 old voter, bit 2 learner, bit 3 a learner that is to vote
//	varint    length of the key: 0 or 32;      key
//	varint    length of the name;              name
//	varint    number of peers' addresses;      each: length (varint), bytes
//	varint    number of clients' addresses;    each: length (varint), bytes
//	0 or 1    traits: bit 0 preferred to lead; the other bits are kept. Left out if all
//	          are 0 and nothing follows
//	          what later versions add, up to e
//
// What later versions may change, so that servers of two versions can work together:
//
//   - A field at the end of a message's fixed part, a variable part where there is none, the other
//     bits of a flag or of a record's flags, the kept bytes of a record, the other bits of a
//     member's traits, and what follows in a member's entry or a configuration are left unread by
//     those who do not know them. Traits, and a member's and a configuration's later bytes, are
//     kept and handed on. Only what is safe to ignore may go there, and a reader must have a
//     meaning for its absence.
//   - Whatever must not be ignored is a new kind, role or layout. Those who do not know it refuse
//     it (ErrTooNew), and it is not used before every server of the group knows it.
//   - All layouts have in common what tells them apart from damage: of a record, bytes 0 to 3, 13
//     and that the first 64 bytes are its header; of a message, bytes 0 to 7; of a command, bytes 0
//     to 8; of a configuration, byte 0.
//
// Bounds: a payload has at most 16 MiB, a message 32 MiB, a refusal 1,024 runs, a
// request for entries and its reply 64 of them, a configuration 1
// to 256 members, a member's entry 16 KiB, a user's name 1 KiB; a forwarded command has at least
// the 27 bytes of an empty one. Decoding allocates less than five times its input, but for
// addresses, where an empty one is a byte in the input and a string in memory: less than 24 times.
//
// # Errors
//
// Of a record, ErrShort, ErrHeader and ErrPayload say what of it can still be believed: where the
// size is not 0, the header is sound and the fields are returned with it. ErrChecksum: a message
// was damaged on its way. ErrMalformed, ErrCommand and ErrConfiguration: no encoder of this layout
// writes such bytes. ErrTooNew: they may be sound, and a later version knows. An error inside a
// message is that of the record, command or configuration in it.
//
// AppendMessage panics if the body is no message, and SetCommandTime, SealRecord and Raw if the
// bytes are too short for what their caller says they are: those are our own mistakes. Decoders
// never panic.
//
// # Concurrency
//
// Functions without state: call them from anywhere. What DecodeRecord, DecodeMessage and
// DecodeCommand return aliases the bytes, which must stay as they are for as long; configurations,
// and the members of a Claim and a Change, are copies.
//
// # Source
//
// The messages are those of Figure 2 of the Raft paper and of §9.6 and §6.4 of the thesis; the
// formats and the chain of hashes are ours.
package wire
