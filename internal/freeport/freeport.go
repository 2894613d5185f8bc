package freeport

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
)

const (
	// lowest is the first port of the first block.
	lowest = 10_000
	// blockSize is how many ports a block has, the one that is its lock included.
	blockSize = 512
	// usualEphemeral is the first port that Linux gives away by itself if nobody says otherwise.
	usualEphemeral = 32_768
)

// block is a range of ports that no other process takes from.
type block struct {
	guard sync.Mutex
	lock  net.Listener // at the first port, as long as the process lives; nil until a port is wanted
	first int
	last  int // the port that was given last
}

// own is this process's. It is one for all that run in it, as ports are.
var own block

// Ports returns so many ports at which nobody listens, 511 at most.
func Ports(count int) ([]int, error) {
	if count >= blockSize {
		return nil, fmt.Errorf("%d ports are wanted at once, and a block has %d", count, blockSize-1)
	}
	own.guard.Lock()
	defer own.guard.Unlock()
	if own.lock == nil {
		if err := own.claim(firstEphemeral("/proc/sys/net/ipv4/ip_local_port_range")); err != nil {
			return nil, err
		}
	}
	ports := make([]int, 0, count)
	for range count {
		port, err := own.next()
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// Addresses returns so many addresses at which nobody listens, 511 at most.
func Addresses(count int) ([]string, error) {
	ports, err := Ports(count)
	if err != nil {
		return nil, err
	}
	addresses := make([]string, 0, count)
	for _, port := range ports {
		addresses = append(addresses, address(port))
	}
	return addresses, nil
}

// claim takes the first block that is nobody's and ends before a port.
func (b *block) claim(end int) error {
	var last error
	for first := lowest; first+blockSize <= end; first += blockSize {
		l, err := net.Listen("tcp", address(first))
		if err == nil {
			b.lock, b.first, b.last = l, first, first
			return nil
		}
		last = err
	}
	return fmt.Errorf("find a block of free ports from %d to %d: %w", lowest, end-1, last)
}

// next returns the next port that is free.
func (b *block) next() (int, error) {
	var last error
	for range blockSize - 1 {
		b.last++
		if b.last == b.first+blockSize {
			b.last = b.first + 1
		}
		l, err := net.Listen("tcp", address(b.last))
		if err == nil {
			err = l.Close()
		}
		if err == nil {
			return b.last, nil
		}
		last = err
	}
	return 0, fmt.Errorf("find a free port from %d to %d: %w", b.first+1, b.first+blockSize-1, last)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// firstEphemeral returns the first port that the kernel gives away by itself, as a file of /proc has it. A
// range that leaves us no block of our own is taken for the usual one.
func firstEphemeral(file string) int {
	var first int
	b, err := os.ReadFile(file)
	if err != nil {
		return usualEphemeral
	}
	if _, err := fmt.Sscan(string(b), &first); err != nil || first < lowest+blockSize || first > 1<<16 {
		return usualEphemeral
	}
	return first
}
