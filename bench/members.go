package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/cluster"
)

const (
	// memberTimeout bounds each wait for a change of the members, askAgain is the pause between two looks.
	memberTimeout = 2 * time.Minute
	askAgain      = 50 * time.Millisecond
)

// members changes who belongs to a cluster, as its operator would.
type members struct {
	client  *clientv3.Client
	servers *cluster.Cluster
	tell    func(format string, args ...any)
}

// join starts a new server and waits until it has its vote. Quorate's joins by a token, and the cluster gives it
// its vote by itself; etcd's is added as a learner, and promoted as soon as that is allowed.
func (m *members) join(ctx context.Context) error {
	newcomer, err := m.servers.Newcomer()
	if err != nil {
		return err
	}
	token, err := askForToken(ctx, m.servers.Servers[0].URL)
	switch {
	case err == nil:
		err = m.servers.Join(newcomer, cluster.JoinFlags(token.Join, token.Token)...)
	case errors.Is(err, errNoTokens):
		err = m.add(ctx, newcomer)
	}
	if err != nil {
		return fmt.Errorf("let %s join: %w", newcomer.Name, err)
	}
	return m.until(ctx, newcomer.Name+" has its vote", func(ctx context.Context) (bool, error) {
		list, err := m.client.MemberList(ctx)
		if err != nil {
			return false, err
		}
		i := at(list.Members, newcomer.PeerURL)
		if i < 0 {
			return false, errors.New("it is no member yet")
		}
		if !list.Members[i].IsLearner {
			return true, nil
		}
		if token == nil {
			_, err := m.client.MemberPromote(ctx, list.Members[i].ID)
			return false, err
		}
		return false, errors.New("it is a learner")
	})
}

// add lets a server join as etcd's do.
func (m *members) add(ctx context.Context, n cluster.Newcomer) error {
	err := m.until(ctx, n.Name+" is added", func(ctx context.Context) (bool, error) {
		_, err := m.client.MemberAddAsLearner(ctx, []string{n.PeerURL})
		return err == nil, err
	})
	if err != nil {
		return err
	}
	initial := []string{n.Name + "=" + n.PeerURL}
	for _, s := range m.servers.Servers {
		initial = append(initial, s.Name+"="+s.PeerURL())
	}
	return m.servers.Join(n, cluster.ExistingFlags(initial)...)
}

// remove removes a member, and makes sure that it is none any more.
func (m *members) remove(ctx context.Context, id uint64) error {
	return m.until(ctx, fmt.Sprintf("%x is removed", id), func(ctx context.Context) (bool, error) {
		if _, err := m.client.MemberRemove(ctx, id); err == nil {
			return true, nil
		} else if list, listErr := m.client.MemberList(ctx); listErr != nil || has(list.Members, id) {
			return false, err
		}
		return true, nil // it was, although the answer did not say so
	})
}

// until asks again and again until something is so. What stands in its way is told, each thing once.
func (m *members) until(ctx context.Context, what string, isSo func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, memberTimeout, errors.New("took too long"))
	defer cancel()
	var last error
	for ctx.Err() == nil {
		bounded, done := context.WithTimeout(ctx, askTimeout)
		so, err := isSo(bounded)
		done()
		if so {
			return nil
		}
		if err != nil && ctx.Err() == nil && (last == nil || last.Error() != err.Error()) {
			m.tell("until %s: %v", what, err)
			last = err
		}
		pauseFor(ctx, askAgain)
	}
	return fmt.Errorf("wait until %s (last: %w): %w", what, last, context.Cause(ctx))
}

// at is the place of the member that others reach there; -1: there is none.
func at(list []*pb.Member, peerURL string) int {
	return slices.IndexFunc(list, func(m *pb.Member) bool { return slices.Contains(m.PeerURLs, peerURL) })
}

func has(list []*pb.Member, id uint64) bool {
	return slices.ContainsFunc(list, func(m *pb.Member) bool { return m.ID == id })
}

// newToken lets a server join. It is what POST /quorate/token answers.
type newToken struct {
	Token string   `json:"token"`
	Join  []string `json:"join"` // where the others listen for it, as URLs
}

// errNoTokens: a server has no such page.
var errNoTokens = errors.New("there are no tokens")

func askForToken(ctx context.Context, url string) (*newToken, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, body, err := askForPage(ctx, http.MethodPost, url+"/quorate/token")
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return nil, errNoTokens
	case status != http.StatusOK:
		return nil, fmt.Errorf("ask %s for a token: %d: %s", url, status, body)
	}
	made := new(newToken)
	if err := json.Unmarshal(body, made); err != nil || made.Token == "" || len(made.Join) == 0 {
		return nil, fmt.Errorf("ask %s for a token: what it answers is none", url)
	}
	return made, nil
}

// sameHashes makes sure that all servers hold the same, history included, as of one revision.
func (b *bed) sameHashes(ctx context.Context) error {
	if _, err := b.cluster.WaitWhole(ctx); err != nil {
		return err
	}
	asker, err := cluster.Dial(b.cluster.URLs()...)
	if err != nil {
		return err
	}
	defer asker.Close()
	ctx, cancel := context.WithTimeout(ctx, readBackTimeout)
	defer cancel()
	got, err := asker.Get(ctx, keyPrefix, clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("ask for the revision: %w", err)
	}
	var hashes []*clientv3.HashKVResponse
	for _, server := range b.cluster.Servers {
		// A linearizable read makes sure that the server has applied what is asked for.
		if err := b.countKeys(ctx, server.URL); err != nil {
			return err
		}
		hash, err := asker.HashKV(ctx, server.URL, got.Header.Revision)
		if err != nil {
			return fmt.Errorf("ask %s for its hash: %w", server.Name, err)
		}
		hashes = append(hashes, hash)
	}
	return compareHashes(got.Header.Revision, b.cluster.Servers, hashes)
}

func compareHashes(revision int64, servers []*cluster.Server, hashes []*clientv3.HashKVResponse) error {
	for i, hash := range hashes {
		first := hashes[0]
		if hash.Hash != first.Hash || hash.CompactRevision != first.CompactRevision || hash.HashRevision != revision {
			return fmt.Errorf("SERVERS HOLD DIFFERENT THINGS as of revision %d: %s has hash %08x of revision %d (compacted %d), %s %08x of %d (%d)", revision,
				servers[0].Name, first.Hash, first.HashRevision, first.CompactRevision, servers[i].Name, hash.Hash, hash.HashRevision, hash.CompactRevision)
		}
	}
	return nil
}
