package kv_test

import (
	"bytes"
	"slices"
	"sort"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/kv"
)

// model is the state machine written for the eye: a list of all changes ever made, searched from
// end to end for everything. It knows nothing of bytes, batches or removal. It says what the rules
// of the API say, and the store is compared with it.
type model struct {
	changes      []change
	rev, compact int64
}

type change struct {
	kv        *mvccpb.KeyValue
	tombstone bool
}

func newModel() *model { return &model{rev: 1, compact: -1} }

// at returns the pair that key has at a revision, or nil.
func (m *model) at(key []byte, rev int64) *mvccpb.KeyValue {
	for i := len(m.changes) - 1; i >= 0; i-- {
		if c := m.changes[i]; c.kv.ModRevision <= rev && bytes.Equal(c.kv.Key, key) {
			if c.tombstone {
				return nil
			}
			return c.kv
		}
	}
	return nil
}

// inRange returns the pairs of a range at a revision, in the order of keys.
func (m *model) inRange(key, end []byte, rev int64) []*mvccpb.KeyValue {
	var keys []string
	for _, c := range m.changes {
		k := c.kv.Key
		in := bytes.Equal(k, key)
		if len(end) > 0 {
			in = bytes.Compare(k, key) >= 0 && (bytes.Equal(end, []byte{0}) || bytes.Compare(k, end) < 0)
		}
		if in && !slices.Contains(keys, string(k)) {
			keys = append(keys, string(k))
		}
	}
	sort.Strings(keys)
	var pairs []*mvccpb.KeyValue
	for _, k := range keys {
		if pair := m.at([]byte(k), rev); pair != nil {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// result is what a request comes to.
type result struct {
	code     kv.Code
	rev      int64
	response proto.Message // without header; nil unless code is ok
	repeated bool          // it is not of this command's own execution
}

// apply executes a committed command.
func (m *model) apply(kind kv.Kind, request proto.Message) result {
	before := len(m.changes)
	code, response := m.execute(kind, request)
	if code != kv.CodeOK {
		response = nil
	}
	if len(m.changes) > before {
		m.rev++
	}
	return result{code: code, rev: m.rev, response: response}
}

func (m *model) execute(kind kv.Kind, request proto.Message) (kv.Code, proto.Message) {
	now := m.rev
	switch kind {
	case kv.KindPut:
		r := request.(*pb.PutRequest)
		if code := modelCheckPut(r); code != kv.CodeOK {
			return code, nil
		}
		if code := m.mayPut(r, now); code != kv.CodeOK {
			return code, nil
		}
		return kv.CodeOK, m.put(r, now)
	case kv.KindDeleteRange:
		r := request.(*pb.DeleteRangeRequest)
		if len(r.Key) == 0 {
			return kv.CodeKeyNotProvided, nil
		}
		return kv.CodeOK, m.delete(r, now)
	case kv.KindTxn:
		r := request.(*pb.TxnRequest)
		if code := modelCheckTxn(r); code != kv.CodeOK {
			return code, nil
		}
		return m.txn(r)
	case kv.KindCompact:
		r := request.(*pb.CompactionRequest)
		if r.Revision <= m.compact {
			return kv.CodeCompacted, nil
		}
		if r.Revision > now {
			return kv.CodeFutureRevision, nil
		}
		m.compact = r.Revision
		return kv.CodeOK, &pb.CompactionResponse{}
	}
	return kv.CodeOK, nil
}

// changed tells whether the command under way, which began at revision begin, has changed anything.
func (m *model) changed(begin int64) bool {
	return len(m.changes) > 0 && m.changes[len(m.changes)-1].kv.ModRevision > begin
}

// now is the revision of reads within a command.
func (m *model) now(begin int64) int64 {
	if m.changed(begin) {
		return begin + 1
	}
	return begin
}

func (m *model) mayPut(r *pb.PutRequest, rev int64) kv.Code {
	if r.Lease != 0 {
		return kv.CodeLeaseNotFound
	}
	if (r.IgnoreValue || r.IgnoreLease) && m.at(r.Key, rev) == nil {
		return kv.CodeKeyNotFound
	}
	return kv.CodeOK
}

func (m *model) put(r *pb.PutRequest, begin int64) *pb.PutResponse {
	response := &pb.PutResponse{}
	next := &mvccpb.KeyValue{Key: r.Key, Value: r.Value, CreateRevision: begin + 1, ModRevision: begin + 1, Version: 1}
	if old := m.at(r.Key, begin+1); old != nil {
		next.CreateRevision, next.Version = old.CreateRevision, old.Version+1
		if r.IgnoreValue {
			next.Value = old.Value
		}
		if r.PrevKv {
			response.PrevKv = old
		}
	}
	m.changes = append(m.changes, change{kv: next})
	return response
}

func (m *model) delete(r *pb.DeleteRangeRequest, begin int64) *pb.DeleteRangeResponse {
	response := &pb.DeleteRangeResponse{}
	for _, old := range m.inRange(r.Key, r.RangeEnd, begin+1) {
		response.Deleted++
		if r.PrevKv {
			response.PrevKvs = append(response.PrevKvs, old)
		}
		m.changes = append(m.changes, change{&mvccpb.KeyValue{Key: old.Key, ModRevision: begin + 1}, true})
	}
	return response
}

// read answers a range, as of now, in a store whose newest revision is now.
func (m *model) read(r *pb.RangeRequest, now int64) (kv.Code, *pb.RangeResponse) {
	rev := r.Revision
	if rev > now {
		return kv.CodeFutureRevision, nil
	}
	if rev <= 0 {
		rev = now
	}
	if rev < m.compact {
		return kv.CodeCompacted, nil
	}
	all := m.inRange(r.Key, r.RangeEnd, rev)
	response := &pb.RangeResponse{Count: int64(len(all))}
	if r.CountOnly {
		return kv.CodeOK, response
	}
	filters := r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
	pairs := slices.Clone(all)
	if r.SortOrder == pb.RangeRequest_NONE && !filters && r.Limit > 0 && int64(len(pairs)) > r.Limit {
		pairs = pairs[:r.Limit+1] // the limit is pushed down, plus one
	}
	pairs = slices.DeleteFunc(pairs, func(p *mvccpb.KeyValue) bool {
		return r.MaxModRevision != 0 && p.ModRevision > r.MaxModRevision ||
			r.MinModRevision != 0 && p.ModRevision < r.MinModRevision ||
			r.MaxCreateRevision != 0 && p.CreateRevision > r.MaxCreateRevision ||
			r.MinCreateRevision != 0 && p.CreateRevision < r.MinCreateRevision
	})
	sortPairs(pairs, r.SortTarget, r.SortOrder == pb.RangeRequest_DESCEND)
	if r.Limit > 0 && int64(len(pairs)) > r.Limit {
		pairs, response.More = pairs[:r.Limit], true
	}
	for _, p := range pairs {
		p = proto.Clone(p).(*mvccpb.KeyValue)
		if r.KeysOnly {
			p.Value = nil
			if r.SortTarget != pb.RangeRequest_VALUE {
				p.Lease = 0
			}
		}
		response.Kvs = append(response.Kvs, p)
	}
	return kv.CodeOK, response
}

func sortPairs(pairs []*mvccpb.KeyValue, target pb.RangeRequest_SortTarget, descend bool) {
	less := func(a, b *mvccpb.KeyValue) bool {
		switch target {
		case pb.RangeRequest_VERSION:
			return a.Version < b.Version
		case pb.RangeRequest_CREATE:
			return a.CreateRevision < b.CreateRevision
		case pb.RangeRequest_MOD:
			return a.ModRevision < b.ModRevision
		case pb.RangeRequest_VALUE:
			return bytes.Compare(a.Value, b.Value) < 0
		default:
			return bytes.Compare(a.Key, b.Key) < 0
		}
	}
	sort.SliceStable(pairs, func(i, j int) bool {
		if descend {
			return less(pairs[j], pairs[i])
		}
		return less(pairs[i], pairs[j])
	})
}

// txn decides all compares, then looks for reasons to fail, then executes.
func (m *model) txn(t *pb.TxnRequest) (kv.Code, *pb.TxnResponse) {
	begin := m.rev
	outcome := map[*pb.TxnRequest]bool{}
	m.decide(t, begin, outcome)
	var cleared []*pb.DeleteRangeRequest
	if code := m.mayTxn(t, begin, outcome, &cleared); code != kv.CodeOK {
		return code, nil
	}
	return kv.CodeOK, m.runTxn(t, begin, outcome)
}

func taken(t *pb.TxnRequest, outcome map[*pb.TxnRequest]bool) []*pb.RequestOp {
	if outcome[t] {
		return t.Success
	}
	return t.Failure
}

func (m *model) decide(t *pb.TxnRequest, rev int64, outcome map[*pb.TxnRequest]bool) {
	holds := true
	for _, c := range t.Compare {
		holds = holds && m.holds(c, rev)
	}
	outcome[t] = holds
	for _, op := range taken(t, outcome) {
		if nested := op.GetRequestTxn(); nested != nil {
			m.decide(nested, rev, outcome)
		}
	}
}

func (m *model) holds(c *pb.Compare, rev int64) bool {
	pairs := m.inRange(c.Key, c.RangeEnd, rev)
	if len(pairs) == 0 {
		if c.Target == pb.Compare_VALUE {
			return false
		}
		pairs = []*mvccpb.KeyValue{{}}
	}
	for _, p := range pairs {
		var have, want int64
		switch c.Target {
		case pb.Compare_VERSION:
			have, want = p.Version, c.GetVersion()
		case pb.Compare_CREATE:
			have, want = p.CreateRevision, c.GetCreateRevision()
		case pb.Compare_MOD:
			have, want = p.ModRevision, c.GetModRevision()
		case pb.Compare_LEASE:
			have, want = p.Lease, c.GetLease()
		case pb.Compare_VALUE:
			have = int64(bytes.Compare(p.Value, c.GetValue()))
		}
		holds := map[pb.Compare_CompareResult]bool{
			pb.Compare_EQUAL: have == want, pb.Compare_NOT_EQUAL: have != want,
			pb.Compare_GREATER: have > want, pb.Compare_LESS: have < want,
		}[c.Result]
		if !holds {
			return false
		}
	}
	return true
}

func (m *model) mayTxn(t *pb.TxnRequest, rev int64, outcome map[*pb.TxnRequest]bool, cleared *[]*pb.DeleteRangeRequest) kv.Code {
	for _, op := range taken(t, outcome) {
		code := kv.CodeOK
		switch r := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			if code, _ = m.read(r.RequestRange, rev); r.RequestRange.Revision < min(0, m.compact) {
				code = kv.CodeCompacted // here a negative revision is not the newest
			}
		case *pb.RequestOp_RequestPut:
			code = m.mayPut(r.RequestPut, rev)
			for _, d := range *cleared {
				gone := len(d.RangeEnd) == 0 && bytes.Equal(d.Key, r.RequestPut.Key) ||
					len(d.RangeEnd) > 0 && bytes.Compare(d.Key, r.RequestPut.Key) <= 0 &&
						(bytes.Equal(d.RangeEnd, []byte{0}) || bytes.Compare(r.RequestPut.Key, d.RangeEnd) < 0)
				if code == kv.CodeOK && gone && (r.RequestPut.IgnoreValue || r.RequestPut.IgnoreLease) {
					code = kv.CodeKeyNotFound
				}
			}
		case *pb.RequestOp_RequestDeleteRange:
			*cleared = append(*cleared, r.RequestDeleteRange)
		case *pb.RequestOp_RequestTxn:
			code = m.mayTxn(r.RequestTxn, rev, outcome, cleared)
		}
		if code != kv.CodeOK {
			return code
		}
	}
	return kv.CodeOK
}

func (m *model) runTxn(t *pb.TxnRequest, begin int64, outcome map[*pb.TxnRequest]bool) *pb.TxnResponse {
	response := &pb.TxnResponse{Succeeded: outcome[t]}
	header := func(rev int64) *pb.ResponseHeader { return &pb.ResponseHeader{Revision: rev} }
	for _, op := range taken(t, outcome) {
		answer := &pb.ResponseOp{}
		switch r := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			_, a := m.read(r.RequestRange, m.now(begin))
			a.Header = header(m.now(begin))
			answer.Response = &pb.ResponseOp_ResponseRange{ResponseRange: a}
		case *pb.RequestOp_RequestPut:
			a := m.put(r.RequestPut, begin)
			a.Header = header(begin + 1)
			answer.Response = &pb.ResponseOp_ResponsePut{ResponsePut: a}
		case *pb.RequestOp_RequestDeleteRange:
			a := m.delete(r.RequestDeleteRange, begin)
			a.Header = header(m.now(begin))
			answer.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: a}
		case *pb.RequestOp_RequestTxn:
			a := m.runTxn(r.RequestTxn, begin, outcome)
			a.Header = header(0)
			answer.Response = &pb.ResponseOp_ResponseTxn{ResponseTxn: a}
		}
		response.Responses = append(response.Responses, answer)
	}
	return response
}

