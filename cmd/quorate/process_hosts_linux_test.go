package main

import (
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/vfs"
)

// inHosts says to a process of this test that it is in a network namespace of its own.
const inHosts = "QUORATE_TEST_IN_HOSTS"

// TestProcessHostsThatAreCutOffLoseNothing runs each server on a host of its own: a network namespace, with
// an address, a cable and a kernel that knows nothing of the others. So connections break as they do between
// machines: nothing is closed, nothing is refused, bytes just do not arrive, and the kernel tries again ever
// more slowly. The relays of the other tests cannot show that.
//
// It needs root, and the programs unshare, nsenter and ip. Whatever it makes is gone with its processes.
// Without them the same is done to relays.
func TestProcessHostsThatAreCutOffLoseNothing(t *testing.T) {
	if os.Getenv(inHosts) != "" {
		n, servers := startHosts(t, 3)
		cutOff(t, n, servers)
		return
	}
	if err := canMakeHosts(); err != nil {
		t.Logf("no hosts can be made here, so relays stand for them: %v", err)
		n, servers := startNetwork(t, 3)
		cutOff(t, &relayWires{n}, servers)
		return
	}
	inNetwork(t)
}

// wires are what servers are tied together by.
type wires interface {
	// isolate cuts a server off from all others.
	isolate(t *testing.T, s *serverProcess)
	// silence lets nothing that a server sends to another arrive there.
	silence(t *testing.T, from, to *serverProcess)
	mend(t *testing.T)
}

// cutOff cuts off one server after the other, in several ways, while clients write and read.
func cutOff(t *testing.T, n wires, servers []*serverProcess) {
	rounds := 1
	if askedForByName() {
		rounds = 3
	}
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	l := startPinnedLoad(t, servers, seed, mixedOperation)
	for range rounds {
		for _, cut := range []string{"cable of the leader", "leader to one", "one to the leader", "all of a follower's words"} {
			l.waitProgress(t, 100)
			leader := waitLeader(t, servers)
			rest := others(servers, leader)
			for _, s := range servers {
				s.beginTrouble()
			}
			switch cut {
			case "cable of the leader":
				n.isolate(t, leader)
				waitLeader(t, rest)
			case "leader to one":
				n.silence(t, leader, rest[0])
			case "one to the leader":
				n.silence(t, rest[0], leader)
			case "all of a follower's words":
				n.silence(t, rest[0], leader)
				n.silence(t, rest[0], rest[1])
			}
			l.waitProgress(t, 100, rest[1])
			// The clients of whoever is cut off wait for their writes by now; reads must not tell what was.
			answers := []func(){l.ask(leader, 8, readOperation), l.ask(rest[0], 2, readOperation)}
			l.waitProgress(t, 20, rest[1])
			n.mend(t)
			for _, answered := range answers {
				answered()
			}
			for _, s := range servers {
				s.endTrouble()
			}
			leads := waitLeader(t, servers)
			for _, s := range servers {
				waitCaughtUp(t, s, leads)
			}
			t.Logf("%s: %s led, now %s does", cut, leader.name, leads.name)
		}
	}
	l.expectLinearizable(t)
}

// relayWires are relays, seen as wires.
type relayWires struct{ n *network }

func (r *relayWires) isolate(_ *testing.T, s *serverProcess) {
	r.n.separate([]*serverProcess{s}, others(r.n.servers, s))
}

func (r *relayWires) silence(_ *testing.T, from, to *serverProcess) { r.n.cut(from, to) }

func (r *relayWires) mend(*testing.T) { r.n.mend() }

