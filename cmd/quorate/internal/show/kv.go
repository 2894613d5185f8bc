package show

import (
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Put prints the answer to a put.
func (p *Printer) Put(answer *pb.PutResponse) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	g.put(answer)
	return g.flush()
}

// Range prints the answer to a get. countOnly says that only the number of keys was asked for.
func (p *Printer) Range(answer *pb.RangeResponse, countOnly bool) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	g.keys(answer, countOnly)
	return g.flush()
}

// Delete prints the answer to a del.
func (p *Printer) Delete(answer *pb.DeleteRangeResponse) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	g.deleted(answer)
	return g.flush()
}

// Compact prints that history before a revision is gone.
func (p *Printer) Compact(revision int64, answer *pb.CompactionResponse) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	g.line("compacted revision %d", revision)
	return g.flush()
}

// Txn prints the answer to a transaction, and to each request in it, nested ones included.
// countOnly says of which answers only the number of keys was asked for, by their place; it may be nil.
func (p *Printer) Txn(answer *pb.TxnResponse, countOnly func(response int) bool) error {
	if p.Format == JSON {
		return p.json(txnJSON(answer))
	}
	g := p.page()
	g.txn(answer, countOnly)
	return g.flush()
}

func (g *page) put(answer *pb.PutResponse) {
	g.line("OK")
	if answer.PrevKv != nil {
		g.pairs([]*mvccpb.KeyValue{answer.PrevKv})
	}
}

func (g *page) keys(answer *pb.RangeResponse, countOnly bool) {
	if countOnly {
		g.line("%d", answer.Count)
		return
	}
	g.pairs(answer.Kvs)
}

func (g *page) deleted(answer *pb.DeleteRangeResponse) {
	g.line("%d", answer.Deleted)
	g.pairs(answer.PrevKvs)
}

func (g *page) txn(answer *pb.TxnResponse, countOnly func(response int) bool) {
	if answer.Succeeded {
		g.line("SUCCESS")
	} else {
		g.line("FAILURE")
	}
	for i, response := range answer.Responses {
		g.line("")
		switch r := response.Response.(type) {
		case *pb.ResponseOp_ResponsePut:
			g.put(r.ResponsePut)
		case *pb.ResponseOp_ResponseRange:
			g.keys(r.ResponseRange, countOnly != nil && countOnly(i))
		case *pb.ResponseOp_ResponseDeleteRange:
			g.deleted(r.ResponseDeleteRange)
		case *pb.ResponseOp_ResponseTxn:
			g.txn(r.ResponseTxn, nil)
		}
	}
}

// pairs prints keys and values: in the format Simple a line each, whatever is in them.
func (g *page) pairs(kvs []*mvccpb.KeyValue) {
	if g.Format == Table {
		g.pairTable(kvs)
		return
	}
	for _, kv := range kvs {
		if !g.ValueOnly {
			g.line("%s", g.raw(kv.Key))
		}
		g.line("%s", g.raw(kv.Value))
	}
}

func (g *page) pairTable(kvs []*mvccpb.KeyValue) {
	if len(kvs) == 0 {
		return
	}
	rows := [][]string{{"KEY", "CREATED", "MODIFIED", "VERSION", "LEASE", "VALUE"}}
	for _, kv := range kvs {
		lease := "-"
		if kv.Lease != 0 {
			lease = strconv.FormatInt(kv.Lease, 16)
		}
		rows = append(rows, []string{g.cell(kv.Key), strconv.FormatInt(kv.CreateRevision, 10),
			strconv.FormatInt(kv.ModRevision, 10), strconv.FormatInt(kv.Version, 10), lease, g.cell(kv.Value)})
	}
	g.table(rows)
}

// txnOf has etcdctl's names for the answer to a transaction. Those of the generated types differ
// for the answers in it.
type txnOf struct {
	Header    *pb.ResponseHeader `json:"header,omitempty"`
	Succeeded bool               `json:"succeeded,omitempty"`
	Responses []responseOf       `json:"responses,omitempty"`
}

type responseOf struct{ Response map[string]any }

func txnJSON(answer *pb.TxnResponse) txnOf {
	txn := txnOf{Header: answer.Header, Succeeded: answer.Succeeded}
	for _, response := range answer.Responses {
		one := make(map[string]any, 1)
		switch r := response.Response.(type) {
		case *pb.ResponseOp_ResponsePut:
			one["response_put"] = r.ResponsePut
		case *pb.ResponseOp_ResponseRange:
			one["response_range"] = r.ResponseRange
		case *pb.ResponseOp_ResponseDeleteRange:
			one["response_delete_range"] = r.ResponseDeleteRange
		case *pb.ResponseOp_ResponseTxn:
			one["response_txn"] = txnJSON(r.ResponseTxn)
		}
		txn.Responses = append(txn.Responses, responseOf{one})
	}
	return txn
}
