package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quorate/quorate/internal/freeport"
)

// patience bounds every wait for a condition. It is far beyond what anything takes on a machine that
// is not overloaded, so that reaching it means something.
const patience = 60 * time.Second

// binaryDir is where the program under test is built, by the first test that needs it; removed after
// the last one.
var binaryDir string

const buildFailed = "the program does not build"

var builtBinary = sync.OnceValues(func() (string, error) {
	var err error
	if binaryDir, err = os.MkdirTemp("", "quorate-process-test"); err != nil {
		return "", err
	}
	file := filepath.Join(binaryDir, "quorate")
	if out, err := exec.Command("go", "build", "-trimpath", "-overlay="+*processOverlay, "-o", file, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", buildFailed, err, out)
	}
	return file, nil
})

func binary(t *testing.T) string {
	t.Helper()
	file, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func removeBinary() {
	if binaryDir != "" {
		_ = os.RemoveAll(binaryDir) // in a directory for temporary files anyway
	}
}

// eventually waits until a condition holds: until it returns nil.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-time.After(10 * time.Millisecond) // and ask again
	}
}

// freePorts returns ports at which nobody listens.
func freePorts(t *testing.T, count int) []int {
	t.Helper()
	ports, err := freeport.Ports(count)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// serverProcess is a server of which the process may be killed and started again.
type serverProcess struct {
	name       string
	arguments  []string
	dir        string
	clientPort int
	peerPort   int
	host       string // its address, if it is not this machine's

	wrapper []string // a command that runs the program in its own place, or none
	program string   // another than the one under test, or ""
	more    []string // of the environment
	command *exec.Cmd
	log     *bytes.Buffer // of the present process; read it when it is gone
	gone    chan struct{} // closed when the present process is

	guard sync.Mutex
	// life counts starts and kills: it is even while the server is meant to answer, and odd from just
	// before it is killed until it answers again.
	life int
	// doomed says that the present process will die by itself, nobody knows when.
	doomed bool
	// troubles counts the beginnings and ends of what keeps a living server from answering: it is even
	// while all is well.
	troubles int
	conn     *grpc.ClientConn // of the present life
	pid      int              // of the present process, or the last
}

// newServers describes a cluster on this machine. more are flags for each server.
func newServers(t *testing.T, count int, more ...string) []*serverProcess {
	t.Helper()
	ports := freePorts(t, 2*count)
	var servers []*serverProcess
	var cluster []string
	for i := range count {
		s := &serverProcess{name: fmt.Sprint("s", i+1), clientPort: ports[2*i], peerPort: ports[2*i+1], dir: t.TempDir(), life: 1}
		servers = append(servers, s)
		cluster = append(cluster, s.name+"="+localURL(s.peerPort))
	}
	for _, s := range servers {
		s.arguments = append([]string{"serve", "--stop-with-stdin", "--name", s.name, "--data-dir", s.dir,
			"--listen-client-urls", localURL(s.clientPort), "--advertise-client-urls", localURL(s.clientPort),
			"--listen-peer-urls", localURL(s.peerPort), "--initial-advertise-peer-urls", localURL(s.peerPort),
			"--initial-cluster", strings.Join(cluster, ",")}, more...)
	}
	return servers
}

// clientAddress is where clients find the server.
func (s *serverProcess) clientAddress() string {
	if s.host != "" {
		return fmt.Sprintf("%s:%d", s.host, s.clientPort)
	}
	return localAddress(s.clientPort)
}

// with gives a flag another value.
func (s *serverProcess) with(flag, value string) *serverProcess {
	s.arguments[slices.Index(s.arguments, flag)+1] = value
	return s
}

// startServers starts servers that end with the test, and waits until a leader serves.
func startServers(t *testing.T, count int, more ...string) []*serverProcess {
	t.Helper()
	servers := newServers(t, count, more...)
	startAll(t, servers)
	return servers
}

// startAll starts servers, and waits until all of them serve.
func startAll(t *testing.T, servers []*serverProcess) {
	t.Helper()
	for _, s := range servers {
		s.start(t)
	}
	for _, s := range servers {
		s.waitServing(t)
	}
}

// others returns the servers but for some.
func others(servers []*serverProcess, without ...*serverProcess) []*serverProcess {
	return slices.DeleteFunc(slices.Clone(servers), func(s *serverProcess) bool { return slices.Contains(without, s) })
}

// start starts the process. If the test's process dies, the server sees its input end.
func (s *serverProcess) start(t *testing.T) {
	t.Helper()
	words := slices.Concat(s.wrapper, []string{cmp.Or(s.program, binary(t))}, s.arguments)
	s.command = exec.Command(words[0], words[1:]...)
	s.log = new(bytes.Buffer)
	s.command.Stdout, s.command.Stderr = s.log, s.log
	s.command.Env = append(withoutFlags(os.Environ()), s.more...)
	if _, err := s.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	s.guard.Lock()
	s.pid = s.command.Process.Pid
	s.guard.Unlock()
	command, gone := s.command, make(chan struct{})
	s.gone = gone
	go func() { // ends with the process, for which the cleanup waits
		_ = command.Wait() // How it ended is in ProcessState.
		close(gone)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill() // It may be gone.
		<-gone
		s.disconnect()
		if t.Failed() {
			t.Logf("the log of %s:\n%s", s.name, tail(s.log.String(), 3000))
		}
	})
}

func tail(text string, most int) string {
	if len(text) > most {
		return "..." + text[len(text)-most:]
	}
	return text
}

