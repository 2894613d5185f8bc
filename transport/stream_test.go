package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// tlsLike writes what it gets in records, as TLS does.
type tlsLike struct{ s *stream }

func (w tlsLike) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), 16<<10)
		if _, err := w.s.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// countingConn counts writes, and keeps what was written.
type countingConn struct {
	net.Conn
	writes int
	b      bytes.Buffer
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.writes++
	return c.b.Write(b)
}

func (c *countingConn) SetWriteDeadline(time.Time) error { return nil }

func TestRecordsAreGatheredIntoFewWrites(t *testing.T) {
	conn := &countingConn{}
	s := &stream{Conn: conn}
	want := bytes.Repeat([]byte("0123456789"), 20<<10) // 200 KiB: 13 records.
	if err := s.writeGathered(tlsLike{s}, want); err != nil {
		t.Fatal(err)
	}
	if conn.writes != 4 || !bytes.Equal(conn.b.Bytes(), want) {
		t.Errorf("%d bytes in %d writes, want %d in 4", conn.b.Len(), conn.writes, len(want))
	}
	s.Write([]byte("at once"))
	if conn.writes != 5 {
		t.Error("a write outside a frame was held back")
	}
}

// TLS may answer something by itself, from the reading goroutine, while a frame is being gathered.
// Under the race detector this shows whether the two are kept apart.
func TestWritesOfTheReaderDoNotMixWithAFrame(t *testing.T) {
	conn := &countingConn{}
	s := &stream{Conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			s.Write([]byte("answer"))
		}
	}()
	for range 1000 {
		s.writeGathered(tlsLike{s}, []byte("frames"))
	}
	<-done
	for b := conn.b.Bytes(); len(b) > 0; b = b[6:] {
		if len(b) < 6 || string(b[:6]) != "answer" && string(b[:6]) != "frames" {
			t.Fatalf("mixed: %q", b[:min(len(b), 20)])
		}
	}
	if conn.b.Len() != 12000 {
		t.Errorf("%d bytes were written, want 12000", conn.b.Len())
	}
}

// Each interrupt comes at some instant of the other goroutine's reads and writes, and always ends them.
func TestInterruptEndsReadsAndBoundsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		s := &stream{Conn: near}
		if err := s.bePatient(time.Hour, time.Hour); err != nil {
			t.Fatal(err)
		}
		ended := make(chan time.Duration, 2)
		began := time.Now()
		go func() {
			s.Read(make([]byte, 1))
			ended <- time.Since(began)
		}()
		go func() {
			s.Write([]byte("nobody reads this"))
			ended <- time.Since(began)
		}()
		letPass(time.Minute)
		s.interrupt(time.Second)
		first, second := <-ended, <-ended
		if first != time.Minute || second != time.Minute+time.Second {
			t.Errorf("ended after %s and %s", first, second)
		}
		// Later ones do not win back the time.
		began = time.Now()
		_, readErr := s.Read(make([]byte, 1))
		_, writeErr := s.Write([]byte("x"))
		if readErr != errInterrupted || writeErr == nil || time.Since(began) > 0 {
			t.Errorf("after the end: read %v, write %v, took %s", readErr, writeErr, time.Since(began))
		}
	})
}

func TestSlowTransferIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := &stream{Conn: near}
		if err := s.bePatient(time.Second, time.Second); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range 100 {
				<-time.After(900 * time.Millisecond)
				far.Write([]byte("x"))
			}
			far.Close()
		}()
		if b, err := io.ReadAll(s); err != nil || len(b) != 100 {
			t.Errorf("%d bytes, %v; want all 100", len(b), err)
		}
	})
}
