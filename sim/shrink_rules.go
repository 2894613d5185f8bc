package sim

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/internal/choice"
)

// class is a kind of things that happen or do not, each by a choice of its own.
type class struct {
	// prefix is what their labels begin with; the rest names the server, link or client.
	prefix string
	what   string
	// perMillion is how many of a million happen: 0 if the plan has none at all.
	perMillion func(*plan) int
}

// classes are what can be left out of a world.
var classes = []class{
	{"net.drop", "lost messages", func(p *plan) int { return p.drop }},
	{"net.duplicate", "duplicates", func(p *plan) int { return p.duplicate }},
	{"net.repeat", "late duplicates", func(p *plan) int { return p.repeat }},
	{"net.reorder", "late messages", func(p *plan) int { return p.reorder }},
	{"net.flip", "flipped bits", func(p *plan) int { return p.flip }},
	{"fault.strikes", "faults that begin by themselves", func(*plan) int { return strikeShare }},
	{"server.cutNow", "cuts at a moment", func(p *plan) int { return p.cutAtEvent }},
	{"server.crashNow", "crashes at a moment", func(p *plan) int { return p.crashAtEvent }},
	{"server.tear", "cuts as the members change", func(p *plan) int { return p.churn.tear }},
	{"server.recovery", "crashes in recovery", func(p *plan) int { return p.crashInRecovery }},
	{"client.asks", "requests", func(*plan) int { return askShare }},
	{"session.asks", "requests of sessions", func(p *plan) int { return min(p.session.clients, 1) * askShare }},
	{"lease.asks", "requests about leases", func(p *plan) int { return min(p.lease.holders, 1) * askShare }},
	{"watch.loss", "streams that break", func(p *plan) int { return p.watch.loss }},
	{"watch.slow", "slow reading of what is watched", func(p *plan) int { return p.watch.slow }},
}

// happenings are the choices of the classes that said yes, in their order in time.
func happenings(choices []choice.Choice, p *plan) []happening {
	all := []happening{} // not nil: that nothing is kept is also something
	least := map[string]int{}
	for _, c := range classes {
		if perMillion := c.perMillion(p); perMillion > 0 {
			least[c.prefix] = million - perMillion
		}
	}
	asked := map[string]int{}
	for _, c := range choices {
		prefix, _, _ := strings.Cut(c.Label, " ")
		from, ok := least[prefix]
		if !ok || c.N != million {
			continue
		}
		asked[c.Label]++
		if c.Result >= from {
			all = append(all, happening{prefix, c.Label, asked[c.Label]})
		}
	}
	return all
}

// rulesFor are the rules by which just these things happen, of all classes. Nil: the seed decides.
func rulesFor(kept []happening) []choice.Rule {
	if kept == nil {
		return nil
	}
	var rules []choice.Rule
	for _, c := range classes {
		rules = append(rules, choice.Rule{Label: c.prefix + " *", Result: choice.No})
	}
	for _, h := range kept {
		rules = append(rules, choice.Rule{Label: h.label, Number: h.number, Result: choice.Yes})
	}
	return rules
}

// simplification is a rule that makes a world plainer.
type simplification struct {
	what    string
	rule    choice.Rule
	servers int // if it makes it that many servers
}

// simplifications, in the order in which they are tried: those first that leave least.
var simplifications = slices.Concat(
	[]simplification{
		{"one server", choice.Rule{Label: "plan.servers", Result: 0}, 1},
		{"two servers", choice.Rule{Label: "plan.servers", Result: 1}, 2},
		{"three servers", choice.Rule{Label: "plan.servers", Result: 2}, 3},
		{"four servers", choice.Rule{Label: "plan.servers", Result: 7}, 4},
	},
	toZero("nobody watches", "plan.watch"),
	toZero("nobody holds leases", "plan.lease"),
	toZero("nobody has a session", "plan.session"),
	toZero("nobody comes or goes", "plan.churns"),
	toZero("one client", "plan.clients"),
	toZero("one client watches", "plan.watch.clients"),
	toZero("one thing is watched by each", "plan.watch.watchers"),
	toZero("bounds of watching as usual", "plan.watch.small.*"),
	toZero("clients that watch read at once", "plan.has.watch.slow"),
	toZero("streams that lose nothing", "plan.has.watch.loss"),
	toZero("even latencies of watching", "watch.delay *", "watch.retry *", "watch.act *", "watch.tick *", "watch.slowness *",
		"server.news *", "server.feed *"),
	toZero("clients that watch only ask for progress", "watch.what *"),
	toZero("one client holds leases", "plan.lease.holders"),
	toZero("leases without keys", "lease.puts *", "plan.has.lease.attach"),
	toZero("one client has a session", "plan.session.clients"),
	toZero("one request of a session at a time", "plan.session.inFlight"),
	toZero("no copies of what is under way", "plan.has.session.hasty"),
	toZero("even latencies of sessions", "session.pace *", "server.sessions *"),
	toZero("even latencies of leases", "lease.pace *", "server.lessor *"),
	toZero("bounds as usual", "plan.small.*"),
	toZero("even latencies", "net.delay *", "server.sync *", "server.apply *", "server.read *", "server.turn *", "server.prepare *",
		"server.flush *", "server.remove *", "server.known *", "server.sample *", "client.think *"),
	toZero("no turns that wait", "plan.turns"),
	toZero("one key", "plan.keys"),
	toZero("writes only", "client.read *"),
	toZero("only puts", "client.kind *"),
	toZero("disks that lose all that was not synced", "plan.personality"),
	toZero("no neighbours damaged", "plan.neighbours"),
	toZero("servers down for the usual time", "server.down *"),
	[]simplification{{"links that keep the order", choice.Rule{Label: "plan.ordered", Result: choice.Yes}, 0}},
	toZero("crashes of machines only", "plan.has.kill"),
	toZero("crashes between operations only", "plan.has.crashAtOperation"),
	toZero("even clocks", "plan.has.drift"),
	toZero("no clocks that leap", "plan.has.leap"),
	toZero("no such fault", "plan.has.drop", "plan.has.duplicate", "plan.has.repeat", "plan.has.reorder", "plan.has.flip", "plan.has.cut",
		"plan.has.cutAtEvent", "plan.has.clog", "plan.has.crash", "plan.has.crashAtEvent", "plan.has.crashInRecovery", "plan.has.pause",
		"plan.has.slow", "plan.has.error"),
)

func toZero(what string, labels ...string) []simplification {
	var all []simplification
	for _, label := range labels {
		all = append(all, simplification{what: what, rule: choice.Rule{Label: label, Result: choice.No}})
	}
	return all
}
