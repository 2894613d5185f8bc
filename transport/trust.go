package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/quorate/quorate/raft"
)

// Contact is a server that shows a key where none is known for it. TLS has proven that it holds the
// key; nothing has proven that it is the server.
type Contact struct {
	ID            raft.ServerID
	Key           PublicKey
	Local, Remote net.Addr // the two ends of the connection
}

// Trust decides whether a member that has no key yet proves its first one: nil means yes, an error
// says why not. It is asked only for members in the table of peers, perhaps several times for one,
// and must not wait. Once a key is known for a server, Trust is never asked for it again.
type Trust func(Contact) error

// TrustLoopback is trust on first use, if both ends of the connection are loopback addresses: for a
// cluster tried out on one machine, on which everyone who can connect is trusted anyway.
func TrustLoopback(c Contact) error {
	for _, end := range []net.Addr{c.Local, c.Remote} {
		if !isLoopback(end) {
			return fmt.Errorf("trust on first use is for loopback only, and %s is not", end)
		}
	}
	return nil
}

// TrustGiven trusts exactly the keys that an operator gave for those servers, by a flag for example.
// Of a server for which none was given, otherwise decides; nil trusts nobody.
func TrustGiven(given []KnownKey, otherwise Trust) Trust {
	given = slices.Clone(given)
	return func(c Contact) error {
		for _, g := range given {
			if g.ID == c.ID && g.Key == c.Key {
				return nil
			}
			if g.ID == c.ID {
				return fmt.Errorf("the key given for it is %s", g.Key.Fingerprint())
			}
		}
		if otherwise == nil {
			return errNobody
		}
		return otherwise(c)
	}
}

var errNobody = errors.New("no key was given for it")

func isLoopback(a net.Addr) bool {
	if a == nil {
		return false
	}
	end, err := netip.ParseAddrPort(a.String())
	return err == nil && end.Addr().IsLoopback()
}
