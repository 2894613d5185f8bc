package show

import (
	"fmt"
	"strings"
)

// Judge says in one sentence how the servers asked are doing together. It is well if all answer,
// belong to one cluster, and agree on who leads.
func Judge(endpoints []Endpoint) (verdict string, well bool) {
	var silent, leaderless []string
	clusters := make(map[uint64]bool)
	for _, e := range endpoints {
		switch {
		case e.Status == nil:
			silent = append(silent, e.Address)
		case e.Status.Leader == 0:
			leaderless = append(leaderless, e.Address)
		}
		if e.Status != nil {
			clusters[e.Status.GetHeader().GetClusterId()] = true
		}
	}
	answering := fmt.Sprintf("%d of %d answer", len(endpoints)-len(silent), len(endpoints))
	if len(silent) > 0 {
		answering += ", not " + strings.Join(silent, " and ")
	}
	switch {
	case len(silent) == len(endpoints):
		return "No server answers: are they running? (quorate up starts three.)", false
	case len(clusters) > 1:
		return answering + "; they belong to different clusters.", false
	case len(leaderless)+len(silent) == len(endpoints):
		return answering + "; there is no leader, so nothing can be written. A majority of all servers must run and reach each other.", false
	}
	leader, agreed := commonLeader(endpoints)
	switch {
	case !agreed || len(leaderless) > 0:
		return answering + "; they do not agree yet on who leads (an election may be under way: ask again).", false
	}
	return fmt.Sprintf("%s; %s leads.", answering, leader), len(silent) == 0
}

// commonLeader names the server that leads. agreed is false if somebody sees another one leading.
func commonLeader(endpoints []Endpoint) (leader string, agreed bool) {
	var id uint64
	for _, e := range endpoints {
		switch {
		case e.Status == nil || e.Status.Leader == 0:
			continue
		case id != 0 && e.Status.Leader != id:
			return "", false
		case id == 0:
			id, leader = e.Status.Leader, fmt.Sprintf("server %x", e.Status.Leader)
		}
		if leads(e.Status) {
			leader = e.Address
		}
	}
	return leader, true
}
