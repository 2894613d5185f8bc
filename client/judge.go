package client

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/session"
)

// verdict is what a try has come to.
type verdict int

const (
	// answered: the call has ended, with an error or without.
	answered verdict = iota
	// retry: another server, or the same one later, may answer.
	retry
	// busy: there is no room, and the request took no effect. It is to be sent again after a pause.
	busy
	// ended: the session has. This copy of the request took no effect, and no copy will any more.
	ended
	// lost: it cannot be known any more what has become of the request; the error says why.
	lost
)

// judgeWrite judges a try of a call with a number. It may be sent again whatever has become of it; what is
// decided here is when not to, and what the caller may be told.
func judgeWrite(t *tries, a *attempt) (verdict, error) {
	if a.err == nil {
		return answered, nil
	}
	switch a.answer { // the state machine's
	case session.AnswerRefused:
		return answered, a.err
	case session.AnswerDropped:
		return answered, ErrAnswerLost
	case session.AnswerUnknown:
		return ended, a.err
	case session.AnswerMismatch: // another client has our session, and no copy of ours took effect
		t.copies = 0
		return ended, a.err
	case session.AnswerStale: // the same, or we have lost count
		return lost, errSessionEnded
	case session.AnswerFull:
		return busy, nil
	}
	switch {
	case isBusy(a.err):
		return busy, nil
	case isTooLargeForUs(a.err):
		return answered, ErrAnswerLost
	case isRefusal(a.err):
		// By one server, before the log: so this copy took no effect. An earlier one may have.
		if !t.mayHaveTakenEffect() {
			return answered, a.err
		}
	case a.sent && !isNoLeader(a.err):
		t.copies++
	}
	return retry, nil
}

// maxFaults is how often a read is tried again after errors of which it is not known what they mean.
const maxFaults = 5

// judgeRead judges a try of a call that may be repeated.
func judgeRead(t *tries, a *attempt) (verdict, error) {
	switch code := status.Code(a.err); {
	case code == codes.OK:
		return answered, nil
	case isBusy(a.err):
		return busy, nil
	case code == codes.Unavailable, code == codes.DeadlineExceeded, code == codes.Canceled:
		return retry, nil
	case code == codes.Internal || code == codes.Unknown:
		if t.faults++; t.faults <= maxFaults {
			return retry, nil
		}
	}
	return answered, a.err
}

// isRefusal tells whether a code says that a server did not want to carry out a request.
func isRefusal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.ResourceExhausted,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.DataLoss, codes.Unauthenticated:
		return true
	}
	return false
}

// Some errors are told apart by their texts only, in etcd and in gRPC. Etcd's busy servers answer with
// another code than ours.
func isBusy(err error) bool {
	text := status.Convert(err).Message()
	return text == "etcdserver: too many requests" || text == "quorate: too many sessions"
}

func isNoLeader(err error) bool { return status.Convert(err).Message() == "etcdserver: no leader" }

// isTooLargeForUs tells whether there was an answer that is larger than the caller's configuration allows.
func isTooLargeForUs(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "received message")
}
