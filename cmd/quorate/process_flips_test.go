package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

var (
	flips    = flag.Int("process.flips", 24, "how many bytes of logs are flipped")
	flipSeed = flag.Uint64("process.flips.seed", 1, "which")
)

// flipsPerRound is how many bytes of a log are flipped each time, each in a frame of its own: two in one may be more than
// the copies can mend of what no peer has.
const flipsPerRound = 12

// stretch is a part of a log in a frame that is known to be durable.
type stretch struct {
	file     string
	from, to int64
	frame    uint64
	kind     string
}

// stretches finds out what is in the log of a process that is dead, as far as that is known to be durable.
func stretches(t *testing.T, dir string) []stretch {
	t.Helper()
	var all []stretch
	synced := map[uint64]uint64{} // what each frame calls durable
	frame := uint64(0)
	if err := wal.Scan(vfs.OS{}, dir, func(i wal.Item) error {
		switch {
		case i.Segment != nil && !i.Segment.Blank:
			for n := range synced { //tidy:ordered each by itself
				if n >= i.Segment.FirstFrame {
					delete(synced, n) // it is void
				}
			}
			all = append(all, stretch{i.File, 0, 80, i.Segment.FirstFrame, "segment"})
		case i.Frame != nil:
			frame = i.Frame.Sequence
			synced[frame] = i.Frame.Synced
			all = append(all, stretch{i.File, i.Offset, i.Offset + 72, frame, "frame"})
		case i.Record != nil && i.Wrong == "":
			kind := "own record"
			if i.Record.IsEntry() {
				kind = "entry"
			}
			header := i.Offset + wire.RecordHeaderBytes
			all = append(all, stretch{i.File, i.Offset, header, frame, kind})
			if n := int64(len(i.Record.Payload)); n > 0 {
				all = append(all, stretch{i.File, header, header + n, frame, kind})
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mark := uint64(0)
	for _, n := range synced { //tidy:ordered the highest is the highest
		mark = max(mark, n)
	}
	kept := all[:0]
	for _, s := range all {
		if s.frame <= mark {
			kept = append(kept, s)
		}
	}
	return kept
}

// flipBytes flips bytes of a log, and says of what kinds of places.
func flipBytes(t *testing.T, dir string, chance *rand.Rand, count int, kinds map[string]int) {
	t.Helper()
	places := stretches(t, dir)
	hit := map[uint64]bool{}
	for n := 0; n < count; {
		s := places[chance.IntN(len(places))]
		if hit[s.frame] {
			if len(hit) > len(places)/8 {
				t.Fatalf("too few frames are known to be durable in %s: %d stretches", dir, len(places))
			}
			continue
		}
		hit[s.frame] = true
		file, err := os.OpenFile(s.file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		at := s.from + chance.Int64N(s.to-s.from)
		var b [1]byte
		if _, err := file.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= byte(1 + chance.IntN(255))
		if _, err := file.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		kinds[s.kind]++
		n++
	}
}

// flipsEntry is a line of the ledger.
type flipsEntry struct {
	When     string         `json:"when"`
	Commit   string         `json:"commit"`
	Test     string         `json:"test"`
	Seed     uint64         `json:"seed"`
	Flips    int            `json:"flips"`
	Kinds    map[string]int `json:"flipsByPlace"`
	Rounds   int            `json:"starts"`
	Mended   int            `json:"startsThatMended"`
	Healed   int            `json:"startsThatFetchedEntries"`
	Dropped  int            `json:"startsThatDroppedWhatTheirStateHad"`
	States   int            `json:"startsThatTookAState"`
	Answers  int            `json:"answersChecked"`
	Seconds  float64        `json:"seconds"`
	Findings []string       `json:"findings"`
	Passed   bool           `json:"passed"`
}

// TestProcessServesThoughBytesOfItsLogFlip kills one server after the other, flips bytes of its log, wherever it is known to
// be durable, and starts it again, now while the others still have all that it had, now when they have dropped that. All is
// noticed, it serves without a hand, and it never answers anything else than what was written.
func TestProcessServesThoughBytesOfItsLogFlip(t *testing.T) {
	began := time.Now()
	entry := flipsEntry{When: began.UTC().Format(time.RFC3339), Commit: presentCommit(t), Test: "flipped bytes of logs", Seed: *flipSeed,
		Kinds: map[string]int{}, Findings: []string{}}
	defer func() {
		entry.Seconds, entry.Passed = time.Since(began).Seconds(), !t.Failed()
		addToLedger(t, &entry)
	}()
	wrong := func(format string, args ...any) {
		t.Helper()
		text := fmt.Sprintf(format, args...)
		entry.Findings = append(entry.Findings, text)
		t.Error(text)
	}
	chance := rand.New(rand.NewPCG(*flipSeed, 0))
	servers := startServers(t, 3, append([]string{}, soon...)...)
	want := map[string]string{}
	next := 0
	write := func(s *serverProcess, count int) { // of entries, which are large enough that what is lost of them is not found by trying
		t.Helper()
		for range count {
			txn := &pb.TxnRequest{}
			for range 4 {
				key, value := fmt.Sprintf("key%03d", next%200), fmt.Sprintf("%0*d", 500+next%900, next)
				txn.Success = append(txn.Success, putRequestOp(&pb.PutRequest{Key: []byte(key), Value: []byte(value)}))
				want[key] = value
				next++
			}
			conn, _, _ := s.present()
			eventually(t, "a write", func() error {
				_, err := pb.NewKVClient(conn).Txn(t.Context(), txn)
				return err
			})
		}
	}
	for entry.Flips < *flips {
		s, other := servers[entry.Rounds%3], servers[(entry.Rounds+1)%3]
		write(other, 20)
		waitCaughtUp(t, s, other)
		eventually(t, "a log of which enough is known to be durable", func() error {
			if n := len(stretches(t, filepath.Join(s.dir, "wal"))); n < 12*flipsPerRound {
				write(other, 10)
				return fmt.Errorf("%d stretches", n)
			}
			return nil
		})
		s.kill(t)
		count := min(flipsPerRound, *flips-entry.Flips)
		flipBytes(t, filepath.Join(s.dir, "wal"), chance, count, entry.Kinds)
		entry.Flips += count
		if entry.Rounds%2 == 1 { // the others move on, and drop their logs
			write(other, 80)
			waitLogDropped(t, other)
		}
		s.start(t)
		s.waitServing(t)
		conn, _, _ := s.present()
		answer, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		if err != nil || len(answer.Kvs) != len(want) {
			wrong("round %d: %d keys, want %d: %v", entry.Rounds, len(answer.GetKvs()), len(want), err)
		}
		for _, kv := range answer.GetKvs() {
			entry.Answers++
			if want[string(kv.Key)] != string(kv.Value) {
				wrong("round %d: %q = %.40q, want %.40q", entry.Rounds, kv.Key, kv.Value, want[string(kv.Key)])
			}
		}
		said := s.log.String()
		mended, lost := strings.Contains(said, "and was made good"), strings.Contains(said, "entries of the log are lost to damage")
		if !mended && !lost {
			wrong("round %d: it has not noticed anything: %s", entry.Rounds, tail(said, 2000))
		}
		for seen, count := range map[string]*int{ //tidy:ordered each by itself
			"and was made good":      &entry.Mended,
			"the log is whole again": &entry.Healed,
			"the log begins later":   &entry.Dropped,
			"others have compacted what was lost, and the state has it": &entry.States,
		} {
			if strings.Contains(said, seen) {
				*count++
			}
		}
		entry.Rounds++
	}
	for _, s := range servers {
		waitCaughtUp(t, s, servers[0])
	}
	expectSameHashes(t, servers)
	t.Logf("%d flips, %v: of %d starts %d mended something, %d fetched entries, %d dropped what their state had, %d took a state; %d answers",
		entry.Flips, entry.Kinds, entry.Rounds, entry.Mended, entry.Healed, entry.Dropped, entry.States, entry.Answers)
}
