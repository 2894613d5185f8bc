package scenario

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/check"
	"github.com/quorate/quorate/internal/script"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// propose makes a command of what a script writes for it, with the name by which it is found again in the log.
func (c *servers) propose(cmd script.Command, s *server, text string) replica.Propose {
	var k kv.Command
	if !parseRequest(text, &k) {
		cmd.Failf("%s is no request to a store", text)
	}
	// The checker's own store knows no alarms, so answers are only compared with each other, and it is told of no more than a read.
	handle := c.asked(s, &request{text: text, Op: check.Op{Request: check.Range{}}})
	command := wire.Command{Kind: uint8(k.Kind), Request: k.Request, Session: k.Session, User: check.UserOf(handle)}
	c.check.Called(&c.requests[handle-1].Op)
	return replica.Propose{Handle: handle, Command: command}
}

// parseRequest reads what a script writes for a request:
//
//	open              a session
//	put:key:value     and 2.1:put:key:value, which is request 1 of session 2. Puts ask for the value before, so that an answer
//	                  shows what it was given for
//	delete:key
//	compact:3         everything below revision 3 may be forgotten
//	nospace:1         the alarm NOSPACE of server 1 is raised, and with disarm:1 turned off
func parseRequest(text string, c *kv.Command) bool {
	if text == "open" {
		c.Kind, c.Request = kv.KindSessionOpen, session.OpenRequest(60)
		return true
	}
	var n wire.Session
	if numbered, err := fmt.Sscanf(text, "%d.%d:", &n.ID, &n.Sequence); err == nil && numbered == 2 {
		c.Session = n
		_, text, _ = strings.Cut(text, ":")
	}
	word, rest, found := strings.Cut(text, ":")
	if !found || len(text) > 100 {
		return false
	}
	switch word {
	case "put":
		return parsePut(rest, c)
	case "delete":
		c.Kind, c.Request = kv.KindDeleteRange, appendText(nil, 1, rest)
		return true
	}
	number, err := strconv.ParseUint(rest, 10, 64)
	switch word {
	case "compact":
		c.Kind, c.Request = kv.KindCompact, appendNumber(nil, 1, number)
	case "nospace":
		c.Kind, c.Request = kv.KindAlarm, kv.AlarmRequest(kv.Alarm{Member: number, Type: kv.AlarmNoSpace})
	case "disarm":
		c.Kind, c.Request = kv.KindAlarm, appendNumber(appendNumber(appendNumber(nil, 1, 2), 2, number), 3, uint64(kv.AlarmNoSpace))
	default:
		return false
	}
	return err == nil
}

func parsePut(text string, c *kv.Command) bool {
	key, value, found := strings.Cut(text, ":")
	c.Kind = kv.KindPut
	c.Request = appendText(c.Request, 1, key)
	c.Request = appendText(c.Request, 2, value)
	c.Request = append(c.Request, 4<<3, 1) // prev_kv
	return found
}

// appendText appends a short text as a field of a protobuf message.
func appendText(b []byte, field byte, text string) []byte {
	return append(append(b, field<<3|2, byte(len(text))), text...)
}

// appendNumber appends a number as a field of a protobuf message.
func appendNumber(b []byte, field byte, n uint64) []byte {
	return binary.AppendUvarint(append(b, field<<3), n)
}

// valueIn returns the value of the first key in a response to a read, which has no header; false if there is none.
func valueIn(response []byte) (string, bool) {
	first, found := textIn(response, 2)
	if !found {
		return "", false
	}
	value, _ := textIn(first, 5)
	return string(value), true
}

// textIn returns the first field of that number in a protobuf message, which has numbers and texts only.
func textIn(message []byte, field uint64) ([]byte, bool) {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		size, m := binary.Uvarint(message[max(n, 0):])
		if n <= 0 || m <= 0 {
			return nil, false
		}
		message = message[n+m:]
		if tag&7 != 2 {
			continue // a number, and size is it
		}
		if size > uint64(len(message)) {
			return nil, false
		}
		if tag>>3 == field {
			return message[:size], true
		}
		message = message[size:]
	}
	return nil, false
}
