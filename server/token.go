package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// A join token is what one server needs to join a cluster: the operator carries it there. It is good for one server, for
// a while. Both sides prove to each other that they know it, bound to their connection, and neither sends it: who
// listens, or stands between them, learns nothing.
//
// Its text is tokenPrefix and, in base32 without padding and in lower case:
//
//	offset size
//	 0      8   the cluster's id, big-endian
//	 8      8   the token's id
//	16     16   the secret
//	32      4   CRC32C of bytes 0 to 31: a slip of the pen is told from a token that is over
//
// What a server shows that wants to join: the cluster's id (8), the token's id (8), and its proof (32). The proofs are
// HMAC-SHA256, by a key that is HMAC-SHA256 of tokenLabel by the secret, of who proves ("joins" or "lets in") and of
// the binding of the connection.
type joinToken struct {
	cluster, id uint64
	secret      [16]byte
}

const (
	tokenPrefix   = "qjoin1-"
	tokenBytes    = 36
	tokenLabel    = "quorate join token"
	sideJoins     = "joins"
	sideLetsIn    = "lets in"
	shownBytes    = 8 + 8 + sha256.Size
	maxJoinURLs   = 16
	maxJoinURLLen = 1024
)

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newJoinToken(cluster uint64) (joinToken, error) {
	t := joinToken{cluster: cluster}
	var b [8 + len(t.secret)]byte
	if _, err := rand.Read(b[:]); err != nil {
		return joinToken{}, fmt.Errorf("make a token: %w", err)
	}
	t.id = max(binary.BigEndian.Uint64(b[:]), 1)
	copy(t.secret[:], b[8:])
	return t, nil
}

// text is what the operator carries. There is no String: a token must not get into a log by accident.
func (t *joinToken) text() string {
	b := binary.BigEndian.AppendUint64(nil, t.cluster)
	b = binary.BigEndian.AppendUint64(b, t.id)
	b = append(b, t.secret[:]...)
	b = binary.BigEndian.AppendUint32(b, wire.Checksum(b))
	return tokenPrefix + tokenEncoding.EncodeToString(b)
}

func parseToken(text string) (joinToken, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !ok {
		return joinToken{}, fmt.Errorf("a token begins with %s, as quorate token create prints it", tokenPrefix)
	}
	b, err := tokenEncoding.DecodeString(strings.ToLower(encoded))
	if err != nil || len(b) != tokenBytes || binary.BigEndian.Uint32(b[32:]) != wire.Checksum(b[:32]) {
		return joinToken{}, errors.New("it is not a whole token: copy it again, all of it")
	}
	t := joinToken{cluster: binary.BigEndian.Uint64(b), id: binary.BigEndian.Uint64(b[8:])}
	copy(t.secret[:], b[16:])
	return t, nil
}

// proofKey is what the cluster keeps of a token.
func (t *joinToken) proofKey() []byte {
	h := hmac.New(sha256.New, t.secret[:])
	h.Write([]byte(tokenLabel))
	return h.Sum(nil)
}

func prove(key []byte, side string, binding []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(side))
	h.Write(binding)
	return h.Sum(nil)
}

// Show implements quorate.Credential.
func (t *joinToken) Show(binding []byte) ([]byte, error) {
	b := binary.BigEndian.AppendUint64(nil, t.cluster)
	b = binary.BigEndian.AppendUint64(b, t.id)
	return append(b, prove(t.proofKey(), sideJoins, binding)...), nil
}

// Check implements quorate.Credential.
func (t *joinToken) Check(binding, proof []byte) error {
	if !hmac.Equal(proof, prove(t.proofKey(), sideLetsIn, binding)) {
		return errors.New("it does not know the token: it is no server of the cluster")
	}
	return nil
}

// newToken makes a token that is good for ttl, and returns its text.
func (s *Server) newToken(ctx context.Context, ttl time.Duration) (string, error) {
	t, err := newJoinToken(s.host.ClusterID())
	if err != nil {
		return "", err
	}
	seconds := int64((ttl + time.Second - 1) / time.Second)
	switch result, _, err := s.proposeToken(ctx, kv.KindTokenCreate, kv.TokenCreateRequest(t.id, t.proofKey(), seconds)); {
	case err != nil:
		return "", err
	case result != kv.TokenDone:
		return "", fmt.Errorf("there are %d tokens: wait until some are over", kv.MaxTokens)
	}
	s.logger.Info("a token was made by which one server may join", "token", fmt.Sprintf("%x", t.id), "for", ttl)
	return t.text(), nil
}

