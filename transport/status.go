package transport

import (
	"slices"
	"time"

	"github.com/quorate/quorate/raft"
)

// PeerStatus is what an operator may know of a peer at one moment.
type PeerStatus struct {
	ID raft.ServerID
	// Key is the key known for it; zero if it is unclaimed.
	Key PublicKey
	// Addresses are those of the table; Address is the one dialled last.
	Addresses []string
	Address   string

	// ConnectedSince is when our link to it came up; zero while it is down.
	ConnectedSince time.Time
	// DownSince is since when that link is down; zero while it is up.
	DownSince time.Time
	// Error is why the last attempt failed, and ErrorAt when; empty while the link is up.
	Error   string
	ErrorAt time.Time
	// Reason is the kind of Error if one of the two sides refused the other; otherwise 0.
	Reason Reason

	// ReceivingSince is when its link to us came up; zero while it is down.
	ReceivingSince time.Time
	// ReceivingDownSince is since when that link is down; zero while it is up. ReceivingError is why
	// the last one ended; empty while there is one, and before the first.
	ReceivingDownSince time.Time
	ReceivingError     string
	// Refused is why the last connection that its own key made was refused by us, and RefusedAt
	// when; empty if none was.
	Refused   string
	RefusedAt time.Time

	// Boot and Features are what it last said of itself; 0 if it has said nothing yet.
	Boot     uint64
	Features uint32

	// QueuedMessages and QueuedBytes wait for it or are being written.
	QueuedMessages, QueuedBytes int
	// Dropped counts the messages for it that Send refused or a broken link lost from the queue;
	// DroppedTooLong those of them that were longer than MaxMessageBytes.
	Dropped, DroppedTooLong uint64
	// Messages and bytes that went over links to and from it; the bytes include framing, not TLS.
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
	// RoundTrip is a smoothed time of a probe there and back, the other side's Handler included; 0
	// before the first.
	RoundTrip time.Duration
}

func (p *peer) status() PeerStatus {
	q := p.queue.status()
	s := PeerStatus{
		ID:             p.id,
		QueuedMessages: q.messages, QueuedBytes: q.bytes,
		Dropped: q.dropped, DroppedTooLong: q.droppedTooLong,
		MessagesSent: p.messagesSent.Load(), MessagesReceived: p.messagesReceived.Load(),
		BytesSent: p.bytesSent.Load(), BytesReceived: p.bytesReceived.Load(),
		RoundTrip: time.Duration(p.roundTrip.Load()),
	}
	r := &p.record
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Address = r.address
	s.ConnectedSince, s.DownSince = r.connectedSince, r.downSince
	if r.lastErr != nil {
		s.Error, s.ErrorAt = r.lastErr.Error(), r.lastErrAt
		if refusal := asRefusal(r.lastErr); refusal != nil {
			s.Reason = refusal.Reason
		}
	}
	s.ReceivingDownSince = r.receivingDownSince
	if r.receivingErr != nil {
		s.ReceivingError = r.receivingErr.Error()
	}
	s.Refused, s.RefusedAt = r.refused, r.refusedAt
	s.Boot, s.Features = r.boot, r.features
	return s
}

// Status returns a row for each peer in the table, ascending by id.
func (t *Transport) Status() []PeerStatus {
	var rows []PeerStatus
	var peers []*peer
	t.roster.do(func(r *roster) {
		for _, m := range r.members {
			row := PeerStatus{Key: m.key, Addresses: slices.Clone(m.addresses)}
			if m.receiving != nil {
				row.ReceivingSince = m.receiving.admitted
			}
			rows = append(rows, row)
			peers = append(peers, m.peer)
		}
	})
	for i, p := range peers {
		known := rows[i]
		rows[i] = p.status()
		rows[i].Key, rows[i].Addresses = known.Key, known.Addresses
		if rows[i].ReceivingSince = known.ReceivingSince; !known.ReceivingSince.IsZero() {
			rows[i].ReceivingDownSince, rows[i].ReceivingError = time.Time{}, ""
		}
	}
	return rows
}
