package quorate

import (
	"bytes"
	"errors"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/transport"
)

// A start that was met is remembered until a later one of the same key is; of very many keys, those met last.
func TestStartsThatWereMetAreRemembered(t *testing.T) {
	disk := crashdisk.New(crashdisk.Options{})
	d, err := openDirectory(disk, "data")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.writeServerFile(sampleServerFile()); err != nil {
		t.Fatal(err)
	}
	key := func(n int) (k transport.PublicKey) { k[0], k[1] = byte(n), byte(n>>8); return k }
	start := func(boot uint64, random byte) transport.Start {
		return transport.Start{Boot: boot, Process: [16]byte{random}}
	}
	for _, step := range []struct {
		met  transport.Start
		want transport.Start // which is remembered then
	}{
		{start(3, 3), start(3, 3)},
		{start(3, 3), start(3, 3)},
		{start(3, 33), start(3, 3)},
		{start(2, 2), start(3, 3)},
		{start(5, 5), start(5, 5)},
	} {
		if err := d.meet(key(1), step.met); (err == nil) != (step.met == step.want) {
			t.Errorf("met %v: %v", step.met, err)
		}
		if got := d.met(key(1)); got != step.want || len(d.server.Met) != 1 {
			t.Errorf("met %v: remembered are %v, want %v", step.met, d.server.Met, step.want)
		}
	}
	if got := d.met(key(2)); got != (transport.Start{}) {
		t.Errorf("of a key that was never met %v is remembered", got)
	}
	s := d.server
	for n := 2; n <= maxMet; n++ {
		s.Met = append(s.Met, metStart{key(n), 1, bytes.Repeat([]byte{byte(n)}, 16)})
	}
	if err := d.writeServerFile(s); err != nil {
		t.Fatal(err)
	}
	if err := d.meet(key(maxMet+1), start(1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if d, err = openDirectory(disk, "data"); err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if first, second := d.met(key(1)), d.met(key(2)); len(d.server.Met) != maxMet || first.Boot != 0 || second.Boot != 1 || second.Process[15] != 2 {
		t.Errorf("%d starts are remembered, of the first key %v, of the second %v", len(d.server.Met), first, second)
	}
}

// A peer that knows another key for this server may have been deceived: its word ends only a server that has nothing to
// lose.
func TestServerWithEntriesIsNotEndedByAPeerThatKnowsAnotherKey(t *testing.T) {
	why := &transport.Refusal{Reason: transport.ReasonKey, Text: "it is another", Remote: true}
	disk := crashdisk.New(crashdisk.Options{})
	fatal := make(chan error, 3) // one for each host
	options := diskOptions(func(err error) { fatal <- err })
	h, g := alone(t, disk, options)
	if err := proposeUnless(t, g, "an entry", fatal); err != nil {
		t.Fatal(err)
	}
	h.expelled(2, why)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := openOn(disk, options)
	if err != nil {
		t.Fatal(err)
	}
	h.expelled(2, why) // its groups are not even started
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-fatal:
		t.Errorf("it ends with %v", err)
	default:
	}
	if h, err = openOn(crashdisk.New(crashdisk.Options{}), options); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.expelled(2, why)
	select {
	case err := <-fatal:
		if !errors.Is(err, ErrOtherKey) {
			t.Errorf("an empty one ends with %v", err)
		}
	default:
		t.Error("an empty one goes on")
	}
}
