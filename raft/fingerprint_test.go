package raft_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/raft/rafttest"
)

// Two states are one to the exploration if they differ only in who is who, or in what cannot show any
// more. A fingerprint is made from a matrix: own[i] is what server i is, without a name in it, and
// about[i][j] is everything in which server i has to do with server j: what its core holds about j, its
// votes for j, and the messages from i to j. Renaming permutes the matrix, and nothing else.

// mostServers is the largest group that is explored.
const mostServers = 5

type matrix struct {
	own   [mostServers]uint64
	about [mostServers][mostServers]uint64
}

// printer makes fingerprints of the states of one story.
type printer struct {
	seed   maphash.Seed
	bounds bounds
	ahead  raft.Future
	// All ways to rename the servers, while members may change, and when they will not any more: names[k][i]
	// is who i becomes.
	names, settled renamings
}

// renamings are a group of permutations.
type renamings struct {
	ways [][]int
	all  bool // that there are
}

func newPrinter(b bounds) *printer {
	return &printer{
		seed: maphash.MakeSeed(), bounds: b, names: b.symmetries(b.changes), settled: b.symmetries(0),
		ahead: raft.Future{NoTicks: b.heartbeats == 0, NoReads: b.reads == 0},
	}
}

// eye is a printer in the hands of one goroutine.
type eye struct {
	*printer
	buffer  []byte
	entries []entryAt
}

func (p *printer) eye() *eye { return &eye{printer: p} }

// mix returns a number that depends on both, and on their order.
func mix(x, y uint64) uint64 {
	high, low := bits.Mul64(x^0x9e3779b97f4a7c15, bits.RotateLeft64(y, 32)^0xd6e8feb86659fd93)
	x = high ^ low ^ bits.RotateLeft64(x, 23) ^ y
	x ^= x >> 32
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>29
}

func (e *eye) hash(b []byte) uint64 {
	e.buffer = b
	return maphash.Bytes(e.seed, b)
}

// print returns the fingerprint of a state, apart from what is left of the bounds.
func (e *eye) print(c *rafttest.Cluster, left *bounds) uint64 {
	var m matrix
	for i, s := range c.Servers {
		prints := e.ofServer(c, s)
		m.own[i] = prints[0]
		copy(m.about[i][:], prints[1:])
		addCommit(&m, s, left)
		e.addVotes(&m, c, s, left)
		e.addRounds(&m, c, s)
		e.addHeld(&m, c, s)
	}
	for i := range c.Network {
		letter := &c.Network[i]
		print := mix(e.ofLetter(letter), e.round(c, &letter.Envelope))
		if e.bounds.overtakes != unlimited {
			print = mix(print, uint64(placeInLink(c.Network, i)))
		}
		m.about[letter.From-1][letter.To-1] += print // the order of links does not matter
	}
	history := e.addHistory(&m, c, left)
	e.addConfigurations(&m, c)
	names := &e.names
	if left.changes == 0 {
		names = &e.settled
	}
	return mix(history, m.least(names, len(c.Servers)))
}

// least returns the least number that the matrix has under any renaming. Tried are only those that
// put the servers in the order of their colors, numbers that do not depend on names; which these are
// does not depend on names either.
func (m *matrix) least(names *renamings, n int) uint64 {
	var colors [mostServers]uint64
	for i := range n {
		colors[i] = mix(m.own[i], m.about[i][i])
		for j := range n {
			if i != j {
				colors[i] += mix(m.about[i][j], 1) + mix(mix(m.about[j][i], m.own[j]), 2)
			}
		}
	}
	if to, ok := ranks(colors[:n]); ok && names.all {
		return m.renamed(to[:n], n)
	}
	var first [mostServers]uint64 // the colors in order
	least, found := uint64(0), false
	for _, to := range names.ways {
		var order [mostServers]uint64
		for i := range n {
			order[to[i]] = colors[i]
		}
		switch by := slices.Compare(order[:n], first[:n]); {
		case found && by > 0:
			continue
		case found && by == 0:
			least = min(least, m.renamed(to, n))
		default:
			first, least, found = order, m.renamed(to, n), true
		}
	}
	return least
}

