package main

import (
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/quorate/quorate"
)

// command is what goes through the log: owner asks for a lock, or token says which grant is renewed or released.
type command struct {
	Do      string        `json:"do"` // acquire, renew or release
	Lock    string        `json:"lock"`
	Owner   string        `json:"owner,omitempty"`
	Request string        `json:"request,omitempty"` // tells the owner's acquires apart; a repetition has the same
	Token   quorate.Index `json:"token,omitempty"`
	TTL     time.Duration `json:"ttl,omitempty"`
}

// grant is a lock that somebody holds.
type grant struct {
	Lock, Owner, Request string
	// Token is larger than that of every grant before.
	Token quorate.Index
	// Deadline is the log time at which it ends.
	Deadline uint64
}

// answer is what became of a command: OK, and the grant that there is now. Without OK, nothing happened, and the
// grant is that in the way, if there is one.
type answer struct {
	OK    bool
	Grant grant
}

// machine is the state machine: who holds what. It is in memory: after a restart the log brings it back. Grants
// that have ended are forgotten, for tokens come from the log and grow without them.
type machine struct {
	mu     sync.Mutex // guards grants
	grants map[string]grant
}

func (m *machine) DurableIndex() quorate.Index { return 0 }

func (m *machine) Apply(entries []quorate.Entry) (answers [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		var a answer
		var c command
		// All servers find the same bytes malformed, and answer that nothing happened.
		if e.Command.Kind == quorate.KindCommand && json.Unmarshal(e.Command.Request, &c) == nil {
			a = m.execute(&c, e.Index, e.Command.Time)
		}
		encoded, _ := json.Marshal(a) // texts and numbers: there is always an encoding
		answers = append(answers, encoded)
	}
	return answers
}

// maxTTL bounds how long a lock stays taken that nobody remembers.
const maxTTL = time.Hour

// execute carries out the command of an entry. It looks at nothing else, so it does the same on all servers.
func (m *machine) execute(c *command, index quorate.Index, now uint64) answer {
	maps.DeleteFunc(m.grants, func(_ string, g grant) bool { return g.Deadline <= now })
	held, isHeld := m.grants[c.Lock]
	deadline := now + uint64(min(max(c.TTL, 0), maxTTL))
	switch {
	case c.Do == "acquire" && !isHeld:
		m.grants[c.Lock] = grant{c.Lock, c.Owner, c.Request, index, deadline}
	case c.Do == "acquire" && held.Owner == c.Owner && held.Request == c.Request:
		// It was granted already; the answer did not arrive.
	case c.Do == "renew" && isHeld && held.Token == c.Token:
		held.Deadline = deadline
		m.grants[c.Lock] = held
	case c.Do == "release" && isHeld && held.Token == c.Token:
		delete(m.grants, c.Lock)
	default:
		return answer{Grant: held}
	}
	return answer{OK: true, Grant: m.grants[c.Lock]}
}

// holder returns the grant that was the last to be applied here.
func (m *machine) holder(lock string) (grant, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, held := m.grants[lock]
	return g, held
}
