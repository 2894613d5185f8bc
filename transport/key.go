package transport

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"

	"github.com/quorate/quorate/raft"
)

// PublicKey is a server's Ed25519 public key. The zero value means that no key is known.
type PublicKey [ed25519.PublicKeySize]byte

// KnownKey says that a server proves itself with a key.
type KnownKey struct {
	ID  raft.ServerID
	Key PublicKey
}

// errNotAKey does not repeat the text: somebody may have pasted a secret by mistake.
var errNotAKey = errors.New("not a public key: want the 32 bytes in base64 (44 characters) or in hex (64)")

// ParsePublicKey reads a key as String writes it, or in unpadded base64, or in hex.
func ParsePublicKey(text string) (PublicKey, error) {
	var raw []byte
	var err error
	switch len(text) {
	case base64.StdEncoding.EncodedLen(ed25519.PublicKeySize):
		raw, err = base64.StdEncoding.Strict().DecodeString(text)
	case base64.RawStdEncoding.EncodedLen(ed25519.PublicKeySize):
		raw, err = base64.RawStdEncoding.Strict().DecodeString(text)
	case hex.EncodedLen(ed25519.PublicKeySize):
		raw, err = hex.DecodeString(text)
	default:
		return PublicKey{}, errNotAKey
	}
	if err != nil || len(raw) != ed25519.PublicKeySize || PublicKey(raw).IsZero() {
		return PublicKey{}, errNotAKey
	}
	return PublicKey(raw), nil
}

// IsZero reports whether there is no key. The zero bytes are a point of the curve for which anyone
// can sign, so they never count as one.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// String returns the key in base64, 44 characters, or "none".
func (k PublicKey) String() string {
	if k.IsZero() {
		return "none"
	}
	return base64.StdEncoding.EncodeToString(k[:])
}

// Fingerprint returns 16 hexadecimal characters for people to compare: the first 64 bits of the
// key's SHA-256. Programs compare keys.
func (k PublicKey) Fingerprint() string {
	if k.IsZero() {
		return "none"
	}
	sum := sha256.Sum256(k[:])
	return hex.EncodeToString(sum[:8])
}

// MarshalText makes a PublicKey usable with flag.TextVar and encoding/json; no key is empty text.
func (k PublicKey) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return nil, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText is the reverse of MarshalText.
func (k *PublicKey) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*k = PublicKey{}
		return nil
	}
	parsed, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}
