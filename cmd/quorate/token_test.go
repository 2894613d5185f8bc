package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/server"
)

func TestAServerIsStartedAsTokenCreateSays(t *testing.T) {
	endpoint := startOneOf(t, 1)
	made := runOf("token", "create", "--ttl", "10m", "--endpoints", endpoint)
	made.expect(t, "token create", exitDone, "On the machine of the new server, within 10m0s:\n\n  quorate serve --name NAME --join 127.0.0.1:")
	_, flags, _ := strings.Cut(made.out, "--join ")
	words := strings.Fields(flags)
	if len(words) < 3 || words[1] != "--token" {
		t.Fatalf("it says %s", made.out)
	}
	o := server.Options{Name: "NAME", DataDir: filepath.Join(t.TempDir(), "data"), ListenClientURLs: []string{"http://127.0.0.1:0"},
		ListenPeerURLs: []string{localURL(freePorts(t, 1)[0])}, Join: strings.Split(words[0], ","), Token: words[2]}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Join(ctx, o); err != nil {
		t.Fatal(err)
	}
	joined := serve(t, o)
	runOf("put", "a", "1", "--endpoints", joined).expect(t, "put there", exitDone, "OK")
	runOf("get", "a", "--endpoints", endpoint).expect(t, "get here", exitDone, "1")
	runOf("member", "list", "--endpoints", endpoint).expect(t, "member list", exitDone, "NAME")
}

func TestTokenCreatePrintsWhatIsAskedFor(t *testing.T) {
	endpoint := startOneOf(t, 1)
	simple := runOf("token", "create", "-w", "simple", "--endpoints", endpoint)
	if simple.status != exitDone || !strings.HasPrefix(simple.out, "qjoin1-") || strings.Count(simple.out, "\n") != 1 {
		t.Errorf("-w simple: %+v", simple)
	}
	var made etcdapi.NewToken
	r := runOf("token", "create", "--output", "json", "--endpoints", nobody(t)+","+endpoint) // one of them is enough
	if err := json.Unmarshal([]byte(r.out), &made); err != nil || made.TTLSeconds != 3600 || len(made.Join) != 1 || made.Token+"\n" == simple.out {
		t.Errorf("--output json: %+v, %v", r, err)
	}
}

func TestTokenCreateSaysWhyThereIsNone(t *testing.T) {
	endpoint := startOneOf(t, 1)
	runOf("token", "create", "--ttl", "1000h", "--endpoints", endpoint).expect(t, "for too long", exitFailed, "want a time from 1s to 720h0m0s")
	runOf("token", "create", "--endpoints", nobody(t)).expect(t, "of nobody", exitFailed, "connection refused")
	runOf("token", "create", "x").expect(t, "with a word", exitUsage, "takes no words")
	alone := startOneOf(t, 3)
	runOf("token", "create", "--command-timeout", "1s", "--endpoints", alone).expect(t, "without a majority", exitFailed, "does not answer within 1s")
}