// ranks is a short cut: if the servers may be renamed in all ways, and all colors differ, then there is one
// way to put them in order.
func ranks(colors []uint64) (to [mostServers]int, ok bool) {
	for i, x := range colors {
		for j, y := range colors {
			if i != j && x == y {
				return to, false
			}
			to[i] += countIf(y < x)
		}
	}
	return to, true
}

// renamed returns a number for the matrix with other names.
func (m *matrix) renamed(to []int, n int) uint64 {
	sum := uint64(0)
	for i := range n {
		at := uint64(to[i] + 1)
		sum += mix(m.own[i], at)
		for j := range n {
			if m.about[i][j] != 0 {
				sum += mix(m.about[i][j], at<<8|uint64(to[j]+1))
			}
		}
	}
	return sum
}

// ofServer returns what a server is, and then what it has to do with each server, apart from its
// votes and the messages that it holds. These do not change unless it does.
func (e *eye) ofServer(c *rafttest.Cluster, s *rafttest.Server) []uint64 {
	if s.Prints != nil {
		return s.Prints
	}
	s.Prints = make([]uint64, 0, 1+len(c.Servers))
	b := s.Core.AppendNamelessState(e.buffer[:0], e.ahead)
	b = binary.AppendUvarint(b, uint64(s.Disk.Hard.CurrentTerm))
	b = appendEntries(b, s.Disk.Log)
	b = appendNumbers(b, uint64(s.Disk.Base), uint64(s.Disk.State), uint64(len(s.Writes)))
	for i := range s.Writes {
		b = appendBase(b, &s.Writes[i])
		b = binary.AppendUvarint(b, uint64(s.Writes[i].HardState.CurrentTerm))
		b = binary.AppendUvarint(b, uint64(s.Writes[i].TruncateFrom))
		b = appendEntries(b, s.Writes[i].Entries)
	}
	s.Prints = append(s.Prints, e.hash(b))
	for _, other := range c.Servers {
		s.Prints = append(s.Prints, e.hash(s.Core.AppendStateAbout(e.buffer[:0], other.ID, e.ahead)))
	}
	return s.Prints
}

// addCommit adds the commit indexes on disk and in writes under way, while somebody may still crash:
// they are read by a restart only.
func addCommit(m *matrix, s *rafttest.Server, left *bounds) {
	if left.crashes == 0 {
		return
	}
	m.own[s.ID-1] = mix(m.own[s.ID-1], uint64(s.Disk.Hard.Commit))
	for i := range s.Writes {
		m.own[s.ID-1] = mix(m.own[s.ID-1], uint64(s.Writes[i].HardState.Commit))
	}
}

// addHeld adds the messages that wait for the server's disk. Only those to one server have an order.
func (e *eye) addHeld(m *matrix, c *rafttest.Cluster, s *rafttest.Server) {
	var places [mostServers]uint64
	for k := range s.Held {
		held := &s.Held[k]
		waits := uint64(s.Asked-held.After)<<8 | places[held.To-1] | 1<<62
		places[held.To-1]++
		m.about[s.ID-1][held.To-1] += mix(mix(e.ofMessage(held), waits), e.round(c, held))
	}
}

// addVotes adds for whom the server has voted, in memory, on disk and in writes under way, where that
// can still show.
func (e *eye) addVotes(m *matrix, c *rafttest.Cluster, s *rafttest.Server, left *bounds) {
	add := func(place uint64, term raft.Term, id raft.ServerID) {
		if id != 0 && e.voteMatters(c, s, term, left) {
			m.about[s.ID-1][id-1] += mix(place, 1<<61)
		}
	}
	add(0, s.Core.CurrentTerm(), s.Core.VotedFor())
	add(1, s.Disk.Hard.CurrentTerm, s.Disk.Hard.VotedFor)
	for i := range s.Writes {
		h := s.Writes[i].HardState
		add(uint64(2+i), h.CurrentTerm, h.VotedFor)
	}
}

