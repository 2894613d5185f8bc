package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wire"
)

// eventually waits for what there is nothing to wait on.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := testContext(t); !so(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not in time", what)
		}
	}
}

// change changes the members, whatever stands in the way for a while.
func change(t *testing.T, s *Server, edits ...replica.Edit) {
	t.Helper()
	var err error
	eventually(t, "the members change", func() bool {
		err = s.Group().Reconfigure(testContext(t), edits...)
		return !errors.Is(err, quorate.ErrNotReady) && !errors.Is(err, quorate.ErrBusy) && !errors.Is(err, quorate.ErrOutcomeUnknown)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAServerJoinsAsEtcdsDo(t *testing.T) {
	options := clusterOptions(t, 4)
	fourth := options[3]
	list := fourth.InitialCluster // all four
	for i := range options[:3] {
		options[i].InitialCluster = options[0].InitialCluster[:len(list)-len(",n3=")-len(fourth.ListenPeerURLs[0])]
	}
	servers := startAll(t, options[:3])
	if err := story(testContext(t), connect(t, servers[0]), "a/"); err != nil {
		t.Error(err)
	}
	change(t, servers[1], replica.Edit{Member: wire.Member{ID: 7, PeerURLs: fourth.ListenPeerURLs}})

	fourth.InitialClusterState = "existing"
	if err := Join(testContext(t), fourth); err != nil {
		t.Fatal(err)
	}
	joined := start(t, fourth)
	if err := story(testContext(t), connect(t, joined), "b/"); err != nil {
		t.Error(err)
	}
	isVoter := func() bool { return joined.Group().Status().Raft.Configuration.Configuration.IsVoter(7) }
	eventually(t, "it votes", isVoter)
	members, err := connect(t, servers[0]).MemberList(testContext(t))
	if err != nil || len(members.Members) != 4 || members.Members[0].ID != 7 || members.Members[0].IsLearner {
		t.Errorf("members are %v, %v", members, err)
	}

	joined.Close()
	if err := Join(testContext(t), fourth); err != nil { // the same command starts it again
		t.Error(err)
	}
	again := start(t, fourth)
	if again.Host().ID() != 7 {
		t.Errorf("it is server %x now", again.Host().ID())
	}
	if err := story(testContext(t), connect(t, again), "c/"); err != nil {
		t.Error(err)
	}

	servers[0].Close()
	first := options[0]
	first.InitialCluster, first.InitialClusterState = list, "existing" // as the operator would write it now
	if err := Join(testContext(t), first); err != nil {
		t.Error(err)
	}
	if s := start(t, first); s.Host().ID() != servers[0].Host().ID() {
		t.Errorf("the first is server %x now", s.Host().ID())
	}
}

func TestWhoIsAskedIsWhoElseIsThere(t *testing.T) {
	o := Options{Name: "b", InitialCluster: "a=http://127.0.0.1:1,b=http://127.0.0.1:2,a=http://127.0.0.1:3"}
	if got, want := o.toAsk(), []string{"http://127.0.0.1:1", "http://127.0.0.1:3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	o.Join = []string{"c:1"}
	if got := o.toAsk(); !slices.Equal(got, o.Join) {
		t.Errorf("got %v, want %v", got, o.Join)
	}
}

// askForToken asks a server for a token, as quorate token create does.
func askForToken(t *testing.T, s *Server, query string) (status int, made etcdapi.NewToken, text string) {
	t.Helper()
	r, err := http.Post(endpoint(s)+"/quorate/token"+query, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode == http.StatusOK {
		if err := json.Unmarshal(b, &made); err != nil {
			t.Fatal(err)
		}
	}
	return r.StatusCode, made, string(b)
}

// newcomer are the options of a server that is to join by a token.
func newcomer(t *testing.T, name, token string, ask ...string) Options {
	t.Helper()
	o := clusterOptions(t, 1)[0]
	o.Name, o.InitialCluster, o.Join, o.Token = name, "", ask, token
	return o
}

func TestAServerJoinsByAToken(t *testing.T) {
	options := clusterOptions(t, 3)
	servers := startAll(t, options)
	if err := story(testContext(t), connect(t, servers[0]), "a/"); err != nil {
		t.Error(err)
	}
	status, made, _ := askForToken(t, servers[0], "?ttl=5m")
	if status != http.StatusOK || made.TTLSeconds != 300 || len(made.Join) != 3 || !slices.Contains(made.Join, options[1].ListenPeerURLs[0]) {
		t.Fatalf("status %d, %d s, join %v", status, made.TTLSeconds, made.Join)
	}
	o := newcomer(t, "new", made.Token, made.Join[2], made.Join[0])
	if err := Join(testContext(t), o); err != nil {
		t.Fatal(err)
	}
	joined := start(t, o)
	if err := story(testContext(t), connect(t, joined), "b/"); err != nil {
		t.Error(err)
	}
	id := joined.Host().ID()
	eventually(t, "it votes", func() bool { return joined.Group().Status().Raft.Configuration.Configuration.IsVoter(id) })
	m := joined.Group().Status().Configuration.Member(id)
	if key := joined.Host().Key(); m.Name != "new" || !slices.Equal(m.Key, key[:]) || !slices.Equal(m.PeerURLs, o.ListenPeerURLs) {
		t.Errorf("it is %+v", m)
	}

	for _, c := range []struct {
		name, token string
		change      func(o *Options)
		text        string
	}{
		{"the same token", made.Token, nil, "another server has joined by this token"},
		{"a token that was never made", (&joinToken{cluster: joined.Host().ClusterID(), id: 5}).text(), nil, "time is over, or it was never made"},
		{"a token of another cluster", (&joinToken{cluster: 5, id: 5}).text(), nil, "the token is of cluster 5"},
	} {
		o := newcomer(t, "other", c.token, made.Join...)
		if err := Join(testContext(t), o); !errors.Is(err, quorate.ErrDenied) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
	_, second, _ := askForToken(t, joined, "")
	half, err := parseToken(second.Token)
	if err != nil {
		t.Fatal(err)
	}
	half.secret[0] ^= 1
	if err := Join(testContext(t), newcomer(t, "guesses", half.text(), made.Join...)); !errors.Is(err, quorate.ErrDenied) || !strings.Contains(err.Error(), "does not know the whole token") {
		t.Errorf("who has guessed: %v", err)
	}
	twin := newcomer(t, "twin", second.Token, made.Join...)
	twin.InitialAdvertisePeerURLs = o.ListenPeerURLs
	if err := Join(testContext(t), twin); !errors.Is(err, quorate.ErrDenied) || !strings.Contains(err.Error(), "one of its addresses") {
		t.Errorf("who has the address of another: %v", err)
	}
	twin.InitialAdvertisePeerURLs = nil // and the token is still its own
	if err := Join(testContext(t), twin); err != nil {
		t.Errorf("with its own address: %v", err)
	}
	if got := joined.Group().Status().Configuration; len(got.Members) != 5 {
		eventually(t, "there are five", func() bool { return len(joined.Group().Status().Configuration.Members) == 5 })
	}
}

func TestWhoWasRemovedSendsClientsElsewhere(t *testing.T) {
	servers := startAll(t, clusterOptions(t, 3))
	if err := story(testContext(t), connect(t, servers[0]), "a/"); err != nil {
		t.Error(err)
	}
	gone, other := servers[0], servers[1]
	if other.Group().Status().Raft.Role != raft.Leader { // who follows is not told the last configuration
		gone, other = other, gone
	}
	change(t, other, replica.Edit{Member: wire.Member{ID: gone.Host().ID()}, Remove: true})
	client := connect(t, gone)
	eventually(t, "a put is refused", func() bool {
		ctx, cancel := context.WithTimeout(testContext(t), time.Second)
		defer cancel()
		_, err := client.Put(ctx, "a", "")
		return err != nil && strings.Contains(err.Error(), "etcdserver: server stopped")
	})
	if err := gone.forClients.Read(testContext(t)); !errors.Is(err, quorate.ErrClosed) { // etcd's client would ask again
		t.Errorf("a read: %v", err)
	}
	if err := story(testContext(t), connect(t, other), "b/"); err != nil {
		t.Error(err)
	}
}

func TestATokenIsNotMadeForAnyTime(t *testing.T) {
	s := start(t, clusterOptions(t, 1)[0])
	for _, query := range []string{"?ttl=1", "?ttl=0s", "?ttl=-1h", "?ttl=721h", "?ttl=999ms"} {
		if status, _, text := askForToken(t, s, query); status != http.StatusBadRequest || !strings.Contains(text, "want a time from 1s to 720h0m0s") {
			t.Errorf("%s: %d, %s", query, status, text)
		}
	}
	if status, made, _ := askForToken(t, s, ""); status != http.StatusOK || made.TTLSeconds != 3600 {
		t.Errorf("without a time: %d, %d s", status, made.TTLSeconds)
	}
	if code, _ := get(t, endpoint(s)+"/quorate/token"); code != http.StatusMethodNotAllowed {
		t.Errorf("to look at it: %d", code)
	}
}

// Whoever may look at metrics may not let servers in.
func TestATokenIsMadeForClientsOnly(t *testing.T) {
	o := clusterOptions(t, 1)[0]
	o.ListenMetricsURLs = []string{"http://127.0.0.1:0"}
	s := start(t, o)
	r, err := http.Post("http://"+s.MetricsAddrs()[0].String()+"/quorate/token", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		t.Errorf("at the port for metrics: %d", r.StatusCode)
	}
}

func TestATokenIsReadAsItIsPrinted(t *testing.T) {
	made, err := newJoinToken(1 << 63)
	if err != nil {
		t.Fatal(err)
	}
	text := made.text()
	for _, again := range []string{text, " " + text + "\n", tokenPrefix + strings.ToUpper(text[len(tokenPrefix):])} {
		if got, err := parseToken(again); err != nil || got != made {
			t.Errorf("%q: got %v, %v", again, got, err)
		}
	}
	for i := len(tokenPrefix); i < len(text); i++ {
		b := []byte(text)
		b[i] = 'a'
		if text[i] == 'a' {
			b[i] = 'b'
		}
		if got, err := parseToken(string(b)); err == nil && got != made {
			t.Errorf("a slip at %d is not seen", i)
		}
	}
	for _, c := range []string{"", "x", tokenPrefix, text[:len(text)-1], text + "a"} {
		if _, err := parseToken(c); err == nil {
			t.Errorf("%q is a token", c)
		}
	}
	const pinned = "qjoin1-aaaaaaaaaaaaaaaaaaaaaaaacabqaaaaaaaaaaaaaaaaaaaaaaahk6j6tq"
	if got := (&joinToken{id: 16, secret: [16]byte{3}}).text(); got != pinned {
		t.Errorf("the text has changed, and those that are out in the world are read no more: %s", got)
	}
}

func TestWhoLetsInMustKnowTheTokenToo(t *testing.T) {
	made, err := newJoinToken(1)
	if err != nil {
		t.Fatal(err)
	}
	other := made
	other.secret[15] ^= 1
	here, there := []byte("this connection"), []byte("that connection")
	if err := made.Check(here, prove(made.proofKey(), sideLetsIn, here)); err != nil {
		t.Error(err)
	}
	shown, err := made.Show(here)
	if err != nil {
		t.Fatal(err)
	}
	for name, proof := range map[string][]byte{
		"nothing": nil, "another token": prove(other.proofKey(), sideLetsIn, here), "another connection": prove(made.proofKey(), sideLetsIn, there),
		"what was shown to it": shown[16:],
	} {
		if made.Check(here, proof) == nil {
			t.Errorf("%s lets in", name)
		}
	}
}
