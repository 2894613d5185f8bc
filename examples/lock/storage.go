package main

import (
	"fmt"
	"sync"

	"github.com/quorate/quorate"
)

// storage is a resource with a guard: it refuses writers that were overtaken. It knows nothing of the lock service.
type storage struct {
	mu      sync.Mutex // guards content and largest, which change together
	content string
	largest quorate.Index
}

// write replaces the content, unless a larger token was here before.
func (s *storage) write(token quorate.Index, content string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token < s.largest {
		return fmt.Errorf("write with token %d: %w, for token %d was here", token, errStale, s.largest)
	}
	s.content, s.largest = content, token
	return nil
}
