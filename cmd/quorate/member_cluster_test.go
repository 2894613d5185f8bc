package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/server"
	"github.com/quorate/quorate/wire"
)

// startCluster starts servers s1, s2 and so on in this process.
func startCluster(t *testing.T, count int) (servers []*server.Server) {
	t.Helper()
	return startClusterOf(t, count, server.Options{HeartbeatInterval: 50 * time.Millisecond, ElectionTimeout: 500 * time.Millisecond})
}

// startClusterOf starts servers with some options.
func startClusterOf(t *testing.T, count int, o server.Options) (servers []*server.Server) {
	t.Helper()
	var cluster []string
	ports := freePorts(t, count)
	for i, port := range ports {
		cluster = append(cluster, fmt.Sprintf("s%d=%s", i+1, localURL(port)))
	}
	for i, port := range ports {
		s, err := server.Start(server.Options{
			Name: fmt.Sprintf("s%d", i+1), DataDir: t.TempDir(), InitialCluster: strings.Join(cluster, ","),
			ListenPeerURLs: []string{localURL(port)}, ListenClientURLs: []string{"http://127.0.0.1:0"},
			HeartbeatInterval: o.HeartbeatInterval, ElectionTimeout: o.ElectionTimeout,
			OnFatal: func(err error) { t.Error(err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		servers = append(servers, s)
	}
	return servers
}

// addressesOf are where clients find servers, as --endpoints takes them.
func addressesOf(servers ...*server.Server) string {
	var endpoints []string
	for _, s := range servers {
		endpoints = append(endpoints, s.ClientAddrs()[0].String())
	}
	return strings.Join(endpoints, ",")
}

func nameOf(s *server.Server) string {
	return s.Group().Status().Configuration.Member(s.Host().ID()).Name
}

// at runs a command against servers.
func at(servers []*server.Server, line string) result {
	return runOf(append(strings.Fields(line), "--endpoints", addressesOf(servers...))...)
}

// listed are names, or ids without one, and whether they learn, as a server tells it.
func listed(t *testing.T, s *server.Server) string {
	t.Helper()
	answer, err := clientOf(t, addressesOf(s)).MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var members []string
	for _, m := range answer.Members {
		text := m.Name
		if m.IsLearner {
			text += "(learner)"
		}
		members = append(members, text)
	}
	slices.Sort(members)
	return strings.Join(members, " ")
}

func TestMembersOfARunningClusterAreChanged(t *testing.T) {
	servers := startCluster(t, 3)
	at(servers, "get a").expect(t, "a read that waits for a leader", exitDone, "")

	// Leadership goes to whom it is told to, whichever endpoint is named first.
	was := slices.IndexFunc(servers, func(s *server.Server) bool { return s.Group().Status().Raft.Leader == s.Host().ID() })
	next, third := servers[(was+1)%3], servers[(was+2)%3]
	moved := fmt.Sprintf("Leadership transferred from %x to %x\n", servers[was].Host().ID(), next.Host().ID())
	at([]*server.Server{third, next, servers[was]}, "move-leader "+nameOf(next)).expect(t, "move-leader", exitDone, moved)
	if leader := next.Group().Status().Raft.Leader; leader != next.Host().ID() {
		t.Errorf("%x leads", leader)
	}
	leader := []*server.Server{next}
	at([]*server.Server{third}, "move-leader s1").expect(t, "move-leader without the leader", exitFailed, "the leader is not among the endpoints")
	at([]*server.Server{third}, "move-leader "+nameOf(next)+" --cluster").expect(t, "move-leader to the leader", exitDone, "")

	// A voter becomes a learner, and a voter again as soon as it has caught up.
	demote := replica.Edit{Member: wire.Member{ID: third.Host().ID(), Roles: wire.RoleLearner}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := next.Group().Reconfigure(ctx, demote); err != nil {
		t.Fatal(err)
	}
	name := nameOf(third)
	if list := listed(t, next); !strings.Contains(list, name+"(learner)") {
		t.Errorf("members: %s", list)
	}
	at(servers, "move-leader "+name).expect(t, "move-leader to a learner", exitFailed, "Who leads must have a vote")
	eventually(t, "the learner catches up", func() error {
		if r := at(leader, "member promote "+name); r.status != exitDone {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	if list := listed(t, next); list != "s1 s2 s3" {
		t.Errorf("members: %s", list)
	}
	at(leader, "member promote "+name).expect(t, "promote a voter", exitFailed, "can only promote a learner member\nIt votes already.")

	// A server is added that never comes.
	u := localURL(freePorts(t, 1)[0])
	at(leader, "member add s4 --peer-urls "+u).expect(t, "add", exitDone, "ETCD_NAME=\"s4\"\nETCD_INITIAL_CLUSTER=\"")
	at(leader, "member add s5 --peer-urls "+u).expect(t, "add", exitFailed, "Peer URLs already exists")
	id := unstarted(t, next)
	at(leader, "member promote "+id).expect(t, "promote who never came", exitFailed, "to catch up first")
	at(leader, "member update "+id+" --peer-urls "+localURL(freePorts(t, 1)[0])).expect(t, "update", exitDone, "updated in cluster")
	at(leader, "member remove "+id).expect(t, "remove who never came", exitDone, id+" removed from cluster")
	at(leader, "member remove "+id).expect(t, "remove it again", exitFailed, "no server has the id or the name "+id)

	// One after the other leaves, the leader among them, until nobody would be left.
	at(leader, "member remove "+name).expect(t, "remove a follower", exitDone, "removed from cluster")
	at(leader, "member remove "+nameOf(next)).expect(t, "remove the leader", exitDone, "removed from cluster")
	last := servers[was : was+1]
	at(last, "put a 1").expect(t, "put", exitDone, "OK")
	if list := listed(t, last[0]); list != nameOf(last[0]) {
		t.Errorf("members: %s", list)
	}
	at(last, "member remove "+nameOf(last[0])).expect(t, "remove the last", exitFailed, "not enough started members\nWithout it,")
}

// unstarted returns the id of the only member that has no name, in hexadecimal.
func unstarted(t *testing.T, s *server.Server) string {
	t.Helper()
	answer, err := clientOf(t, addressesOf(s)).MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(answer.Members, func(m *pb.Member) bool { return m.Name == "" })
	if i < 0 || !answer.Members[i].IsLearner {
		t.Fatalf("members: %v", answer.Members)
	}
	return fmt.Sprintf("%x", answer.Members[i].ID)
}

// Without a majority nothing changes, and it is said so.
func TestMembersAreNotChangedIfTooFewWouldAnswer(t *testing.T) {
	servers := startCluster(t, 3)
	at(servers, "get a").expect(t, "a read that waits for a leader", exitDone, "")
	was := slices.IndexFunc(servers, func(s *server.Server) bool { return s.Group().Status().Raft.Leader == s.Host().ID() })
	if err := servers[(was+1)%3].Close(); err != nil {
		t.Fatal(err)
	}
	leader, stopped := servers[was:was+1], servers[(was+1)%3].Host().ID()
	eventually(t, "the leader misses the one that was stopped", func() error {
		peers := leader[0].Group().Status().Raft.Peers
		if i := slices.IndexFunc(peers, func(p raft.PeerStatus) bool { return p.ID == stopped }); i < 0 || peers[i].SilentTicks < 100 {
			return fmt.Errorf("%+v", peers)
		}
		return nil
	})
	at(leader, "member remove "+nameOf(servers[(was+2)%3])).expect(t, "remove who answers", exitFailed, "unhealthy cluster\nNothing has changed")
	if list := listed(t, leader[0]); list != "s1 s2 s3" {
		t.Errorf("members: %s", list)
	}
	at(leader, "member remove "+nameOf(servers[(was+1)%3])).expect(t, "remove who does not answer", exitDone, "removed from cluster")
}
