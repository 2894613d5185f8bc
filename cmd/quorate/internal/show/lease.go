package show

import (
	"fmt"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Granted prints a lease that was granted, in etcdctl's words like all of them.
func (p *Printer) Granted(answer *pb.LeaseGrantResponse) error {
	return p.lease(answer, []string{"LEASE", "TTL"}, []string{leaseID(answer.ID), strconv.FormatInt(answer.TTL, 10)},
		"lease %016x granted with TTL(%ds)", uint64(answer.ID), answer.TTL)
}

// Revoked prints that a lease was revoked.
func (p *Printer) Revoked(id int64, answer *pb.LeaseRevokeResponse) error {
	return p.lease(answer, []string{"REVOKED"}, []string{leaseID(id)}, "lease %016x revoked", uint64(id))
}

// KeptAlive prints that a lease was renewed.
func (p *Printer) KeptAlive(answer *pb.LeaseKeepAliveResponse) error {
	return p.lease(answer, []string{"LEASE", "TTL"}, []string{leaseID(answer.ID), strconv.FormatInt(answer.TTL, 10)},
		"lease %016x keepalived with TTL(%d)", uint64(answer.ID), answer.TTL)
}

// TimeToLive prints how long a lease has left, and its keys if they were asked for.
func (p *Printer) TimeToLive(answer *pb.LeaseTimeToLiveResponse, keys bool) error {
	g := &page{Printer: p}
	names := make([]string, len(answer.Keys))
	for i, key := range answer.Keys {
		names[i] = g.raw(key)
	}
	if answer.TTL == -1 {
		return p.lease(answer, []string{"LEASE", "GRANTED", "REMAINING", "KEYS"}, []string{leaseID(answer.ID), "-", "expired", ""},
			"lease %016x already expired", uint64(answer.ID))
	}
	text := fmt.Sprintf("lease %016x granted with TTL(%ds), remaining(%ds)", uint64(answer.ID), answer.GrantedTTL, answer.TTL)
	if keys {
		text += fmt.Sprintf(", attached keys(%v)", names)
	}
	cells := make([]string, len(answer.Keys))
	for i, key := range answer.Keys {
		cells[i] = g.cell(key)
	}
	return p.lease(answer, []string{"LEASE", "GRANTED", "REMAINING", "KEYS"},
		[]string{leaseID(answer.ID), strconv.FormatInt(answer.GrantedTTL, 10), strconv.FormatInt(answer.TTL, 10), strings.Join(cells, " ")},
		"%s", text)
}

// Leases prints the ids of leases.
func (p *Printer) Leases(answer *pb.LeaseLeasesResponse) error {
	if p.Format == JSON {
		return p.json(answer)
	}
	g := p.page()
	rows := [][]string{{"LEASE"}}
	if p.Format == Simple {
		g.line("found %d leases", len(answer.Leases))
	}
	for _, l := range answer.Leases {
		if p.Format == Simple {
			g.line("%016x", uint64(l.ID))
		}
		rows = append(rows, []string{leaseID(l.ID)})
	}
	if p.Format == Table {
		g.table(rows)
	}
	return g.flush()
}

// lease prints an answer about one lease: a line, or a table of one row.
func (p *Printer) lease(answer any, head, row []string, text string, args ...any) error {
	g := p.page()
	switch p.Format {
	case JSON:
		return p.json(answer)
	case Simple:
		g.line(text, args...)
	default:
		g.table([][]string{head, row})
	}
	return g.flush()
}

func leaseID(id int64) string { return fmt.Sprintf("%016x", uint64(id)) }
