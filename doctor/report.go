package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time" //tidy:impure moments and spans are arguments here: nobody asks a clock

	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// Report is what a server says of itself. Its form in JSON is what GET /quorate/status answers.
type Report struct {
	// Healthy: there are no findings. Progress: none of them stops requests.
	Healthy  bool `json:"healthy"`
	Progress bool `json:"progress"`
	// Verdict is a sentence.
	Verdict string    `json:"verdict"`
	Time    time.Time `json:"time"`
	Started time.Time `json:"started"`

	Cluster string `json:"cluster"`
	Server  string `json:"server"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	// Preferred: it is to lead rather than those who are not.
	Preferred bool   `json:"preferred,omitempty"`
	Term      uint64 `json:"term"`
	// Leader and LeaderName are empty if none is known, since LeaderlessSince.
	Leader          string    `json:"leader,omitempty"`
	LeaderName      string    `json:"leader_name,omitempty"`
	LeaderlessSince time.Time `json:"leaderless_since,omitzero"`
	Commit          uint64    `json:"commit"`
	Applied         uint64    `json:"applied"`

	// Timeouts are how long the server waits for its leader, and why; nil if it does not say.
	Timeouts *Timeouts `json:"timeouts,omitempty"`

	// Quorum has one count, or two in a joint configuration; none if it is not known who votes.
	Quorum []Quorum `json:"quorum"`
	// Peers are sorted by their names.
	Peers    []Peer    `json:"peers"`
	Findings []Finding `json:"findings"`
}

// Quorum counts the voters that a server reaches, itself included if it votes.
type Quorum struct {
	// Of is the half of a joint configuration: "old" or "new"; empty if there is only one.
	Of      string `json:"of,omitempty"`
	Reached int    `json:"reached"`
	Needed  int    `json:"needed"`
	Voters  int    `json:"voters"`
}

func (q Quorum) lacks() int { return max(0, q.Needed-q.Reached) }

// Peer is another server as the reporting one sees it.
type Peer struct {
	Server     string   `json:"server"`
	Name       string   `json:"name"`
	ClientURLs []string `json:"client_urls,omitempty"`
	// Role is "voter", "learner", or while the configuration is joint also "old voter".
	Role      string `json:"role"`
	Preferred bool   `json:"preferred,omitempty"`
	// Reached: it counts. If not, Trouble says why in words, and Since is since when.
	Reached   bool      `json:"reached"`
	Trouble   string    `json:"trouble,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Sending   Direction `json:"sending"`
	Receiving Direction `json:"receiving"`
	// SilentSeconds, AcknowledgesMilliseconds (how long it takes of late until entries are durable there, the way
	// to it and back included), Behind (entries that are committed and not known to be there) and Stranded are
	// known to the leader only.
	SilentSeconds            float64 `json:"silent_seconds,omitempty"`
	AcknowledgesMilliseconds float64 `json:"acknowledges_ms,omitempty"`
	Behind                   uint64  `json:"behind,omitempty"`
	Stranded                 bool    `json:"stranded,omitempty"`
}

func (p *Peer) votes() bool { return p.Role != roleLearner }

const (
	roleVoter    = "voter"
	roleOldVoter = "old voter"
	roleLearner  = "learner"
)

