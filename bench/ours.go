package main

import (
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/client"
)

// ownTimeout is how long a request of Quorate's client may take. What becomes of the single copies that it sends
// is its own business: it waits a second for one server, and asks the next.
const ownTimeout = 30 * time.Second

// ownClients are Quorate's clients: etcd's, of which a write that is not answered is sent again, and takes effect
// once. With servers that have no sessions they are etcd's and nothing else.
type ownClients []*client.Client

// ownClients returns so many. Each knows all servers, and begins with another.
func (b *bed) ownClients(count int) (ownClients, error) {
	var all ownClients
	for i := range count {
		c, err := client.New(clientv3.Config{Endpoints: turned(b.cluster.URLs(), i), Logger: zap.NewNop()}, client.Options{})
		if err != nil {
			all.close()
			return nil, fmt.Errorf("make a client of Quorate's: %w", err)
		}
		all = append(all, c)
	}
	return all, nil
}

// plain returns them as etcd's, which they are: their puts are numbered all the same.
func (all ownClients) plain() []*clientv3.Client {
	var plain []*clientv3.Client
	for _, c := range all {
		plain = append(plain, c.Client)
	}
	return plain
}

// know tells all of them which servers there are.
func (all ownClients) know(c *cluster.Cluster) {
	for i, one := range all {
		one.SetEndpoints(turned(c.URLs(), i)...)
	}
}

func (all ownClients) close() {
	for _, c := range all {
		c.Close() // the servers may be gone: what it says of that is of no use
	}
}

// turned returns a list that begins with another of its members for each number.
func turned(list []string, number int) []string {
	at := number % len(list)
	return slices.Concat(list[at:], list[:at])
}

// newOwnWrites are puts by clients that send a put again themselves.
func (b *bed) newOwnWrites() *writes {
	w := b.newWrites(time.Now())
	w.timeout, w.once = ownTimeout, true
	return w
}
