package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time" //tidy:impure moments are arguments here: nobody asks a clock

	"github.com/quorate/quorate/raft"
)

// find looks for everything that is wrong, the worst first.
func (r *Report) find(v *View) {
	r.findQuorum(v)
	r.findState(v)
	for _, a := range v.Alarms {
		r.Findings = append(r.Findings, v.alarm(a))
	}
	// Of voters that are missing enough is said if nothing else is, or if it is this server that they do not want.
	b := r.Blocking()
	said := b != nil && (b.Code == NoQuorum || b.Code == NotMember && v.member(v.ID) != nil)
	for i := range r.Peers {
		if p := &r.Peers[i]; !p.Reached && !(said && p.votes()) {
			r.Findings = append(r.Findings, r.unreached(p))
		}
	}
	for i := range r.Peers {
		r.findLag(&r.Peers[i])
	}
	if late := v.Commit - min(v.Commit, v.Applied); late > lagEntries {
		r.Findings = append(r.Findings, Finding{
			Code: ApplyLags, Severity: Warns, About: r.Name,
			Text: fmt.Sprintf("%s has %d committed entries to apply: its answers come late", r.Name, late),
			Todo: "After a start this passes. If it does not, its disk or processor is too slow.",
		})
	}
	r.findHurry(v)
	r.findDisk(v)
}

// findQuorum looks whether anything can be decided, as far as this server can tell: who follows a leader
// cannot, for the leader reaches others.
func (r *Report) findQuorum(v *View) {
	if v.Healing != "" {
		f := Finding{
			Code: LogHeals, Severity: Stops, About: r.Name,
			Text: fmt.Sprintf("%s takes no part, for its log is damaged: %s", r.Name, v.Healing),
			Todo: "If the others run, this passes by itself; if not, start them. Suspect its disk. If all have lost the same entry, it is in a backup only.",
		}
		if v.NeedsState {
			f.Todo = "The others have compacted what it needs: replace this server (quorate member replace)."
		}
		r.Findings = append(r.Findings, f)
		return
	}
	// A leader that removes itself goes on until that is committed.
	if v.Configuration != nil && v.member(v.ID) == nil && v.Role != raft.Leader {
		r.Findings = append(r.Findings, Finding{
			Code: NotMember, Severity: Stops, About: r.Name,
			Text: fmt.Sprintf("%s is not a member: the configuration that it knows does not name it", r.Name),
			Todo: "If it was removed, stop it and send clients to the others. If not, ask all servers (quorate doctor --cluster).",
		})
		return
	}
	if v.Leader != 0 && v.Role != raft.Leader {
		r.findStall(v)
		return
	}
	if names := v.disownedBy(); len(names) > 0 && v.Leader == 0 {
		r.Findings = append(r.Findings, Finding{
			Code: NotMember, Severity: Stops, About: r.Name, Since: r.LeaderlessSince,
			Text: fmt.Sprintf("%s was removed: %s say that it does not belong to the cluster", r.Name, strings.Join(names, ", ")),
			Todo: "Stop it, and send clients to the others. To have it back, let it join with a new data directory (quorate token create).",
		})
		return
	}
	f := Finding{Severity: Stops, About: r.Name, Quorum: r.Quorum}
	for i := range r.Peers {
		if p := &r.Peers[i]; p.votes() && !p.Reached {
			f.Missing = append(f.Missing, Missing{Server: p.Server, Name: p.Name, Since: p.Since, Why: p.Trouble})
		}
	}
	switch lacks := lacksMost(r.Quorum); {
	case lacks > 0:
		f.Code = NoQuorum
		f.Since = v.quorumLostAt(r.Peers)
		f.Text = fmt.Sprintf("no quorum: %s %s; missing: %s", r.Name, reachText(r.Quorum), missingText(f.Missing))
		f.Todo = fmt.Sprintf("Start at least %d more of %s, or mend the network between them and %s.", lacks, namesOf(f.Missing), r.Name)
	case v.Leader == 0:
		f.Code, f.Since = NoLeader, r.LeaderlessSince
		f.Text = fmt.Sprintf("no leader since %s, though %s %s: an election is under way",
			v.ago(v.LeaderlessSince), r.Name, reachText(r.Quorum))
		f.Todo = "It takes a few election timeouts. If it lasts, ask all servers (quorate doctor --cluster): some do not reach each other."
	default:
		r.findStall(v)
		return
	}
	r.Findings = append(r.Findings, f)
}

