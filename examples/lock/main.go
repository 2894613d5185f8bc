package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/freeport"
)

func main() {
	dir, err := os.MkdirTemp("", "lock")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var servers []*service
	for _, o := range options(dir, "a", "b", "c") {
		host, s, err := start(o)
		if err != nil {
			log.Fatal(err)
		}
		defer host.Close()
		servers = append(servers, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := story(ctx, servers[0], servers[1]); err != nil {
		log.Fatal(err)
	}
}

// story is that of Ann, who stalls while she holds the lock, and of Bob, who wants it. Each talks to a server of
// their own.
func story(ctx context.Context, anns, bobs *service) error {
	var disk storage
	ann, err := anns.acquire(ctx, "disk", "Ann", "1", time.Minute)
	if err != nil {
		return err
	}
	fmt.Println("Ann has the lock, and writes:", disk.write(ann.Token, "Ann's") == nil)
	_, err = bobs.acquire(ctx, "disk", "Bob", "1", time.Minute)
	fmt.Println("Bob has to wait:", errors.Is(err, errHeld))

	// Ann renews once more, and stalls. She does not notice that her time ends.
	if _, err = anns.renew(ctx, ann, 200*time.Millisecond); err != nil {
		return err
	}
	bob, err := bobs.await(ctx, "disk", "Bob", "1", time.Minute)
	if err != nil {
		return err
	}
	fmt.Println("Bob has the lock, by a larger token:", bob.Token > ann.Token)
	fmt.Println("Bob writes:", disk.write(bob.Token, "Bob's") == nil)

	// Ann goes on. She believes that the lock is hers: she made sure before she stalled.
	fmt.Println("Ann's write is refused:", errors.Is(disk.write(ann.Token, "Ann's again"), errStale))
	_, err = anns.renew(ctx, ann, time.Minute)
	fmt.Println("So is her renewal:", errors.Is(err, errStale))
	fmt.Println("The disk is", disk.content)
	return bobs.release(ctx, bob)
}

// await acquires a lock as soon as it is free, or fails when ctx ends. errHeld: the owner itself has it, by another
// request.
func (s *service) await(ctx context.Context, lock, owner, request string, ttl time.Duration) (grant, error) {
	for {
		g, err := s.acquire(ctx, lock, owner, request, ttl)
		if !errors.Is(err, errHeld) || g.Owner == owner {
			return g, err
		}
		select {
		case <-time.After(20 * time.Millisecond): // when to ask again is the client's choice; when a grant ends is not
		case <-ctx.Done():
			return g, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// options are those of a cluster in this process.
func options(dir string, names ...string) (all []quorate.Options) {
	addresses, err := freeport.Addresses(len(names)) // servers on machines of their own have fixed ones
	if err != nil {
		log.Fatal(err)
	}
	var members []quorate.Member
	for i, name := range names {
		members = append(members, quorate.Member{Name: name, PeerURLs: addresses[i : i+1]})
	}
	for _, name := range names {
		all = append(all, quorate.Options{Name: name, Dir: filepath.Join(dir, name), Members: members})
	}
	return all
}

// start starts one server of the lock service.
func start(o quorate.Options) (*quorate.Host, *service, error) {
	host, err := quorate.Open(o)
	if err != nil {
		return nil, nil, err
	}
	m := &machine{grants: map[string]grant{}}
	group, err := host.Start(1, m)
	if err != nil {
		host.Close()
		return nil, nil, err
	}
	return host, &service{group, m}, nil
}
