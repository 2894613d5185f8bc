package kv_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
)

// of32 is 32 bytes, as keys are.
func of32(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func (c *client) tokenResult(a kv.Answer) string {
	c.t.Helper()
	if a.Err != kv.CodeOK {
		return a.Err.Error()
	}
	result, server, err := kv.ParseTokenAnswer(a.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprint(result, server)
}

func (c *client) createToken(time, id uint64, ttl int64) string {
	c.t.Helper()
	return c.tokenResult(c.at(time, kv.KindTokenCreate, kv.TokenCreateRequest(id, of32(7), ttl)))
}

func (c *client) useToken(time, id uint64, by byte, server uint64) string {
	c.t.Helper()
	return c.tokenResult(c.at(time, kv.KindTokenUse, kv.TokenUseRequest(id, of32(by), server)))
}

func TestATokenIsGoodForOneServerUntilItsTimeIsOver(t *testing.T) {
	c := newClient(t)
	equal(t, "create", c.createToken(5*second, 1<<63, 10), "1 0")
	equal(t, "create again", c.createToken(5*second, 1<<63, 10), "4 0")
	equal(t, "create another", c.createToken(5*second, 3, 20), "1 0")
	equal(t, "use of none", c.useToken(6*second, 4, 1, 100), "2 0")
	equal(t, "use", c.useToken(6*second, 1<<63, 1, 100), "1 100")
	equal(t, "use by the same", c.useToken(7*second, 1<<63, 1, 101), "1 100")
	equal(t, "use by another", c.useToken(8*second, 1<<63, 2, 101), "3 0")
	got, found := c.store.Token(1 << 63)
	equal(t, "the token", fmt.Sprint(got.ID == 1<<63, got.Proof[0], got.Deadline, got.By[0], got.Server, found), "true 7 15000000000 1 100 true")
	equal(t, "use just in time", c.useToken(15*second-1, 1<<63, 1, 100), "1 100")
	equal(t, "use too late", c.useToken(15*second, 1<<63, 1, 100), "2 0")
	_, found = c.store.Token(1 << 63)
	equal(t, "it is over", found, false)
	_, found = c.store.Token(3)
	equal(t, "the other is not", found, true)
	equal(t, "create one in its place", c.createToken(16*second, 1<<63, 10), "1 0")
	equal(t, "which nobody has used", c.useToken(16*second, 1<<63, 2, 102), "1 102")
	equal(t, "the revision", c.store.Revision(), 1)
}

func TestTokensAreBounded(t *testing.T) {
	c := newClient(t)
	for i := range uint64(kv.MaxTokens) {
		equal(t, "create", c.createToken(second, i+1, int64(1+i%2)), "1 0")
	}
	equal(t, "one more", c.createToken(second, 1<<20, 1), "4 0")
	equal(t, "when half of them are over", c.createToken(2*second, 1<<20, 1), "1 0")
	for _, id := range []uint64{1, 3, 1023} {
		_, found := c.store.Token(id)
		equal(t, fmt.Sprint("token ", id), found, false)
	}
	_, found := c.store.Token(2)
	equal(t, "token 2", found, true)
}

func TestTokensOutliveARestart(t *testing.T) {
	engine := treekv.New()
	store, err := kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, store: store}
	c.createToken(second, 7, 1)
	c.createToken(second, 8, 100)
	c.useToken(second, 8, 1, 1<<63)
	c.createToken(3*second, 9, 100) // and 7 is gone
	it, err := engine.NewIterator([]byte{0x50}, []byte{0x51})
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for ok := it.First(); ok; ok = it.Next() {
		kept++
	}
	equal(t, "tokens in the engine", kept, 2)
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	c.store, err = kv.Open(engine, kv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the one that is over", c.useToken(3*second, 7, 1, 5), "2 0")
	equal(t, "the used one, by another", c.useToken(4*second, 8, 2, 5), "3 0")
	equal(t, "and by its own", c.useToken(4*second, 8, 1, 5), "1 9223372036854775808")
	equal(t, "the other", c.useToken(4*second, 9, 2, 6), "1 6")
}

func TestWhatIsNoTokenIsRefused(t *testing.T) {
	c := newClient(t)
	malformed, unknown := kv.CodeMalformed.Error(), kv.CodeUnknownField.Error()
	for _, w := range []struct {
		kind    kv.Kind
		request []byte
		want    string
	}{
		{kv.KindTokenCreate, nil, malformed},
		{kv.KindTokenCreate, kv.TokenCreateRequest(0, of32(1), 1), malformed},
		{kv.KindTokenCreate, kv.TokenCreateRequest(1, of32(1)[:31], 1), malformed},
		{kv.KindTokenCreate, kv.TokenCreateRequest(1, of32(1), 0), malformed},
		{kv.KindTokenCreate, kv.TokenCreateRequest(1, of32(1), -1), malformed},
		{kv.KindTokenCreate, kv.TokenCreateRequest(1, of32(1), kv.MaxTokenTTL+1), malformed},
		{kv.KindTokenCreate, kv.TokenCreateRequest(1, of32(1), kv.MaxTokenTTL), "1 0"},
		{kv.KindTokenCreate, kv.TokenUseRequest(1, of32(1), 1), unknown},
		{kv.KindTokenUse, kv.TokenCreateRequest(1, of32(1), 1), unknown},
		{kv.KindTokenUse, kv.TokenUseRequest(0, of32(1), 1), malformed},
		{kv.KindTokenUse, kv.TokenUseRequest(1, append(of32(1), 0), 1), malformed},
		{kv.KindTokenUse, kv.TokenUseRequest(1, nil, 1), malformed},
		{kv.KindTokenUse, kv.TokenUseRequest(1, of32(1), 0), malformed},
		{kv.KindTokenUse, kv.TokenUseRequest(1, of32(1), 1), "1 1"},
	} {
		code := kv.Check(w.kind, w.request, kv.Limits{})
		a := c.at(second, w.kind, w.request)
		equal(t, fmt.Sprintf("%d %x", w.kind, w.request), c.tokenResult(a), w.want)
		equal(t, fmt.Sprintf("check of %d %x", w.kind, w.request), code, a.Err)
	}
	for _, body := range [][]byte{nil, {0}, {5}, {1, 0x80}, {1, 1, 1}} {
		if _, _, err := kv.ParseTokenAnswer(body); err == nil {
			t.Errorf("answer %x is read", body)
		}
	}
}
