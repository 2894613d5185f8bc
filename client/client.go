package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/quorate/quorate/session"
)

// Options tune a client. The zero value of a field means its default.
type Options struct {
	// SessionTTL is for how long the servers remember what this client has asked, after its last request:
	// a write that is sent again later is not known to be the same. Default 1 min, from 5 s to 24 h.
	SessionTTL time.Duration
	// Patience is how long one server may be silent before a request is sent to the next one as well. It grows by
	// half with each server that is, up to eight times. Default: it follows how long answers
	// have taken of late, from 100 ms for writes and 300 ms for reads to 1 s; it grows to 8 s.
	Patience time.Duration
}

const defaultSessionTTL = time.Minute

func (o Options) withDefaults() Options {
	if o.SessionTTL == 0 {
		o.SessionTTL = defaultSessionTTL
	}
	return o
}

// Validate reports everything that is wrong with the options at once, or nil.
func (o Options) Validate() error {
	o = o.withDefaults()
	var wrong []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	const least, most = session.MinTTL * time.Second, session.MaxTTL * time.Second
	need(o.SessionTTL >= least && o.SessionTTL <= most, "SessionTTL is %v, must be from %v to %v", o.SessionTTL, least, most)
	need(o.Patience >= 0, "Patience is %v, must not be negative", o.Patience)
	return errors.Join(wrong...)
}

// Client is etcd's client, of which writes take effect once however often they are sent. All of etcd's API
// is there; its KV and Lease are ours.
type Client struct {
	*clientv3.Client
	options   Options
	endpoints endpoints
	sessions  sessions
	patience  patience
	plain     pb.KVClient    // for servers without sessions
	leases    pb.LeaseClient // the same, and for keeping leases alive
}

// New makes a client from the configuration of etcd's. As there, it does not wait until a server is reached
// unless the configuration says so.
func New(config clientv3.Config, o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	config.DialOptions = append(slices.Clone(config.DialOptions), grpc.WithChainUnaryInterceptor(countCopies))
	etcd, err := clientv3.New(config)
	if err != nil {
		return nil, err
	}
	c := &Client{
		Client: etcd, options: o.withDefaults(),
		plain: clientv3.RetryKVClient(etcd), leases: clientv3.RetryLeaseClient(etcd),
	}
	c.endpoints.dial, c.endpoints.list = etcd.Dial, etcd.Endpoints
	c.sessions.client, c.patience.fixed = c, o.Patience
	etcd.KV = clientv3.NewKVFromKVClient(keyValues{c}, etcd)
	// One second more than the time for dialling is what etcd's own client takes.
	etcd.Lease = clientv3.NewLeaseFromLeaseClient(lease{c}, etcd, config.DialTimeout+time.Second)
	return c, nil
}

// closeTimeout bounds how long Close tries to tell the servers.
const closeTimeout = 500 * time.Millisecond

// Close ends the client, and everything that is under way. The servers are told that its session has ended
// if they answer at once; otherwise it ends by itself.
func (c *Client) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	c.sessions.close(ctx)
	err := c.Client.Close()
	c.endpoints.close()
	return err
}
