package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/client"
)

func main() {
	c, err := client.New(clientv3.Config{Endpoints: os.Args[1:]}, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		before, err := c.Put(ctx, "tally", lines.Text(), clientv3.WithPrevKV())
		cancel()
		switch {
		case err == nil:
			fmt.Println(before.PrevKv.GetVersion() + 1)
		case errors.Is(err, client.ErrOutcomeUnknown):
			fmt.Println("it counts once, or not at all:", err)
		default:
			fmt.Println("it does not count:", err)
		}
	}
}
