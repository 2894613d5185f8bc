package server

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/quorate/quorate/etcdapi"
)

func TestWhoAsksMakesTheStateDurable(t *testing.T) {
	s := start(t, clusterOptions(t, 1)[0])
	if _, err := connect(t, s).Put(testContext(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	applied := s.Store().AppliedIndex()
	if before := uint64(s.machine.DurableIndex()); before >= applied {
		t.Fatalf("%d is durable already, of %d", before, applied)
	}
	r, err := http.Post(endpoint(s)+"/quorate/flush", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var flushed etcdapi.Flushed
	if err := json.NewDecoder(r.Body).Decode(&flushed); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("got %s, %v", r.Status, err)
	}
	if flushed.Index < applied || uint64(s.machine.DurableIndex()) < flushed.Index {
		t.Errorf("told %d, and it is %d, want %d at least", flushed.Index, s.machine.DurableIndex(), applied)
	}
}
