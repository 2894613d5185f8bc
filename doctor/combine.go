package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/raft"
)

// What only several servers together show.
const (
	NoAnswer     Code = "no-answer"     // who was asked does not answer
	LinkDown     Code = "link-down"     // two servers answer, and do not reach each other
	OtherCluster Code = "other-cluster" // the servers asked are of several clusters
	TwoLeaders   Code = "two-leaders"   // two servers lead in one term
)

// Answer is what came of asking a server for its report.
type Answer struct {
	Endpoint string  `json:"endpoint"`
	Report   *Report `json:"report,omitempty"` // nil: there is none
	Error    string  `json:"error,omitempty"`  // why not
}

// Diagnosis is what several servers together say.
type Diagnosis struct {
	// Healthy: there are no findings. Progress: at least one of those that answer carries out requests.
	Healthy  bool   `json:"healthy"`
	Progress bool   `json:"progress"`
	Verdict  string `json:"verdict"`
	Asked    int    `json:"asked"`
	Answered int    `json:"answered"`
	// NotAsked names servers of the cluster from which there is no report, and which no endpoint given
	// is known to belong to.
	NotAsked []string  `json:"not_asked,omitempty"`
	Findings []Finding `json:"findings"`
	// Answers are in the order in which they were asked for.
	Answers []Answer `json:"answers"`
}

// Combine puts together what servers have answered.
func Combine(answers []Answer) *Diagnosis {
	d := &Diagnosis{Asked: len(answers), Answers: answers, Findings: []Finding{}}
	c := combination{Diagnosis: d}
	for i := range answers {
		if answers[i].Report != nil {
			c.reports = append(c.reports, answers[i].Report)
		}
	}
	d.Answered = len(c.reports)
	c.compareClusters()
	c.compareLeaders()
	c.findSilent()
	for _, r := range c.reports {
		d.Progress = d.Progress || r.Progress
		for _, f := range r.Findings {
			c.add(r, f)
		}
	}
	c.findNotAsked()
	for i := range d.Findings {
		c.advise(&d.Findings[i])
	}
	slices.SortStableFunc(d.Findings, func(a, b Finding) int { return rank(a) - rank(b) })
	d.Healthy = len(d.Findings) == 0 && d.Answered > 0
	d.judge(c.leader())
	return d
}

// combination is a diagnosis in the making.
type combination struct {
	*Diagnosis
	reports []*Report
}

// rank orders findings, the worst first.
func rank(f Finding) int {
	order := []Code{TwoLeaders, OtherCluster, AlarmCorrupt, NoQuorum, NoLeader, NotMember, LogHeals, Stalled, NoState, AlarmNoSpace, NoAnswer, LinkDown, PeerDown}
	at := slices.Index(order, f.Code)
	if at < 0 {
		at = len(order)
	}
	if f.Severity != Stops {
		at += len(order) + 1
	}
	return at
}

func (c *combination) compareClusters() {
	var clusters []string
	for _, r := range c.reports {
		if !slices.Contains(clusters, r.Cluster) {
			clusters = append(clusters, r.Cluster)
		}
	}
	if len(clusters) > 1 {
		c.Findings = append(c.Findings, Finding{
			Code: OtherCluster, Severity: Warns,
			Text: fmt.Sprintf("the servers asked belong to %d clusters: %s", len(clusters), strings.Join(clusters, ", ")),
			Todo: "Give the endpoints of one cluster. If they should be one, compare --initial-cluster and --initial-cluster-token.",
		})
	}
}

// compareLeaders looks for what must never be. One of an earlier term that has not noticed is no reason
// to worry: it finds out by itself.
func (c *combination) compareLeaders() {
	for i, a := range c.reports {
		for _, b := range c.reports[:i] {
			if isLeader(a) && isLeader(b) && a.Server != b.Server && a.Term == b.Term && a.Cluster == b.Cluster {
				c.Findings = append(c.Findings, Finding{
					Code: TwoLeaders, Severity: Stops,
					Text: fmt.Sprintf("%s and %s both lead in term %d, which must never be", b.Name, a.Name, a.Term),
					Todo: "Stop writing, keep all data directories, and report it. Was a data directory restored from an old copy?",
				})
			}
		}
	}
}

