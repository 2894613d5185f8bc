package scenario

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/internal/script"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/treekv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// stage is rafttest's, and on wish each server has a key/value store, which is told what its core applies. Or there are
// servers on it, who have disks.
type stage struct {
	rafttest.Stage
	stores   map[raft.ServerID]*store // of the servers that are up; nil: there are none
	*servers                          // play instead, if it is not nil
}

// store is the state machine of one server, and what it has done. With its server it loses everything.
type store struct {
	*kv.Store
	applied []applied // by index, from 1
}

// applied is what came of one entry.
type applied struct {
	text    string // of the request; "" if the entry is not for the store
	answer  []byte
	effect  bool // it has changed what the store holds
	refused bool
}

// Play carries out a command of a script: see doc.go.
func (s *stage) Play(cmd script.Command) string {
	switch {
	case cmd.Name == "servers":
		*s = stage{servers: newServers(cmd)}
		return strings.Join(s.servers.lines, "\n")
	case s.servers != nil && cmd.Name != "group":
		return s.servers.play(cmd)
	case cmd.Name == "stores":
		if s.Cluster == nil {
			cmd.Failf("no group")
		}
		s.stores = map[raft.ServerID]*store{}
		return s.catchUp(cmd)
	case cmd.Name == "expect" && cmd.Has("once"):
		return s.expectOnce(cmd)
	case cmd.Name == "expect" && cmd.Has("revision"):
		return s.expectRevision(cmd)
	case cmd.Name == "group" || cmd.Name == "log":
		s.stores, s.servers = nil, nil // what they have applied has never been
	}
	told := s.Stage.Play(cmd)
	if s.stores == nil {
		return told
	}
	return strings.TrimPrefix(told+"\n"+s.catchUp(cmd), "\n")
}

// catchUp hands each store what its server has applied since, and tells what came of it.
func (s *stage) catchUp(cmd script.Command) string {
	var told []string
	for _, server := range s.Servers {
		if server.Core == nil {
			delete(s.stores, server.ID)
			continue
		}
		if s.stores[server.ID] == nil {
			opened, err := kv.Open(treekv.New(), kv.Options{Cluster: 1})
			if err != nil {
				cmd.Failf("%v", err)
			}
			s.stores[server.ID] = &store{Store: opened}
		}
		st := s.stores[server.ID]
		for i := len(st.applied); i < int(server.Applied); i++ {
			if line := st.apply(cmd, raft.Index(i+1), &server.View[i]); line != "" {
				told = append(told, fmt.Sprintf("%d: %s", server.ID, line))
			}
		}
	}
	return strings.Join(told, "\n")
}

// apply executes an entry, and says what came of it; "" if it is not for the store.
func (st *store) apply(cmd script.Command, index raft.Index, e *raft.Entry) string {
	c := kv.Command{Index: uint64(index)}
	text := ""
	if e.Kind == raft.KindCommand {
		text = string(e.Data)
		if !parseRequest(text, &c) {
			cmd.Failf("%s is no request to a store", text)
		}
	}
	answer, err := st.execute(text, c)
	if err != nil {
		cmd.Failf("%v", err)
	}
	switch {
	case text == "":
		return ""
	case answer.Err != kv.CodeOK:
		return fmt.Sprintf("store: %d:%s is refused: %s", index, text, answer.Err)
	case c.Kind == kv.KindSessionOpen:
		return fmt.Sprintf("store: %d:%s is answered with session %d", index, text, index)
	case st.applied[index-1].effect:
		return fmt.Sprintf("store: %d:%s is executed, and answered with revision %d", index, text, answer.Revision)
	}
	return fmt.Sprintf("store: %d:%s changes nothing, and is answered with revision %d", index, text, answer.Revision)
}

// execute applies the next command, and notes what came of it.
func (st *store) execute(text string, c kv.Command) (kv.Answer, error) {
	before := st.Revision()
	answers, err := st.Apply([]kv.Command{c})
	if err != nil {
		return kv.Answer{}, err
	}
	a := &answers[0]
	st.applied = append(st.applied, applied{
		text: text, answer: a.Append(nil), effect: st.Revision() != before, refused: a.Err != kv.CodeOK,
	})
	return *a, nil
}

// expectOnce: this request is in the log more than once, has taken effect once on each server that is up, and
// all its copies were answered alike by all of them.
func (s *stage) expectOnce(cmd script.Command) string {
	text := cmd.String("once")
	var first []byte
	most := 0
	for _, server := range s.Servers {
		st := s.stores[server.ID]
		if st == nil {
			continue
		}
		copies, effects := 0, 0
		for _, a := range st.applied {
			if a.text != text {
				continue
			}
			copies++
			if a.effect {
				effects++
			}
			if first == nil {
				first = a.answer
			}
			if !bytes.Equal(a.answer, first) {
				cmd.Failf("server %d answered a copy of %s with %q, and before it was %q", server.ID, text, a.answer, first)
			}
		}
		if copies < 2 || effects != 1 {
			cmd.Failf("server %d has applied %s %d times, and it took effect %d times", server.ID, text, copies, effects)
		}
		most = max(most, copies)
	}
	if most == 0 {
		cmd.Failf("no server has a store")
	}
	return fmt.Sprintf("%d copies of %s took effect once, and were answered alike", most, text)
}

// expectRevision: the stores of all servers that are up are at this revision, and hold the same.
func (s *stage) expectRevision(cmd script.Command) string {
	want := cmd.Uint("revision")
	var digests []kv.Digest
	for _, server := range s.Servers {
		if st := s.stores[server.ID]; st != nil {
			if uint64(st.Revision()) != want {
				cmd.Failf("the store of server %d is at revision %d, not %d", server.ID, st.Revision(), want)
			}
			digest, _ := st.Digest()
			digests = append(digests, digest)
		}
	}
	if len(digests) == 0 {
		cmd.Failf("no server has a store")
	}
	if len(slices.Compact(digests)) != 1 {
		cmd.Failf("the stores do not hold the same")
	}
	return fmt.Sprintf("all stores hold the same, at revision %d", want)
}
