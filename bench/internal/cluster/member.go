package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Newcomer is a server that is still to be started, on an empty directory.
type Newcomer struct {
	Name    string
	PeerURL string // where the other servers reach it
	address address
}

// Newcomer returns the next server that may join.
func (c *Cluster) Newcomer() (Newcomer, error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return Newcomer{}, err
	}
	n := Newcomer{Name: name(c.joined), PeerURL: addresses[0].peer, address: addresses[0]}
	c.joined++
	return n, nil
}

// Join starts a server with flags that say whom it joins. It is the last of Servers from then on, whether or not
// the others have let it in.
func (c *Cluster) Join(n Newcomer, flags ...string) error {
	server, err := start(c.subject, c.dir, plan{n.Name, n.address, c.subject.command(n.Name, c.dir, n.address, flags)})
	if err != nil {
		return err
	}
	c.Servers = append(c.Servers, server)
	if c.watch != nil {
		c.watch(server)
	}
	return nil
}

// JoinFlags are the flags with which a server joins by a token, as "quorate token create" prints them. The
// addresses are URLs.
func JoinFlags(addresses []string, token string) []string {
	var hosts []string
	for _, u := range addresses {
		hosts = append(hosts, strings.TrimPrefix(u, "http://"))
	}
	return []string{"--join", strings.Join(hosts, ","), "--token", token}
}

// ExistingFlags are the flags with which a server joins as etcd's do, once it has been added; members are name=URL.
func ExistingFlags(members []string) []string {
	return []string{"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "existing"}
}

// PeerURL is where the other servers reach this one.
func (s *Server) PeerURL() string { return s.plan.address.peer }

// MayEnd says that the server may end by itself from now on, as etcd's do once they are removed.
func (s *Server) MayEnd() { s.ending.Store(true) }

// Leave ends a server with SIGTERM, unless it has ended already, and forgets it: those behind it in Servers move up.
// Who was removed from the members does no harm any more; Leave itself removes nobody.
func (c *Cluster) Leave(ctx context.Context, server int) error {
	s := c.Servers[server]
	if err := c.Terminate(ctx, server); err != nil {
		if !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("let %s go: %w", s.Name, err)
		}
		<-s.ended // it is gone; this is noticed at once
	}
	c.endedCPU += s.usedCPU()
	c.Servers = slices.Delete(slices.Clone(c.Servers), server, server+1)
	return nil
}
