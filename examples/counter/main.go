package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/quorate/quorate"
)

// counter is the state machine. It is in memory: after a restart the log brings it back.
type counter struct{ value int }

func (c *counter) DurableIndex() quorate.Index { return 0 }

func (c *counter) Apply(entries []quorate.Entry) (answers [][]byte) {
	for _, e := range entries {
		if e.Command.Kind == quorate.KindCommand {
			c.value++
		}
		answers = append(answers, fmt.Append(nil, c.value))
	}
	return answers
}

func main() {
	o := quorate.Options{Name: os.Args[1], Dir: "counter-" + os.Args[1]}
	for _, member := range strings.Split(os.Args[2], ",") {
		name, address, _ := strings.Cut(member, "=")
		o.Members = append(o.Members, quorate.Member{Name: name, PeerURLs: []string{address}})
	}
	host, err := quorate.Open(o)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	group, err := host.Start(1, &counter{})
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := group.Propose(context.Background(), []byte("add"))
		fmt.Println(string(answer), err)
	}
}
