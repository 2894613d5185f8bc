package transport_test

import (
	"fmt"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

// Two servers that know each other's keys, on one machine.
func Example() {
	received := make(chan string)
	up := make(chan struct{})
	newServer := func(id raft.ServerID) (*transport.Transport, *transport.Identity) {
		identity, err := transport.NewIdentity(nil) // A real server has it from LoadOrCreateIdentity.
		if err != nil {
			panic(err)
		}
		t, err := transport.New(transport.Options{
			Identity: identity, Cluster: 0x1f, Self: id, Boot: 1, // A real server has it from NextBoot.
			ListenAddress: "127.0.0.1:0",
			Handler: func(from raft.ServerID, _ uint64, messages [][]byte) {
				received <- fmt.Sprintf("server %d says %s", from, messages[0])
			},
			OnLink: func(_ raft.ServerID, isUp bool, _ error) {
				if isUp && id == 1 {
					close(up)
				}
			},
		})
		if err != nil {
			panic(err)
		}
		return t, identity
	}
	one, keyOfOne := newServer(1)
	defer one.Close()
	two, keyOfTwo := newServer(2)
	defer two.Close()

	two.SetPeers([]transport.Peer{{ID: 1, Key: keyOfOne.Public(), Addresses: []string{one.Addr().String()}}})
	one.SetPeers([]transport.Peer{{ID: 2, Key: keyOfTwo.Public(), Addresses: []string{two.Addr().String()}}})
	<-up
	one.Send(2, []byte("hello"))
	fmt.Println(<-received)
	// Output: server 1 says hello
}
