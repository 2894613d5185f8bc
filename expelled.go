package quorate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
)

// A server that has lost what it promised, or that runs on a copy of a directory, must not take part: it would vote twice,
// or forget what it has acknowledged. It cannot know by itself, but its peers can: they know its key, and the last of
// its starts that they have met (docs/adr/0022-wiped-and-copied-disks.md).

// met returns the last start that is remembered of who has a key; zero if there is none.
func (d *directory) met(key transport.PublicKey) (start transport.Start) {
	if i := d.indexOfMet(key); i >= 0 {
		start.Boot = d.server.Met[i].Boot
		copy(start.Process[:], d.server.Met[i].Process)
	}
	return start
}

func (d *directory) indexOfMet(key transport.PublicKey) int {
	return slices.IndexFunc(d.server.Met, func(m metStart) bool { return m.Key == key })
}

// meet makes it durable that a start of a peer has been met. It is never an older one than before.
func (d *directory) meet(key transport.PublicKey, start transport.Start) error {
	known := d.met(key)
	if known == start {
		return nil
	}
	if start.Boot <= known.Boot {
		return fmt.Errorf("boot %d of it was met before, and it was another", known.Boot)
	}
	s := d.server
	s.Met = slices.DeleteFunc(slices.Clone(s.Met), func(m metStart) bool { return m.Key == key })
	s.Met = append(s.Met, metStart{key, start.Boot, start.Process[:]})
	s.Met = s.Met[max(0, len(s.Met)-maxMet):]
	return d.writeServerFile(s)
}

// retire makes it durable that this directory must not be used any more.
func (d *directory) retire(why string) error {
	s := d.server
	s.Copied = why
	return d.writeServerFile(s)
}

// checkCopied refuses a directory that a peer has shown to be a copy.
func (d *directory) checkCopied() error {
	if d.server.Copied == "" {
		return nil
	}
	return fmt.Errorf("%w: %s was used in two places, or is an older state of itself (%s): whoever votes with it could vote twice. "+
		"If the other one runs, delete this one; else remove this server from its cluster, and let a new one join with an empty directory",
		ErrCopied, d.path, d.server.Copied)
}

// meet makes it durable which start of a peer there is a link with, before the link is used.
func (h *Host) meet(_ raft.ServerID, key transport.PublicKey, start transport.Start) error {
	return h.noteOfPeer(func(d *directory) error { return d.meet(key, start) })
}

// noteOfPeer makes something durable that this server has learnt of a peer. If the disk is only full, that can be tried
// again; after any other error nobody knows what it has, and the server ends.
func (h *Host) noteOfPeer(note func(*directory) error) error {
	h.directoryMu.Lock()
	err := note(h.directory)
	h.directoryMu.Unlock()
	if errors.Is(err, errServerFile) && !isFull(err) {
		h.fatal(err)
	}
	return err
}

// expelled ends this server if a peer knows that it must not take part. A peer that knows another key for this server
// says so to one that has lost its directory, but would say it too if somebody else had come first: so it ends only
// a server that has nothing to lose.
func (h *Host) expelled(by raft.ServerID, why *transport.Refusal) {
	if why.Reason == transport.ReasonKey {
		if h.hasEntries() {
			return // the link says why it is down, and so does the doctor
		}
		h.fatal(fmt.Errorf("%w: a peer says: %s. If the directory %s was lost, so are the votes that this server gave: "+
			"remove it from its cluster, and let a new one join with an empty directory", ErrOtherKey, why.Text, h.directory.path))
		return
	}
	h.directoryMu.Lock()
	err := h.directory.retire(why.Text)
	if err == nil {
		err = h.directory.checkCopied()
	}
	h.directoryMu.Unlock()
	h.fatal(fmt.Errorf("server %x does not let this one in: %w", by, err))
}

// hasEntries reports whether the log of any group has an entry, whether the group has been started or not.
func (h *Host) hasEntries() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, found := range h.recovered { //tidy:ordered any will do
		if found.Last > 0 {
			return true
		}
	}
	for _, g := range h.groups { //tidy:ordered any will do
		if g.Status().Raft.LastIndex > 0 {
			return true
		}
	}
	return false
}