// findState looks whether states are what they should be.
func (r *Report) findState(v *View) {
	if v.NoState {
		from := "its log, or the others"
		if v.Feeder != 0 {
			from = v.name(v.Feeder)
		}
		r.Findings = append(r.Findings, Finding{
			Code: NoState, Severity: Stops, About: r.Name,
			Text: fmt.Sprintf("%s has lost its state, and gets it from %s: it answers nothing meanwhile", r.Name, from),
			Todo: "This passes by itself, as long as one other server has the state.",
		})
	}
	for _, id := range v.Differing {
		r.Findings = append(r.Findings, Finding{
			Code: StateDiffers, Severity: Warns, About: v.name(id),
			Text: fmt.Sprintf("the state of %s differs from that of a majority", v.name(id)),
			Todo: "It ends by itself, and gets the state of the others when it is started again. If that happens more than once, test its memory and disk.",
		})
	}
	if v.Undecided {
		r.Findings = append(r.Findings, Finding{
			Code: StatesDiffer, Severity: Warns, About: r.Name,
			Text: fmt.Sprintf("states differ, as far as %s has heard, and no majority agrees: what is answered may be wrong", r.Name),
			Todo: "Start the servers that are missing. If all are there, find out which are right, and write the reason into a file state.damage in the data directory of each of the others, then restart it.",
		})
	}
}

// disownedBy names the voters that say that this server does not belong to the cluster, if those are a majority, or
// all others: one alone may not know yet that it does. Nobody tells a server that it is removed, and what it knows
// may end just before that.
func (v *View) disownedBy() (names []string) {
	if v.Configuration == nil {
		return nil
	}
	voters := v.Configuration.Raft().Voters
	others := 0
	for _, id := range voters {
		if id == v.ID {
			continue
		}
		others++
		if v.link(id).Disowned {
			names = append(names, v.name(id))
		}
	}
	if len(names) <= len(voters)/2 && len(names) < others {
		return nil
	}
	return names
}

// findStall looks whether writes wait for nothing, though there is a leader.
func (r *Report) findStall(v *View) {
	if v.StalledSince.IsZero() || v.Now.Sub(v.StalledSince) < stalledAfter {
		return
	}
	f := Finding{Code: Stalled, Severity: Stops, About: r.Name, Since: v.StalledSince.UTC()}
	f.Text = fmt.Sprintf("stalled: %d writes wait at %s, and nothing has been committed or applied there since %s, though %s leads",
		v.Waiting, r.Name, v.ago(v.StalledSince), r.LeaderName)
	f.Todo = fmt.Sprintf("Ask all servers (quorate doctor --cluster). If none says more, a disk hangs: that of %s, or those of a majority.", r.LeaderName)
	r.Findings = append(r.Findings, f)
}

// lacksMost is how many more voters must be reached, at least.
func lacksMost(counts []Quorum) (most int) {
	for _, q := range counts {
		most = max(most, q.lacks())
	}
	return most
}

