package transport

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Reason is the kind of a Refusal. The numbers travel: never change one.
type Reason uint16

const (
	// ReasonMalformed: the other side sent bytes that mean nothing here.
	ReasonMalformed Reason = 1
	// ReasonProtocol: no version of the link protocol is known to both sides.
	ReasonProtocol Reason = 2
	// ReasonCluster: the two servers belong to different clusters.
	ReasonCluster Reason = 3
	// ReasonReceiver: the caller wanted another server than the one it reached.
	ReasonReceiver Reason = 4
	// ReasonUnknownServer: the sender's id is not in the table of peers.
	ReasonUnknownServer Reason = 5
	// ReasonKey: the key shown is not that server's.
	ReasonKey Reason = 6
	// ReasonUnproven: that server has no key yet, and nothing proves that this one is its own.
	ReasonUnproven Reason = 7
	// ReasonClaim: the owner did not take the key of a member that had none.
	ReasonClaim Reason = 8
	// ReasonStaleBoot: a higher boot of that key was seen: a stale copy of its disk is running.
	ReasonStaleBoot Reason = 9
	// ReasonTwin: two processes with one identity are running.
	ReasonTwin Reason = 10
	// ReasonViews: the two servers know different keys for some server.
	ReasonViews Reason = 11
	// ReasonRemoved: the server was taken out of the table of peers, or its key was replaced.
	ReasonRemoved Reason = 12
	// ReasonSuperseded: a newer connection or a newer boot of the same server took over.
	ReasonSuperseded Reason = 13
	// ReasonStopping: the server is being closed.
	ReasonStopping Reason = 14
	// ReasonRenewed: the link has carried enough for one TLS key; it is dialled again at once.
	ReasonRenewed Reason = 15
	// ReasonBusy: too many connections are shaking hands at once, and this one was the oldest.
	ReasonBusy Reason = 16
	// ReasonQuestion: a question was not answered; it may be if it is asked again.
	ReasonQuestion Reason = 17
	// ReasonDenied: a question will not be answered, however often it is asked.
	ReasonDenied Reason = 18
	// ReasonCopy: that server's directory has not been through a start of it that was seen.
	ReasonCopy Reason = 19
)

var reasonNames = [...]string{
	ReasonMalformed: "malformed", ReasonProtocol: "protocol", ReasonCluster: "cluster",
	ReasonReceiver: "receiver", ReasonUnknownServer: "unknown-server", ReasonKey: "key",
	ReasonUnproven: "unproven", ReasonClaim: "claim", ReasonStaleBoot: "stale-boot",
	ReasonTwin: "twin", ReasonViews: "views", ReasonRemoved: "removed",
	ReasonSuperseded: "superseded", ReasonStopping: "stopping", ReasonRenewed: "renewed",
	ReasonBusy: "busy", ReasonQuestion: "question", ReasonDenied: "denied", ReasonCopy: "copy",
}

// String returns a stable short name, fit for a log attribute or a metric's label.
func (r Reason) String() string {
	if r == 0 || int(r) >= len(reasonNames) {
		return fmt.Sprintf("reason-%d", uint16(r))
	}
	return reasonNames[r]
}

// Refusal says why a connection may not be, or may no longer be. The text names both servers and
// takes neither's side, so that it reads the same in both logs.
type Refusal struct {
	Reason Reason
	// Text is at most 512 bytes of printable text; it holds no secret.
	Text string
	// Remote is true if the other side refused, and said so.
	Remote bool
}

// Error says which side refused, and why.
func (r *Refusal) Error() string {
	if r.Remote {
		return "refused by the other side: " + r.Text
	}
	return "refused: " + r.Text
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Text: printable(fmt.Sprintf(format, args...))}
}

// The body of a refusal, before a link and at its end alike:
//
//	offset size
//	0       2   reason
//	2       2   length of the text, at most 512
//	4       n   text, UTF-8; what follows it is for later versions and skipped
const (
	maxRefusalText  = 512
	maxRefusalBytes = 4096
)

func encodeRefusal(r *Refusal) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(r.Reason))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.Text)))
	return append(b, r.Text...)
}

// decodeRefusal returns what the other side said. Its text will go into logs and to terminals, so
// nothing but printable characters survives.
func decodeRefusal(b []byte) (*Refusal, error) {
	if len(b) < 4 {
		return nil, refuse(ReasonMalformed, "a refusal of %d bytes is cut short", len(b))
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n > maxRefusalText || 4+n > len(b) {
		return nil, refuse(ReasonMalformed, "a refusal of %d bytes claims a text of %d", len(b), n)
	}
	return &Refusal{
		Reason: Reason(binary.LittleEndian.Uint16(b)),
		Text:   printable(string(b[4 : 4+n])),
		Remote: true,
	}, nil
}

// printable returns text without control characters and invalid bytes, cut to maxRefusalText bytes.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x80 && r < 0xa0 || isBidiControl(r) {
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > maxRefusalText {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isBidiControl: characters that make a terminal show text in another order than it was written.
func isBidiControl(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}
