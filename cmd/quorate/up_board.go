package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/cmd/quorate/internal/supervise"
)

// board is what quorate up knows of its servers. It is told what happens and what the servers answer,
// and says what is new in it, a line each. It is a value without goroutines or clocks.
type board struct {
	rows   []boardRow
	leader string // what was last said about who leads
}

type boardRow struct {
	name     string
	endpoint string
	log      string
	id       uint64 // as the server says; 0 until it has
	pid      int    // 0: no process
	gone     string // why there is none, in words for the table; "" at the start
	status   *pb.StatusResponse
	asked    time.Time // when status was answered
	rate     float64   // revisions a second, or -1 if it cannot be known
}

func newBoard(l *layout) *board {
	b := new(board)
	for _, s := range l.Servers {
		b.rows = append(b.rows, boardRow{name: s.Name, endpoint: localAddress(s.ClientPort), log: l.logFile(s), rate: -1})
	}
	return b
}

func (b *board) row(name string) *boardRow {
	for i := range b.rows {
		if b.rows[i].name == name {
			return &b.rows[i]
		}
	}
	return new(boardRow) // Not one of ours; whatever is noted there is forgotten.
}

// note takes what happened to a process, and returns it in words.
func (b *board) note(event supervise.Event) string {
	switch e := event.(type) {
	case supervise.Started:
		b.row(e.Name).becomes(e.PID, "")
		return fmt.Sprintf("%s started, pid %d", e.Name, e.PID)
	case supervise.Died:
		again := fmt.Sprintf("again in %v", e.Pause.Round(100*time.Millisecond))
		b.row(e.Name).becomes(0, "dead: "+e.Death.How+", "+again)
		return fmt.Sprintf("%s died: %s; it starts %s", e.Name, deathText(e.Death), again)
	case supervise.GivenUp:
		row := b.row(e.Name)
		row.becomes(0, "dead: "+e.Death.How+", left dead")
		return fmt.Sprintf("%s died %d times in a row and is left dead: %s; its log is %s", e.Name, e.Deaths, deathText(e.Death), row.log)
	case supervise.Stopped:
		b.row(e.Name).becomes(0, "stopped")
		if e.Killed {
			return fmt.Sprintf("%s had to be killed: it did not stop in time", e.Name)
		}
		return fmt.Sprintf("%s stopped: %s", e.Name, e.How)
	}
	return fmt.Sprintf("%T", event)
}

func deathText(d supervise.Death) string {
	if d.LastWords == "" {
		return d.How
	}
	return fmt.Sprintf("%s; it said last: %s", d.How, show.Printable(d.LastWords))
}

// becomes forgets all that was true of the process before.
func (r *boardRow) becomes(pid int, gone string) {
	*r = boardRow{name: r.name, endpoint: r.endpoint, log: r.log, id: r.id, pid: pid, gone: gone, rate: -1}
}

// answer takes what the servers said when asked, in the order of the rows, and returns what is new.
func (b *board) answer(states []show.Endpoint, now time.Time) []string {
	var news []string
	for i := range b.rows {
		r := &b.rows[i]
		s := states[i].Status
		if r.pid == 0 || s == nil {
			r.status, r.rate = nil, -1
			continue
		}
		r.rate = -1
		if elapsed := now.Sub(r.asked).Seconds(); r.status != nil && elapsed > 0 {
			r.rate = float64(s.GetHeader().GetRevision()-r.status.GetHeader().GetRevision()) / elapsed
		}
		r.status, r.asked, r.id = s, now, s.GetHeader().GetMemberId()
	}
	if leader := b.whoLeads(); leader != b.leader {
		b.leader = leader
		news = append(news, leader)
	}
	return news
}

// whoLeads says who leads in the newest term that anybody knows of.
func (b *board) whoLeads() string {
	var newest *pb.StatusResponse
	for _, r := range b.rows {
		if r.status != nil && r.status.Leader != 0 && (newest == nil || r.status.RaftTerm > newest.RaftTerm) {
			newest = r.status
		}
	}
	switch {
	case newest != nil:
		return fmt.Sprintf("%s leads, in term %d", b.nameOf(newest.Leader), newest.RaftTerm)
	case b.leader == "":
		return "" // There never was one to miss.
	}
	return "nobody leads"
}

// nameOf returns the name of a server by its id, which we know once it has answered.
func (b *board) nameOf(id uint64) string {
	if id == 0 {
		return "-"
	}
	for _, r := range b.rows {
		if r.id == id {
			return r.name
		}
	}
	return fmt.Sprintf("%x", id)
}

// table shows everything, a line for each server.
func (b *board) table() string {
	rows := [][]string{{"NAME", "PID", "ENDPOINT", "STATE", "LEADER", "TERM", "COMMIT", "APPLIED", "WRITES/S"}}
	for _, r := range b.rows {
		line := []string{r.name, "-", r.endpoint, "starting", "-", "-", "-", "-", "-"}
		if r.pid != 0 {
			line[1] = strconv.Itoa(r.pid)
		}
		switch s := r.status; {
		case r.gone != "":
			line[3] = r.gone
		case s != nil:
			line[3], line[4] = show.Role(s), b.nameOf(s.Leader)
			line[5] = strconv.FormatUint(s.RaftTerm, 10)
			line[6], line[7] = strconv.FormatUint(s.RaftIndex, 10), strconv.FormatUint(s.RaftAppliedIndex, 10)
			if r.rate >= 0 {
				line[8] = strconv.FormatFloat(r.rate, 'f', 0, 64)
			}
		case r.pid != 0 && !r.asked.IsZero():
			line[3] = "silent"
		}
		rows = append(rows, line)
	}
	return show.Columns(rows)
}

// upGreeting tells how to talk to the servers. program is how this one was called.
func upGreeting(l *layout, program string) string {
	endpoints := strings.Join(l.endpoints(), ",")
	return fmt.Sprintf(`Three servers on this machine, in %s. Ctrl-C stops them; their data stay.

endpoints: %s

Talk to them from another terminal:

  export ETCDCTL_ENDPOINTS=%s
  etcdctl put fruit/apple red
  %s get --prefix fruit/
  %s status

Kill one (kill -9 PID): it is started again after a second. What they print is in %s and so on.

`, l.dir, endpoints, endpoints, program, program, l.logFile(l.Servers[0]))
}
