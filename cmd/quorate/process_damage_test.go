package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestProcessDamagedStateIsHealedByTheOthers flips bytes of the state of one of three servers, whose log no longer has
// what its state has. Each time it serves again what the others serve, without a hand but one that starts it.
func TestProcessDamagedStateIsHealedByTheOthers(t *testing.T) {
	servers := startServers(t, 3, soon...)
	fill(t, servers[0], 0, 2000)
	hurt := servers[2]
	waitCaughtUp(t, hurt, servers[0])
	waitLogDropped(t, servers[0])
	said := ""
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		_, last := hurt.terminate(t) // in good order: what is damaged is not in the log any more
		said += last
		files := stateFiles(t, hurt.dir)
		file := files[random.IntN(len(files))]
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		flip(t, file, random.IntN(int(info.Size())))
		what := fmt.Sprintf("round %d, after a flip in %s", round, filepath.Base(file))
		hurt.start(t)
		said += healAndCompare(t, what, hurt, servers[0])
		fill(t, servers[0], 10_000+100*round, 100)
		waitCaughtUp(t, hurt, servers[0])
	}
	hurt.kill(t)
	if said += hurt.log.String(); strings.Count(said, "set aside") < 3 || !strings.Contains(said, "where the state is that another server sent") {
		t.Errorf("hardly anything was noticed:\n%s", tail(said, 3000))
	}
}

// healAndCompare waits until a server serves what another does, all of it. If it ends because its state is damaged, it
// is started again. It returns what the server has said in lives that have ended.
func healAndCompare(t *testing.T, what string, hurt, other *serverProcess) (said string) {
	t.Helper()
	for range 4 {
		conn, ok := hurt.waitServingOrGone(t)
		if ok {
			hurt.open(conn, false)
			same := false
			eventually(t, what+": it holds what the others do", func() error {
				select {
				case <-hurt.gone:
					return nil
				default:
				}
				err := sameHash(t, hurt, other)
				same = err == nil
				return err
			})
			if same {
				return said
			}
		}
		status, last := hurt.waitEnd(t)
		if status != exitFatal {
			t.Fatalf("%s: it ended with status %d: %s", what, status, tail(last, 2000))
		}
		said += last
		hurt.start(t)
	}
	t.Fatalf("%s: it ends again and again: %s", what, tail(said, 3000))
	return said
}

// sameHash compares everything that two servers hold.
func sameHash(t *testing.T, a, b *serverProcess) error {
	var hashes [2]*pb.HashKVResponse
	for i, s := range []*serverProcess{b, a} {
		conn, _, up := s.present()
		if !up {
			return fmt.Errorf("%s is not up", s.name)
		}
		request := &pb.HashKVRequest{}
		if i > 0 {
			request.Revision = hashes[0].HashRevision
		}
		var err error
		if hashes[i], err = pb.NewMaintenanceClient(conn).HashKV(t.Context(), request); err != nil {
			return err
		}
	}
	if hashes[0].Hash != hashes[1].Hash {
		return fmt.Errorf("hashes %v and %v", hashes[0], hashes[1])
	}
	return nil
}

// stateFiles are the files of a server's state that have something in them.
func stateFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "state", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			files = append(files, name)
		}
	}
	return files
}
