package kv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Token lets one server join the cluster, once. Tokens are part of the replicated state, so that each is good once
// whichever server is asked; they end by log time. What the text of a token has in it is not here: only what both
// sides need to prove to each other that they know it.
type Token struct {
	ID uint64
	// Proof is the key with which both sides prove that they know the token: 32 bytes.
	Proof []byte
	// Deadline is the log time, in nanoseconds, from which on it is good no more.
	Deadline uint64
	// By is the public key of the server that has used it, 32 bytes, or empty; Server is the id that it got.
	By     []byte
	Server uint64
}

const (
	// MaxTokens bounds how many there are at a time.
	MaxTokens = 1024
	// MaxTokenTTL is the longest time to live, in seconds: 30 days.
	MaxTokenTTL = 30 * 24 * 3600

	tokenKeyBytes = 32 // of a proof, and of a server's key
)

// TokenResult is what became of a command that makes or uses a token. The numbers are folded into the digest: never
// renumbered.
type TokenResult uint8

const (
	// TokenDone: it was made; or it is used, by this server.
	TokenDone TokenResult = 1
	// TokenNotFound: there is none of this id, or its time is over.
	TokenNotFound TokenResult = 2
	// TokenUsed: another server has used it.
	TokenUsed TokenResult = 3
	// TokenTooMany: there are MaxTokens, or one of this id.
	TokenTooMany TokenResult = 4
)

// tokens are those that there are, sorted by id. The slice is never changed, only replaced.
type tokens []Token

func (t tokens) find(id uint64) (at int, found bool) {
	return slices.BinarySearchFunc(t, id, func(t Token, id uint64) int { return cmp.Compare(t.ID, id) })
}

// Token returns a token whose time is not over, as far as commands have told the time; false if there is none. It
// must not be changed.
func (s *Store) Token(id uint64) (Token, bool) {
	now := s.current.Load()
	at, found := now.tokens.find(id)
	if !found || now.tokens[at].Deadline <= now.time {
		return Token{}, false
	}
	return now.tokens[at], true
}

// tokenRequest is the request of KindTokenCreate (id, proof, time to live) and of KindTokenUse (id, key, server). It is
// ours: no client sends it.
type tokenRequest struct {
	id        uint64
	proof, by []byte
	ttl       uint64
	server    uint64
}

// TokenCreateRequest encodes the request to make a token that is good for ttl seconds.
func TokenCreateRequest(id uint64, proof []byte, ttl int64) []byte {
	b := appendInt(nil, 1, int64(id))
	b = protowire.AppendBytes(protowire.AppendTag(b, 2, octets), proof)
	return appendInt(b, 3, ttl)
}

// TokenUseRequest encodes the request to use a token, by the server with a key, which gets an id if nobody has used it.
func TokenUseRequest(id uint64, by []byte, server uint64) []byte {
	b := appendInt(nil, 1, int64(id))
	b = protowire.AppendBytes(protowire.AppendTag(b, 4, octets), by)
	return appendInt(b, 5, int64(server))
}

func (r *tokenRequest) decode(kind Kind, b []byte) Code {
	code := eachField(b, func(f field) bool {
		switch {
		case f.is(1, varint):
			r.id = f.int
		case f.is(2, octets) && kind == KindTokenCreate:
			r.proof = f.bytes
		case f.is(3, varint) && kind == KindTokenCreate:
			r.ttl = f.int
		case f.is(4, octets) && kind == KindTokenUse:
			r.by = f.bytes
		case f.is(5, varint) && kind == KindTokenUse:
			r.server = f.int
		default:
			return false
		}
		return true
	})
	if code != CodeOK {
		return code
	}
	good := r.id != 0 && len(r.by) == tokenKeyBytes && r.server != 0
	if kind == KindTokenCreate {
		good = r.id != 0 && len(r.proof) == tokenKeyBytes && r.ttl > 0 && r.ttl <= MaxTokenTTL
	}
	if !good {
		return CodeMalformed
	}
	return CodeOK
}

