package quorate

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

type end string

func (e end) Network() string { return "tcp" }
func (e end) String() string  { return string(e) }

var (
	here, there = end("127.0.0.1:7"), end("[::1]:8")
	far         = end("10.0.0.1:7")
)

func TestWhatAServerAsksAndIsToldWhenItJoinsIsPinned(t *testing.T) {
	c := wire.AppendConfiguration(nil, &wire.Configuration{Members: []wire.Member{{ID: 5, Roles: wire.RoleVoter, PeerURLs: []string{"a:1"}}}})
	for name, v := range map[string]any{
		"join-question": joinQuestion{Format: 1, Name: "n", PeerURLs: []string{"http://a:1"}, Shown: []byte("word")},
		"join-answer": joinAnswer{Format: 1, Cluster: 0x0123456789abcdef, Server: 0xfedcba9876543210,
			Groups: []joinedGroup{{Group: 1, Initial: c, Configuration: c, Index: 9}}, Proof: []byte("proof")},
	} {
		got, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", got)
	}
}

func TestBeyondThisMachineNobodyIsBelievedWithoutAKeyOrACredential(t *testing.T) {
	key := transport.PublicKey{1}
	for _, c := range []struct {
		name          string
		o             JoinOptions
		local, remote net.Addr
		asks          bool
	}{
		{"here", JoinOptions{}, here, there, true},
		{"far", JoinOptions{}, far, far, false},
		{"from far", JoinOptions{}, here, far, false},
		{"to far", JoinOptions{}, far, here, false},
		{"far, and its key is known", JoinOptions{Keys: []transport.PublicKey{{2}, key}}, far, far, true},
		{"far, and another key is known", JoinOptions{Keys: []transport.PublicKey{{2}}}, far, far, false},
		{"far, with a credential", JoinOptions{Credential: anything{}}, far, far, true},
	} {
		j := joining{options: c.o}
		_, err := j.compose(transport.Question{Key: key, Local: c.local, Remote: c.remote})
		if (err == nil) != c.asks {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

type anything struct{}

func (anything) Show([]byte) ([]byte, error) { return nil, nil }
func (anything) Check(_, _ []byte) error     { return nil }

func TestAServerIsFoundByItsKeyOrByItsAddressesOnOneMachine(t *testing.T) {
	key, other := transport.PublicKey{1}, transport.PublicKey{2}
	c := &wire.Configuration{Members: []wire.Member{
		{ID: 1, PeerURLs: []string{"http://a:1", "http://b:1"}},
		{ID: 2, PeerURLs: []string{"http://c:1"}, Key: other[:]},
		{ID: 3},
	}}
	for _, w := range []struct {
		name          string
		key           transport.PublicKey
		urls          []string
		local, remote net.Addr
		id            ServerID
	}{
		{"by its addresses", key, []string{"b:1", "http://a:1"}, here, there, 1},
		{"some of them", key, []string{"http://a:1"}, here, there, 0},
		{"from far", key, []string{"http://a:1", "http://b:1"}, here, far, 0},
		{"to far", key, []string{"http://a:1", "http://b:1"}, far, here, 0},
		{"none", key, nil, here, there, 0},
		{"those of a server whose key is known", key, []string{"http://c:1"}, here, there, 0},
		{"by its key", other, []string{"http://x:1"}, far, far, 2},
	} {
		m := memberOf(c, &transport.Question{Key: w.key, Local: w.local, Remote: w.remote}, w.urls)
		var id ServerID
		if m != nil {
			id = m.ID
		}
		if id != w.id {
			t.Errorf("%s: it is server %d, want %d", w.name, id, w.id)
		}
	}
}

func TestAnAnswerThatMakesNoSenseIsNotTaken(t *testing.T) {
	identity, err := transport.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	own, other := identity.Public(), transport.PublicKey{9}
	member := func(id ServerID, key []byte) []byte {
		return wire.AppendConfiguration(nil, &wire.Configuration{Members: []wire.Member{{ID: id, Roles: wire.RoleVoter, Key: key}}})
	}
	good := joinAnswer{Format: 1, Cluster: 1, Server: 5, Groups: []joinedGroup{{Group: 1, Initial: member(1, nil), Configuration: member(5, own[:])}}}
	for _, c := range []struct {
		name   string
		change func(a *joinAnswer)
		text   string
	}{
		{"as it should be", func(*joinAnswer) {}, ""},
		{"without a key", func(a *joinAnswer) { a.Groups[0].Configuration = member(5, nil) }, ""},
		{"later", func(a *joinAnswer) { a.Format = 2 }, "format 2"},
		{"no cluster", func(a *joinAnswer) { a.Cluster = 0 }, "does not say which"},
		{"no server", func(a *joinAnswer) { a.Server = 0 }, "does not say which"},
		{"no group", func(a *joinAnswer) { a.Groups = nil }, "does not say which"},
		{"no first configuration", func(a *joinAnswer) { a.Groups[0].Initial = []byte("x") }, "first configuration of group 1"},
		{"no configuration", func(a *joinAnswer) { a.Groups[0].Configuration = nil }, "configuration of group 1"},
		{"not in it", func(a *joinAnswer) { a.Groups[0].Configuration = member(6, own[:]) }, "which is none"},
		{"in it with another key", func(a *joinAnswer) { a.Groups[0].Configuration = member(5, other[:]) }, "which is none"},
	} {
		a := good
		a.Groups = []joinedGroup{good.Groups[0]}
		c.change(&a)
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		j := joining{identity: identity}
		_, err = j.read(&transport.Question{Body: b})
		if c.text == "" && err != nil || c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
	j := joining{identity: identity}
	if _, err := j.read(&transport.Question{Body: []byte("{")}); err == nil {
		t.Error("half an answer is taken")
	}
}

func TestJoinOptionsThatAreMissingAreNamed(t *testing.T) {
	for _, o := range []JoinOptions{
		{},
		{Dir: t.TempDir(), PeerURLs: []string{"a:1"}},
		{Dir: t.TempDir(), Addresses: []string{"a:1"}},
		{PeerURLs: []string{"a:1"}, Addresses: []string{"a:1"}},
		{Dir: t.TempDir(), PeerURLs: []string{"a:1"}, Addresses: []string{"a"}},
	} {
		if err := Join(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "join: ") {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}
