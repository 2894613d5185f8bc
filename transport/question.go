package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// A server that is to join knows no cluster, no id and nobody's key, so it cannot say hello. It asks, on a connection
// of its own, and what is asked and answered is the owner's business: the transport sees that the other side holds
// the key that it shows, and gives both sides a secret that only they share.

const (
	// MaxQuestionBytes bounds what is asked.
	MaxQuestionBytes = 64 << 10
	// MaxAnswerBytes bounds what is answered.
	MaxAnswerBytes = 8 << 20

	// maxQuestions is how many are answered at a time: strangers may ask.
	maxQuestions = 8
	// bindingLabel names what TLS makes of a connection's secrets for us (RFC 8446 §7.5).
	bindingLabel = "EXPORTER-quorate-question"
	bindingBytes = 32
)

// Question is one connection on which something is asked, as one of its ends sees it.
type Question struct {
	// Key is the other side's: it has proved that it holds it, and nothing more.
	Key PublicKey
	// Local and Remote are the two ends of the connection.
	Local, Remote net.Addr
	// Binding is the same at both ends, and on no other connection: who proves to know something together with it,
	// proves it here and now.
	Binding []byte
	// Body is what is asked, or what is answered.
	Body []byte
}

// Denial is an error of Options.Answer that says that it is no use to ask again.
type Denial struct{ Why error }

func (d *Denial) Error() string { return d.Why.Error() }

// Unwrap returns why.
func (d *Denial) Unwrap() error { return d.Why }

// IsLocal reports whether both ends are on this machine, on which everyone who can connect is trusted anyway.
func (q *Question) IsLocal() bool {
	return TrustLoopback(Contact{Key: q.Key, Local: q.Local, Remote: q.Remote}) == nil
}

var errAnswered = errors.New("a question was answered")

// answer ends a connection on which something was asked.
func (t *Transport) answer(l *link, body []byte) error {
	if t.options.Answer == nil {
		return refuse(ReasonQuestion, "server %x takes no questions", t.self.ID)
	}
	if t.questions.Add(1) > maxQuestions {
		t.questions.Add(-1)
		return refuse(ReasonBusy, "server %x is answering others: ask again", t.self.ID)
	}
	defer t.questions.Add(-1)
	q, err := newQuestion(l.conn)
	if err != nil {
		return err
	}
	q.Body = body
	// So that there is time left to say what came of it: the whole conversation has HandshakeTimeout.
	ctx, cancel := context.WithTimeout(t.ctx, t.options.HandshakeTimeout*4/5)
	defer cancel()
	answer, err := t.options.Answer(ctx, q)
	if err == nil && len(answer) > MaxAnswerBytes {
		err = fmt.Errorf("the answer has %d bytes, at most %d are allowed", len(answer), MaxAnswerBytes)
	}
	if denied := new(Denial); errors.As(err, &denied) {
		return refuse(ReasonDenied, "%v", denied.Why)
	}
	if err != nil {
		return refuse(ReasonQuestion, "%v", err)
	}
	if err := l.writeNote(noteAnswer, answer); err != nil {
		return err
	}
	return errAnswered
}

func newQuestion(conn *tls.Conn) (Question, error) {
	state := conn.ConnectionState()
	key, err := shownKey(state)
	if err != nil {
		return Question{}, err
	}
	binding, err := state.ExportKeyingMaterial(bindingLabel, nil, bindingBytes)
	if err != nil {
		return Question{}, fmt.Errorf("bind a question to its connection: %w", err)
	}
	return Question{Key: key, Local: conn.LocalAddr(), Remote: conn.RemoteAddr(), Binding: binding}, nil
}

// Ask asks the server at the other end of conn, and returns its answer. compose makes the question once it is known
// whose key the other side has; its error ends the attempt. That the other side may be believed, its key or its
// answer has to show. ctx bounds all of it; conn is closed in any case. A refusal is a *Refusal.
func Ask(ctx context.Context, id *Identity, conn net.Conn, compose func(Question) ([]byte, error)) (Question, error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	q, err := ask(id, conn, compose)
	if ctx.Err() != nil && asRefusal(err) == nil {
		err = ctx.Err()
	}
	return q, err
}

func ask(id *Identity, conn net.Conn, compose func(Question) ([]byte, error)) (Question, error) {
	config, err := newTLSConfig(id)
	if err != nil {
		return Question{}, err
	}
	secure := tls.Client(conn, config)
	if err := secure.Handshake(); err != nil {
		return Question{}, fmt.Errorf("secure the connection: %w", err)
	}
	q, err := newQuestion(secure)
	if err != nil {
		return Question{}, err
	}
	body, err := compose(q)
	if err != nil {
		return q, err
	}
	if len(body) > MaxQuestionBytes {
		return q, fmt.Errorf("the question has %d bytes, at most %d are allowed", len(body), MaxQuestionBytes)
	}
	if _, err := secure.Write(appendNote(nil, noteQuestion, body)); err != nil {
		return q, err
	}
	q.Body, err = readNote(secure, noteAnswer)
	return q, err
}
