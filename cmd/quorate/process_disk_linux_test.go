package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

var processComplete = flag.Bool("process.complete", false,
	"fail where this machine lacks what the best faults need (strace, the right to mount), instead of using others")

// lacking says in the log which faults stand in for those that the machine cannot make; or fails, if
// that was not wanted.
func lacking(t *testing.T, what string, err error, instead string) {
	t.Helper()
	if *processComplete {
		t.Fatalf("%s is needed here: %v", what, err)
	}
	t.Logf("without %s (%v): %s", what, err, instead)
}

// smallDisk is where the directory of a server lies that has not lived yet. It gets full once there is
// anything to write after fill, and has room again after makeRoom.
type smallDisk struct {
	fill, makeRoom func()
	real           bool // and not a limit on the size of files
}

// newSmallDisk gives a server a directory in memory that holds the first two segments of a log, and no
// third. Where mounting is not allowed, the kernel keeps the server from writing more to any file.
func newSmallDisk(t *testing.T, s *serverProcess) smallDisk {
	t.Helper()
	if err := syscall.Mount("quorate-test", s.dir, "tmpfs", 0, "size=44m"); err != nil {
		lacking(t, "the right to mount", err, "a limit on the size of files stands in for a full disk")
		return smallDisk{fill: func() { s.limitFiles(t, 1<<20) }, makeRoom: func() {}} // The limit dies with the process.
	}
	t.Cleanup(func() { // after the server's own, which is registered later
		if err := syscall.Unmount(s.dir, 0); err != nil {
			t.Errorf("unmount %s: %v", s.dir, err)
		}
	})
	return smallDisk{real: true, fill: func() {}, makeRoom: func() {
		t.Helper()
		if err := syscall.Mount("quorate-test", s.dir, "tmpfs", syscall.MS_REMOUNT, "size=400m"); err != nil {
			t.Fatal(err)
		}
	}}
}

// limitFiles makes writes of the present process fail that reach beyond so many bytes of any file.
func (s *serverProcess) limitFiles(t *testing.T, most uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: most, Max: most}
	_, _, wrong := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(s.processID()), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if wrong != 0 {
		t.Fatalf("limit what %s writes: %v", s.name, wrong)
	}
}

func TestProcessFullDiskEndsTheServerAndLosesNothing(t *testing.T) {
	servers := newServers(t, 3, quick...)
	full := servers[0]
	disk := newSmallDisk(t, full)
	startAll(t, servers)
	waitLeader(t, servers)
	w := newOnceWrites()
	l := startPinnedLoad(t, servers, 1, func(ctx context.Context, kv pb.KVClient, client int, r *rand.Rand) (operation, outcome, error) {
		for {
			o, result, err := w.put(ctx, kv, client, r)
			if err == nil || !strings.Contains(err.Error(), "database space exceeded") {
				return o, result, err
			}
			<-time.After(10 * time.Millisecond) // and ask again, until there is room
		}
	})
	l.waitProgress(t, 100, full)
	full.doom()
	disk.fill()
	rest := others(servers, full)
	fillUntilGone(t, rest[0], full)
	status, said := full.waitEnd(t)
	full.disconnect()
	expectDiskFailure(t, full, status, said)
	// The others go on, once nobody minds the one any more.
	eventually(t, "the others go on", func() error { return disarm(t.Context(), rest[0]) })
	l.waitProgress(t, 200, rest...)

	disk.makeRoom()
	full.start(t)
	full.waitServing(t)
	waitCaughtUp(t, full, waitLeader(t, servers))
	l.waitProgress(t, 50, full)
	l.finish(t)
	w.expectWritten(t, servers)
}

