package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

const (
	// lowestPort is the lowest that servers are given, and portTries how often one is looked for.
	lowestPort = 10_000
	portTries  = 1000
	// defaultFirstEphemeral is where Linux begins if nobody says otherwise.
	defaultFirstEphemeral = 32_768
)

// freeAddresses returns unused loopback addresses for n servers. Another program may take one of them
// before the server does; the server then says so and the run fails.
//
// The ports are none of those that the kernel gives to whoever connects: while a server is down, a client
// that tries to reach it could be given the server's port as its own, and would be talking to itself.
func freeAddresses(n int) ([]address, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	first := firstEphemeral("/proc/sys/net/ipv4/ip_local_port_range")
	free := func() (string, error) {
		var last error
		for range portTries {
			port := lowestPort + rand.IntN(first-lowestPort)
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				held = append(held, l) // until all are found: the same port must not be found twice
				return "http://" + l.Addr().String(), nil
			}
			last = err
		}
		return "", fmt.Errorf("find a free port from %d to %d: %w", lowestPort, first-1, last)
	}
	addresses := make([]address, n)
	for i := range addresses {
		var err error
		if addresses[i].client, err = free(); err != nil {
			return nil, err
		}
		if addresses[i].peer, err = free(); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// firstEphemeral returns the first port that the kernel gives away by itself, as a file of /proc has it. A
// range that begins below lowestPort leaves us none of our own, and is taken for the usual one.
func firstEphemeral(file string) int {
	var first int
	b, err := os.ReadFile(file)
	if err != nil {
		return defaultFirstEphemeral
	}
	if _, err := fmt.Sscan(string(b), &first); err != nil || first <= lowestPort || first > 1<<16 {
		return defaultFirstEphemeral
	}
	return first
}
