package freeport

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A test may ask often before it listens at any of them.
func TestPortsAreGivenOnceUntilAllWere(t *testing.T) {
	seen := map[int]bool{}
	for range (blockSize - 32) / 3 { // some may be other programs'
		ports, err := Ports(3)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			if seen[port] || port <= own.first || port >= own.first+blockSize {
				t.Fatalf("port %d of block %d: given before: %v", port, own.first, seen[port])
			}
			seen[port] = true
		}
	}
	if _, err := Ports(10); err != nil { // the first ones again
		t.Fatal(err)
	}
}

func TestPortsWhereSomebodyListensAreNotGiven(t *testing.T) {
	ports, err := Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address(ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		others, err := Ports(blockSize - 2)
		if err != nil || slices.Contains(others, ports[0]) {
			t.Fatalf("got %v, %v; somebody listens at %d", others, err, ports[0])
		}
	}
}

func TestNoPortIsOneThatTheKernelGivesAway(t *testing.T) {
	first := firstEphemeral("/proc/sys/net/ipv4/ip_local_port_range")
	addresses, err := Addresses(50)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		host, text, err := net.SplitHostPort(a)
		if port, _ := strconv.Atoi(text); err != nil || host != "127.0.0.1" || port < lowest || port >= first {
			t.Errorf("got %s, want a port from %d to %d: %v", a, lowest, first-1, err)
		}
	}
}

func TestMorePortsThanABlockHasAreRefused(t *testing.T) {
	if _, err := Addresses(blockSize); err == nil || !strings.Contains(err.Error(), "512 ports are wanted at once") {
		t.Fatalf("got %v", err)
	}
}

// Two processes have two blocks, and one that ended leaves its own to the next.
func TestProcessesShareNoBlock(t *testing.T) {
	if os.Getenv("QUORATE_TEST_BLOCK") != "" {
		if _, err := Ports(1); err != nil {
			t.Fatal(err)
		}
		fmt.Println("block", own.first)
		return
	}
	if _, err := Ports(1); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0], "-test.run", "^TestProcessesShareNoBlock$", "-test.v")
	command.Env = append(os.Environ(), "QUORATE_TEST_BLOCK=1")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, after, found := strings.Cut(string(out), "block ")
	other, _, _ := strings.Cut(after, "\n")
	if first, err := strconv.Atoi(other); !found || err != nil || first == own.first {
		t.Fatalf("block %q, and ours is %d: %v: %s", other, own.first, err, out)
	}
}

func TestBlocksThatAreTakenAreSkippedUntilNoneIsLeft(t *testing.T) {
	var held []*block
	defer func() {
		for _, b := range held {
			b.lock.Close()
		}
	}()
	const end = lowest + 4*blockSize
	for range 4 {
		b := &block{}
		if err := b.claim(end); err != nil { // others' processes may hold some, or all
			break
		}
		for _, other := range held {
			if other.first == b.first {
				t.Fatalf("block %d is given twice", b.first)
			}
		}
		held = append(held, b)
	}
	if err := new(block).claim(end); err == nil || !strings.Contains(err.Error(), "find a block of free ports from 10000 to 12047") {
		t.Fatalf("got %v, want that none is left", err)
	}
}

func TestRangeOfPortsIsReadOrTakenForTheUsualOne(t *testing.T) {
	for text, want := range map[string]int{
		"32768\t60999\n": 32_768, "15000 60999\n": 15_000, "1024\t60999\n": 32_768, "10511 60999": 32_768, "gibberish": 32_768, "": 32_768, "99999 1": 32_768,
	} {
		file := filepath.Join(t.TempDir(), "range")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := firstEphemeral(file); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	if got := firstEphemeral(fmt.Sprint(t.TempDir(), "/gone")); got != usualEphemeral {
		t.Errorf("no file: got %d", got)
	}
}
