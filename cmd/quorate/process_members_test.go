package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// newcomer describes a server that is to join by a token.
func newcomer(t *testing.T, name string, more ...string) *serverProcess {
	t.Helper()
	ports := freePorts(t, 2)
	s := &serverProcess{name: name, clientPort: ports[0], peerPort: ports[1], dir: t.TempDir(), life: 1}
	s.arguments = append([]string{"serve", "--stop-with-stdin", "--name", name, "--data-dir", s.dir,
		"--listen-client-urls", localURL(s.clientPort), "--listen-peer-urls", localURL(s.peerPort), "--join", "", "--token", ""}, more...)
	return s
}

// join lets a newcomer join, with a token that any of the servers makes, and waits until it votes.
func (s *serverProcess) join(t *testing.T, servers []*serverProcess) {
	t.Helper()
	var clients, peers []string
	for _, other := range servers {
		clients = append(clients, other.clientAddress())
		peers = append(peers, localAddress(other.peerPort))
	}
	made := runOf("token", "create", "-w", "simple", "--endpoints", strings.Join(clients, ","), "--command-timeout", "20s")
	if made.status != exitDone {
		t.Fatalf("token create: %+v", made)
	}
	s.with("--join", strings.Join(peers, ",")).with("--token", strings.TrimSpace(made.out))
	s.start(t)
	s.waitServing(t)
	eventually(t, s.name+" votes", func() error {
		conn, _, _ := s.present()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		members, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{})
		if err != nil {
			return err
		}
		for _, m := range members.Members {
			if m.Name == s.name && !m.IsLearner {
				return nil
			}
		}
		return fmt.Errorf("members are %v", members.Members)
	})
}

// leave removes a server, whatever stands in the way for a while, and ends it.
func (s *serverProcess) leave(t *testing.T, servers []*serverProcess) {
	t.Helper()
	var clients []string
	for _, other := range servers {
		clients = append(clients, other.clientAddress())
	}
	eventually(t, s.name+" leaves", func() error {
		r := runOf("member", "remove", s.name, "--endpoints", strings.Join(clients, ","), "--command-timeout", "20s")
		if r.status != exitDone && !strings.Contains(r.err, "no server has the id or the name "+s.name) {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	if status, said := s.terminate(t); status != exitDone {
		t.Errorf("%s: exit status %d\n%s", s.name, status, tail(said, 2000))
	}
	s.disconnect()
}

// A new server joins under load and an old one leaves, until none of the first is left. No request of clients with
// sessions fails, each takes effect once, and in the end the new servers have the same, each other's keys, and
// nothing of the others: all of them are restarted.
func TestProcessServersAreReplacedUntilNoneIsLeft(t *testing.T) {
	rounds := 3
	servers := startServers(t, 3, quick...)
	var all []*serverProcess
	all = append(all, servers...)
	for i := range rounds {
		all = append(all, newcomer(t, fmt.Sprint("n", i+1), quick...))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := startSessionLoad(t, all, seed)
	for i := range rounds {
		l.waitProgress(t, 100)
		all[3+i].join(t, servers)
		servers = append(servers, all[3+i])
		l.waitProgress(t, 100)
		if i == 1 { // and a leader dies while there are four
			leader := waitLeader(t, servers)
			leader.kill(t)
			l.waitProgress(t, 100)
			leader.start(t)
			leader.waitServing(t)
			waitCaughtUp(t, leader, waitLeader(t, servers))
		}
		old := servers[0]
		servers = servers[1:]
		old.leave(t, servers)
	}
	l.waitProgress(t, 100)
	l.expectExactlyOnce(t, servers)
	for _, s := range servers {
		s.kill(t)
	}
	startAll(t, servers)
	sameEverywhere(t, servers)
}
