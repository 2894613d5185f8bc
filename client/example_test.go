package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/client"
)

// A client is made as etcd's is, and used like it. What is different is what an error means.
func Example() {
	c, err := client.New(clientv3.Config{
		Endpoints: []string{"http://127.0.0.1:2379", "http://127.0.0.1:3379", "http://127.0.0.1:4379"},
	}, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	switch _, err := c.Put(ctx, "fruit/apple", "red"); {
	case err == nil:
		fmt.Println("it took effect, once, however often it was sent")
	case errors.Is(err, client.ErrOutcomeUnknown):
		fmt.Println("it may have taken effect, once, or may still")
	default:
		fmt.Println("it has not taken effect, and will not:", err)
	}
}