func (s *Server) proposeToken(ctx context.Context, kind kv.Kind, request []byte) (kv.TokenResult, uint64, error) {
	b, err := s.group.ProposeCommand(ctx, wire.Command{Kind: uint8(kind), Request: request})
	if err != nil {
		return 0, 0, err
	}
	answer, err := kv.ParseAnswer(b)
	if err != nil {
		return 0, 0, err
	}
	if answer.Err != kv.CodeOK {
		return 0, 0, answer.Err
	}
	return kv.ParseTokenAnswer(answer.Body)
}

// admit lets a server in that knows a token. It is asked again when an answer was lost, or came too late: the token
// then gives the same server the same id.
func (s *Server) admit(ctx context.Context, r quorate.JoinRequest) (proof []byte, err error) {
	select {
	case <-s.started:
	default:
		return nil, errors.New("this server is just starting: ask again")
	}
	token, err := s.checkShown(ctx, &r)
	if err != nil {
		return nil, err
	}
	id, err := s.useToken(ctx, token.ID, &r)
	if err != nil {
		return nil, err
	}
	if s.group.Status().Configuration.Member(id) == nil {
		if err := s.addServer(ctx, id, &r); err != nil {
			return nil, err
		}
	}
	return prove(token.Proof, sideLetsIn, r.Binding), nil
}

func deny(format string, args ...any) error {
	return &transport.Denial{Why: fmt.Errorf(format, args...)}
}

// checkShown finds the token that a server knows.
func (s *Server) checkShown(ctx context.Context, r *quorate.JoinRequest) (kv.Token, error) {
	if len(r.Shown) != shownBytes {
		return kv.Token{}, deny("what it shows is no token that this version knows")
	}
	if cluster := binary.BigEndian.Uint64(r.Shown); cluster != s.host.ClusterID() {
		return kv.Token{}, deny("the token is of cluster %x, and this is cluster %x", cluster, s.host.ClusterID())
	}
	if err := s.group.Read(ctx); err != nil { // so that a token is found here that was just made elsewhere
		return kv.Token{}, fmt.Errorf("nobody can look for the token now: %w: ask again", err)
	}
	t, found := s.store.Token(binary.BigEndian.Uint64(r.Shown[8:]))
	switch {
	case !found:
		return kv.Token{}, deny("the token's time is over, or it was never made: make another with quorate token create")
	case !hmac.Equal(r.Shown[16:], prove(t.Proof, sideJoins, r.Binding)):
		return kv.Token{}, deny("it does not know the whole token")
	}
	return t, nil
}

// useToken uses a token for a server, and returns the id that it has by it.
func (s *Server) useToken(ctx context.Context, token uint64, r *quorate.JoinRequest) (quorate.ServerID, error) {
	if len(r.Name) >= maxNameBytes || len(r.PeerURLs) == 0 || len(r.PeerURLs) > maxJoinURLs {
		return 0, deny("it has a name of %d bytes and %d addresses", len(r.Name), len(r.PeerURLs))
	}
	for _, u := range r.PeerURLs {
		if _, err := addressOf(withScheme(u), "http", "https"); err != nil || len(u) > maxJoinURLLen {
			return 0, deny("its address %.100q is none: %v", u, err)
		}
	}
	fresh, err := newJoinToken(0) // for its chance
	if err != nil {
		return 0, err
	}
	result, id, err := s.proposeToken(ctx, kv.KindTokenUse, kv.TokenUseRequest(token, r.Key[:], fresh.id))
	switch {
	case err != nil:
		return 0, fmt.Errorf("the token cannot be used now: %w: ask again", err)
	case result == kv.TokenUsed:
		return 0, deny("another server has joined by this token: make another with quorate token create")
	case result != kv.TokenDone:
		return 0, deny("the token's time is over: make another with quorate token create")
	}
	return quorate.ServerID(id), nil
}

// addServer makes a server a member, which gets its vote once it has caught up.
func (s *Server) addServer(ctx context.Context, id quorate.ServerID, r *quorate.JoinRequest) error {
	err := s.group.Reconfigure(ctx, replica.Edit{Member: wire.Member{
		ID: id, Key: slices.Clone(r.Key[:]), Name: r.Name, PeerURLs: r.PeerURLs,
	}})
	switch {
	case errors.Is(err, quorate.ErrNotAllowed):
		return deny("another server has its key, or one of its addresses %q", r.PeerURLs)
	case err != nil:
		return fmt.Errorf("it cannot be added now: %w: ask again", err)
	}
	s.logger.Info("a server has joined by a token", "server", fmt.Sprintf("%x", id), "name", r.Name, "peer urls", r.PeerURLs)
	return nil
}
