package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// A state that is damaged is not repaired: it is set aside, and a new one begun, which comes from the log, or, where
// that begins later, from another server. What is known of it is names in the data directory, so that a crash anywhere
// leaves something that the next start goes on from (docs/adr/0019):
//
//	state.damage    why the state must not be used: the next start sets it aside
//	state.damaged   a state that was set aside
//	state.healing   why it was: the new one is not complete yet, and state.damaged not to be removed
//	state.unreadable  what the disk did not read: the next start tries it (unreadable.go)
const (
	damageFile     = "state.damage"
	damagedDir     = "state.damaged"
	healingFile    = "state.healing"
	unreadableFile = "state.unreadable"
)

// damage is what a data directory knows of a state that is damaged.
type damage struct {
	dir string
}

func (d damage) path(name string) string { return filepath.Join(d.dir, name) }

// exists tells whether there is something of that name.
func (d damage) exists(name string) (bool, error) {
	_, err := os.Lstat(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// reason returns what a file says, on one line; "" if it is not there.
func (d damage) reason(name string) (string, error) {
	b, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if text := strings.Join(strings.Fields(string(b)), " "); text != "" || err != nil {
		return text, err
	}
	return "it says nothing more", nil
}

// mark makes it durable that the state must not be used. The first reason stays.
func (d damage) mark(why error) error {
	return d.note(damageFile, why.Error())
}

// note makes a file durable that says something. One that is there already stays.
func (d damage) note(name, text string) error {
	if found, err := d.exists(name); found || err != nil {
		return err
	}
	if err := writeSynced(d.path(name+".new"), text+"\n"); err != nil {
		return fmt.Errorf("note why the state may not be used: %w", err)
	}
	return d.rename(name+".new", name)
}

func writeSynced(name, text string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d damage) rename(from, to string) error {
	if err := os.Rename(d.path(from), d.path(to)); err != nil {
		return err
	}
	return vfs.OS{}.SyncDir(d.dir)
}

func (d damage) remove(name string) error {
	if err := os.RemoveAll(d.path(name)); err != nil {
		return err
	}
	return vfs.OS{}.SyncDir(d.dir)
}

// setAside puts the state aside, which was marked. Each step may be the last before a crash, and is then found done.
func (d damage) setAside() error {
	state, err := d.exists(stateDir)
	if err != nil {
		return err
	}
	older, err := d.exists(damagedDir)
	if err != nil {
		return err
	}
	healing, err := d.exists(healingFile)
	switch {
	case err != nil:
		return err
	case !state: // it has been set aside
	case older && healing: // what was begun since has less than what is aside
		err = d.remove(stateDir)
	case older:
		err = d.remove(damagedDir)
		fallthrough
	default:
		if err == nil {
			err = d.rename(stateDir, damagedDir)
		}
	}
	if err == nil {
		err = d.rename(damageFile, healingFile)
	}
	if err != nil {
		return fmt.Errorf("set the damaged state aside: %w", err)
	}
	return nil
}

// healed removes what is aside: the new state has all that it had.
func (d damage) healed() error {
	if err := d.remove(damagedDir); err != nil {
		return fmt.Errorf("remove the damaged state: %w", err)
	}
	return d.remove(healingFile)
}

// watchedFor collects damage that is found in the background while the state is being opened.
type watchedFor struct {
	mu     sync.Mutex // guards what follows
	opened bool
	found  error
}

// note takes damage in. It reports whether the state is open already.
func (w *watchedFor) note(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.opened && w.found == nil {
		w.found = err
	}
	return w.opened
}

// open ends the opening, if nothing was found until then; else it returns what was, and what comes later is of no matter.
func (w *watchedFor) open() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = w.found == nil
	return w.found
}

// openStore opens the state, or a new one if it is damaged and there is somewhere to get it from.
func (s *Server) openStore() error {
	d := damage{s.options.DataDir}
	why, err := d.reason(damageFile)
	if err != nil {
		return fmt.Errorf("--data-dir %s: %w", d.dir, err)
	}
	if why == "" {
		if why, err = s.tryUnreadable(); err != nil {
			return fmt.Errorf("--data-dir %s: %w", d.dir, err)
		}
	}
	if why == "" && s.host.Regains(groupID, 0) != nil {
		if err := s.peek(); err != nil {
			return explainState(err, d.path(stateDir))
		}
	}
	if why == "" {
		err := s.openState()
		if err == nil || !pebblekv.IsDamage(err) {
			s.noteDamage(err)
			return explainState(err, d.path(stateDir))
		}
		why = err.Error()
	}
	if err := s.host.Regains(groupID, 0); err != nil {
		return s.unhealable(why, err)
	}
	s.logger.Error("the state is damaged: it is set aside, and had from the log, or from another server", "why", why)
	if err := d.mark(errors.New(why)); err != nil {
		return err
	}
	if err := d.setAside(); err != nil {
		return err
	}
	if err := d.remove(unreadableFile); err != nil { // it was about that state
		return err
	}
	return explainState(s.openState(), d.path(stateDir))
}

// peek looks whether a state that nobody else has is as far as it must be, before anything is written to it: of a manifest
// that is damaged Pebble takes what is before the damage, and removes the tables that it then does not know.
func (s *Server) peek() error {
	engine, err := pebblekv.Open(damage{s.options.DataDir}.path(stateDir), pebblekv.Options{
		ReadOnly: true, Background: func(error) {}, Damage: func(pebblekv.Damage) {}, Log: s.logEngine,
	})
	var store *kv.Store
	if err == nil {
		store, err = kv.Open(engine, kv.Options{Cluster: s.host.ClusterID()})
	}
	if pebblekv.IsDamage(err) {
		return s.unhealable(err.Error(), s.host.Regains(groupID, 0))
	}
	if err != nil {
		return err
	}
	applied := quorate.Index(store.AppliedIndex())
	if err := store.Close(); err != nil {
		return err
	}
	if lost := s.host.Regains(groupID, applied); lost != nil {
		return s.unhealable("its files show an earlier state", lost)
	}
	return nil
}

// unhealable says what is lost, and what may help.
func (s *Server) unhealable(why string, lost error) error {
	d := damage{s.options.DataDir}
	return fmt.Errorf("the state in %s is damaged (%s), and cannot be had from elsewhere: %w. "+
		"Nothing was changed. Restore a snapshot, or a copy of the whole data directory; if others belong to the cluster and this server does not know, "+
		"join it anew. To read what is left, remove %s, if it is there, and copy what can be read: what is damaged is never served",
		d.path(stateDir), why, lost, d.path(damageFile))
}

// awaitWhole lets nobody read a state that was begun anew before it has what had been committed here.
func (s *Server) awaitWhole() {
	if healing, err := (damage{s.options.DataDir}).exists(healingFile); healing || err != nil {
		s.forClients.whole.Store(uint64(s.group.Status().Raft.CommitIndex))
	}
}

// heal watches over a state that was begun anew, until it has what was set aside.
func (s *Server) heal(ctx context.Context) {
	d := damage{s.options.DataDir}
	if healing, err := d.exists(healingFile); err != nil {
		s.logger.Error("it cannot be looked whether a damaged state was set aside", "err", err)
		return
	} else if !healing {
		return
	}
	goal := s.group.Status().Raft.LastIndex // the old one had nothing that the log had not
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		status := s.group.Status()
		switch {
		case status.Snapshots.Missing || status.Raft.LastApplied < goal:
		case s.machine.DurableIndex() < goal:
			signal(s.machine.flushNow)
		default:
			if err := d.healed(); err != nil {
				s.logger.Error("what is left of the damaged state cannot be removed", "err", err)
				return
			}
			s.logger.Info("the state is whole again: the damaged one is removed", "index", uint64(goal))
			return
		}
	}
}

// noteDamage makes it durable that the state is damaged, or another than that of the others, if that is why this server
// must not go on.
func (s *Server) noteDamage(err error) {
	var differs *quorate.DiffersError
	d := damage{s.options.DataDir}
	var noting error
	if pebblekv.IsDamage(err) || errors.As(err, &differs) {
		noting = d.mark(err)
	} else if path, found := pebblekv.Unreadable(err); found && filepath.Dir(path) == d.path(stateDir) {
		noting = d.note(unreadableFile, filepath.Base(path)+" "+err.Error())
	}
	if noting != nil {
		s.logger.Error("it cannot be noted that the state is damaged", "err", noting)
	}
}
