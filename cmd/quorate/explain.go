package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// explainRead adds to the error of a request that changes nothing what to do about it.
func explainRead(err error, timeout time.Duration) error {
	switch {
	case err == nil:
		return nil
	case isWaiting(err):
		return failed(fmt.Errorf("no answer within %v: %w\n%s", timeout, err, askStatus))
	}
	return failed(err)
}

// explainWrite does the same for a write, and tells what certainly did not happen from what may have.
func explainWrite(err error, timeout time.Duration) error {
	switch {
	case err == nil:
		return nil
	case isRefusal(err):
		return failed(err)
	case isWaiting(err):
		err = fmt.Errorf("no answer within %v: %w", timeout, err)
	}
	return &failure{exitUnknown, fmt.Errorf("%w\nThe outcome is unknown: it may have happened, or may still. Read before you try again.\n%s",
		err, askStatus)}
}

const askStatus = "Is there a leader? \"quorate status\" tells; --command-timeout waits longer."

// codeOf returns the gRPC code of an error of etcd's client, which has several kinds of them.
func codeOf(err error) codes.Code {
	var known rpctypes.EtcdError
	switch {
	case errors.As(err, &known):
		return known.Code()
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return status.Code(err)
}

// isRefusal reports whether an error says that a request certainly did not happen, and will not.
func isRefusal(err error) bool {
	switch codeOf(err) {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.ResourceExhausted,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.Unauthenticated:
		return true
	}
	return false
}

// isWaiting reports whether an error means that time was over.
func isWaiting(err error) bool {
	return codeOf(err) == codes.DeadlineExceeded
}