// The checks of a request by itself.

func modelCheckPut(r *pb.PutRequest) kv.Code {
	switch {
	case len(r.Key) == 0:
		return kv.CodeKeyNotProvided
	case r.IgnoreValue && len(r.Value) > 0:
		return kv.CodeValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return kv.CodeLeaseProvided
	}
	return kv.CodeOK
}

func modelCheckRange(r *pb.RangeRequest) kv.Code {
	if len(r.Key) == 0 {
		return kv.CodeKeyNotProvided
	}
	_, order := pb.RangeRequest_SortOrder_name[int32(r.SortOrder)]
	_, target := pb.RangeRequest_SortTarget_name[int32(r.SortTarget)]
	if !order || !target {
		return kv.CodeInvalidSortOption
	}
	return kv.CodeOK
}

func modelCheckTxn(t *pb.TxnRequest) kv.Code {
	if code := modelCheckMessages(t); code != kv.CodeOK {
		return code
	}
	for _, branch := range [][]*pb.RequestOp{t.Success, t.Failure} {
		if _, _, code := modelWrites(branch); code != kv.CodeOK {
			return code
		}
	}
	return kv.CodeOK
}

func modelCheckMessages(t *pb.TxnRequest) kv.Code {
	for _, c := range t.Compare {
		if len(c.Key) == 0 {
			return kv.CodeKeyNotProvided
		}
		if _, ok := pb.Compare_CompareTarget_name[int32(c.Target)]; !ok {
			return kv.CodeMalformed
		}
	}
	for _, op := range slices.Concat(t.Success, t.Failure) {
		code := kv.CodeKeyNotFound
		switch r := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			code = modelCheckRange(r.RequestRange)
		case *pb.RequestOp_RequestPut:
			code = modelCheckPut(r.RequestPut)
		case *pb.RequestOp_RequestDeleteRange:
			code = kv.CodeOK
			if len(r.RequestDeleteRange.Key) == 0 {
				code = kv.CodeKeyNotProvided
			}
		case *pb.RequestOp_RequestTxn:
			code = modelCheckMessages(r.RequestTxn)
		}
		if code != kv.CodeOK {
			return code
		}
	}
	return kv.CodeOK
}

