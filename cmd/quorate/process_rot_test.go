package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

var rotRounds = flag.Int("process.rot", 3, "how often a server is killed, and its log damaged")

// rotPlaces returns where the payloads of entries are in the log of a process that is dead, as far as that is known to be
// durable: damage to what is behind would be taken for a torn tail.
func rotPlaces(t *testing.T, dir string) (places []wal.Item) {
	t.Helper()
	var frames []uint64
	var frame, synced uint64
	if err := wal.Scan(vfs.OS{}, dir, func(i wal.Item) error {
		switch {
		case i.Frame != nil:
			frame, synced = i.Frame.Sequence, i.Frame.Synced
		case i.Record != nil && i.Record.IsEntry() && i.Wrong == "" && len(i.Record.Payload) >= 8:
			record := *i.Record
			i.Record = &record
			places, frames = append(places, i), append(frames, frame)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for n < len(frames) && frames[n] <= synced {
		n++
	}
	return places[:n]
}

// rot damages some entries of a log, and returns how many bytes.
func rot(t *testing.T, dir string, round int) (bytes int) {
	t.Helper()
	places := rotPlaces(t, dir)
	if len(places) < 20 {
		t.Fatalf("only %d entries of %s are known to be durable", len(places), dir)
	}
	for k := range 20 {
		p := places[(k*len(places)/20+round)%len(places)]
		file, err := os.OpenFile(p.File, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1+(k+round)%8)
		at := p.Offset + wire.RecordHeaderBytes
		if _, err := file.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0xa5
		}
		if _, err := file.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		bytes += len(b)
	}
	return bytes
}

// TestProcessHealsALogThatRots kills one server after the other, damages its log, and starts it again. It serves without a
// hand, and when all have been damaged, nothing is lost.
func TestProcessHealsALogThatRots(t *testing.T) {
	servers := startServers(t, 3, quick...)
	want := map[string]string{}
	put := func(s *serverProcess, key, value string) {
		t.Helper()
		conn, _, _ := s.present()
		eventually(t, "a write", func() error {
			_, err := pb.NewKVClient(conn).Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
			return err
		})
		want[key] = value
	}
	for i := range 60 {
		put(servers[i%3], "key"+strconv.Itoa(i), fmt.Sprintf("value %d", i))
	}
	bytes := 0
	for round := range *rotRounds {
		s := servers[round%3]
		dir := filepath.Join(s.dir, "wal")
		waitCaughtUp(t, s, servers[(round+1)%3])
		eventually(t, "a sealed log", func() error {
			if n := len(rotPlaces(t, dir)); n < 60 {
				return fmt.Errorf("%d entries are known to be durable", n)
			}
			return nil
		})
		s.kill(t)
		bytes += rot(t, dir, round)
		put(servers[(round+1)%3], "round"+strconv.Itoa(round), "while it was away")
		s.start(t)
		s.waitServing(t)
		put(s, "again"+strconv.Itoa(round), "there")
		if said := s.log.String(); !strings.Contains(said, "entries of the log are lost to damage") || !strings.Contains(said, "the log is whole again") {
			t.Errorf("round %d: it said %q", round, said)
		}
	}
	for i, s := range servers { // each of them has all of it
		conn, _, _ := s.present()
		answer, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Kvs) != len(want) {
			t.Errorf("server %d has %d keys, want %d", i, len(answer.Kvs), len(want))
		}
		for _, kv := range answer.Kvs {
			if want[string(kv.Key)] != string(kv.Value) {
				t.Errorf("server %d has %q = %q", i, kv.Key, kv.Value)
			}
		}
	}
	t.Logf("%d bytes flipped in %d entries", bytes, 20**rotRounds)
}
