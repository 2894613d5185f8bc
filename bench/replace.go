package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/bench/internal/cluster"
	"github.com/quorate/quorate/bench/internal/report"
)

const (
	// replaceClients is how many clients all writers share.
	replaceClients = 4
	// replaceQuiet is how long puts are counted before the first replacement and after the last, in windows of
	// rateWindow.
	replaceQuiet = 10 * time.Second
	rateWindow   = time.Second
)

// runReplace lets a new server join and removes the oldest, so many times, while clients put, and measures what
// they see of it.
func runReplace(ctx context.Context, b *bed, r *report.Run) error {
	if b.size < 1 {
		return fmt.Errorf("the size of replace is how many servers are replaced, and that is 1 at least")
	}
	clients, err := b.ownClients(min(r.Clients, replaceClients))
	if err != nil {
		return err
	}
	defer clients.close()
	spent, err := b.startMeter()
	if err != nil {
		return err
	}
	originals := b.cluster.Servers
	p := &replacing{crowd: b.newOwnWrites().startCrowd(ctx, clients.plain(), r.Clients), clients: clients, run: r}
	began, ended, err := p.everyone(ctx)
	err = errors.Join(err, context.Cause(ctx), spent.read(r))
	p.stop()
	if err != nil {
		return errors.Join(err, p.errors.first)
	}
	p.report(r, began, ended)
	before := p.all.Rates(began-replaceQuiet, began, rateWindow)
	during := p.all.Rates(began, ended, rateWindow)
	after := p.all.Rates(ended, ended+replaceQuiet, rateWindow)
	reportRates(r, before, during, after, p.all.Rate(began, ended))
	if err := p.check(ctx, r); err != nil {
		return err
	}
	if err := b.sameHashes(ctx); err != nil {
		return err
	}
	r.Add("original servers left", float64(common(originals, b.cluster.Servers)))
	r.Add("servers with the same hash", float64(len(b.cluster.Servers))) // else it has failed
	r.AddMedians()
	return nil
}

// reportRates adds the puts per second in the windows before, during and after, and how far they fell: the worst
// window of each, and what was put during all of it. A dip is in percent of the median before.
func reportRates(r *report.Run, before, during, after []float64, meanDuring float64) {
	usual := report.Median(before)
	dip := func(rate float64) float64 { return 100 * (1 - rate/usual) }
	for _, part := range []struct {
		when  string
		rates []float64
	}{{"before", before}, {"during", during}, {"after", after}} {
		for _, rate := range part.rates {
			r.AddSample("puts/s in windows of 1 s, "+part.when, rate)
		}
		if len(part.rates) > 0 {
			r.Add("dip of the worst window "+part.when+", %", dip(slices.Min(part.rates)))
		}
	}
	r.Add("dip of all that was put during, %", dip(meanDuring))
}

// replacing replaces servers under a load.
type replacing struct {
	*crowd
	clients ownClients
	run     *report.Run
}

// everyone replaces one server after the other, between two times of quiet. It returns when it has begun and ended.
func (p *replacing) everyone(ctx context.Context) (began, ended time.Duration, err error) {
	pauseFor(ctx, p.bed.options.warmup)
	if err := p.settle(ctx); err != nil {
		return 0, 0, err
	}
	pauseFor(ctx, replaceQuiet)
	began = p.all.Now()
	for i := range p.bed.size {
		if err := p.replace(ctx, i); err != nil {
			return 0, 0, fmt.Errorf("replacement %d: %w", i+1, err)
		}
	}
	ended = p.all.Now()
	pauseFor(ctx, replaceQuiet)
	return began, ended, nil
}

// replace lets a new server join, and removes the oldest once the new one has its vote.
func (p *replacing) replace(ctx context.Context, number int) error {
	servers := p.bed.cluster
	state, err := servers.Look(ctx)
	if err != nil {
		return err
	}
	asker, err := cluster.Dial(servers.URLs()...)
	if err != nil {
		return err
	}
	defer asker.Close()
	m := &members{client: asker, servers: servers, tell: p.bed.tell}
	began := time.Now()
	if err := m.join(ctx); err != nil {
		return err
	}
	voted := time.Now()
	old, role := servers.Servers[0], "a follower"
	if now, err := servers.Look(ctx); err == nil && now.Leader == 0 {
		role = "the leader"
	}
	old.MayEnd()
	if err := m.remove(ctx, state.IDs[0]); err != nil {
		return err
	}
	removed := time.Now()
	if err := servers.Leave(ctx, 0); err != nil {
		return err
	}
	left := time.Now()
	p.clients.know(servers)
	if err := p.settle(ctx); err != nil {
		return err
	}
	whole := time.Now()
	p.bed.tell("replacement %d of %d, of %s, %s: the new server votes after %v, the old one is removed after %v and has ended after %v; whole after %v; %d requests have failed so far",
		number+1, p.bed.size, old.Name, role, rounded(voted.Sub(began)), rounded(removed.Sub(voted)), rounded(left.Sub(removed)), rounded(whole.Sub(left)), p.failedSoFar())
	p.run.AddSample("from a new server's start to its vote, ms", millis(voted.Sub(began)))
	p.run.AddSample("removal of the old, ms", millis(removed.Sub(voted)))
	p.run.AddSample("one replacement, ms", millis(whole.Sub(began)))
	return nil
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// common is how many servers are in both lists.
func common(a, b []*cluster.Server) int {
	n := 0
	for _, server := range a {
		if slices.Contains(b, server) {
			n++
		}
	}
	return n
}
