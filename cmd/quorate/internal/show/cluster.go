package show

import (
	"fmt"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/doctor"
)

// Endpoint is the state of one server as asked at an address, or why there is no answer.
type Endpoint struct {
	Address string
	Status  *pb.StatusResponse // nil if there is no answer
	Report  *doctor.Report     // what a server of ours says besides; nil if it was not asked, or is none
	Err     error              // why not
}

// Statuses prints the states of servers, in the order given.
func (p *Printer) Statuses(endpoints []Endpoint) error {
	g := p.page()
	switch p.Format {
	case JSON:
		return p.json(statusesJSON(endpoints))
	case Simple:
		g.statusLines(endpoints)
	default:
		g.statusTable(endpoints)
	}
	return g.flush()
}

// statusJSON has etcdctl's names, one more for what does not answer, and one for reports.
type statusJSON struct {
	Endpoint string             `json:"Endpoint"`
	Status   *pb.StatusResponse `json:"Status,omitempty"`
	Report   *doctor.Report     `json:"Report,omitempty"`
	Error    string             `json:"Error,omitempty"`
}

func statusesJSON(endpoints []Endpoint) []statusJSON {
	list := make([]statusJSON, 0, len(endpoints))
	for _, e := range endpoints {
		row := statusJSON{Endpoint: e.Address, Status: e.Status, Report: e.Report}
		if e.Err != nil {
			row.Error = e.Err.Error()
		}
		list = append(list, row)
	}
	return list
}

// statusLines prints etcdctl's columns: endpoint, id, version, storage version, size, in use, not in
// use, quota, leader, learner, term, index, applied, errors, downgrade target, downgrade.
func (g *page) statusLines(endpoints []Endpoint) {
	for _, e := range endpoints {
		if e.Status == nil {
			g.line("%s, no answer: %v", e.Address, e.Err)
			continue
		}
		s := e.Status
		unused := int64(0)
		if s.DbSize > 0 {
			unused = (s.DbSize - s.DbSizeInUse) * 100 / s.DbSize
		}
		quota := ""
		if s.DbSizeQuota > 0 {
			quota = size(s.DbSizeQuota)
		}
		g.line("%s, %x, %s, %s, %s, %s, %d%%, %s, %t, %t, %d, %d, %d, %s, %s, %t",
			e.Address, s.GetHeader().GetMemberId(), s.Version, s.StorageVersion, size(s.DbSize), size(s.DbSizeInUse), unused, quota,
			leads(s), s.IsLearner, s.RaftTerm, s.RaftIndex, s.RaftAppliedIndex, strings.Join(s.Errors, ", "),
			s.GetDowngradeInfo().GetTargetVersion(), s.GetDowngradeInfo().GetEnabled())
	}
}

func (g *page) statusTable(endpoints []Endpoint) {
	rows := [][]string{{"ENDPOINT", "NAME", "VERSION", "DB SIZE", "STATE", "LEADER", "TERM", "INDEX", "APPLIED", "REACHES", "VERDICT"}}
	for _, e := range endpoints {
		if e.Status == nil {
			rows = append(rows, []string{e.Address, "-", "-", "-", "no answer", "-", "-", "-", "-", "-", fmt.Sprint(e.Err)})
			continue
		}
		s, verdict := e.Status, strings.Join(e.Status.Errors, ", ")
		name, leader, reaches := fmt.Sprintf("%x", s.GetHeader().GetMemberId()), "-", "-"
		if s.Leader != 0 {
			leader = fmt.Sprintf("%x", s.Leader)
		}
		if r := e.Report; r != nil {
			name, leader, reaches, verdict = orDash(r.Name), orDash(r.LeaderName), reach(r), inShort(r)
		}
		rows = append(rows, []string{e.Address, name, s.Version, size(s.DbSize), Role(s), leader,
			strconv.FormatUint(s.RaftTerm, 10), strconv.FormatUint(s.RaftIndex, 10), strconv.FormatUint(s.RaftAppliedIndex, 10),
			reaches, verdict})
	}
	g.table(rows)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return Printable(text)
}

// reach says how many voters a server reaches, itself included, of how many.
func reach(r *doctor.Report) string {
	counts := make([]string, len(r.Quorum))
	for i, q := range r.Quorum {
		counts[i] = fmt.Sprintf("%d of %d", q.Reached, q.Voters)
		if q.Reached < q.Needed {
			counts[i] += fmt.Sprintf(", needs %d", q.Needed)
		}
	}
	return strings.Join(counts, "; ")
}

// inShort names what a server finds.
func inShort(r *doctor.Report) string {
	if len(r.Findings) == 0 {
		return "well"
	}
	texts := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		texts[i] = string(f.Code)
		if f.About != r.Name {
			texts[i] += " " + f.About
		}
	}
	return Printable(strings.Join(texts, ", "))
}

// Role says in a word what a server is doing.
func Role(s *pb.StatusResponse) string {
	switch {
	case leads(s):
		return "leads"
	case s.Leader == 0:
		return "no leader"
	case s.IsLearner:
		return "learns"
	}
	return "follows"
}

func leads(s *pb.StatusResponse) bool {
	return s.Leader != 0 && s.Leader == s.GetHeader().GetMemberId()
}

// Alarms prints alarms, in etcdctl's words.
func (p *Printer) Alarms(answer *pb.AlarmResponse) error {
	g := p.page()
	switch p.Format {
	case JSON:
		return p.json(answer)
	case Simple:
		for _, a := range answer.Alarms {
			g.line("memberID:%d alarm:%v ", a.MemberID, a.Alarm)
		}
	default:
		rows := [][]string{{"server", "alarm"}}
		for _, a := range answer.Alarms {
			rows = append(rows, []string{fmt.Sprintf("%x", a.MemberID), a.Alarm.String()})
		}
		g.table(rows)
	}
	return g.flush()
}