// waitServing waits until the server answers linearizable reads, and opens it to clients.
func (s *serverProcess) waitServing(t *testing.T) {
	t.Helper()
	conn, ok := s.waitServingOrGone(t)
	if !ok {
		t.Fatalf("%s ended by itself: %v\n%s", s.name, s.command.ProcessState, tail(s.log.String(), 3000))
	}
	s.open(conn, false)
}

// waitServingOrGone waits until the server answers linearizable reads, and returns a connection to it,
// or until its process has ended.
func (s *serverProcess) waitServingOrGone(t *testing.T) (conn *grpc.ClientConn, ok bool) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.clientAddress(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, s.name+" serves", func() error {
		select {
		case <-s.gone:
			return nil
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("ready")}, grpc.WaitForReady(true))
		ok = err == nil
		return err
	})
	if !ok {
		_ = conn.Close() // Nobody has used it.
	}
	return conn, ok
}

// open lets clients ask a server that serves.
func (s *serverProcess) open(conn *grpc.ClientConn, doomed bool) {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.life++
	s.conn, s.doomed = conn, doomed
}

// present returns the connection of the present life, or says that the server is not to be asked.
func (s *serverProcess) present() (conn *grpc.ClientConn, life int, up bool) {
	s.guard.Lock()
	defer s.guard.Unlock()
	return s.conn, s.life, s.life%2 == 0 && s.conn != nil
}

func (s *serverProcess) processID() int {
	s.guard.Lock()
	defer s.guard.Unlock()
	return s.pid
}

// expectDeath says that the process is about to die: from now on, whoever waits for it may be disappointed.
func (s *serverProcess) expectDeath() {
	s.guard.Lock()
	defer s.guard.Unlock()
	if s.life%2 == 0 {
		s.life++
	}
}

// doom says that the present process will die by itself. Until then it is asked like any other.
func (s *serverProcess) doom() {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.life += 2 // What is under way may be disappointed, too.
	s.doomed = true
}

// beginTrouble says that from now on the server may not answer in time, though it lives.
func (s *serverProcess) beginTrouble() {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.troubles += 1 + s.troubles%2
}

// endTrouble says that what is asked from now on is answered.
func (s *serverProcess) endTrouble() {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.troubles += s.troubles % 2
}

// faults returns a number that changes whenever something happens to the server, and whether it is
// anything but well.
func (s *serverProcess) faults() (count int, unwell bool) {
	s.guard.Lock()
	defer s.guard.Unlock()
	return s.life + s.troubles, s.life%2 == 1 || s.troubles%2 == 1 || s.doomed
}

func (s *serverProcess) isDoomed() bool {
	s.guard.Lock()
	defer s.guard.Unlock()
	return s.doomed
}

// pause stops the process where it is, as a hypervisor may: it hears nothing and does nothing, and
// does not notice.
func (s *serverProcess) pause(t *testing.T) {
	t.Helper()
	s.beginTrouble()
	if err := s.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatalf("pause %s: %v", s.name, err)
	}
}

// resume lets a paused process go on.
func (s *serverProcess) resume(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatalf("resume %s: %v", s.name, err)
	}
	s.endTrouble()
}

func (s *serverProcess) disconnect() {
	s.guard.Lock()
	defer s.guard.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// kill is kill -9.
func (s *serverProcess) kill(t *testing.T) {
	t.Helper()
	s.expectDeath()
	if err := s.command.Process.Kill(); err != nil {
		t.Fatalf("kill %s: %v", s.name, err)
	}
	<-s.gone
	s.disconnect()
}

// waitEnd waits until the process has ended by itself, and returns its exit status and what it said.
func (s *serverProcess) waitEnd(t *testing.T) (status int, said string) {
	t.Helper()
	if !s.isDoomed() { // Who is doomed is asked until the end.
		s.expectDeath()
	}
	select {
	case <-s.gone:
		s.expectDeath()
		return s.command.ProcessState.ExitCode(), s.log.String()
	case <-time.After(patience):
		t.Fatalf("%s has not ended within %v", s.name, patience)
		return 0, ""
	}
}

// terminate is kill -15.
func (s *serverProcess) terminate(t *testing.T) (status int, said string) {
	t.Helper()
	s.expectDeath()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return s.waitEnd(t)
}

func (s *serverProcess) status(ctx context.Context) (*pb.StatusResponse, error) {
	conn, _, up := s.present()
	if !up {
		return nil, errors.New("is down")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
}

// waitLeader waits until all servers that are up agree on a leader among them, and returns it.
func waitLeader(t *testing.T, servers []*serverProcess) *serverProcess {
	t.Helper()
	var leader *serverProcess
	eventually(t, "all agree on a leader", func() error {
		leader = nil
		var agreed uint64
		for _, s := range servers {
			if _, _, up := s.present(); !up {
				continue
			}
			state, err := s.status(t.Context())
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", s.name, err)
			case state.Leader == 0 || agreed != 0 && agreed != state.Leader:
				return fmt.Errorf("%s sees %x leading, others %x", s.name, state.Leader, agreed)
			case state.Leader == state.GetHeader().GetMemberId():
				leader = s
			}
			agreed = state.Leader
		}
		if leader == nil {
			return errors.New("the leader is not among them")
		}
		return nil
	})
	return leader
}

// waitCaughtUp waits until a server has applied what another has committed by now.
func waitCaughtUp(t *testing.T, s, other *serverProcess) {
	t.Helper()
	goal, err := other.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, s.name+" catches up", func() error {
		state, err := s.status(t.Context())
		if err == nil && state.RaftAppliedIndex < goal.RaftIndex {
			err = fmt.Errorf("has applied %d of %d", state.RaftAppliedIndex, goal.RaftIndex)
		}
		return err
	})
}
