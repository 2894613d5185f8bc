package quorate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/ledger"
	"github.com/quorate/quorate/transport"
)

var (
	diskDeep   = flag.Bool("disk.deep", false, "let every operation of the disk fail in every way, and not each in one")
	diskLedger = flag.String("disk.ledger", "", "append a line of JSON about the run to this file")
)

// diskRun is what came of a life on a disk of which one operation fails.
type diskRun struct {
	disk         *crashdisk.Disk
	acknowledged []string
	err          error // of the start, or what OnFatal was told
	fatal        bool
}

const (
	diskCommands = 24
	commandBytes = 3 << 10 // so that some segments are filled
)

// live lets a server that is alone start, commit some commands, believe a key, meet a start, and close, until something fails.
func (r *diskRun) live(t *testing.T) {
	t.Helper()
	failed := make(chan error, 1)
	h, err := openOn(r.disk, diskOptions(func(err error) { failed <- err }))
	if err != nil {
		r.err = err
		return
	}
	ended := false
	late := make(chan error, 1) // a write that comes after the end
	late <- ErrClosed
	defer func() {
		if err := h.Close(); r.err == nil && err != nil && !ended {
			r.err = err
		}
		select {
		case err := <-failed: // of what is made ready beside
			if r.err == nil {
				r.err, r.fatal = err, true
			}
		default:
		}
		if err := <-late; err == nil {
			t.Errorf("a write is acknowledged after %v", r.err)
		}
	}()
	g, err := h.Start(1, &memory{})
	if err != nil {
		r.err, ended = err, true
		return
	}
	for i := range diskCommands {
		command := fmt.Sprintf("%03d%s", i, make([]byte, commandBytes))
		switch err := proposeUnless(t, g, command, failed); {
		case err == nil:
			r.acknowledged = append(r.acknowledged, command[:3])
		default:
			r.err, r.fatal, ended = err, true, true
			<-late
			go func() { _, err := g.Propose(context.WithoutCancel(t.Context()), []byte("late")); late <- err }()
			<-time.After(time.Millisecond) // it gets its chance
			return
		}
		if i == diskCommands/2 { // server.json is replaced, twice
			key := transport.PublicKey{1}
			for what, err := range map[string]error{"believes": h.believe(99, key), "has met": h.meet(99, key, transport.Start{Boot: 1})} {
				if err != nil && !isFull(err) && !h.failed.Load() {
					t.Errorf("a server goes on that does not know whom it %s: %v", what, err)
				}
				if isFull(err) && h.failed.Load() {
					t.Errorf("a server ends because it could not note yet whom it %s: %v", what, err)
				}
			}
		}
	}
	if err := h.writer.seal(); err != nil {
		r.err, ended = err, true
	}
}

// proposeUnless proposes a command, unless the server fails first.
func proposeUnless(t *testing.T, g *Group, command string, failed chan error) error {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := g.Propose(ctx, []byte(command)); done <- err }()
	select {
	case err := <-failed:
		return err
	case err := <-done:
		if err != nil {
			t.Errorf("a server neither serves nor ends: %v", err)
		}
		return err
	}
}

func diskOptions(fatal func(error)) Options {
	return Options{
		Dir: "data", Name: "n", Members: []Member{{Name: "n", PeerURLs: []string{"127.0.0.1:1"}}}, Listen: "127.0.0.1:0",
		SegmentBytes: 16 << 10, OnFatal: fatal,
	}
}

// memory is a state machine in memory.
type memory struct {
	mu      sync.Mutex // guards applied
	applied []string
}

func (m *memory) DurableIndex() Index { return 0 }

func (m *memory) Apply(entries []Entry) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		if b := e.Command.Request; len(b) >= 3 {
			m.applied = append(m.applied, string(b[:3]))
		}
	}
	return make([][]byte, len(entries))
}

// mustHave starts a server on what is left, and sees that everything is there that was acknowledged.
func (r *diskRun) mustHave(t *testing.T, what string, disk *crashdisk.Disk) {
	t.Helper()
	failed := make(chan error, 1)
	h, err := openOn(disk, diskOptions(func(err error) { failed <- err }))
	if err != nil {
		t.Errorf("%s: it does not start again: %v", what, err)
		return
	}
	defer h.Close()
	m := &memory{}
	g, err := h.Start(1, m)
	if err != nil {
		t.Errorf("%s: it does not start again: %v", what, err)
		return
	}
	if err := proposeUnless(t, g, "end", failed); err != nil {
		t.Errorf("%s: started again, it does not serve: %v", what, err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, command := range r.acknowledged {
		if !slices.Contains(m.applied, command) {
			t.Errorf("%s: command %s was acknowledged, and is gone; there are %v", what, command, m.applied)
		}
	}
}

// TestEveryErrorOfTheDiskEndsTheServer lets each operation of a server's disk fail, in its start and after: log, directory, identity, boot
// counter. It must not start, or end at once and acknowledge nothing any more; or have lost nothing by it, and go on. What was acknowledged is
// there afterwards, if the process was killed, and if the power went.
func TestEveryErrorOfTheDiskEndsTheServer(t *testing.T) {
	faults := []error{syscall.EIO, syscall.ENOSPC, io.ErrShortWrite}
	counts := struct {
		When                                                   string
		Test                                                   string
		Operations, Faults, Starts, Ends, GoesOn, Acknowledged int
		Kinds                                                  map[string]int
	}{When: time.Now().UTC().Format(time.RFC3339), Test: "disk errors, host", Kinds: map[string]int{}}
	const enough = 8 // lives in a row that had fewer operations: not all have equally many
	for n, short := 1, 0; short < enough && !t.Failed(); n++ {
		for i, fault := range faults {
			if !*diskDeep && (n+i)%len(faults) != 0 {
				continue
			}
			r := &diskRun{disk: crashdisk.New(crashdisk.Options{KeepOperations: 1 << 12})}
			r.disk.FailAt(n, fault)
			r.live(t)
			reached := false
			for _, op := range r.disk.Operations() {
				if op.Number == n && op.Err != nil {
					reached = true
					counts.Kinds[op.Kind.String()]++
				}
			}
			if !reached {
				short++
				break
			}
			short, counts.Operations = 0, n
			counts.Faults++
			counts.Acknowledged += len(r.acknowledged)
			switch {
			case r.err == nil && fault == syscall.ENOSPC:
				counts.GoesOn++
			case r.err == nil:
				t.Errorf("operation %d, %v: nobody minds", n, fault)
			case !errors.Is(r.err, fault):
				t.Errorf("operation %d, %v: it ends with %v", n, fault, r.err)
			case r.fatal:
				counts.Ends++
			default:
				counts.Starts++
			}
			at := fmt.Sprintf("operation %d of the disk came to %v, and the server to %v", n, fault, r.err)
			r.mustHave(t, at+"; then the power went", r.disk.CrashNow())
			r.disk.Kill()
			r.mustHave(t, at+"; then it was killed", r.disk)
		}
	}
	t.Logf("%+v", counts)
	if counts.Starts == 0 || counts.Ends == 0 || counts.Operations < 50 {
		t.Error("that is not all that there is")
	}
	if t.Failed() {
		return
	}
	if err := ledger.Append(*diskLedger, counts); err != nil {
		t.Error(err)
	}
}