// canMakeHosts says what is missing for it.
func canMakeHosts() error {
	for _, program := range []string{"unshare", "nsenter", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	if out, err := exec.Command("unshare", "--net", "ip", "link", "add", "br0", "type", "bridge").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// inNetwork runs the test again, in a network namespace that is gone with the process.
func inNetwork(t *testing.T) {
	words := []string{"--net", "--", os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v", "-process.overlay=" + *processOverlay}
	if !askedForByName() {
		words[3] = "-test.run=" + strings.Replace(t.Name(), "TestProcess", "^Test[P]rocess", 1) + "$"
	}
	command := exec.Command("unshare", words...)
	command.Env = append(os.Environ(), inHosts+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// lan is the switch: this process's own namespace, with a bridge that the cables of all hosts end at.
type lan struct {
	holders map[*serverProcess]*exec.Cmd // a process in each host's namespace, that keeps it
	silent  []direction
	down    []*serverProcess
}

// startHosts starts servers on hosts of their own, with keys that they know each other by.
func startHosts(t *testing.T, count int) (*lan, []*serverProcess) {
	t.Helper()
	runProgram(t, "ip", "link", "set", "lo", "up")
	runProgram(t, "ip", "link", "add", "br0", "type", "bridge")
	runProgram(t, "ip", "address", "add", "10.77.0.254/24", "dev", "br0")
	runProgram(t, "ip", "link", "set", "br0", "up")
	n := &lan{holders: map[*serverProcess]*exec.Cmd{}}
	servers := newServers(t, count, quick...)
	var cluster, keys []string
	for i, s := range servers {
		s.host = fmt.Sprintf("10.77.0.%d", i+1)
		n.addHost(t, s, i)
		key, err := publicKey(vfs.OS{}, s.dir)
		if err != nil {
			t.Fatal(err)
		}
		cluster = append(cluster, fmt.Sprintf("%s=http://%s:%d", s.name, s.host, s.peerPort))
		keys = append(keys, fmt.Sprintf("%s=%s", s.name, key))
	}
	for _, s := range servers {
		peer, clients := fmt.Sprintf("http://%s:%d", s.host, s.peerPort), fmt.Sprintf("http://%s:%d", s.host, s.clientPort)
		s.with("--listen-peer-urls", peer).with("--initial-advertise-peer-urls", peer)
		s.with("--listen-client-urls", clients).with("--advertise-client-urls", clients)
		s.with("--initial-cluster", strings.Join(cluster, ","))
		for _, key := range keys {
			s.arguments = append(s.arguments, "--peer-key", key)
		}
	}
	startAll(t, servers)
	return n, servers
}

// addHost makes a host, and lays a cable from it to the switch.
func (n *lan) addHost(t *testing.T, s *serverProcess, i int) {
	t.Helper()
	holder := exec.Command("unshare", "--net", "--", "cat") // waits for its input to end
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := holder.StdinPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = holder.Wait()
	})
	n.holders[s] = holder
	eventually(t, "a namespace for "+s.name, func() error { return inOtherNamespace(holder.Process.Pid) })
	far := fmt.Sprint("far", i)
	runProgram(t, "ip", "link", "add", cableOf(s), "type", "veth", "peer", "name", far)
	runProgram(t, "ip", "link", "set", cableOf(s), "master", "br0")
	runProgram(t, "ip", "link", "set", cableOf(s), "up")
	runProgram(t, "ip", "link", "set", far, "netns", fmt.Sprint(holder.Process.Pid))
	n.on(t, s, "ip", "link", "set", "lo", "up")
	n.on(t, s, "ip", "address", "add", s.host+"/24", "dev", far)
	n.on(t, s, "ip", "link", "set", far, "up")
	s.wrapper = n.enter(s)
}

// inOtherNamespace is nil when a process has a network namespace that is not this one's.
func inOtherNamespace(pid int) error {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err == nil && its == own {
		err = fmt.Errorf("it is still in this one")
	}
	return err
}

func cableOf(s *serverProcess) string { return "to-" + s.name }

func (n *lan) enter(s *serverProcess) []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", n.holders[s].Process.Pid), "--"}
}

// on runs a program on a host.
func (n *lan) on(t *testing.T, s *serverProcess, words ...string) {
	t.Helper()
	runProgram(t, append(n.enter(s), words...)...)
}

// isolate pulls the cable of a host.
func (n *lan) isolate(t *testing.T, s *serverProcess) {
	t.Helper()
	n.cable(t, s, "down")
	n.down = append(n.down, s)
}

// cable pulls or plugs a cable.
func (n *lan) cable(t *testing.T, s *serverProcess, state string) {
	t.Helper()
	runProgram(t, "ip", "link", "set", cableOf(s), state)
}

// silence lets nothing that a host sends to another arrive there, without anybody being told.
func (n *lan) silence(t *testing.T, from, to *serverProcess) {
	t.Helper()
	n.on(t, from, "ip", "route", "add", "blackhole", to.host+"/32")
	n.silent = append(n.silent, direction{from, to})
}

func (n *lan) mend(t *testing.T) {
	t.Helper()
	for _, s := range n.down {
		n.cable(t, s, "up")
	}
	for _, d := range n.silent {
		n.on(t, d.from, "ip", "route", "del", "blackhole", d.to.host+"/32")
	}
	n.down, n.silent = nil, nil
}

func runProgram(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}
