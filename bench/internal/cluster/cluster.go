package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// startTimeout bounds how long three new servers may take to agree on a leader.
	startTimeout = 30 * time.Second
	// askTimeout bounds one question to one server, askInterval is the pause between two rounds.
	askTimeout  = 2 * time.Second
	askInterval = 20 * time.Millisecond
)

// Cluster is three servers that agree on who leads them.
type Cluster struct {
	Servers []*Server
	Leader  int // number in Servers, as of Start
	asker   *clientv3.Client
}

// Start starts a new cluster whose files are in dir, which must exist and be empty. It returns when
// all servers name the same leader. The caller must Close it.
func Start(ctx context.Context, s Subject, dir string) (*Cluster, error) {
	addresses, err := freeAddresses(Servers)
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	for i := range addresses {
		server, err := startServer(s, i, dir, addresses)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.Servers = append(c.Servers, server)
	}
	if c.asker, err = Dial(c.URLs()...); err == nil {
		c.Leader, err = c.waitForLeader(ctx)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends all servers and waits until they are gone. A second Close is harmless.
func (c *Cluster) Close() {
	if c.asker != nil {
		c.asker.Close()
	}
	for _, server := range c.Servers {
		server.kill()
	}
}

// URLs returns where clients reach the servers, in the order of Servers.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, server := range c.Servers {
		urls = append(urls, server.URL)
	}
	return urls
}

// WhileAlive returns a context that ends with ctx and as soon as a server ends by itself; its cause
// then says which and how. The caller must call the function returned.
func (c *Cluster) WhileAlive(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	for _, server := range c.Servers {
		watching.Go(func() {
			select {
			case <-server.ended:
				cancel(server.death())
			case <-ctx.Done():
			}
		})
	}
	return ctx, func() {
		cancel(nil)
		watching.Wait()
	}
}

// AgreedLeader asks every server who leads. It is an error if one does not answer, knows of no
// leader, or names another than the rest.
func (c *Cluster) AgreedLeader(ctx context.Context) (int, error) {
	var leaderID uint64
	leader := -1
	for i, server := range c.Servers {
		bounded, cancel := context.WithTimeout(ctx, askTimeout)
		status, err := c.asker.Status(bounded, server.URL)
		cancel()
		switch {
		case err != nil:
			return 0, fmt.Errorf("ask %s for its status: %w", server.Name, err)
		case status.Leader == 0:
			return 0, fmt.Errorf("%s knows of no leader", server.Name)
		case i > 0 && status.Leader != leaderID:
			return 0, fmt.Errorf("%s names another leader than the servers before it", server.Name)
		}
		leaderID = status.Leader
		if status.Header.MemberId == leaderID {
			leader = i
		}
	}
	if leader < 0 {
		return 0, fmt.Errorf("the leader %x is none of the servers", leaderID)
	}
	return leader, nil
}

// waitForLeader asks until all servers agree, one of them dies, or time is up.
func (c *Cluster) waitForLeader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("took too long"))
	defer cancel()
	ctx, forget := c.WhileAlive(ctx)
	defer forget()
	for {
		leader, err := c.AgreedLeader(ctx)
		if err == nil {
			return leader, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for a leader (last: %w): %w", err, context.Cause(ctx))
		case <-time.After(askInterval):
		}
	}
}

// Dial returns a client of the servers at urls. It is silent: what goes wrong is in its errors.
func Dial(urls ...string) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: urls, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("make a client of %v: %w", urls, err)
	}
	return client, nil
}

// freeAddresses returns unused loopback addresses for n servers. Another program may take one of
// them before the server does; the server then says so and the run fails.
func freeAddresses(n int) ([]address, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	free := func() (string, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		held = append(held, l) // until all are found: the same port must not be found twice
		return "http://" + l.Addr().String(), nil
	}
	addresses := make([]address, n)
	for i := range addresses {
		var err error
		if addresses[i].client, err = free(); err != nil {
			return nil, err
		}
		if addresses[i].peer, err = free(); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}
