package etcdapi

import (
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

const (
	// maxPeerURLBytes bounds a member's peer URLs together, so that its entry has room for the rest.
	maxPeerURLBytes = wire.MaxMemberBytes / 4
	// memberIDTries is how many ids are drawn for a new member. They have 64 bits: one that is taken
	// already is a rare thing.
	memberIDTries = 3
)

// peerURLs returns the URLs at which a member is to be found by the others, sorted; false if there are none,
// or one is no http:// or https:// with a host, a port and nothing else.
func peerURLs(given []string) (urls []string, ok bool) {
	size := 0
	for _, u := range given {
		u = strings.TrimSpace(u)
		if !IsPeerURL(u) {
			return nil, false
		}
		urls, size = append(urls, u), size+len(u)
	}
	slices.Sort(urls)
	return slices.Compact(urls), len(urls) > 0 && size <= maxPeerURLBytes
}

// IsPeerURL reports whether a member can be found at a URL: http:// or https:// with a host, a port and nothing else.
func IsPeerURL(u string) bool {
	parsed, err := url.Parse(u)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || u != parsed.Scheme+"://"+parsed.Host {
		return false
	}
	host, port, err := net.SplitHostPort(parsed.Host)
	return err == nil && host != "" && port != ""
}

// haveAddress reports whether a member other than one is found at one of the URLs. Links between servers are
// the same whatever the scheme says.
func haveAddress(members []wire.Member, otherThan raft.ServerID, urls []string) bool {
	return slices.ContainsFunc(members, func(m wire.Member) bool {
		return m.ID != otherThan && slices.ContainsFunc(m.PeerURLs, func(theirs string) bool {
			return slices.ContainsFunc(urls, func(ours string) bool { return wire.PeerAddress(theirs) == wire.PeerAddress(ours) })
		})
	})
}

// newMemberID returns an id for a new member, which derives from its URLs, the cluster and chance: a server that
// comes back under the address of one that has left is another one. False if each that was drawn is taken.
func (s *Server) newMemberID(now *wire.Configuration, urls []string) (raft.ServerID, bool) {
	for range memberIDTries {
		var chance [16]byte
		s.chance(chance[:])
		id := deriveMemberID(s.options.ClusterID, urls, chance)
		if id != 0 && now.Member(id) == nil {
			return id, true
		}
	}
	return 0, false
}

func deriveMemberID(cluster uint64, urls []string, chance [16]byte) raft.ServerID {
	b := binary.LittleEndian.AppendUint64([]byte("quorate member"), cluster)
	b = append(b, chance[:]...)
	hash := sha256.Sum256(append(b, strings.Join(urls, ",")...))
	return raft.ServerID(binary.BigEndian.Uint64(hash[:]))
}
