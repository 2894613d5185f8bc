package quorate_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/freeport"
)

// tally is a replicated state machine: it counts votes. Being in memory, it is brought back from the
// log after a restart.
type tally map[string]int

func (t tally) DurableIndex() quorate.Index { return 0 }

func (t tally) Apply(entries []quorate.Entry) (answers [][]byte) {
	for _, e := range entries {
		if e.Command.Kind == quorate.KindCommand {
			t[string(e.Command.Request)]++
		}
		answers = append(answers, fmt.Append(nil, t[string(e.Command.Request)]))
	}
	return answers
}

// A cluster of one server: with more of them, Members lists all, and each server has a Name, a Dir and
// a process of its own.
func Example() {
	dir, err := os.MkdirTemp("", "quorate")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	host, err := quorate.Open(quorate.Options{
		Dir: dir, Name: "a",
		Members: []quorate.Member{{Name: "a", PeerURLs: []string{unusedAddress()}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()

	votes := tally{}
	group, err := host.Start(1, votes)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, candidate := range []string{"Ada", "Grace", "Ada"} {
		answer, err := group.Propose(ctx, []byte(candidate))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(candidate, string(answer))
	}
	// Output:
	// Ada 1
	// Grace 1
	// Ada 2
}

// Read makes what follows a linearizable read, at any server of the cluster.
func ExampleGroup_Read() {
	dir, err := os.MkdirTemp("", "quorate")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	host, err := quorate.Open(quorate.Options{
		Dir: dir, Name: "a",
		Members: []quorate.Member{{Name: "a", PeerURLs: []string{unusedAddress()}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()

	votes := tally{}
	group, err := host.Start(1, votes)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := group.Propose(ctx, []byte("Ada")); err != nil {
		log.Fatal(err)
	}
	if err := group.Read(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(votes["Ada"]) // nobody else is voting; a real state machine has a lock
	// Output:
	// 1
}

// unusedAddress returns a loopback address that nobody listens on.
func unusedAddress() string {
	addresses, err := freeport.Addresses(1)
	if err != nil {
		log.Fatal(err)
	}
	return addresses[0]
}
