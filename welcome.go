package quorate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// answerQuestion tells a server that wants to join who it is: in every group that this host keeps, it must be a
// member, by its key; or by its addresses, as long as no key is known for them, and on one machine.
func (h *Host) answerQuestion(ctx context.Context, q transport.Question) ([]byte, error) {
	var m joinQuestion
	if err := json.Unmarshal(q.Body, &m); err != nil {
		return nil, &transport.Denial{Why: errors.New("that is no question of a server that wants to join")}
	}
	if m.Format != joinFormat {
		return nil, &transport.Denial{Why: fmt.Errorf("the question has format %d, this version knows %d", m.Format, joinFormat)}
	}
	groups := h.allGroups()
	if len(groups) == 0 {
		return nil, errors.New("this server keeps no group yet: ask again")
	}
	answer := joinAnswer{Format: joinFormat, Cluster: h.cluster}
	if len(m.Shown) > 0 {
		if h.options.Admit == nil {
			return nil, &transport.Denial{Why: errors.New("this server takes no tokens")}
		}
		proof, err := h.options.Admit(ctx, JoinRequest{
			Key: q.Key, Name: m.Name, PeerURLs: m.PeerURLs, Shown: m.Shown, Binding: q.Binding,
		})
		if err != nil {
			return nil, err
		}
		answer.Proof = proof
	}
	for _, g := range groups {
		joined, id, err := g.welcome(ctx, &q, m.PeerURLs)
		if err != nil {
			return nil, err
		}
		if answer.Server != 0 && answer.Server != uint64(id) {
			return nil, errors.New("it is one server in one group, and another in another: it cannot be both")
		}
		answer.Server = uint64(id)
		answer.Groups = append(answer.Groups, joined)
	}
	slices.SortFunc(answer.Groups, func(a, b joinedGroup) int { return cmp.Compare(a.Group, b.Group) })
	return json.Marshal(answer)
}

// welcome says what a server has to know that joins this group.
func (g *Group) welcome(ctx context.Context, q *transport.Question, urls []string) (joinedGroup, ServerID, error) {
	// What this server knows may be long past. A read tells: afterwards, it is as new as the question.
	if err := g.Read(ctx); err != nil {
		return joinedGroup{}, 0, fmt.Errorf("nobody can say now who belongs to the cluster: %w: ask again", err)
	}
	now := g.Status()
	at := now.Raft.Configuration.Index
	if at > now.Raft.CommitIndex {
		return joinedGroup{}, 0, errors.New("the members are just changing: ask again")
	}
	self := memberOf(now.Configuration, q, urls)
	if self == nil {
		return joinedGroup{}, 0, fmt.Errorf("no server of cluster %x has key %s, or has no key yet and %q for its addresses, "+
			"on one machine: add it first, or let it join with a token", g.host.cluster, q.Key, urls)
	}
	log, err := g.host.logOf(g.id)
	if err != nil {
		return joinedGroup{}, 0, err
	}
	return joinedGroup{
		Group: uint64(g.id), Index: uint64(at),
		Initial:       log.Configurations[0].Bytes,
		Configuration: wire.AppendConfiguration(nil, now.Configuration),
	}, self.ID, nil
}

// memberOf finds who asks.
func memberOf(c *wire.Configuration, q *transport.Question, urls []string) *wire.Member {
	for i := range c.Members {
		m := &c.Members[i]
		switch {
		case slices.Equal(m.Key, q.Key[:]):
			return m
		case len(m.Key) == 0 && sameAddresses(m.PeerURLs, urls) && q.IsLocal():
			return m
		}
	}
	return nil
}

// sameAddresses compares lists of URLs by the addresses in them.
func sameAddresses(a, b []string) bool {
	addresses := func(urls []string) []string {
		var list []string
		for _, u := range urls {
			list = append(list, wire.PeerAddress(u))
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	list := addresses(a)
	return len(list) > 0 && slices.Equal(list, addresses(b))
}

// initialConfigurationOf returns the configuration with which a group's log begins; nil if nobody has told.
func (h *Host) initialConfigurationOf(group GroupID) []byte {
	if h.initial != nil {
		return wire.AppendConfiguration(nil, h.initial)
	}
	if j := h.joinedGroup(group); j != nil {
		return j.Initial
	}
	return nil
}

// membersWhenJoined returns those that this server was told when it joined, if its log, whose configuration is at
// index, is not as far.
func (h *Host) membersWhenJoined(group GroupID, index Index) []wire.Member {
	j := h.joinedGroup(group)
	if j == nil || uint64(index) >= j.Index {
		return nil
	}
	c, err := wire.DecodeConfiguration(j.Configuration)
	if err != nil {
		return nil // it was checked when this server joined
	}
	return c.Members
}

func (h *Host) joinedGroup(group GroupID) *joinedGroup {
	for i := range h.joined {
		if j := &h.joined[i]; j.Group == uint64(group) {
			return j
		}
	}
	return nil
}
