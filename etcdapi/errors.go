package etcdapi

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
)

// Errors that no request is to blame for, with etcd's texts and codes.
var (
	errNoLeader        = status.Error(codes.Unavailable, "etcdserver: no leader")
	errTimeout         = status.Error(codes.Unavailable, "etcdserver: request timed out")
	errStopped         = status.Error(codes.Unavailable, "etcdserver: server stopped")
	errTooManyRequests = status.Error(codes.ResourceExhausted, "etcdserver: too many requests")
	errLeaderChanged   = status.Error(codes.Unavailable, "etcdserver: leader changed")
	// errNoState: whatever is asked of this server's own state cannot be answered yet. What must be up to date waits.
	errNoState = status.Error(codes.Unavailable, noStateText)
	// errStore: the store could not be read. What exactly happened is for the server's log.
	errStore = status.Error(codes.Internal, "quorate: the state cannot be read")
	// errAnswer: the state machine's answer to a write is none. The write may have happened.
	errAnswer = status.Error(codes.Internal, "quorate: the answer cannot be read")
)

const noStateText = "quorate: this server has lost its state and gets it from the others: ask another one meanwhile"

// Why members are not changed, and leadership is not handed over, with etcd's texts and codes.
var (
	errBadMemberURLs    = status.Error(codes.InvalidArgument, "etcdserver: given member URLs are invalid")
	errPeerURLExists    = status.Error(codes.FailedPrecondition, "etcdserver: Peer URLs already exists")
	errMemberExists     = status.Error(codes.FailedPrecondition, "etcdserver: member ID already exist")
	errMemberNotFound   = status.Error(codes.NotFound, "etcdserver: member not found")
	errNotLearner       = status.Error(codes.FailedPrecondition, "etcdserver: can only promote a learner member")
	errLearnerNotReady  = status.Error(codes.FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader")
	errNotEnoughStarted = status.Error(codes.FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members")
	errUnhealthy        = status.Error(codes.Unavailable, "etcdserver: unhealthy cluster")
	errNotLeader        = status.Error(codes.FailedPrecondition, "etcdserver: not leader")
	errBadTransferee    = status.Error(codes.FailedPrecondition, "etcdserver: bad leader transferee")
	// errTooManyMembers is ours: etcd bounds learners only.
	errTooManyMembers = status.Error(codes.FailedPrecondition, "quorate: the cluster can have no more members")
)

// grpcCode is the gRPC code that etcd sends with an error of package kv.
func grpcCode(c kv.Code) codes.Code {
	switch c {
	case kv.CodeOK:
		return codes.OK
	case kv.CodeKeyNotProvided, kv.CodeKeyNotFound, kv.CodeValueProvided, kv.CodeLeaseProvided, kv.CodeTooManyOps,
		kv.CodeDuplicateKey, kv.CodeInvalidSortOption, kv.CodeRequestTooLarge:
		return codes.InvalidArgument
	case kv.CodeCompacted, kv.CodeFutureRevision, kv.CodeLeaseTTLTooLarge:
		return codes.OutOfRange
	case kv.CodeLeaseNotFound:
		return codes.NotFound
	case kv.CodeLeaseExists:
		return codes.FailedPrecondition
	case kv.CodeNoSpace:
		return codes.ResourceExhausted
	case kv.CodeCorrupt:
		return codes.DataLoss
	case kv.CodeMalformed, kv.CodeUnknownField, kv.CodeTooDeep, kv.CodeTooManyAlarms: // ours
		return codes.InvalidArgument
	case kv.CodeSessionNotFound, kv.CodeRequestStale, kv.CodeRequestMismatch:
		return codes.FailedPrecondition
	case kv.CodeSessionFull, kv.CodeTooManySessions:
		return codes.ResourceExhausted
	case kv.CodeAnswerDropped:
		return codes.DataLoss
	}
	return codes.Unknown
}

// refusal is the error for a request that kv has refused: clients match the text.
func refusal(c kv.Code) error { return status.Error(grpcCode(c), c.Error()) }

// waitError is the error for a request that the group has not carried out. caller is the caller's own
// context, without the server's bound.
func waitError(caller context.Context, err error) error {
	switch {
	case errors.Is(err, quorate.ErrBusy):
		return errTooManyRequests
	case errors.Is(err, quorate.ErrTooLarge):
		return refusal(kv.CodeRequestTooLarge)
	case errors.Is(err, quorate.ErrClosed):
		return errStopped
	case errors.Is(err, quorate.ErrNotLeader):
		return errLeaderChanged
	case caller.Err() != nil:
		return status.FromContextError(caller.Err()).Err()
	case errors.Is(err, quorate.ErrCanceled), errors.Is(err, quorate.ErrOutcomeUnknown):
		return errTimeout
	}
	return status.Error(codes.Internal, "quorate: "+err.Error())
}