func isLeader(r *Report) bool { return r.Role == raft.Leader.String() }

// leader returns the report of who leads in the newest term; nil if nobody who answers does.
func (c *combination) leader() *Report {
	var newest *Report
	for _, r := range c.reports {
		if isLeader(r) && (newest == nil || r.Term > newest.Term) {
			newest = r
		}
	}
	return newest
}

// findSilent says who does not answer.
func (c *combination) findSilent() {
	for _, a := range c.Answers {
		if a.Report != nil {
			continue
		}
		f := Finding{Code: NoAnswer, Severity: Warns, About: c.ownerOf(a.Endpoint)}
		who := a.Endpoint
		if f.About != "" {
			who = fmt.Sprintf("%s at %s", f.About, a.Endpoint)
		}
		f.Text = fmt.Sprintf("%s does not answer: %s", who, clip(a.Error))
		f.Todo = "Is it running? Its log says why it ended. If it runs, is this its address for clients?"
		if len(c.reports) == 0 {
			f.Severity = Stops
		}
		c.Findings = append(c.Findings, f)
	}
}

// ownerOf returns the name of the server that tells clients to find it at an endpoint, or "".
func (c *combination) ownerOf(endpoint string) string {
	for _, r := range c.reports {
		for _, p := range r.Peers {
			if slices.ContainsFunc(p.ClientURLs, func(u string) bool { return isSamePlace(u, endpoint) }) {
				return p.Name
			}
		}
	}
	return ""
}

// isSamePlace compares an URL with an endpoint, by their texts.
func isSamePlace(u, endpoint string) bool {
	bare := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "http://"), "/") }
	return bare(u) == bare(endpoint)
}

// add takes what a server says into the findings. Several that say the same of a server are one finding.
func (c *combination) add(r *Report, f Finding) {
	f.SaidBy = []string{r.Name}
	isAboutPeer := f.Code == PeerDown || f.Code == PeerSilent
	if isAboutPeer && c.answers(f.About) {
		f.Code = LinkDown
		f.Text = fmt.Sprintf("%s says that %s", r.Name, f.Text)
	}
	for i := range c.Findings {
		g := &c.Findings[i]
		isSame := g.Code == f.Code && g.About == f.About
		isReverse := g.Code == LinkDown && f.Code == LinkDown && g.About == r.Name && slices.Contains(g.SaidBy, f.About)
		switch {
		case (isSame || isReverse) && slices.Contains(g.SaidBy, r.Name):
			return // It was asked at two endpoints.
		case isReverse:
			g.Text += "; " + f.Text
		case !isSame || f.Code == LinkDown:
			continue
		}
		g.SaidBy = append(g.SaidBy, r.Name)
		if f.Since.Before(g.Since) {
			g.Since = f.Since
		}
		return
	}
	c.Findings = append(c.Findings, f)
}

// answers reports whether a server of that name has answered.
func (c *combination) answers(name string) bool {
	return slices.ContainsFunc(c.reports, func(r *Report) bool { return r.Name == name })
}

