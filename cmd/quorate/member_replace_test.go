package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/server"
)

// joinWords gives the words behind "--join" and "--token" as soon as a command has printed them.
func joinWords(t *testing.T, said io.Reader) (addresses []string, token string) {
	t.Helper()
	var text strings.Builder
	b := make([]byte, 1<<10)
	for {
		n, err := said.Read(b)
		text.Write(b[:n])
		if _, flags, found := strings.Cut(text.String(), "--join "); found && strings.Contains(flags, "\n") {
			words := strings.Fields(flags)
			go func() { _, _ = io.Copy(io.Discard, said) }() // ends with the command
			return strings.Split(words[0], ","), words[2]
		}
		if err != nil {
			t.Fatalf("it said %q, and then %v", text.String(), err)
		}
	}
}

func TestAServerIsReplaced(t *testing.T) {
	servers := startCluster(t, 3)
	at := addressesOf(servers...)
	runOf("put", "a", "1", "--endpoints", at).expect(t, "put", exitDone, "OK")
	old := servers[2]
	read, write := io.Pipe()
	var out strings.Builder
	done := make(chan int, 1)
	go func() {
		w := &world{in: strings.NewReader(""), out: &out, err: write}
		status := run(w, []string{"member", "replace", nameOf(old), "--ttl", "1m", "--endpoints", at})
		write.Close()
		done <- status
	}()
	addresses, token := joinWords(t, read)
	o := server.Options{Name: "new", DataDir: filepath.Join(t.TempDir(), "data"), ListenClientURLs: []string{"http://127.0.0.1:0"},
		ListenPeerURLs: []string{localURL(freePorts(t, 1)[0])}, Join: addresses, Token: token}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Join(ctx, o); err != nil {
		t.Fatal(err)
	}
	endpoint := serve(t, o)
	if status := <-done; status != exitDone {
		t.Fatalf("exit status %d", status)
	}
	r := runOf("member", "list", "-w", "simple", "--endpoints", endpoint)
	if !strings.Contains(r.out, "new") || strings.Contains(r.out, "s3") || strings.Count(r.out, "\n") != 3 || !strings.Contains(out.String(), "removed from") {
		t.Errorf("members are %s; it said %s", r.out, out.String())
	}
}

func TestAReplacementWaitsForTheVoteOfWhoWasNotThereBefore(t *testing.T) {
	var said strings.Builder
	r := replacement{w: &world{err: &said}}
	before := []*pb.Member{{ID: 1, Name: "s1"}, {ID: 2, IsLearner: true}}
	for _, step := range []struct {
		now   []*pb.Member
		votes bool
		said  string
	}{
		{before, false, "Waiting for the new server to join.\n"},
		{append(before[:2:2], &pb.Member{ID: 0xab, Name: "new", IsLearner: true}), false, "new (ab) has joined, and catches up.\n"},
		{append(before[:2:2], &pb.Member{ID: 0xab, Name: "new", IsLearner: true}), false, ""}, // once
		{[]*pb.Member{before[0], {ID: 2}, {ID: 0xab, Name: "new"}}, true, "new (ab) has its vote. Removing 1.\n"},
	} {
		said.Reset()
		if votes := r.look(step.now, before, 1); votes != step.votes || said.String() != step.said {
			t.Errorf("%v: votes %t, said %q, want %t, %q", step.now, votes, said.String(), step.votes, step.said)
		}
	}
}

func TestAReplacementThatNeverComesChangesNothing(t *testing.T) {
	servers := startCluster(t, 1)
	at := addressesOf(servers...)
	r := runOf("member", "replace", "s1", "--ttl", "1s", "--endpoints", at)
	r.expect(t, "replace", exitFailed, "no new server has got its vote in time, and nothing was removed")
	r.expect(t, "replace", exitFailed, "Waiting for the new server to join.")
	runOf("member", "replace", "s9", "--endpoints", at).expect(t, "of a stranger", exitFailed, "no server has the id or the name s9")
	runOf("member", "replace", "--endpoints", at).expect(t, "of nobody", exitUsage, "takes the id of a server")
	runOf("member", "list", "--endpoints", at).expect(t, "member list", exitDone, "s1")
}
