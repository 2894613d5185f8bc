package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

var (
	errDeaf   = errors.New("the other side is heard no more")
	errSilent = errors.New("the other side closed the connection without a word")
)

// withoutAddress takes from an error of dialling what its reader has been told already.
func withoutAddress(err error) error {
	if operation, ok := err.(*net.OpError); ok && operation.Op == "dial" {
		return operation.Err
	}
	return err
}

// explain puts the errors of connections into an operator's words. The error stays what it was.
func explain(err error) error {
	var notTLS tls.RecordHeaderError
	switch {
	case err == io.EOF:
		return errSilent
	case errors.As(err, &notTLS):
		return fmt.Errorf("this is no TLS, it begins with %q: %w", notTLS.RecordHeader[:], err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the other side was too slow: %w", err)
	default:
		return err
	}
}
