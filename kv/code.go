package kv

import "fmt"

// Code says why a request was refused. CodeOK is zero. The numbers are stored with answers and
// folded into the digest: they are never renumbered, only added to.
type Code uint8

// The codes, with etcd's error where etcd has one. Those that begin with "quorate" are ours.
const (
	CodeOK                Code = 0
	CodeKeyNotProvided    Code = 1
	CodeKeyNotFound       Code = 2
	CodeValueProvided     Code = 3
	CodeLeaseProvided     Code = 4
	CodeTooManyOps        Code = 5
	CodeDuplicateKey      Code = 6
	CodeInvalidSortOption Code = 7
	CodeRequestTooLarge   Code = 8
	CodeCompacted         Code = 9
	CodeFutureRevision    Code = 10
	CodeLeaseNotFound     Code = 11
	// CodeMalformed: the bytes are not a message of protobuf, or hold an enum value that this
	// version does not know.
	CodeMalformed Code = 12
	// CodeUnknownField: a field that this version does not know. Passing it over, as protobuf would
	// have us do, could mean something else to the next version, and the servers would diverge.
	CodeUnknownField Code = 13
	// CodeTooDeep: transactions nested deeper than the limit.
	CodeTooDeep Code = 14
	// CodeNoSpace and CodeCorrupt: an alarm is on.
	CodeNoSpace Code = 15
	CodeCorrupt Code = 16
	// CodeTooManyAlarms: for members that cannot all exist.
	CodeTooManyAlarms    Code = 17
	CodeLeaseExists      Code = 18
	CodeLeaseTTLTooLarge Code = 19
	// CodeSessionNotFound: it has ended, or never was. Nothing of it will take effect any more.
	CodeSessionNotFound Code = 20
	// CodeRequestStale: the client has acknowledged the answer to this request, or has given it up.
	CodeRequestStale Code = 21
	// CodeSessionFull: nothing was done, for want of room for the answer.
	CodeSessionFull Code = 22
	// CodeRequestMismatch: another request of the session has this number. Nothing was done.
	CodeRequestMismatch Code = 23
	// CodeAnswerDropped: the request took effect, once, before. Its answer was too large to be kept.
	CodeAnswerDropped Code = 24
	// CodeTooManySessions: no session was opened.
	CodeTooManySessions Code = 25

	maxCode = CodeTooManySessions

	// codeStop ends a walk over a request early. It never leaves the package.
	codeStop Code = 255
)

// Error returns the message of the error, exactly as etcd words it: clients compare it.
func (c Code) Error() string {
	switch c {
	case CodeOK:
		return "ok"
	case CodeKeyNotProvided:
		return "etcdserver: key is not provided"
	case CodeKeyNotFound:
		return "etcdserver: key not found"
	case CodeValueProvided:
		return "etcdserver: value is provided"
	case CodeLeaseProvided:
		return "etcdserver: lease is provided"
	case CodeTooManyOps:
		return "etcdserver: too many operations in txn request"
	case CodeDuplicateKey:
		return "etcdserver: duplicate key given in txn request"
	case CodeInvalidSortOption:
		return "etcdserver: invalid sort option"
	case CodeRequestTooLarge:
		return "etcdserver: request is too large"
	case CodeCompacted:
		return "etcdserver: mvcc: required revision has been compacted"
	case CodeFutureRevision:
		return "etcdserver: mvcc: required revision is a future revision"
	case CodeLeaseNotFound:
		return "etcdserver: requested lease not found"
	case CodeMalformed:
		return "quorate: request is malformed"
	case CodeUnknownField:
		return "quorate: request has a field that this version does not know"
	case CodeTooDeep:
		return "quorate: transactions are nested too deeply"
	case CodeNoSpace:
		return "etcdserver: mvcc: database space exceeded"
	case CodeCorrupt:
		return "etcdserver: corrupt cluster"
	case CodeTooManyAlarms:
		return "quorate: too many alarms are on"
	case CodeLeaseExists:
		return "etcdserver: lease already exists"
	case CodeLeaseTTLTooLarge:
		return "etcdserver: too large lease TTL"
	case CodeSessionNotFound:
		return "quorate: session does not exist, or has ended"
	case CodeRequestStale:
		return "quorate: request of the session is acknowledged already"
	case CodeSessionFull:
		return "quorate: too many answers of the session are not acknowledged"
	case CodeRequestMismatch:
		return "quorate: another request of the session has this number"
	case CodeAnswerDropped:
		return "quorate: request took effect before, and its answer was too large to be kept"
	case CodeTooManySessions:
		return "quorate: too many sessions"
	}
	return fmt.Sprintf("quorate: code %d", uint8(c))
}
