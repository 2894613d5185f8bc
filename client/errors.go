package client

import (
	"errors"
	"fmt"
)

// ErrOutcomeUnknown: a write may have taken effect, once, or may still; or not. Errors of which this is not
// true are of writes that certainly took no effect, but for ErrAnswerLost.
var ErrOutcomeUnknown = errors.New("outcome is unknown")

// ErrAnswerLost: the write took effect, once. Its answer was too large for the servers to keep, and was lost
// on the way.
var ErrAnswerLost = errors.New("write took effect, and its answer is lost")

// OutcomeUnknownError is an ErrOutcomeUnknown, with what is known.
type OutcomeUnknownError struct {
	// Method is that of the call.
	Method string
	// Cause is why it was not tried any longer: the context's error, or that the session has ended.
	Cause error
	// Last is what the last try came to. It is not part of the chain of errors: it may be etcd's error for
	// something that certainly did not happen, of one try of several.
	Last error
}

// Error implements error.
func (e *OutcomeUnknownError) Error() string {
	if e.Last == nil {
		return fmt.Sprintf("%s: %v: %v", e.Method, ErrOutcomeUnknown, e.Cause)
	}
	return fmt.Sprintf("%s: %v: %v (last try: %v)", e.Method, ErrOutcomeUnknown, e.Cause, e.Last)
}

// Unwrap makes errors.Is find ErrOutcomeUnknown and the cause.
func (e *OutcomeUnknownError) Unwrap() []error { return []error{ErrOutcomeUnknown, e.Cause} }

// ErrClosed: the client is.
var ErrClosed = errors.New("client is closed")

var errNoEndpoints = errors.New("client has no endpoints")

// errSessionEnded: what was sent in the session before may have taken effect.
var errSessionEnded = errors.New("the session has ended")
