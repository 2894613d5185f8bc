package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
)

var (
	errDeaf   = errors.New("the other side is heard no more")
	errSilent = errors.New("the other side closed the connection without a word")
)

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