// voteMatters reports whether a server's vote in a term can still show: in the answer to another who
// asks for it, or, while messages of that term wait for the disk, in a check when they leave. Else it
// stays what it is until the term is over.
func (e *eye) voteMatters(c *rafttest.Cluster, s *rafttest.Server, term raft.Term, left *bounds) bool {
	return slices.ContainsFunc(s.Held, func(m raft.Envelope) bool { return m.Term == term }) || mayAsk(c, s, term, left)
}

// mayAsk reports whether somebody may still ask the server for its vote in a term: such a request
// is on its way or held, or somebody may become a candidate of that term.
func mayAsk(c *rafttest.Cluster, s *rafttest.Server, term raft.Term, left *bounds) bool {
	asks := func(e *raft.Envelope) bool {
		_, is := e.Message.(*raft.RequestVote)
		return is && e.To == s.ID && e.Term == term
	}
	for i := range c.Network {
		if asks(&c.Network[i].Envelope) {
			return true
		}
	}
	for _, other := range c.Servers {
		for i := range other.Held {
			if asks(&other.Held[i]) {
				return true
			}
		}
	}
	return left.mayStand() && isBehind(c, term)
}

// mayStand reports whether anybody may become a candidate any more.
func (b *bounds) mayStand() bool { return b.campaigns > 0 || b.preVotes }

// isBehind reports whether some server, as it is on its disk, has not come to a term yet. A server
// stands for election in a term that is new to it, and a crash takes it back to its disk.
func isBehind(c *rafttest.Cluster, term raft.Term) bool {
	return slices.ContainsFunc(c.Servers, func(s *rafttest.Server) bool { return s.Disk.Hard.CurrentTerm < term })
}

// mayElect reports whether a term may still get a leader: somebody is or may become its candidate.
func mayElect(c *rafttest.Cluster, term raft.Term, left *bounds) bool {
	return left.mayStand() && isBehind(c, term) || slices.ContainsFunc(c.Servers, func(s *rafttest.Server) bool {
		return s.Core.CurrentTerm() == term && s.Core.Role() == raft.Candidate
	})
}

// addHistory adds what the checks know, where it can still show. Who led in a term is compared with
// other leaders of that term. In which term an entry was committed is compared with the terms of
// leaders to come, so that those before all of these are alike.
func (e *eye) addHistory(m *matrix, c *rafttest.Cluster, left *bounds) uint64 {
	h := &c.History
	next := raft.Term(0) // the first term that may still get a leader; 0: none
	last := raft.Term(0)
	for _, s := range c.Servers {
		last = max(last, s.Core.CurrentTerm())
	}
	for term := raft.Term(1); term <= last+1; term++ {
		if !mayElect(c, term, left) {
			continue
		}
		if next == 0 {
			next = term
		}
		if int(term) < len(h.Leaders) && h.Leaders[term] != 0 {
			id := h.Leaders[term]
			m.about[id-1][id-1] += mix(uint64(term), 1<<60)
		}
	}
	b := appendEntries(e.buffer[:0], h.Committed)
	for _, term := range h.CommittedIn {
		if next == 0 || term < next {
			term = 0
		}
		b = binary.AppendUvarint(b, uint64(term))
	}
	for _, q := range h.Questions {
		m.about[q.Server-1][q.Server-1] += mix(mix(q.ID, uint64(q.Least)), 1<<59)
	}
	return e.hash(b)
}

// addConfigurations adds what each configuration says of each server, also of those that are in no log any
// more. Entries are told apart by index and term alone: two that differ there are a violation already.
func (e *eye) addConfigurations(m *matrix, c *rafttest.Cluster) {
	for _, at := range e.configurations(c) {
		for i, s := range c.Servers {
			config := at.entry.Configuration
			roles := countIf(slices.Contains(config.Voters, s.ID)) | countIf(slices.Contains(config.OldVoters, s.ID))<<1 |
				countIf(slices.Contains(config.Learners, s.ID))<<2
			m.own[i] += mix(uint64(at.index)<<32|uint64(at.entry.Term)<<8|uint64(roles), 1<<57)
		}
	}
}

// entryAt is an entry and its place.
type entryAt struct {
	index raft.Index
	entry *raft.Entry
}