// A disk that gets full is seen before that is the end: puts are refused everywhere, and all else goes on. When there is room again, no
// server need be started anew.
func TestProcessFullDiskRefusesPutsAndNothingElse(t *testing.T) {
	servers := newServers(t, 3, quick...)
	full := servers[0]
	disk := newSmallDisk(t, full)
	if !disk.real {
		return // a limit on files is no full disk
	}
	startAll(t, servers)
	waitLeader(t, servers)
	conn, _, _ := full.present()
	other, _, _ := servers[1].present()
	ctx := t.Context()
	kv := pb.NewKVClient(conn)
	put := func(at *grpc.ClientConn, key string, bytes int) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_, err := pb.NewKVClient(at).Put(ctx, &pb.PutRequest{Key: []byte(key), Value: make([]byte, bytes)})
		return err
	}
	refused := func() error {
		for _, at := range []*grpc.ClientConn{conn, other} {
			if err := put(at, "small", 1); err == nil || !strings.Contains(err.Error(), "etcdserver: mvcc: database space exceeded") {
				return fmt.Errorf("a put is answered with %v", err)
			}
		}
		return nil
	}
	lease, err := pb.NewLeaseClient(conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 600})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "puts are refused", func() error {
		if err := put(other, "filler", 700_000); err == nil || isTimeout(err) {
			return errors.New("they are not")
		}
		return refused()
	})

	// What makes room goes on, and what needs none.
	if _, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("filler")}); err != nil {
		t.Errorf("a read: %v", err)
	}
	if r, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("filler")}); err != nil {
		t.Errorf("a delete: %v", err)
	} else if _, err := kv.Compact(ctx, &pb.CompactionRequest{Revision: r.Header.Revision, Physical: true}); err != nil {
		t.Errorf("a compaction: %v", err)
	}
	keep, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err == nil {
		if err = keep.Send(&pb.LeaseKeepAliveRequest{ID: lease.ID}); err == nil {
			_, err = keep.Recv()
		}
	}
	if err != nil {
		t.Errorf("a lease is kept: %v", err)
	}

	// While there is no room, the alarm comes back.
	if err := disarm(ctx, full); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the alarm is on again", refused)
	disk.makeRoom()
	eventually(t, "puts go on", func() error {
		if err := errors.Join(disarm(ctx, full), put(conn, "after", 700_000)); err != nil {
			return err
		}
		return put(other, "after", 1)
	})
	waitCaughtUp(t, full, waitLeader(t, servers))
}

// disarm turns off all alarms.
func disarm(ctx context.Context, at *serverProcess) error {
	conn, _, _ := at.present()
	maintenance := pb.NewMaintenanceClient(conn)
	on, err := maintenance.Alarm(ctx, &pb.AlarmRequest{})
	for _, a := range on.GetAlarms() {
		_, refused := maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: a.MemberID, Alarm: a.Alarm})
		err = errors.Join(err, refused)
	}
	return err
}

// diskErrors are what the kernel calls them.
var diskErrors = []string{"input/output error", "no space left on device", "file too large"}

// expectDiskFailure makes sure that a server ended as one should whose disk has failed, and said why.
func expectDiskFailure(t *testing.T, s *serverProcess, status int, said string) {
	t.Helper()
	if status != exitFatal {
		t.Errorf("%s: exit status %d, want %d\n%s", s.name, status, exitFatal, tail(said, 2000))
	}
	if !slices.ContainsFunc(diskErrors, func(w string) bool { return strings.Contains(said, w) }) {
		t.Errorf("%s does not say any of %q:\n%s", s.name, diskErrors, tail(said, 2000))
	}
}

// fillUntilGone deletes keys that are not there, with large names, at one server until the process of another has ended. Puts
// are refused long before that.
func fillUntilGone(t *testing.T, at, full *serverProcess) {
	t.Helper()
	conn, _, _ := at.present()
	name := bytes.Repeat([]byte("filler "), 100_000)
	eventually(t, full.name+" ends", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := pb.NewKVClient(conn).DeleteRange(ctx, &pb.DeleteRangeRequest{Key: name}); err != nil && !isTimeout(err) {
			t.Fatalf("fill: %v", err)
		}
		select {
		case <-full.gone:
			return nil
		default:
			return errors.New("it lives")
		}
	})
}

// diskFault is what happens to a system call of the server. Strace counts the calls of each thread.
type diskFault struct {
	calls string // as strace names them
	what  string // as strace injects it
	nth   []int  // which calls of a thread, one after the other
}

const (
	killed = "signal=KILL" // before the call is done
	// tardy is a tenth of a second before the call fails: time enough for an answer that should have waited.
	tardy = "error=EIO:delay_enter=100000"
)

