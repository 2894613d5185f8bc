package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/raft"
)

// Command is the payload of a command entry: who asked for what, and when.
type Command struct {
	// Time is the group's log time, in nanoseconds since its first leader: the last entry's, and the
	// leader's monotonic clock since then. Never a wall clock. The leader sets it.
	Time uint64
	// Kind is the state machine's; 0 is none. Kinds from 240 on are the host's own.
	Kind uint8
	// Level is the lowest feature level at which this command may be applied.
	Level uint16
	// Origin names this command among all commands ever: the server that took it in, that server's
	// boot counter, and a number of its own.
	Origin Origin
	// Session names the client's session and the request in it, if the client has one.
	Session Session
	// AuthRevision is the revision of users and roles by which the command was let in; 0: none.
	AuthRevision uint64
	// User is on whose behalf the command is; empty: nobody.
	User []byte
	// Request is what the client sent, as it came off the wire.
	Request []byte
}

// Origin says where a command came in.
type Origin struct {
	Server   raft.ServerID
	Boot     uint64
	Sequence uint64
}

// Session says which request of a client's session a command is. All zero: no session.
type Session struct {
	ID       uint64
	Sequence uint64
	// Acknowledged: the client has the answers of all requests up to this one.
	Acknowledged uint64
}

const (
	commandTimeBytes  = 8
	commandFixedBytes = commandTimeBytes + 1 + 1 + 2 + 8
	// minCommandBytes is the size of a command with all numbers 0, no user and no request.
	minCommandBytes = commandFixedBytes + 7
	// CommandVersion is the layout drawn in doc.go.
	CommandVersion = 1
	// MaxUserBytes bounds the name of a user.
	MaxUserBytes = 1 << 10
)

// ErrCommand: the bytes are no command.
var ErrCommand = errors.New("command is malformed")

// AppendCommand appends the encoding of c to b.
func AppendCommand(b []byte, c *Command) []byte {
	b = binary.LittleEndian.AppendUint64(b, c.Time)
	b = append(b, CommandVersion, c.Kind)
	b = binary.LittleEndian.AppendUint16(b, c.Level)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Origin.Server))
	for _, v := range [...]uint64{
		c.Origin.Boot, c.Origin.Sequence, c.Session.ID, c.Session.Sequence, c.Session.Acknowledged, c.AuthRevision,
		uint64(len(c.User)),
	} {
		b = binary.AppendUvarint(b, v)
	}
	b = append(b, c.User...)
	return append(b, c.Request...)
}

// SetCommandTime sets the log time in an encoded command.
func SetCommandTime(command []byte, time uint64) {
	binary.LittleEndian.PutUint64(command, time)
}

// DecodeCommand decodes a command that fills b. What it returns aliases b.
func DecodeCommand(b []byte) (Command, error) {
	if len(b) < commandFixedBytes {
		return Command{}, ErrCommand
	}
	if b[8] != CommandVersion {
		return Command{}, fmt.Errorf("command layout %d: %w", b[8], ErrTooNew)
	}
	c := Command{
		Time:   binary.LittleEndian.Uint64(b),
		Kind:   b[9],
		Level:  binary.LittleEndian.Uint16(b[10:]),
		Origin: Origin{Server: raft.ServerID(binary.LittleEndian.Uint64(b[12:]))},
	}
	b = b[commandFixedBytes:]
	var userBytes uint64
	for _, field := range [...]*uint64{
		&c.Origin.Boot, &c.Origin.Sequence, &c.Session.ID, &c.Session.Sequence, &c.Session.Acknowledged, &c.AuthRevision,
		&userBytes,
	} {
		v, n := uvarint(b)
		if n <= 0 {
			return Command{}, ErrCommand
		}
		*field, b = v, b[n:]
	}
	if userBytes > MaxUserBytes || userBytes > uint64(len(b)) {
		return Command{}, ErrCommand
	}
	c.User, c.Request = b[:userBytes:userBytes], b[userBytes:]
	return c, nil
}