// configurations returns all entries that are configurations, each once, wherever they are. What is committed
// is on some disk.
func (e *eye) configurations(c *rafttest.Cluster) []entryAt {
	if e.bounds.changes == 0 && !e.bounds.halfWay {
		return nil
	}
	e.entries = e.entries[:0]
	for _, s := range c.Servers {
		e.findConfigurations(1, s.Disk.Log)
		for i := range s.Writes {
			e.findConfigurations(s.Writes[i].First, s.Writes[i].Entries)
		}
	}
	for i := range c.Network {
		if m, ok := c.Network[i].Message.(*raft.AppendEntries); ok {
			e.findConfigurations(m.PrevLogIndex+1, m.Entries)
		}
	}
	return e.entries
}

func (e *eye) findConfigurations(first raft.Index, entries []raft.Entry) {
	for i := range entries {
		if entries[i].Kind != raft.KindConfiguration {
			continue
		}
		at := entryAt{first + raft.Index(i), &entries[i]}
		if !slices.ContainsFunc(e.entries, func(x entryAt) bool { return x.index == at.index && x.entry.Term == at.entry.Term }) {
			e.entries = append(e.entries, at)
		}
	}
}

// round returns what the round of a message tells. A leader compares it with what it keeps about that
// peer, and with nothing else. So where only that can show, it is what the leader would make of it;
// where heartbeats and reads compare rounds with each other, it is its rank among those of that peer.
// In a term in which the leader no longer leads it tells nothing. Where there are leases, it also tells when it was
// made.
func (e *eye) round(c *rafttest.Cluster, m *raft.Envelope) uint64 {
	leader, peer := c.Server(m.From), m.To
	switch m.Message.(type) {
	case *raft.AppendEntries:
	case *raft.AppendEntriesReply, *raft.AppendEntriesRefusal:
		leader, peer = c.Server(m.To), m.From
	default:
		return 0
	}
	if !isLeader(leader, m.Term) {
		return 0
	}
	made := uint64(0)
	if e.bounds.promise > 0 {
		made = leader.Core.RoundMade(roundOf(m)) << 32
	}
	if e.ahead.NoTicks && e.ahead.NoReads {
		isNews, answersProbe := leader.Core.RoundMatters(peer, roundOf(m))
		return made | uint64(countIf(isNews)<<1|countIf(answersProbe))
	}
	return made | rank(roundOf(m), roundsAbout(c, leader, peer))
}

// addRounds adds what a leader keeps about the rounds of each peer: the ranks of those of its probe and of
// its latest answer, and how many come before the first that confirms reads, and before the first whose
// refusal is news.
func (e *eye) addRounds(m *matrix, c *rafttest.Cluster, s *rafttest.Server) {
	if s.Core.Role() != raft.Leader || e.ahead.NoTicks && e.ahead.NoReads {
		return
	}
	for _, other := range c.Servers {
		if other == s {
			continue
		}
		all := roundsAbout(c, s, other.ID)
		probe, answered, since, news := s.Core.RoundsAbout(other.ID)
		for k, round := range []raft.Round{probe, answered, since, news} {
			m.about[s.ID-1][other.ID-1] += mix(rank(round, all), uint64(k)|1<<58)
		}
	}
}

