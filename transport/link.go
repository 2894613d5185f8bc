package transport

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// farewellPatience is how long a connection that is being cut may take to say why.
const farewellPatience = 250 * time.Millisecond

// link is one connection, from accept or dial to its end. One goroutine shakes hands, writes, and
// ends it; on a link that we dialled a second one reads.
type link struct {
	stream  *stream
	dialled bool
	peer    *peer // dialled: whom; accepted: set by roster.admit

	// Set during the handshake by the goroutine that shakes hands.
	conn         *tls.Conn // nil until TLS is through
	mine, theirs *hello
	viewVersion  uint64    // the state of our view that the other side has
	admitted     time.Time // when roster.admit let it live
	writer       frameWriter
	reader       frameReader
	framed       bool // both are ready: frames, no more notes

	// answered is when the probe was sent that the other side has answered last, in Unix nanoseconds; of a link
	// that we dialled.
	answered atomic.Int64

	readers   sync.WaitGroup
	lastHeard error         // of the reading goroutine; valid once deaf is closed
	deaf      chan struct{} // closed when the reading goroutine has stopped

	why     atomic.Pointer[Refusal] // set once, by cut
	cutting chan struct{}           // closed by cut
}

func newLink(conn net.Conn, dialled bool) *link {
	return &link{
		stream:  &stream{Conn: conn},
		dialled: dialled,
		deaf:    make(chan struct{}),
		cutting: make(chan struct{}),
	}
}

// cut makes the link's own goroutine end it, and tell the other side why if that goes quickly. It
// may be called from any goroutine, again and again; it does not wait.
func (l *link) cut(why *Refusal) {
	if l.why.CompareAndSwap(nil, why) {
		close(l.cutting)
		l.stream.interrupt(farewellPatience)
	}
}

func cutAll(cuts []cut) {
	for _, c := range cuts {
		c.link.cut(c.why)
	}
}

// startFrames ends the notes: from now on both directions are frames.
func (l *link) startFrames(o *Options) error {
	l.framed = true
	l.writer.framing = newFraming(l.mine, l.theirs.From)
	l.reader.framing = newFraming(l.theirs, l.mine.From)
	l.reader.from = bufio.NewReaderSize(l.conn, 16<<10)
	return l.stream.bePatient(o.IdleTimeout, o.WriteTimeout)
}

// answeredSince reports whether the other side has answered a probe that was sent after a moment.
func (l *link) answeredSince(moment time.Time) bool { return l.answered.Load() > moment.UnixNano() }

func (l *link) writeFrame(frame []byte) error {
	return l.stream.writeGathered(l.conn, frame)
}

func (l *link) writeNote(kind byte, body []byte) error {
	_, err := l.conn.Write(appendNote(nil, kind, body))
	return err
}

// close ends the connection and returns why, given the error that its goroutine met: once a link is
// cut, that reason is the cause of every other error. A refusal of ours is said to the other side.
func (l *link) close(err error) error {
	if why := l.why.Load(); why != nil {
		err = why
	}
	var refusal *Refusal
	if errors.As(err, &refusal) && !refusal.Remote && l.conn != nil {
		l.cut(refusal)
		l.readers.Wait()
		l.say(refusal)
		l.stream.closeGently(farewellPatience)
		return err
	}
	// The error of closing says nothing that err does not.
	_ = l.stream.Close()
	l.readers.Wait()
	return err
}

// causeOf returns why a link that we dialled ends, given the error of its writing goroutine. If the
// other side has said why, that is the reason, though the write may have failed before it was read.
func (l *link) causeOf(err error) error {
	if asRefusal(err) != nil {
		return err
	}
	timer := time.NewTimer(farewellPatience)
	defer timer.Stop()
	select {
	case <-l.deaf:
		err = l.lastHeard
	case <-l.cutting:
	case <-timer.C:
	}
	if why := l.why.Load(); why != nil {
		return why
	}
	return err
}

// say tells the other side why this ends. If it does not arrive, they see a broken connection.
func (l *link) say(why *Refusal) {
	switch {
	case l.conn == nil:
	case l.framed:
		_ = l.writeFrame(l.writer.control(frameFarewell, encodeRefusal(why)))
	default:
		_ = l.writeNote(noteRefusal, encodeRefusal(why))
	}
}

// asRefusal returns the refusal that err is made of, or nil.
func asRefusal(err error) *Refusal {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return nil
}
