package transport

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// stream is the connection under TLS. It adds what TLS leaves out: while a link is up, each read and
// write has its own deadline, so that a slow transfer may go on and a silent one may not; and many
// small TLS records go to the kernel in one write.
//
// Before that, during the handshake, one absolute deadline holds: a stranger who sends a byte now
// and then gains nothing by it.
type stream struct {
	net.Conn
	received, sent atomic.Uint64 // bytes, TLS included

	// Set by bePatient before the link's goroutines start; zero during the handshake.
	readTimeout, writeTimeout time.Duration
	// silence is when the last write must be done, once the connection is being cut; nil before.
	silence atomic.Pointer[time.Time]

	// writing is held over the write to the kernel, against our habit: its purpose is the order of
	// the bytes. The reading goroutine writes too, if TLS must answer something by itself.
	writing sync.Mutex
	gather  bool   // writes are collected in out
	out     []byte // never more than gatherBytes and one TLS record
}

// gatherBytes is how much is collected for one write to the kernel.
const gatherBytes = 64 << 10

// errInterrupted ends a read on a connection that is being cut.
var errInterrupted = errors.New("link is being cut")

// bePatient replaces the handshake's absolute deadline by one for each read and each write.
func (s *stream) bePatient(read, write time.Duration) error {
	s.readTimeout, s.writeTimeout = read, write
	return s.Conn.SetDeadline(time.Time{})
}

// Read is called by TLS.
func (s *stream) Read(b []byte) (int, error) {
	if s.readTimeout > 0 {
		if err := s.Conn.SetReadDeadline(time.Now().Add(s.readTimeout)); err != nil {
			return 0, err
		}
	}
	// Only now: either we see the mark, or interrupt will shorten the deadline that we have set.
	if s.silence.Load() != nil {
		return 0, errInterrupted
	}
	n, err := s.Conn.Read(b)
	s.received.Add(uint64(n))
	return n, err
}

// Write is called by TLS, once for each of its records.
func (s *stream) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.out = append(s.out, b...)
	if s.gather && len(s.out) < gatherBytes {
		return len(b), nil
	}
	return len(b), s.flush()
}

// writeGathered writes b through the TLS connection over s, with few writes to the kernel.
func (s *stream) writeGathered(over io.Writer, b []byte) error {
	s.setGather(true)
	_, err := over.Write(b)
	return errors.Join(err, s.setGather(false))
}

// setGather begins to collect writes, or writes what was collected.
func (s *stream) setGather(gather bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.gather = gather
	if gather {
		return nil
	}
	return s.flush()
}

// flush writes what is collected. The caller is one of the two methods that hold writing.
func (s *stream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	b := s.out
	s.out = s.out[:0]
	if s.writeTimeout > 0 {
		if err := s.Conn.SetWriteDeadline(time.Now().Add(s.writeTimeout)); err != nil {
			return err
		}
	}
	// Only now, as in Read.
	if silence := s.silence.Load(); silence != nil {
		if err := s.Conn.SetWriteDeadline(*silence); err != nil {
			return err
		}
	}
	n, err := s.Conn.Write(b)
	s.sent.Add(uint64(n))
	return err
}

// interrupt ends the reads at once, and leaves the writes a short time in which to say why. It may
// be called from any goroutine and does not wait. The errors of the deadlines could only say that
// the connection is closed already.
func (s *stream) interrupt(patience time.Duration) {
	now := time.Now()
	silence := now.Add(patience)
	s.silence.Store(&silence)
	_ = s.Conn.SetWriteDeadline(silence)
	_ = s.Conn.SetReadDeadline(now)
}

// closeGently closes the connection so that what was written last arrives: a connection closed with
// unread bytes is reset, which destroys what the other side has not read yet. It discards at most
// discardBytes for at most patience.
func (s *stream) closeGently(patience time.Duration) {
	const discardBytes = 1 << 20
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = s.Conn.SetReadDeadline(time.Now().Add(patience))
		_, _ = io.CopyN(io.Discard, s.Conn, discardBytes)
	}
	_ = s.Conn.Close()
}
