package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate"
)

var (
	// errHeld: somebody else has the lock.
	errHeld = errors.New("the lock is held")
	// errStale: the grant has ended. The lock may be somebody else's.
	errStale = errors.New("the grant has ended")
)

// service is the lock service at one server. All servers' are the same service.
type service struct {
	group   *quorate.Group
	machine *machine
}

// acquire asks for a lock, once. An owner that asks again with the same request, here or elsewhere, because it was
// not answered, is given the same grant. errHeld: somebody else has it, or the owner has, by another request; the
// grant is the one in the way.
func (s *service) acquire(ctx context.Context, lock, owner, request string, ttl time.Duration) (grant, error) {
	a, err := s.propose(ctx, command{Do: "acquire", Lock: lock, Owner: owner, Request: request, TTL: ttl})
	if err == nil && !a.OK {
		err = fmt.Errorf("acquire %s for %s: %w by %s, token %d", lock, owner, errHeld, a.Grant.Owner, a.Grant.Token)
	}
	return a.Grant, err
}

// renew lets a grant end when ttl has passed from now on, sooner or later than it would have. errStale: it has
// ended already.
func (s *service) renew(ctx context.Context, g grant, ttl time.Duration) (grant, error) {
	a, err := s.propose(ctx, command{Do: "renew", Lock: g.Lock, Token: g.Token, TTL: ttl})
	if err == nil && !a.OK {
		err = fmt.Errorf("renew %s, token %d: %w", g.Lock, g.Token, errStale)
	}
	return a.Grant, err
}

// release ends a grant. That it has ended already is no error: a release may be a repetition.
func (s *service) release(ctx context.Context, g grant) error {
	_, err := s.propose(ctx, command{Do: "release", Lock: g.Lock, Token: g.Token})
	return err
}

// holder says who has a lock; false: nobody. It may say so of a grant whose time has passed, if nothing was asked
// of the service since.
func (s *service) holder(ctx context.Context, lock string) (grant, bool, error) {
	if err := s.group.Read(ctx); err != nil {
		return grant{}, false, err
	}
	g, held := s.machine.holder(lock)
	return g, held, nil
}

func (s *service) propose(ctx context.Context, c command) (a answer, err error) {
	request, err := json.Marshal(c)
	if err != nil {
		return answer{}, err
	}
	b, err := s.group.Propose(ctx, request)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", c.Do, c.Lock, err)
	}
	return a, json.Unmarshal(b, &a)
}