// executeTokenCreate makes a token, and drops those whose time is over. The body is a TokenResult.
func (w *writer) executeTokenCreate(b, request []byte) ([]byte, Code) {
	var r tokenRequest
	if code := r.decode(KindTokenCreate, request); code != CodeOK {
		return b, code
	}
	var live tokens
	for _, t := range w.now.tokens {
		if t.Deadline > w.now.time {
			live = append(live, t)
		} else {
			w.batch.Delete(appendTokenKey(w.key[:0], t.ID))
		}
	}
	w.now.tokens = live
	if _, found := live.find(r.id); found || len(live) >= MaxTokens {
		return append(b, byte(TokenTooMany)), CodeOK
	}
	w.setToken(Token{ID: r.id, Proof: slices.Clone(r.proof), Deadline: after(w.now.time, int64(r.ttl))})
	return append(b, byte(TokenDone)), CodeOK
}

// executeTokenUse uses a token. The body is a TokenResult; and, if that is TokenDone, a uvarint: the id of the server,
// which is the same however often that server asks.
func (w *writer) executeTokenUse(b, request []byte) ([]byte, Code) {
	var r tokenRequest
	if code := r.decode(KindTokenUse, request); code != CodeOK {
		return b, code
	}
	at, found := w.now.tokens.find(r.id)
	if !found || w.now.tokens[at].Deadline <= w.now.time {
		return append(b, byte(TokenNotFound)), CodeOK
	}
	t := w.now.tokens[at]
	switch {
	case len(t.By) == 0:
		t.By, t.Server = slices.Clone(r.by), r.server
		w.setToken(t)
	case !bytes.Equal(t.By, r.by):
		return append(b, byte(TokenUsed)), CodeOK
	}
	return binary.AppendUvarint(append(b, byte(TokenDone)), t.Server), CodeOK
}

// ParseTokenAnswer decodes the body of the answer to a command that makes or uses a token. server is 0 unless it was
// used.
func ParseTokenAnswer(body []byte) (result TokenResult, server uint64, err error) {
	if len(body) == 0 || body[0] < byte(TokenDone) || body[0] > byte(TokenTooMany) {
		return 0, 0, errAnswer
	}
	if len(body) == 1 {
		return TokenResult(body[0]), 0, nil
	}
	server, n := binary.Uvarint(body[1:])
	if n != len(body)-1 {
		return 0, 0, errAnswer
	}
	return TokenResult(body[0]), server, nil
}

func (w *writer) setToken(t Token) {
	at, found := w.now.tokens.find(t.ID)
	changed := slices.Clone(w.now.tokens)
	if found {
		changed[at] = t
	} else {
		changed = slices.Insert(changed, at, t)
	}
	w.now.tokens = changed
	w.batch.Set(appendTokenKey(w.key[:0], t.ID), appendToken(w.value[:0], &t))
}

// tokenVersion is the first byte of a token's record. Later versions may need others.
const tokenVersion = 1

func appendTokenKey(b []byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, spaceTokens), id)
}

func appendToken(b []byte, t *Token) []byte {
	b = append(b, tokenVersion)
	b = append(b, t.Proof...)
	b = binary.AppendUvarint(b, t.Deadline)
	b = binary.AppendUvarint(b, t.Server)
	return append(b, t.By...)
}

func parseToken(key, value []byte) (Token, error) {
	corrupt := fmt.Errorf("token %x: %x: %w", key, value, ErrCorrupt)
	if len(key) != 1+8 || len(value) < 1+tokenKeyBytes || value[0] != tokenVersion {
		return Token{}, corrupt
	}
	t := Token{ID: binary.BigEndian.Uint64(key[1:]), Proof: slices.Clone(value[1 : 1+tokenKeyBytes])}
	rest := value[1+tokenKeyBytes:]
	var n, m int
	t.Deadline, n = binary.Uvarint(rest)
	t.Server, m = binary.Uvarint(rest[max(n, 0):])
	if n <= 0 || m <= 0 {
		return Token{}, corrupt
	}
	t.By = slices.Clone(rest[n+m:])
	if isUsed := t.Server != 0; isUsed != (len(t.By) == tokenKeyBytes) || !isUsed && len(t.By) > 0 {
		return Token{}, corrupt
	}
	return t, nil
}

// loadTokens reads the space of tokens.
func loadTokens(it Iterator) (all tokens, err error) {
	for ok := it.SeekGE([]byte{spaceTokens}); ok && it.Key()[0] == spaceTokens; ok = it.Next() {
		t, err := parseToken(it.Key(), it.Value())
		if err != nil {
			return nil, cmp.Or(it.Error(), err)
		}
		all = append(all, t)
	}
	return all, it.Error()
}
