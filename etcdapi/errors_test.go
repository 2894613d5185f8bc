package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
)

// etcdErrors is what etcd's clients know each of kv's codes by; nil: it is ours.
var etcdErrors = map[kv.Code]error{
	kv.CodeKeyNotProvided:    rpctypes.ErrGRPCEmptyKey,
	kv.CodeKeyNotFound:       rpctypes.ErrGRPCKeyNotFound,
	kv.CodeValueProvided:     rpctypes.ErrGRPCValueProvided,
	kv.CodeLeaseProvided:     rpctypes.ErrGRPCLeaseProvided,
	kv.CodeTooManyOps:        rpctypes.ErrGRPCTooManyOps,
	kv.CodeDuplicateKey:      rpctypes.ErrGRPCDuplicateKey,
	kv.CodeInvalidSortOption: rpctypes.ErrGRPCInvalidSortOption,
	kv.CodeRequestTooLarge:   rpctypes.ErrGRPCRequestTooLarge,
	kv.CodeCompacted:         rpctypes.ErrGRPCCompacted,
	kv.CodeFutureRevision:    rpctypes.ErrGRPCFutureRev,
	kv.CodeLeaseNotFound:     rpctypes.ErrGRPCLeaseNotFound,
	kv.CodeMalformed:         nil,
	kv.CodeUnknownField:      nil,
	kv.CodeTooDeep:           nil,
	kv.CodeNoSpace:           rpctypes.ErrGRPCNoSpace,
	kv.CodeCorrupt:           rpctypes.ErrGRPCCorrupt,
	kv.CodeTooManyAlarms:     nil,
	kv.CodeLeaseExists:       rpctypes.ErrGRPCLeaseExist,
	kv.CodeLeaseTTLTooLarge:  rpctypes.ErrGRPCLeaseTTLTooLarge,
	kv.CodeSessionNotFound:   status.Error(codes.FailedPrecondition, kv.CodeSessionNotFound.Error()),
	kv.CodeRequestStale:      status.Error(codes.FailedPrecondition, kv.CodeRequestStale.Error()),
	kv.CodeSessionFull:       status.Error(codes.ResourceExhausted, kv.CodeSessionFull.Error()),
	kv.CodeRequestMismatch:   status.Error(codes.FailedPrecondition, kv.CodeRequestMismatch.Error()),
	kv.CodeAnswerDropped:     status.Error(codes.DataLoss, kv.CodeAnswerDropped.Error()),
	kv.CodeTooManySessions:   status.Error(codes.ResourceExhausted, kv.CodeTooManySessions.Error()),
}

func TestEveryRefusalIsEtcdsToTheLetter(t *testing.T) {
	checked := 0
	for c := kv.Code(1); !strings.HasPrefix(c.Error(), "quorate: code "); c++ {
		want, known := etcdErrors[c]
		if !known {
			t.Errorf("code %d (%v) is not in this test's table", c, c)
			continue
		}
		got := refusal(c)
		if want == nil {
			want = status.Error(codes.InvalidArgument, c.Error())
			if !strings.HasPrefix(c.Error(), "quorate: ") {
				t.Errorf("code %d is ours, but its text %q does not say so", c, c.Error())
			}
		}
		if got.Error() != want.Error() || status.Code(got) != status.Code(want) {
			t.Errorf("code %d: got %v, want %v", c, got, want)
		}
		checked++
	}
	if checked != len(etcdErrors) {
		t.Errorf("checked %d codes, the table has %d", checked, len(etcdErrors))
	}
}

func TestErrorsOfTheServerAreEtcdsToTheLetter(t *testing.T) {
	for _, c := range []struct{ got, want error }{
		{errNoLeader, rpctypes.ErrGRPCNoLeader},
		{errTimeout, rpctypes.ErrGRPCTimeout},
		{errStopped, rpctypes.ErrGRPCStopped},
		{errTooManyRequests, rpctypes.ErrGRPCRequestTooManyRequests},
		{errLeaderChanged, rpctypes.ErrGRPCLeaderChanged},
		{errBadMemberURLs, rpctypes.ErrGRPCMemberBadURLs},
		{errPeerURLExists, rpctypes.ErrGRPCPeerURLExist},
		{errMemberExists, rpctypes.ErrGRPCMemberExist},
		{errMemberNotFound, rpctypes.ErrGRPCMemberNotFound},
		{errNotLearner, rpctypes.ErrGRPCMemberNotLearner},
		{errLearnerNotReady, rpctypes.ErrGRPCLearnerNotReady},
		{errNotEnoughStarted, rpctypes.ErrGRPCMemberNotEnoughStarted},
		{errUnhealthy, rpctypes.ErrGRPCUnhealthy},
		{errNotLeader, rpctypes.ErrGRPCNotLeader},
		{errBadTransferee, rpctypes.ErrGRPCBadLeaderTransferee},
	} {
		if c.got.Error() != c.want.Error() || status.Code(c.got) != status.Code(c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

func TestWhatTheGroupDidNotDoIsToldApart(t *testing.T) {
	live := context.Background()
	canceled, cancel := context.WithCancel(live)
	cancel()
	expired, cancel := context.WithTimeout(live, 0)
	defer cancel()
	wrap := func(outer, inner error) error { return fmt.Errorf("%w: %w", outer, inner) }
	for _, c := range []struct {
		what   string
		caller context.Context
		err    error
		want   error
	}{
		{"busy", live, quorate.ErrBusy, rpctypes.ErrGRPCRequestTooManyRequests},
		{"too large", live, fmt.Errorf("%w: 9 bytes", quorate.ErrTooLarge), rpctypes.ErrGRPCRequestTooLarge},
		{"closed", live, quorate.ErrClosed, rpctypes.ErrGRPCStopped},
		{"somebody else leads", live, quorate.ErrNotLeader, rpctypes.ErrGRPCLeaderChanged},
		{"closed while it waited", live, wrap(quorate.ErrOutcomeUnknown, quorate.ErrClosed), rpctypes.ErrGRPCStopped},
		{"our time is up, it did not happen", live, wrap(quorate.ErrCanceled, context.DeadlineExceeded), rpctypes.ErrGRPCTimeout},
		{"our time is up, it may have happened", live, wrap(quorate.ErrOutcomeUnknown, context.DeadlineExceeded), rpctypes.ErrGRPCTimeout},
		{"the caller's time is up", expired, wrap(quorate.ErrCanceled, context.DeadlineExceeded),
			status.Error(codes.DeadlineExceeded, "context deadline exceeded")},
		{"the caller has gone", canceled, wrap(quorate.ErrOutcomeUnknown, context.Canceled),
			status.Error(codes.Canceled, "context canceled")},
		{"what nobody thought of", live, errors.New("moon"), status.Error(codes.Internal, "quorate: moon")},
	} {
		got := waitError(c.caller, c.err)
		if got.Error() != c.want.Error() {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
	}
}