// Finding is one thing that is wrong.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// Text is a sentence, and Todo what to do about it.
	Text string `json:"text"`
	Todo string `json:"todo,omitempty"`
	// About is the name of the server that it is about.
	About string    `json:"about,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Quorum and Missing are those of no-quorum and no-leader.
	Quorum  []Quorum  `json:"quorum,omitempty"`
	Missing []Missing `json:"missing,omitempty"`
	// SaidBy are the names of the servers that say so, in what Combine has put together.
	SaidBy []string `json:"said_by,omitempty"`
}

// Missing is a voter that is not reached.
type Missing struct {
	Server string    `json:"server"`
	Name   string    `json:"name"`
	Since  time.Time `json:"since,omitzero"`
	Why    string    `json:"why"`
}

// Severity is how bad a finding is.
type Severity string

const (
	// Stops: requests are not carried out.
	Stops Severity = "stops"
	// Warns: requests are carried out, and somebody should look.
	Warns Severity = "warns"
)

// Code names a kind of finding.
type Code string

// What a server finds by itself.
const (
	NoQuorum     Code = "no-quorum"     // too few voters are reached
	NoLeader     Code = "no-leader"     // enough are reached, and nobody leads
	NotMember    Code = "not-member"    // this server is not in its group's configuration
	LogHeals     Code = "log-heals"     // this server has lost entries of its log, and takes no part before it has them again
	Stalled      Code = "stalled"       // there is a leader, writes wait, and nothing is committed
	PeerDown     Code = "peer-down"     // a peer is not linked, or in one direction only
	PeerSilent   Code = "peer-silent"   // a peer is linked, and does not answer its leader
	PeerLags     Code = "peer-lags"     // a peer lacks many entries
	PeerStranded Code = "peer-stranded" // a peer lacks entries that nobody has any more
	ApplyLags    Code = "apply-lags"    // this server has many entries to apply
	NoState      Code = "no-state"      // this server has lost its state, and waits for another's
	StateDiffers Code = "state-differs" // a peer's state is not that of a majority
	StatesDiffer Code = "states-differ" // states differ, and no majority agrees
	AlarmNoSpace Code = "alarm-nospace"
	AlarmCorrupt Code = "alarm-corrupt"
	AlarmOther   Code = "alarm-other"
)

// lagEntries is how many entries are many: more than are ever under way, seconds of work.
const lagEntries = 10_000

// stalledAfter is how long writes may wait while nothing is committed: a slow disk takes its time.
const stalledAfter = 5 * time.Second

// Examine judges a server by what it knows.
func Examine(v *View) *Report {
	r := &Report{
		Time: v.Now.UTC(), Started: v.Started.UTC(), Cluster: hex(v.Cluster), Server: hex(uint64(v.ID)), Name: v.name(v.ID),
		Role: v.Role.String(), Term: uint64(v.Term), Commit: uint64(v.Commit), Applied: uint64(v.Applied),
		Peers: []Peer{}, Findings: []Finding{}, Timeouts: v.timeouts(),
	}
	if v.Leader != 0 {
		r.Leader, r.LeaderName = hex(uint64(v.Leader)), v.name(v.Leader)
	} else {
		r.LeaderlessSince = v.LeaderlessSince.UTC()
	}
	if m := v.member(v.ID); m != nil {
		r.Preferred = isPreferred(m)
		if roleOf(m) == roleLearner {
			r.Role = roleLearner
		}
	}
	if v.Configuration != nil {
		for i := range v.Configuration.Members {
			if m := &v.Configuration.Members[i]; m.ID != v.ID {
				r.Peers = append(r.Peers, v.peer(m))
			}
		}
	}
	slices.SortStableFunc(r.Peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	r.Quorum = v.count(r.Peers)
	r.find(v)
	r.judge()
	return r
}

// peer describes another server.
func (v *View) peer(m *wire.Member) Peer {
	link := v.link(m.ID)
	p := Peer{
		Server: hex(uint64(m.ID)), Name: v.name(m.ID), ClientURLs: m.ClientURLs, Role: roleOf(m), Preferred: isPreferred(m),
		Sending: link.Sending.inUTC(), Receiving: link.Receiving.inUTC(),
	}
	silent := time.Duration(0)
	if progress, known := v.progress(m.ID); known {
		silent = progress.Silent
		p.SilentSeconds = silent.Seconds()
		p.AcknowledgesMilliseconds = float64(progress.Takes.Round(100*time.Microsecond)) / 1e6
		p.Behind = uint64(v.Commit - min(v.Commit, progress.Match))
		p.Stranded = progress.Stranded
	}
	switch sending, receiving := link.Sending, link.Receiving; {
	case !sending.Up || !receiving.Up:
		p.Trouble, p.Since = v.linkTrouble(link)
	case silent > v.ElectionTimeout:
		p.Trouble = fmt.Sprintf("linked, but has not answered for %v", span(silent))
		p.Since = v.Now.Add(-silent).UTC()
	default:
		p.Reached = true
	}
	return p
}

func isPreferred(m *wire.Member) bool { return m.Traits&wire.TraitPreferred != 0 }

// roleOf says what a member counts for. A voter that becomes a learner counts until that is done.
func roleOf(m *wire.Member) string {
	switch {
	case m.Roles&wire.RoleVoter != 0:
		return roleVoter
	case m.Roles&wire.RoleOldVoter != 0:
		return roleOldVoter
	}
	return roleLearner
}

// linkTrouble says why a peer is not reached, and since when.
func (v *View) linkTrouble(l Link) (text string, since time.Time) {
	why := func(d Direction) string {
		if d.Error == "" {
			return ""
		}
		return ": " + clip(d.Error)
	}
	switch {
	case l.Receiving.Up:
		return fmt.Sprintf("reaches %s, but is not reached from there since %s%s",
			v.name(v.ID), v.ago(l.Sending.Since), why(l.Sending)), l.Sending.Since.UTC()
	case l.Sending.Up:
		return fmt.Sprintf("is reached, but does not reach %s since %s%s",
			v.name(v.ID), v.ago(l.Receiving.Since), why(l.Receiving)), l.Receiving.Since.UTC()
	}
	// It can no longer be told why the one that went first did; the attempts to dial say what is now.
	since = l.Sending.Since
	if l.Receiving.Since.Before(since) {
		since = l.Receiving.Since
	}
	reason := why(l.Sending)
	if reason == "" {
		reason = why(l.Receiving)
	}
	if !l.WasUp {
		return fmt.Sprintf("never linked since %s started, %s%s", v.name(v.ID), v.ago(v.Started), reason), since.UTC()
	}
	return fmt.Sprintf("not linked since %s%s", v.ago(since), reason), since.UTC()
}

// count counts the voters that are reached.
func (v *View) count(peers []Peer) []Quorum {
	if v.Configuration == nil {
		return []Quorum{}
	}
	c := v.Configuration.Raft()
	reached := func(id raft.ServerID) bool {
		return id == v.ID || slices.ContainsFunc(peers, func(p Peer) bool { return p.Server == hex(uint64(id)) && p.Reached })
	}
	countOf := func(of string, voters []raft.ServerID) Quorum {
		q := Quorum{Of: of, Needed: len(voters)/2 + 1, Voters: len(voters)}
		for _, id := range voters {
			if reached(id) {
				q.Reached++
			}
		}
		return q
	}
	if len(c.OldVoters) == 0 {
		return []Quorum{countOf("", c.Voters)}
	}
	return []Quorum{countOf("old", c.OldVoters), countOf("new", c.Voters)}
}

// judge makes the verdict of the findings.
func (r *Report) judge() {
	stops := func(f Finding) bool { return f.Severity == Stops }
	r.Healthy, r.Progress = len(r.Findings) == 0, !slices.ContainsFunc(r.Findings, stops)
	switch {
	case len(r.Findings) > 0:
		r.Verdict = r.Findings[0].Text
	case r.Role == raft.Leader.String():
		r.Verdict = fmt.Sprintf("%s leads, and %s.", r.Name, reachText(r.Quorum))
	default:
		r.Verdict = fmt.Sprintf("%s follows %s, and %s.", r.Name, r.LeaderName, reachText(r.Quorum))
	}
}

// Blocking returns the finding that explains why nothing is decided; nil if there is none.
func (r *Report) Blocking() *Finding {
	for i := range r.Findings {
		if c := r.Findings[i].Code; c == NoQuorum || c == NoLeader || c == NotMember || c == LogHeals || c == Stalled || c == NoState {
			return &r.Findings[i]
		}
	}
	return nil
}

// reachText says whom a server reaches and needs: "reaches 1, needs 2 of 3".
func reachText(counts []Quorum) string {
	texts := make([]string, len(counts))
	for i, q := range counts {
		texts[i] = fmt.Sprintf("reaches %d, needs %d of %d", q.Reached, q.Needed, q.Voters)
		if q.Of != "" {
			texts[i] += " of the " + q.Of + " configuration"
		}
	}
	if len(texts) == 0 {
		return "does not know who votes"
	}
	return strings.Join(texts, " and ")
}

func (v *View) member(id raft.ServerID) *wire.Member {
	if v.Configuration == nil {
		return nil
	}
	return v.Configuration.Member(id)
}

// name is the operator's name for a server, or its id if it has none.
func (v *View) name(id raft.ServerID) string {
	if m := v.member(id); m != nil && m.Name != "" {
		return m.Name
	}
	return hex(uint64(id))
}

// ago says when something was, for people in different time zones.
func (v *View) ago(then time.Time) string {
	return fmt.Sprintf("%s (%v)", then.UTC().Format("2006-01-02 15:04:05 UTC"), span(v.Now.Sub(then)))
}

// span rounds for people.
func span(d time.Duration) time.Duration {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond)
	default:
		return d.Round(time.Second)
	}
}

func (d Direction) inUTC() Direction {
	d.Since, d.Error = d.Since.UTC(), clip(d.Error)
	return d
}

// maxErrorBytes bounds what of an error is repeated.
const maxErrorBytes = 512

// clip shortens a text that may have come from elsewhere.
func clip(text string) string {
	if len(text) <= maxErrorBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorBytes], "") + "..."
}

func hex(id uint64) string { return fmt.Sprintf("%x", id) }