// roundsAbout returns all rounds of messages between a leader and a peer, also of those that it
// remembers, each once, ascending.
func roundsAbout(c *rafttest.Cluster, leader *rafttest.Server, peer raft.ServerID) []raft.Round {
	probe, answered, _, _ := leader.Core.RoundsAbout(peer)
	all := []raft.Round{0, probe, answered}
	add := func(m *raft.Envelope) {
		if m.Term == leader.Core.CurrentTerm() && (m.From == leader.ID && m.To == peer || m.From == peer && m.To == leader.ID) {
			all = append(all, roundOf(m))
		}
	}
	for i := range c.Network {
		add(&c.Network[i].Envelope)
	}
	for _, s := range []*rafttest.Server{leader, c.Server(peer)} {
		for i := range s.Held {
			add(&s.Held[i])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// rank returns how many come before round.
func rank(round raft.Round, all []raft.Round) uint64 {
	at, _ := slices.BinarySearch(all, round)
	return uint64(at)
}

func roundOf(m *raft.Envelope) raft.Round {
	switch m := m.Message.(type) {
	case *raft.AppendEntries:
		return m.Round
	case *raft.AppendEntriesReply:
		return m.Round
	case *raft.AppendEntriesRefusal:
		return m.Round
	}
	return 0
}

// placeInLink counts the messages on the same link before that at i.
func placeInLink(network []rafttest.Letter, i int) int {
	place := 0
	for j := range i {
		if network[j].From == network[i].From && network[j].To == network[i].To {
			place++
		}
	}
	return place
}

// sameBefore reports whether the message at i is on its way a second time.
func (e *eye) sameBefore(c *rafttest.Cluster, i int) bool {
	m := &c.Network[i]
	for j := range i {
		other := &c.Network[j]
		if other.From == m.From && other.To == m.To && e.ofLetter(other) == e.ofLetter(m) &&
			e.round(c, &other.Envelope) == e.round(c, &m.Envelope) {
			return true
		}
	}
	return false
}

// ofLetter returns the fingerprint of a message, apart from its round and from whom to whom it goes.
func (e *eye) ofLetter(m *rafttest.Letter) uint64 {
	if m.Print == 0 {
		m.Print = e.ofMessage(&m.Envelope)
	}
	return m.Print
}

func (e *eye) ofMessage(m *raft.Envelope) uint64 { return e.hash(appendMessage(e.buffer[:0], m)) }

func appendMessage(b []byte, e *raft.Envelope) []byte {
	b = appendNumbers(b, uint64(e.Term))
	switch m := e.Message.(type) {
	case *raft.RequestVote:
		return appendNumbers(b, 1, uint64(m.LastLogIndex), uint64(m.LastLogTerm), uint64(countIf(m.Transfer)))
	case *raft.RequestVoteReply:
		return appendNumbers(b, 2, uint64(countIf(m.Granted)))
	case *raft.RequestPreVote:
		return appendNumbers(b, 3, uint64(m.LastLogIndex), uint64(m.LastLogTerm))
	case *raft.RequestPreVoteReply:
		return appendNumbers(b, 4, uint64(countIf(m.Granted)))
	case *raft.AppendEntries:
		b = appendNumbers(b, 5, uint64(m.PrevLogIndex), uint64(m.PrevLogTerm), uint64(m.Last), uint64(m.LeaderCommit))
		return appendEntries(b, m.Entries)
	case *raft.AppendEntriesReply:
		return appendNumbers(b, 6, uint64(m.Verified), uint64(countIf(m.Promise)))
	case *raft.AppendEntriesRefusal:
		b = appendNumbers(b, 7, uint64(countIf(m.Round == 0)), uint64(m.Commit), uint64(m.LastLogIndex), uint64(len(m.Runs)))
		for _, r := range m.Runs {
			b = appendNumbers(b, uint64(r.Term), uint64(r.First))
		}
		return b
	case *raft.TimeoutNow:
		return appendNumbers(b, 8)
	}
	panic(fmt.Sprintf("no encoding for %T", e.Message))
}

func appendNumbers(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// appendEntries leaves out what configurations say: that is in the matrix.
func appendEntries(b []byte, entries []raft.Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for i := range entries {
		b = binary.AppendUvarint(b, uint64(entries[i].Term))
		b = append(b, byte(entries[i].Kind))
		if entries[i].Kind != raft.KindConfiguration {
			b = append(b, entries[i].Data...)
		}
	}
	return b
}

// appendBase appends where a write lets the log begin.
func appendBase(b []byte, p *raft.Persist) []byte {
	b = binary.AppendUvarint(b, uint64(p.CompactTo))
	if p.Install == nil {
		return append(b, 0)
	}
	return appendNumbers(append(b, 1), uint64(p.Install.Base.Index), uint64(p.Install.Base.Term))
}

// countIf returns 1 or 0.
func countIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// plainPrint is the fingerprint of a state in which everything is as it is.
func (e *eye) plainPrint(c *rafttest.Cluster, left *bounds) uint64 {
	b := e.buffer[:0]
	hard := func(h *raft.HardState) {
		b = appendNumbers(b, uint64(h.CurrentTerm), uint64(h.VotedFor), uint64(h.Commit))
	}
	message := func(m *raft.Envelope) {
		b = appendNumbers(b, uint64(m.From), uint64(m.To), uint64(roundOf(m)))
		b = appendMessage(b, m)
	}
	for _, s := range c.Servers {
		b = s.Core.AppendState(b)
		b = appendNumbers(b, uint64(s.Core.Leader()))
		hard(&s.Disk.Hard)
		b = appendEntries(b, s.Disk.Log)
		b = appendNumbers(b, uint64(s.Disk.Base), uint64(s.Disk.State), uint64(len(s.Writes)))
		for i := range s.Writes {
			b = appendBase(b, &s.Writes[i])
			hard(s.Writes[i].HardState)
			b = appendNumbers(b, uint64(s.Writes[i].TruncateFrom))
			b = appendEntries(b, s.Writes[i].Entries)
		}
		b = appendNumbers(b, uint64(len(s.Held)))
		for i := range s.Held {
			b = appendNumbers(b, uint64(s.Asked-s.Held[i].After))
			message(&s.Held[i])
		}
	}
	b = appendNumbers(b, uint64(len(c.Network)))
	for i := range c.Network {
		message(&c.Network[i].Envelope)
	}
	configurations := e.configurations(c)
	slices.SortFunc(configurations, func(x, y entryAt) int {
		return cmp.Or(cmp.Compare(x.index, y.index), cmp.Compare(x.entry.Term, y.entry.Term))
	})
	for _, at := range configurations {
		b = appendNumbers(b, uint64(at.index), uint64(at.entry.Term), uint64(len(at.entry.Data)))
		b = append(b, at.entry.Data...)
	}
	h := &c.History
	for _, id := range h.Leaders {
		b = appendNumbers(b, uint64(id))
	}
	b = appendEntries(b, h.Committed)
	for _, term := range h.CommittedIn {
		b = appendNumbers(b, uint64(term))
	}
	for _, q := range h.Questions {
		b = appendNumbers(b, uint64(q.Server), q.ID, uint64(q.Least))
	}
	for _, n := range left.counts() {
		b = append(b, byte(*n))
	}
	return e.hash(b)
}

// symmetries are the ways to rename the servers that leave what can happen what it is: the links that are
// cut, and while members may change, who they may become. Who belongs to which configuration is part of the
// state, and the aims may change places.
func (b *bounds) symmetries(changes int) renamings {
	all := permutations(b.servers)
	ways := slices.DeleteFunc(slices.Clone(all), func(to []int) bool {
		renamed := func(id raft.ServerID) raft.ServerID { return raft.ServerID(to[id-1] + 1) }
		return slices.ContainsFunc(b.cut, func(link [2]raft.ServerID) bool {
			return !b.isCut(renamed(link[0]), renamed(link[1]))
		}) || changes > 0 && (b.learner != 0 && renamed(b.learner) != b.learner || slices.ContainsFunc(b.aims, func(aim []raft.ServerID) bool {
			return !b.isAim(aim, renamed)
		}))
	})
	return renamings{ways, len(ways) == len(all)}
}

// isAim reports whether a set of servers is one of the aims, once they are renamed.
func (b *bounds) isAim(set []raft.ServerID, renamed func(raft.ServerID) raft.ServerID) bool {
	var image []raft.ServerID
	for _, id := range set {
		image = append(image, renamed(id))
	}
	slices.Sort(image)
	return slices.ContainsFunc(b.aims, func(aim []raft.ServerID) bool { return slices.Equal(aim, image) })
}

// permutations returns all of the numbers from 0 to n-1.
func permutations(n int) [][]int {
	var all [][]int
	var extend func(taken []int)
	extend = func(taken []int) {
		if len(taken) == n {
			all = append(all, slices.Clone(taken))
			return
		}
		for i := range n {
			if !slices.Contains(taken, i) {
				extend(append(taken, i))
			}
		}
	}
	extend(nil)
	return all
}
