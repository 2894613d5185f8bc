package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// wholeTimeout bounds how long a cluster may take to be whole again.
const wholeTimeout = 60 * time.Second

// State is what all servers of a cluster say.
type State struct {
	Leader  int // number in Servers
	Term    uint64
	IDs     []uint64 // of the servers, in the order of Servers
	commits uint64   // the greatest index that any knows to be committed
	applied uint64   // the least index that all have applied
}

// Look asks every server how it is. It is an error if one does not answer, knows of no leader, or names
// another leader or term than the rest.
func (c *Cluster) Look(ctx context.Context) (State, error) {
	state := State{Leader: -1}
	var leaderID uint64
	for i, server := range c.Servers {
		status, err := server.status(ctx)
		switch {
		case err != nil:
			return State{}, fmt.Errorf("ask %s for its status: %w", server.Name, err)
		case status.Leader == 0:
			return State{}, fmt.Errorf("%s knows of no leader", server.Name)
		case i > 0 && status.Leader != leaderID:
			return State{}, fmt.Errorf("%s names another leader than the servers before it", server.Name)
		case i > 0 && status.RaftTerm != state.Term:
			return State{}, fmt.Errorf("%s is in term %d, the servers before it in term %d", server.Name, status.RaftTerm, state.Term)
		}
		if i == 0 {
			state.applied = status.RaftAppliedIndex
		}
		leaderID, state.Term = status.Leader, status.RaftTerm
		state.commits, state.applied = max(state.commits, status.RaftIndex), min(state.applied, status.RaftAppliedIndex)
		state.IDs = append(state.IDs, status.Header.MemberId)
		if status.Header.MemberId == leaderID {
			state.Leader = i
		}
	}
	if state.Leader < 0 {
		return State{}, fmt.Errorf("the leader %x is none of the servers", leaderID)
	}
	return state, nil
}

// WaitWhole waits until all servers agree, and all have applied what was committed when they first did.
func (c *Cluster) WaitWhole(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wholeTimeout, errors.New("took too long"))
	defer cancel()
	var goal uint64 // 0: they have not agreed yet
	ticker := time.NewTicker(askInterval)
	defer ticker.Stop()
	for {
		state, err := c.Look(ctx)
		switch {
		case err == nil && goal > 0 && state.applied >= goal:
			c.Leader = state.Leader
			return state, nil
		case err == nil && goal == 0:
			goal = state.commits
			continue
		case err == nil:
			err = fmt.Errorf("a server has applied no more than %d of %d", state.applied, goal)
		}
		select {
		case <-ctx.Done():
			return State{}, fmt.Errorf("wait for all servers (last: %w): %w", err, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// Revision returns the revision that a server shows by itself, whether or not others are further.
func (c *Cluster) Revision(ctx context.Context, server int) (int64, error) {
	status, err := c.Servers[server].status(ctx)
	if err != nil {
		return 0, err
	}
	return status.Header.Revision, nil
}

// Connect makes a connection to one server, which the caller must close. It is not etcd's client, which does not say
// that a server cannot be reached, but waits for the next attempt, a second later: this one says so at once.
func (s *Server) Connect() (*grpc.ClientConn, error) {
	target := "passthrough:///" + strings.TrimPrefix(s.URL, "http://")
	return grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// status asks one server how it is, on a connection of its own.
func (s *Server) status(ctx context.Context) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	connection, err := s.Connect()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return pb.NewMaintenanceClient(connection).Status(ctx, &pb.StatusRequest{})
}
