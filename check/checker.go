package check

import (
	"bytes"
	"fmt"

	"github.com/quorate/quorate/check/spec"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Violation says which check found what.
type Violation struct {
	// Check is its name, as in the package's documentation.
	Check string
	// Text states the facts that contradict each other.
	Text string
}

func (v *Violation) Error() string { return v.Check + ": " + v.Text }

// Options say what kind of group is being watched.
type Options struct {
	Group wire.GroupID
	// Genesis is the hash before the first entry.
	Genesis wire.Hash
	// Voters are those whose majority decides.
	Voters []raft.ServerID
	// Configuration is the one with which the log begins, encoded. Nil: those that come with states are not looked at.
	Configuration []byte
	// Decode turns the answer of the state machine to a request into a response. Nil: answers are not
	// compared with those of the model, only with each other.
	Decode func(Request, []byte) (Response, error)
	// Applied is told of every request that takes effect, once, in order, with what the model says to it.
	Applied func(Request, *Response)
	// Model compares each step of each server with the model of package spec, M1. For that the checker
	// must be told of every step and message: histories in pieces have no explanation.
	Model bool
}

// Checker watches one group.
type Checker struct {
	options   Options
	servers   []*Server
	violation *Violation

	// entries[i] are the entries that any server ever had at index i+1, by term.
	entries [][]*entry
	// committed[i] is the entry that was committed at index i+1, and never another.
	committed []*entry
	// leaders says who led in each term, and with which log it began.
	leaders map[raft.Term]leader
	// votes are those that a server has promised to anybody, or has on its disk.
	votes map[ballot]raft.ServerID
	// origins says where each command was applied.
	origins map[wire.Origin]raft.Index

	// What the shadows of all servers have in common; nil without Options.Model.
	group    *spec.Group
	messages *spec.Messages

	history
}

// entry is one entry that some server had.
type entry struct {
	mark
	record wire.Raw
	// Of a command: whose request it carries; nil for others, and if nobody asked for it.
	op *Op
	// committedIn is the term of the server that committed it first, and committedBy the configuration in
	// which a quorum had it then.
	committedIn raft.Term
	committedBy *raft.Configuration
	// Once applied somewhere:
	applied  bool
	answer   []byte
	digest   [16]byte
	digested bool
}

// mark is what makes an entry that entry: its hash covers all before it.
type mark struct {
	term raft.Term
	hash wire.Hash
}

// leader is who led in a term.
type leader struct {
	id raft.ServerID
	// log is the leader's log as the term began; what it appended since has the term.
	log []mark
}

// ballot is one server's vote in one term.
type ballot struct {
	voter raft.ServerID
	term  raft.Term
}

// New returns a checker of a group to which nothing has happened yet.
func New(options Options) *Checker {
	c := &Checker{
		options: options,
		leaders: map[raft.Term]leader{},
		votes:   map[ballot]raft.ServerID{},
		origins: map[wire.Origin]raft.Index{},
	}
	c.history.start()
	return c
}

// Violation returns the first violation, or nil.
func (c *Checker) Violation() *Violation { return c.violation }

// fail keeps the first violation. Arguments are evaluated by the caller, who has found one.
func (c *Checker) fail(check, format string, args ...any) {
	if c.violation == nil {
		c.violation = &Violation{Check: check, Text: fmt.Sprintf(format, args...)}
	}
}

// Fail reports a violation that the caller has found itself.
func (c *Checker) Fail(check, format string, args ...any) { c.fail(check, format, args...) }

// IsCommitted reports whether some server has committed an entry.
func (c *Checker) IsCommitted(id raft.EntryID) bool {
	return id.Index >= 1 && id.Index <= c.Committed() && c.committed[id.Index-1].mark.term == id.Term
}

// Committed returns the last index that any server has committed.
func (c *Checker) Committed() raft.Index { return raft.Index(len(c.committed)) }

// configurationAt returns the configuration in force at a committed entry, encoded.
func (c *Checker) configurationAt(index raft.Index) []byte {
	for i := index; i > 0; i-- {
		if record := c.committed[i-1].record; record.Kind() == wire.RecordConfiguration {
			return record.Payload()
		}
	}
	return c.options.Configuration
}

// learn notes an entry that a server has at an index, after the one with hash previous, and returns
// what is known of it.
func (c *Checker) learn(id raft.ServerID, index raft.Index, record wire.Raw, previous wire.Hash) *entry {
	for raft.Index(len(c.entries)) < index {
		c.entries = append(c.entries, nil)
	}
	term, hash := record.Term(), record.Hash()
	at := c.entries[index-1]
	for _, e := range at {
		if e.term != term {
			continue
		}
		if e.hash != hash {
			c.fail("C4", "server %d has entry %d of term %d with hash %x, another had it with hash %x",
				id, index, term, hash, e.hash)
		}
		return e
	}
	if record.Index() != index || !record.Follows(previous, c.options.Group) {
		c.fail("C4", "entry %d of term %d at server %d does not follow from the entry before it: its record says index %d, hash %x, previous %x",
			index, term, id, record.Index(), hash, previous)
	}
	e := &entry{mark: mark{term, hash}, record: bytes.Clone(record)}
	c.entries[index-1] = append(at, e)
	c.nameOp(e)
	return e
}

// known returns what is known of an entry; nil if no server ever had it.
func (c *Checker) known(index raft.Index, m mark) *entry {
	if index == 0 || index > raft.Index(len(c.entries)) {
		return nil
	}
	for _, e := range c.entries[index-1] {
		if e.mark == m {
			return e
		}
	}
	return nil
}
