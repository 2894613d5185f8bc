package show

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// watchJSON has the names that etcdctl prints: those of its client's type.
type watchJSON struct {
	Header          *pb.ResponseHeader
	Events          []*mvccpb.Event
	CompactRevision int64
	Canceled        bool
	Created         bool
}

// Watch prints what a watch was told: events, or, if there are none, how far it is. There is no table
// of what has no end.
func (p *Printer) Watch(told *pb.WatchResponse) error {
	if p.Format == JSON {
		return p.json(watchJSON{told.Header, told.Events, told.CompactRevision, told.Canceled, told.Created})
	}
	g := p.page()
	if len(told.Events) == 0 {
		g.line("progress notify: %d", told.GetHeader().GetRevision())
	}
	for _, e := range told.Events {
		g.line("%s", e.Type)
		for _, pair := range []*mvccpb.KeyValue{e.PrevKv, e.Kv} {
			if pair == nil {
				continue
			}
			if !g.ValueOnly {
				g.line("%s", g.raw(pair.Key))
			}
			g.line("%s", g.raw(pair.Value))
		}
	}
	return g.flush()
}
