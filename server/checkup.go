package server

import (
	"context"
	"sync"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transport"
)

// checkup is what must be remembered to say how this server is.
type checkup struct {
	started time.Time

	mu              sync.Mutex    // guards what follows; all of it is looked at every lookEvery at least
	leaderlessSince time.Time     // zero while a leader is known
	stalledSince    time.Time     // zero unless writes wait
	reached         [2]raft.Index // commitIndex and lastApplied, at stalledSince
}

// lookEvery is how often a server looks at itself, to log that it is without a quorum.
const lookEvery = time.Second

// Report says how this server is, and why it makes no progress if it makes none. It never waits.
func (s *Server) Report() *doctor.Report {
	return doctor.Examine(s.view(time.Now(), s.forClients.Status(), s.host.Peers()))
}

// view puts together what this server knows.
func (s *Server) view(now time.Time, status replica.Status, peers []transport.PeerStatus) *doctor.View {
	r := &status.Raft
	v := &doctor.View{
		Now: now, Started: s.checkup.started, ElectionTimeout: s.options.electionSpan(),
		Cluster: s.host.ClusterID(), ID: s.host.ID(), Role: r.Role, Term: r.CurrentTerm, Leader: r.Leader,
		LeaderlessSince: s.checkup.note(now, r.Leader != 0), Commit: r.CommitIndex, Applied: r.LastApplied,
		Waiting: status.PendingCommands, StalledSince: s.checkup.noteWaiting(now, status.PendingCommands, r.CommitIndex, r.LastApplied),
		Configuration: status.Configuration, Links: linksOf(peers), Pace: s.paceOf(&status.Pace), Disk: s.diskOf(&status),
	}
	if h := status.Healing; h != nil {
		v.Healing, v.NeedsState = h.Text, h.NeedsState != 0
	}
	for _, p := range r.Peers {
		progress := doctor.Progress{
			ID: p.ID, Silent: time.Duration(p.SilentTicks) * s.host.TickInterval(), Match: p.MatchIndex, Stranded: p.Stranded,
		}
		for _, o := range status.Promptness {
			if o.ID == p.ID {
				progress.Takes = time.Duration(o.Takes)
			}
		}
		v.Progress = append(v.Progress, progress)
	}
	v.NoState, v.Feeder = status.Snapshots.Missing, status.Snapshots.Source
	v.Differing, v.Undecided = status.Sums.Differing, status.Sums.Undecided != nil
	for _, a := range s.store.Alarms() {
		v.Alarms = append(v.Alarms, doctor.Alarm{Server: quorate.ServerID(a.Member), Type: a.Type.String()})
	}
	return v
}

// note remembers since when no leader is known, and returns that.
func (c *checkup) note(now time.Time, hasLeader bool) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case hasLeader:
		c.leaderlessSince = time.Time{}
	case c.leaderlessSince.IsZero():
		c.leaderlessSince = now
	}
	return c.leaderlessSince
}

// noteWaiting remembers since when writes wait and nothing is committed or applied, and returns that.
func (c *checkup) noteWaiting(now time.Time, waiting int, commit, applied raft.Index) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch reached := [2]raft.Index{commit, applied}; {
	case waiting == 0:
		c.stalledSince = time.Time{}
	case c.stalledSince.IsZero() || c.reached != reached:
		c.stalledSince, c.reached = now, reached
	}
	return c.stalledSince
}

// linksOf says what the transport knows of the other servers.
func linksOf(peers []transport.PeerStatus) []doctor.Link {
	links := make([]doctor.Link, len(peers))
	for i, p := range peers {
		l := doctor.Link{ID: p.ID, WasUp: p.Boot != 0} // It says its boot whenever a link comes up.
		l.Disowned = p.Reason == transport.ReasonUnknownServer || p.Reason == transport.ReasonRemoved
		if l.Sending = (doctor.Direction{Up: true, Since: p.ConnectedSince}); p.ConnectedSince.IsZero() {
			l.Sending = doctor.Direction{Since: p.DownSince, Error: p.Error}
		}
		if l.Receiving = (doctor.Direction{Up: true, Since: p.ReceivingSince}); p.ReceivingSince.IsZero() {
			l.Receiving = doctor.Direction{Since: p.ReceivingDownSince, Error: p.ReceivingError}
			if p.RefusedAt.After(p.ReceivingDownSince) {
				l.Receiving.Error = "refused here: " + p.Refused
			}
		}
		links[i] = l
	}
	return links
}

// keepVigil looks at this server again and again, and logs while it cannot make progress.
func (s *Server) keepVigil(ctx context.Context, report func() *doctor.Report) {
	vigil := doctor.Vigil{ElectionTimeout: s.options.electionSpan()}
	next := time.NewTicker(lookEvery)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			r := report()
			b := r.Blocking()
			s.forClients.removed.Store(b != nil && b.Code == doctor.NotMember)
			s.look(&vigil, r)
		}
	}
}

// look logs what a report gives reason to.
func (s *Server) look(vigil *doctor.Vigil, r *doctor.Report) {
	n, say := vigil.Look(r)
	switch {
	case !say:
	case n.Over:
		s.logger.Info("progress is possible again", "lasted", n.Lasted.Round(time.Millisecond), "term", r.Term, "leader", r.LeaderName)
	default:
		s.logger.Warn("no progress is possible: nothing can be written, nor read linearizably", noticeAttributes(r, &n)...)
	}
}

// noticeAttributes are the facts of a notice, under stable keys.
func noticeAttributes(r *doctor.Report, n *doctor.Notice) []any {
	f := &n.Finding
	attributes := []any{"code", string(f.Code), "lasting", n.Lasted.Round(time.Millisecond), "term", r.Term}
	for _, q := range f.Quorum {
		of := ""
		if q.Of != "" {
			of = q.Of + "_"
		}
		attributes = append(attributes, of+"reached", q.Reached, of+"needed", q.Needed, of+"voters", q.Voters)
	}
	missing := make([]string, len(f.Missing))
	for i, m := range f.Missing {
		missing[i] = m.Name + " (" + m.Why + ")"
	}
	return append(attributes, "missing", missing, "todo", f.Todo)
}
