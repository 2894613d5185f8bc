package show

import (
	"fmt"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Members prints the servers of a cluster.
func (p *Printer) Members(answer *pb.MemberListResponse) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	rows := memberRows(answer.Members)
	if p.Format == Table {
		g.table(rows)
		return g.flush()
	}
	for _, row := range rows[1:] {
		g.line("%s", strings.Join(row, ", "))
	}
	return g.flush()
}

// memberRows are a head, and a row for each server, in etcdctl's words.
func memberRows(members []*pb.Member) [][]string {
	rows := [][]string{{"ID", "STATUS", "NAME", "PEER URLS", "CLIENT URLS", "LEARNER"}}
	for _, m := range members {
		status := "started"
		if m.Name == "" {
			status = "unstarted"
		}
		rows = append(rows, []string{fmt.Sprintf("%x", m.ID), status, m.Name, strings.Join(m.PeerURLs, ","),
			strings.Join(m.ClientURLs, ","), strconv.FormatBool(m.IsLearner)})
	}
	return rows
}

// MemberAdded prints a server that was added, and the variables with which it is to be started under a name.
func (p *Printer) MemberAdded(name string, answer *pb.MemberAddResponse) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	as := ""
	if answer.GetMember().GetIsLearner() {
		as = "as learner "
	}
	if p.Format == Table {
		g.table(memberRows(answer.Members))
	} else {
		g.line("Member %16x added %sto cluster %16x", answer.GetMember().GetID(), as, answer.GetHeader().GetClusterId())
	}
	var cluster []string
	for _, m := range answer.Members {
		called := m.Name
		switch {
		case m.ID == answer.GetMember().GetID():
			called = name
		case called == "": // It is found by its URL, and needs some name.
			called = fmt.Sprintf("%x", m.ID)
		}
		for _, u := range m.PeerURLs {
			cluster = append(cluster, called+"="+u)
		}
	}
	g.line("")
	g.line("ETCD_NAME=%q", name)
	g.line("ETCD_INITIAL_CLUSTER=%q", strings.Join(cluster, ","))
	g.line("ETCD_INITIAL_ADVERTISE_PEER_URLS=%q", strings.Join(answer.GetMember().GetPeerURLs(), ","))
	g.line(`ETCD_INITIAL_CLUSTER_STATE="existing"`)
	return g.flush()
}

// MembersAnswer is the answer to a change of one member.
type MembersAnswer interface {
	GetHeader() *pb.ResponseHeader
	GetMembers() []*pb.Member
}

// MemberChanged prints what became of a server: it was "removed from" the cluster, say.
func (p *Printer) MemberChanged(id uint64, how string, answer MembersAnswer) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	if p.Format == Table {
		g.table(memberRows(answer.GetMembers()))
	} else {
		g.line("Member %16x %s cluster %16x", id, how, answer.GetHeader().GetClusterId())
	}
	return g.flush()
}

// Preferred prints which servers are to lead rather than the others.
func (p *Printer) Preferred(answer *pb.MemberListResponse) error {
	if p.Format != Simple {
		return p.Members(answer)
	}
	g := p.page()
	for _, m := range answer.Members {
		g.line("Member %16x is preferred to lead cluster %16x", m.ID, answer.GetHeader().GetClusterId())
	}
	if len(answer.Members) == 0 {
		g.line("No member is preferred to lead cluster %16x", answer.GetHeader().GetClusterId())
	}
	return g.flush()
}

// LeaderMoved prints that another server leads.
func (p *Printer) LeaderMoved(from, to uint64) error {
	if p.Format == JSON {
		return p.json(&pb.MoveLeaderResponse{})
	}
	g := p.page()
	g.line("Leadership transferred from %x to %x", from, to)
	return g.flush()
}