// quorumLostAt says since when a half lacks its majority: since so many were missing for the first time.
func (v *View) quorumLostAt(peers []Peer) time.Time {
	var lost time.Time
	c := v.Configuration.Raft()
	for _, half := range [][]raft.ServerID{c.Voters, c.OldVoters} {
		var since []time.Time
		for i := range peers {
			p := &peers[i]
			if !p.Reached && slices.ContainsFunc(half, func(id raft.ServerID) bool { return hex(uint64(id)) == p.Server }) {
				since = append(since, p.Since)
			}
		}
		slices.SortFunc(since, time.Time.Compare)
		spare := len(half) - len(half)/2 - 1 // how many may be missing
		if len(half) > 0 && len(since) > spare && (lost.IsZero() || since[spare].Before(lost)) {
			lost = since[spare]
		}
	}
	return lost
}

// missingText lists who is missing, since when and why.
func missingText(missing []Missing) string {
	texts := make([]string, len(missing))
	for i, m := range missing {
		texts[i] = fmt.Sprintf("%s (%s)", m.Name, m.Why)
	}
	if len(texts) == 0 {
		return "nobody" // It is this server that does not vote.
	}
	return strings.Join(texts, ", ")
}

func namesOf(missing []Missing) string {
	names := make([]string, len(missing))
	for i, m := range missing {
		names[i] = m.Name
	}
	return strings.Join(names, ", ")
}

// unreached is the finding about a peer that is not reached, while there is a quorum without it.
func (r *Report) unreached(p *Peer) Finding {
	f := Finding{Code: PeerDown, Severity: Warns, About: p.Name, Since: p.Since,
		Todo: fmt.Sprintf("Start %s if it does not run (its log says why it ended), or mend the network between it and %s.", p.Name, r.Name)}
	if p.Sending.Up && p.Receiving.Up {
		f.Code = PeerSilent
		f.Todo = fmt.Sprintf("Look at %s: it may be paused, or its disk may hang.", p.Name)
	}
	f.Text = fmt.Sprintf("%s is missing: %s", p.Name, p.Trouble)
	switch {
	case !p.votes():
		f.Text += "; it is a learner, and no quorum needs it"
	default:
		f.Text += fmt.Sprintf("; %s %s", r.Name, reachText(r.Quorum))
	}
	return f
}

// findLag looks how far a peer is behind, where this server leads.
func (r *Report) findLag(p *Peer) {
	switch {
	case p.Stranded:
		r.Findings = append(r.Findings, Finding{
			Code: PeerStranded, Severity: Warns, About: p.Name,
			Text: fmt.Sprintf("%s cannot catch up: the entries that it lacks have left the log of %s", p.Name, r.Name),
			Todo: fmt.Sprintf("Restore the data directory of %s from a copy that is newer.", p.Name),
		})
	case p.Behind > lagEntries:
		r.Findings = append(r.Findings, Finding{
			Code: PeerLags, Severity: Warns, About: p.Name,
			Text: fmt.Sprintf("%s lacks %d committed entries, as far as %s knows", p.Name, p.Behind, r.Name),
			Todo: fmt.Sprintf("After an absence this passes. If it grows, the disk of %s or the network to it is too slow.", p.Name),
		})
	}
}

func (v *View) alarm(a Alarm) Finding {
	f := Finding{Code: AlarmOther, Severity: Stops, About: v.name(a.Server)}
	switch a.Type {
	case "NOSPACE":
		f.Code = AlarmNoSpace
		f.Text = fmt.Sprintf("the alarm NOSPACE is on: the state of %s has outgrown its quota, or its disk is nearly full, and puts are refused everywhere", f.About)
		f.Todo = "Make room on its disk; or compact, delete what is not needed or raise --quota-backend-bytes. Then quorate alarm disarm."
	case "CORRUPT":
		f.Code = AlarmCorrupt
		f.Text = fmt.Sprintf("the alarm CORRUPT is on: %s holds something else than the others, and nothing is served", f.About)
		f.Todo = "Keep all data directories. quorate endpoint hashkv --cluster tells who differs."
	default:
		f.Text = fmt.Sprintf("the alarm %s of %s is on", a.Type, f.About)
		f.Todo = "quorate alarm list and disarm."
	}
	return f
}
