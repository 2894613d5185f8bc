package quorate

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/wal"
)

// tellDamage logs what Open has found to be damaged on the disk.
func (h *Host) tellDamage(recovered *wal.Recovered) {
	for _, at := range recovered.Healed {
		h.logger.Warn("the log is damaged, and was made good: suspect the disk", "file", at.File, "offset", at.Offset, "group", uint64(at.Group))
	}
	for i := range recovered.Groups {
		g := &recovered.Groups[i]
		if n := len(g.Holes); n > 0 {
			h.logger.Warn("entries of the log are lost to damage: this server takes no part until it has them again from the others; suspect the disk",
				"group", uint64(g.ID), "entries", n, "first", uint64(g.Holes[0].Index), "last", uint64(g.Holes[n-1].Index),
				"file", g.Holes[0].File, "offset", g.Holes[0].Offset)
		}
	}
}

// startHealing begins to keep a group of which the log has holes. Requests wait until it is healed.
func (h *Host) startHealing(id GroupID, machine StateMachine, found *wal.Group) (*Group, error) {
	healing, err := replica.NewHealing(h.replicaOptions(id), *found, machine.DurableIndex())
	if err != nil {
		return nil, fmt.Errorf("start group %d: %w", id, err)
	}
	h.directoryMu.Lock()
	err = h.directory.beginToKeep(id)
	h.directoryMu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("start group %d: %w", id, err)
	}
	delete(h.recovered, id)
	g := h.newGroup(id, machine)
	g.healing = healing
	g.noteStatus()
	h.groups[id] = g
	h.tellKnownKeys(g)
	g.worker.wake(g)
	return g, nil
}

// turnHealing is turn for a group that heals.
func (w *worker) turnHealing(g *Group, inputs []replica.Input) {
	h := w.host
	work := g.healing.Step(inputs)
	if work.Fatal != nil {
		h.fatal(fmt.Errorf("group %d: %w", g.id, work.Fatal))
		return
	}
	if work.Configuration != nil {
		_, index := g.healing.Configuration()
		h.setMembers(g.id, index, work.Configuration, nil) // first, or there is no link on which to ask
	}
	h.handOut(g, &work)
	for _, e := range work.Events {
		level := slog.LevelDebug
		switch e.(type) {
		case replica.Whole, replica.Cut, replica.StillMissing, replica.BegunAfter, replica.SnapshotUnfit:
			level = slog.LevelWarn
		case replica.Misfit:
			level = slog.LevelError
		}
		h.logger.Log(h.context, level, e.String(), "group", uint64(g.id))
	}
	if g.healing.Healed() {
		if err := g.becomeWhole(); err != nil {
			h.fatal(fmt.Errorf("group %d: %w", g.id, err))
			return
		}
	}
	g.noteStatus()
}

// becomeWhole lets the replica begin, from a log that has no holes any more.
func (g *Group) becomeWhole() error {
	h := g.host
	if err := h.writer.seal(); err != nil { // or damage could be taken for a torn tail, and what was fetched be lost again
		return err
	}
	found, err := h.logOf(g.id)
	if err != nil {
		return err
	}
	state, err := h.restarted(found, g.machine.DurableIndex(), g.snapshots)
	if err != nil {
		return err
	}
	if g.replica, err = replica.New(h.replicaOptions(g.id), *state); err != nil {
		return err
	}
	held := g.healing.Held()
	g.healing = nil
	for _, in := range held {
		g.put(in)
	}
	g.campaignIfAlone()
	return nil
}

// scrubEvery is how often a little of the log is read.
const scrubEvery = 100 * time.Millisecond

// scrub reads the log, slowly, again and again. What has rotted ends the process: the next one heals it before it
// takes part again.
func (h *Host) scrub() {
	rate := h.options.ScrubBytesPerSecond
	if rate < 0 {
		return
	}
	t := time.NewTicker(scrubEvery)
	defer t.Stop()
	var at wal.Scrubbing
	allowed := 0
	for {
		select {
		case <-t.C:
		case <-h.context.Done():
			return
		}
		if allowed += max(1, rate/int(time.Second/scrubEvery)); allowed <= 0 {
			continue // the last entry was large
		}
		next, bytes, err := h.log.Scrub(at, allowed)
		if err != nil {
			h.fatal(fmt.Errorf("scrub the log: %w", err))
			return
		}
		if at, allowed = next, allowed-bytes; allowed > 0 {
			allowed = 0
		}
	}
}
