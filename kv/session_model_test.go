package kv_test

import (
	"bytes"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/session"
	"github.com/quorate/quorate/wire"
)

// repeated stands, in the counts of a history, for commands of sessions that were not executed when they
// were applied.
const repeated kv.Kind = 200

// sessionClients are clients with sessions in a history, and what the model must know of them: a list of
// all that was ever executed.
type sessionClients struct {
	open  []*sessionClient
	ended []wire.Session // the last number of each session that has ended
}

type sessionClient struct {
	id, newest, acknowledged uint64
	done                     map[uint64]executed
}

type executed struct {
	kind    kv.Kind
	request proto.Message
	bytes   []byte
	result  result
}

// step adds a command of a session, or one that opens or ends one, to the history; false: it adds none.
func (s *sessionClients) step(t *testing.T, g *generator, m *model, h *history) bool {
	switch {
	case len(s.open) < 3 && g.oneIn(10):
		c := &sessionClient{id: h.nextIndex(), done: map[uint64]executed{}}
		s.open = append(s.open, c)
		// The fields' numbers are those of OpenResponse.
		opened := &pb.LeaseTimeToLiveResponse{ID: int64(c.id), TTL: 60, GrantedTTL: session.Window}
		h.append(kv.KindSessionOpen, nil, session.OpenRequest(60), result{rev: m.rev, response: opened}, wire.Session{})
	case len(s.ended) > 0 && g.oneIn(60):
		n := s.ended[g.rng.Intn(len(s.ended))]
		put := &pb.PutRequest{Key: []byte("a")}
		h.append(kv.KindPut, put, marshal(t, put), result{code: kv.CodeSessionNotFound, rev: m.rev, repeated: true}, n)
	case len(s.open) == 0 || g.oneIn(3):
		return false
	case g.oneIn(60):
		at := g.rng.Intn(len(s.open))
		c := s.open[at]
		s.open = append(s.open[:at], s.open[at+1:]...)
		s.ended = append(s.ended, wire.Session{ID: c.id, Sequence: c.newest + 1})
		h.append(kv.KindSessionClose, nil, session.CloseRequest(c.id), result{rev: m.rev}, wire.Session{})
	default:
		return s.open[g.rng.Intn(len(s.open))].step(t, g, m, h)
	}
	return true
}

func (c *sessionClient) step(t *testing.T, g *generator, m *model, h *history) bool {
	n := wire.Session{ID: c.id, Sequence: c.newest + 1 + uint64(g.rng.Intn(3))/2}
	n.Acknowledged = c.acknowledged + uint64(g.rng.Intn(4))/3
	if g.oneIn(3) {
		n.Sequence -= min(n.Sequence-1, uint64(g.rng.Intn(6)))
	}
	n.Acknowledged = min(n.Acknowledged, c.newest, n.Sequence-1)
	kind, request := g.write()
	if kind == kv.KindNone {
		return false
	}
	bytesOf := marshal(t, request)
	before, again := c.done[n.Sequence]
	if again && !g.oneIn(8) {
		kind, request, bytesOf = before.kind, before.request, before.bytes
	}
	r := result{rev: m.rev, repeated: true}
	switch {
	case n.Sequence <= max(c.acknowledged, n.Acknowledged):
		r.code = kv.CodeRequestStale
	case again && (kind != before.kind || !bytes.Equal(bytesOf, before.bytes)):
		r.code = kv.CodeRequestMismatch
	case again:
		r = before.result
		r.repeated = true
	default:
		r = m.apply(kind, request)
		c.done[n.Sequence] = executed{kind, request, bytesOf, r}
		c.newest = max(c.newest, n.Sequence)
		c.acknowledged = max(c.acknowledged, n.Acknowledged)
	}
	h.append(kind, request, bytesOf, r, n)
	return true
}