// advise says what is to be done, now that it is known who lives.
func (c *combination) advise(f *Finding) {
	switch f.Code {
	case LinkDown:
		f.Todo = fmt.Sprintf("Both run: mend the network between %s and %s (addresses, firewalls; transport errors are in both logs).", strings.Join(f.SaidBy, " and "), f.About)
		if slices.Contains(f.SaidBy, f.About) {
			f.Todo = fmt.Sprintf("Both run: mend the network between %s (addresses, firewalls; transport errors are in both logs).", strings.Join(f.SaidBy, " and "))
		}
	case NoQuorum:
		var alive, silent, unknown []string
		for _, m := range f.Missing {
			switch {
			case c.answers(m.Name):
				alive = append(alive, m.Name)
			case slices.Contains(c.NotAsked, m.Name):
				unknown = append(unknown, m.Name)
			default:
				silent = append(silent, m.Name)
			}
		}
		var todo []string
		if len(unknown) > 0 {
			todo = append(todo, fmt.Sprintf("start %s, or if they run mend the network between them and %s", strings.Join(unknown, ", "), f.About))
		}
		if len(silent) > 0 {
			todo = append(todo, fmt.Sprintf("start %s (no answer from there)", strings.Join(silent, ", ")))
		}
		if len(alive) > 0 {
			todo = append(todo, fmt.Sprintf("mend the network between %s and %s, which %s", f.About, strings.Join(alive, ", "), answerVerb(alive)))
		}
		if len(todo) > 0 {
			f.Todo = upperFirst(strings.Join(todo, ", or ") + fmt.Sprintf(": %d more needed.", lacksMost(f.Quorum)))
		}
	}
}

func answerVerb(names []string) string {
	if len(names) == 1 {
		return "answers"
	}
	return "answer"
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// findNotAsked lists members from which there is no report, and at whose addresses nobody was asked. If
// nobody knows a member's addresses, a silent endpoint that is nobody else's is taken for its own.
func (c *combination) findNotAsked() {
	isStraySilent := slices.ContainsFunc(c.Answers, func(a Answer) bool { return a.Report == nil && c.ownerOf(a.Endpoint) == "" })
	for _, r := range c.reports {
		for _, p := range r.Peers {
			if c.answers(p.Name) || slices.Contains(c.NotAsked, p.Name) {
				continue
			}
			urls := c.urlsOf(p.Name)
			isAsked := slices.ContainsFunc(c.Answers, func(a Answer) bool {
				return slices.ContainsFunc(urls, func(u string) bool { return isSamePlace(u, a.Endpoint) })
			})
			if !isAsked && !(len(urls) == 0 && isStraySilent) {
				c.NotAsked = append(c.NotAsked, p.Name)
			}
		}
	}
	slices.Sort(c.NotAsked)
}

// urlsOf returns where clients find a server, as far as those know that answer: what a server tells of
// itself when it joins takes a moment to reach all.
func (c *combination) urlsOf(name string) (urls []string) {
	for _, r := range c.reports {
		for _, p := range r.Peers {
			if p.Name == name {
				urls = append(urls, p.ClientURLs...)
			}
		}
	}
	return urls
}

// judge says it in a sentence.
func (d *Diagnosis) judge(leader *Report) {
	answering := fmt.Sprintf("%d of %d answer", d.Answered, d.Asked)
	stopped := func(a Answer) bool { return a.Report != nil && !a.Report.Progress }
	var cutOff []string
	for _, a := range d.Answers {
		if stopped(a) {
			cutOff = append(cutOff, a.Report.Name)
		}
	}
	switch {
	case len(d.Findings) > 0 && d.Findings[0].Code == TwoLeaders:
		d.Verdict = fmt.Sprintf("Stop writing: %s.", d.Findings[0].Text)
	case d.Answered == 0:
		d.Verdict = "No server answers: are they running, and are these their addresses for clients?"
	case !d.Progress:
		d.Verdict = fmt.Sprintf("No progress: %s, and none of them carries out requests.", answering)
	case len(cutOff) > 0:
		d.Verdict = fmt.Sprintf("%s; requests are carried out, but not at %s.", answering, strings.Join(cutOff, ", "))
	case !d.Healthy:
		d.Verdict = fmt.Sprintf("%s; requests are carried out, but not all is well.", answering)
	case leader != nil:
		d.Verdict = fmt.Sprintf("All is well: %s; %s leads, and %s.", answering, leader.Name, reachText(leader.Quorum))
	default:
		d.Verdict = fmt.Sprintf("All is well, as far as was asked: %s, and the leader is not among them.", answering)
	}
}
