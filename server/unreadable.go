package server

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/quorate/quorate/kv/pebblekv"
)

// A disk that finds that a sector is not what was written to it says so: it reads nothing (EIO). That is damage like any
// other, unless it passes, as when somebody pulls a cable. So it is believed when it happens twice, before and after a
// restart, while the log, on the same disk, can be read and written.

// unread is told why the state could not be read. It reports whether that ends this server: then the next start tries again
// what could not be read. Where nobody else could have the state, the rest of it is served on.
func (s *Server) unread(err error) bool {
	_, found := pebblekv.Unreadable(err)
	if members := s.group.Status().Configuration; !found || members == nil || len(members.Members) < 2 {
		return false
	}
	s.fatal(explainUnread(err))
	return true
}

// explainUnread says what will become of it, if an error is that the disk does not read something.
func explainUnread(err error) error {
	if path, found := pebblekv.Unreadable(err); found {
		return fmt.Errorf("the disk does not read %s; if it does not at the next start either, the state is set aside, and had from the others, if there are any: %w", path, err)
	}
	return err
}

// tryUnreadable reads what the disk did not read when this server ran last. If it does not now, it returns why the state
// must not be used.
func (s *Server) tryUnreadable() (why string, err error) {
	d := damage{s.options.DataDir}
	noted, err := d.reason(unreadableFile)
	if noted == "" || err != nil {
		return "", err
	}
	name, before, _ := strings.Cut(noted, " ")
	now := readWhole(d.path(filepath.Join(stateDir, filepath.Base(name))))
	if _, again := pebblekv.Unreadable(now); !again {
		s.logger.Warn("what the disk did not read is gone, or can be read now: the disk is not to be trusted", "file", name, "before", before)
		return "", d.remove(unreadableFile)
	}
	if lost := s.host.Regains(groupID, 0); lost != nil {
		s.logger.Error("the disk does not read a part of the state, which cannot be had from elsewhere: the rest is served", "err", now, "why", lost)
		return "", nil
	}
	return fmt.Sprintf("the disk does not read it, now and when this server ran last: %v", now), nil
}

// readWhole reads a file to its end.
func readWhole(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for b := make([]byte, 1<<20); err == nil; {
		_, err = f.Read(b)
	}
	if err == io.EOF {
		return nil
	}
	return err
}
