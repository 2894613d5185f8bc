package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/bench/internal/cluster"
)

const (
	// servingTimeout bounds how long a server may take until it serves, and servingTry each question. A
	// connection that nobody answers is given up after that, lest its own timeouts are what is measured.
	servingTimeout = 20 * time.Minute
	servingTry     = 2 * time.Second
	// servingPause is between two questions: by so much what is measured may be too long.
	servingPause = 2 * time.Millisecond
)

// untilServes waits until a server answers a linearizable read of a key, as of a revision or later.
func untilServes(ctx context.Context, server *cluster.Server, key string, revision int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, servingTimeout, errors.New("took too long"))
	defer cancel()
	for {
		got, err := readOnce(ctx, server, key)
		switch {
		case err == nil && (len(got.Kvs) != 1 || got.Header.Revision < revision):
			return fmt.Errorf("%s has lost something: it answers %d keys at revision %d, and %d was acknowledged",
				server.Name, len(got.Kvs), got.Header.Revision, revision)
		case err == nil:
			return nil
		}
		if pauseFor(ctx, servingPause); ctx.Err() != nil {
			return fmt.Errorf("wait until %s serves (last: %w): %w", server.Name, err, context.Cause(ctx))
		}
	}
}

// readOnce asks on a connection of its own.
func readOnce(ctx context.Context, server *cluster.Server, key string) (*pb.RangeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, servingTry)
	defer cancel()
	connection, err := server.Connect()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return pb.NewKVClient(connection).Range(ctx, &pb.RangeRequest{Key: []byte(key)})
}
