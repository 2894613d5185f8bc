package cluster

import "github.com/quorate/quorate/internal/freeport"

// freeAddresses returns unused loopback addresses for n servers. Another program may take one of them
// before the server does; the server then says so and the run fails.
func freeAddresses(n int) ([]address, error) {
	found, err := freeport.Addresses(2 * n)
	if err != nil {
		return nil, err
	}
	addresses := make([]address, n)
	for i := range addresses {
		addresses[i] = address{client: "http://" + found[2*i], peer: "http://" + found[2*i+1]}
	}
	return addresses, nil
}
