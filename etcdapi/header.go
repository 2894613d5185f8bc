package etcdapi

import (
	"google.golang.org/protobuf/encoding/protowire"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Fields of etcd's ResponseHeader, which is field 1 of every response:
//
//	0x0a size   0x08 cluster_id   0x10 member_id   0x18 revision   0x20 raft_term
//
// All are varints, and zero is left out, as protobuf's own encoder does it.
const (
	fieldHeader = protowire.Number(1)

	headerCluster  = protowire.Number(1)
	headerMember   = protowire.Number(2)
	headerRevision = protowire.Number(3)
	headerTerm     = protowire.Number(4)

	// headerRoomBytes is the largest a header can be, with its tag and size.
	headerRoomBytes = 2 + 4*(1+10)
)

// headers makes the headers of responses.
type headers struct {
	cluster, member uint64
	ids             []byte // their encoding, the same in every header
}

func newHeaders(cluster, member uint64) headers {
	ids := appendVarint(nil, headerCluster, cluster)
	return headers{cluster, member, appendVarint(ids, headerMember, member)}
}

// append appends the header field of a response.
func (h *headers) append(b []byte, revision int64, term uint64) []byte {
	size := len(h.ids) + sizeVarint(headerRevision, uint64(revision)) + sizeVarint(headerTerm, term)
	b = protowire.AppendTag(b, fieldHeader, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, h.ids...)
	b = appendVarint(b, headerRevision, uint64(revision))
	return appendVarint(b, headerTerm, term)
}

// message returns a header as a message, for responses that are encoded by protobuf. A revision of 0
// means none, as in the answers of the Cluster service.
func (h *headers) message(revision int64, term uint64) *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: h.cluster, MemberId: h.member, Revision: revision, RaftTerm: term}
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func sizeVarint(num protowire.Number, v uint64) int {
	if v == 0 {
		return 0
	}
	return protowire.SizeTag(num) + protowire.SizeVarint(v)
}
