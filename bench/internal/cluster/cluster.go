package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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

// Cluster is three servers, or one, that agree on who leads them; more or fewer while some join and leave.
type Cluster struct {
	Servers []*Server
	Leader  int // number in Servers, as of Start

	// What it takes to start a server.
	subject Subject
	dir     string
	joined  int // how many servers it has had so far: the next one's number
	// watch begins to watch a server for its end; nil while nobody does.
	watch    func(*Server)
	endedCPU time.Duration // of the processes that others have replaced, or that have left
}

// Start starts a new cluster of so many servers, whose files are in dir, which must exist and be empty. It
// returns when all servers name the same leader. The caller must Close it.
func Start(ctx context.Context, s Subject, dir string, servers int) (*Cluster, error) {
	addresses, err := freeAddresses(servers)
	if err != nil {
		return nil, err
	}
	c := &Cluster{subject: s, dir: dir, joined: servers}
	for i := range addresses {
		server, err := startServer(s, i, dir, addresses)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.Servers = append(c.Servers, server)
	}
	if c.Leader, err = c.waitForLeader(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends all servers and waits until they are gone. A second Close is harmless.
func (c *Cluster) Close() {
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

// DataDir is where a server keeps its data.
func (c *Cluster) DataDir(server int) string { return filepath.Join(c.dir, c.Servers[server].Name) }

// WhileAlive returns a context that ends with ctx and as soon as a server ends by itself, one that is
// started again included; its cause then says which and how. The caller must call the function returned,
// and not ask for a second context before that.
func (c *Cluster) WhileAlive(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	c.watch = func(server *Server) {
		watching.Go(func() {
			select {
			case <-server.ended:
				if !server.ending.Load() {
					cancel(server.death())
				}
			case <-ctx.Done():
			}
		})
	}
	for _, server := range c.Servers {
		c.watch(server)
	}
	return ctx, func() {
		cancel(nil)
		watching.Wait()
		c.watch = nil
	}
}

// AgreedLeader asks every server who leads. It is an error if one does not answer, knows of no
// leader, or names another than the rest.
func (c *Cluster) AgreedLeader(ctx context.Context) (int, error) {
	state, err := c.Look(ctx)
	return state.Leader, err
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
