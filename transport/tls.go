package transport

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// linkProtocol is negotiated by TLS (ALPN), so that a browser or an etcd client that strays onto the
// peer port is turned away before anything else.
const linkProtocol = "quorate-link"

// newTLSConfig returns the configuration for both ends of a connection.
//
// TLS is used for what it is good at: secrecy, integrity, freshness, and the proof that the other
// side holds the key in its certificate. The certificate itself means nothing: it is made at each
// start, and its names and dates are not looked at. Whether the key is the right one is decided
// after TLS is through and before the first byte of a message, by the roster: so the other side can
// be told in words why not, where a TLS alert would leave both logs guessing.
func newTLSConfig(id *Identity) (*tls.Config, error) {
	certificate, err := selfSigned(id)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:       []tls.Certificate{certificate},
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{linkProtocol},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // It would verify names, dates and authorities. We compare keys.
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := shownKey(state)
			return err
		},
		SessionTicketsDisabled:      true, // Links are few and long; a resumed one would show no key.
		DynamicRecordSizingDisabled: true,
	}, nil
}

func selfSigned(id *Identity) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5: no end.
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, id.private.Public(), id.private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: id.private}, nil
}

var (
	errNoLinkProtocol = errors.New("it does not ask for " + linkProtocol)
	errNoEd25519      = errors.New("its certificate is not of an Ed25519 key")
)

// shownKey returns the key that the other side has proven to hold.
func shownKey(state tls.ConnectionState) (PublicKey, error) {
	if state.NegotiatedProtocol != linkProtocol {
		return PublicKey{}, errNoLinkProtocol
	}
	if len(state.PeerCertificates) == 0 {
		return PublicKey{}, errNoEd25519
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize || PublicKey(key).IsZero() {
		return PublicKey{}, errNoEd25519
	}
	return PublicKey(key), nil
}