// modelWrites is etcd's check that no key is written twice, in its order: this level's deletes,
// what is nested (one after the other), this level's puts.
func modelWrites(ops []*pb.RequestOp) (puts []string, dels []*pb.DeleteRangeRequest, code kv.Code) {
	deleted := func(key string) bool {
		return slices.ContainsFunc(dels, func(d *pb.DeleteRangeRequest) bool {
			if len(d.RangeEnd) == 0 {
				return string(d.Key) == key
			}
			return string(d.Key) <= key && key < string(d.RangeEnd)
		})
	}
	for _, op := range ops {
		if d := op.GetRequestDeleteRange(); d != nil {
			dels = append(dels, d)
		}
	}
	for _, op := range ops {
		t := op.GetRequestTxn()
		if t == nil {
			continue
		}
		putsThen, delsThen, code := modelWrites(t.Success)
		if code != kv.CodeOK {
			return nil, nil, code
		}
		putsElse, delsElse, code := modelWrites(t.Failure)
		if code != kv.CodeOK {
			return nil, nil, code
		}
		for _, key := range append(slices.Clone(putsThen), putsElse...) {
			if slices.Contains(puts, key) || deleted(key) {
				return nil, nil, kv.CodeDuplicateKey
			}
		}
		puts = append(append(puts, putsThen...), putsElse...)
		dels = append(append(dels, delsThen...), delsElse...)
	}
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil {
			if slices.Contains(puts, string(p.Key)) || deleted(string(p.Key)) {
				return nil, nil, kv.CodeDuplicateKey
			}
			puts = append(puts, string(p.Key))
		}
	}
	return puts, dels, kv.CodeOK
}