// diskFaults are those of the log, of the state, and of the small files beside them. When a server
// starts, files are renamed, directories synced, and 64 writes fill the next segment with zeros: what
// is to hit the log's own entries must be a later one.
func diskFaults() []diskFault {
	if !askedForByName() {
		return []diskFault{
			{"fdatasync", "error=EIO", []int{2, 9}},
			{"pwrite64", tardy, []int{150}},
			{"fdatasync", killed, []int{5}},
		}
	}
	return []diskFault{
		{"pwrite64", tardy, []int{70, 150, 200}},
		{"fdatasync", "error=EIO", []int{1, 2, 3, 4, 5, 8, 13, 21, 34}},
		{"fsync", "error=EIO", []int{1}},
		{"renameat,rename,renameat2", "error=EIO", []int{1}},
		{"pwrite64", "error=EIO", []int{1, 2, 3, 8, 30, 70, 150}},
		{"pwrite64", "error=ENOSPC", []int{1, 4, 20}},
		{"fdatasync", killed, []int{1, 2, 3, 5, 8, 13, 30}},
		{"fsync", killed, []int{1}},
		{"renameat,rename,renameat2", killed, []int{1}},
		{"pwrite64", killed, []int{1, 2, 3, 8, 30, 70, 150}},
	}
}

func TestProcessFailedWritesAndSyncsEndTheServerAndLoseNothing(t *testing.T) {
	// Alone, it elects itself; the sooner, the shorter each life.
	s := startServers(t, 1, "--heartbeat-interval", "20", "--election-timeout", "100")[0]
	w := newOnceWrites()
	l := startLoad(t, []*serverProcess{s}, 1, w.put)
	l.waitProgress(t, 20)
	if out, err := exec.Command("strace", "-D", "-f", "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		lacking(t, "strace", fmt.Errorf("%w %s", err, out), "a limit on the size of files stands in for a disk that fails")
		s.doom()
		s.limitFiles(t, 64<<10)
		s.expectEnd(t, false, true)
		s.start(t)
		s.waitServing(t)
	} else {
		for _, fault := range diskFaults() {
			for _, n := range fault.nth {
				t.Logf("%s:%s:when=%d", fault.calls, fault.what, n)
				s.dieUnder(t, []string{"strace", "-D", "-f", "-qq", "-o", os.DevNull, // -D: as a child of the server
					"-e", "trace=" + fault.calls, "-e", fmt.Sprintf("inject=%s:%s:when=%d", fault.calls, fault.what, n)}, fault.what == killed)
				s.start(t)
				s.waitServing(t)
				w.expectWritten(t, l.servers)
				if t.Failed() {
					t.FailNow() // What comes after would only say it again.
				}
				l.waitProgress(t, 10)
			}
		}
	}
	l.waitProgress(t, 20)
	l.finish(t)
	w.expectWritten(t, l.servers)
}

// dieUnder starts a server anew under a command of which it dies, sooner or later: by a signal, or by
// itself because its disk fails. Meanwhile clients ask it.
func (s *serverProcess) dieUnder(t *testing.T, wrapper []string, bySignal bool) {
	t.Helper()
	s.kill(t)
	s.wrapper = wrapper
	s.start(t)
	s.wrapper = nil
	conn, served := s.waitServingOrGone(t)
	if served {
		s.open(conn, true)
	}
	s.expectEnd(t, bySignal, served)
}

// expectEnd waits for the end of a server of which the disk fails, or which is killed.
func (s *serverProcess) expectEnd(t *testing.T, bySignal, served bool) {
	t.Helper()
	status, said := s.waitEnd(t)
	s.disconnect()
	switch {
	case bySignal:
		if end := s.command.ProcessState.Sys().(syscall.WaitStatus); !end.Signaled() || end.Signal() != syscall.SIGKILL {
			t.Errorf("%s ended with %v, want that it was killed\n%s", s.name, s.command.ProcessState, tail(said, 2000))
		}
	case !served && status == exitFailed: // It never began, and says so by another status.
		expectDiskFailure(t, s, exitFatal, said)
	default:
		expectDiskFailure(t, s, status, said)
	}
}
