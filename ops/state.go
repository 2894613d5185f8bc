package ops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/kv/pebblekv"
)

// addState reports what the state machine has.
func (d *Directory) addState(r *Report) error {
	dir := filepath.Join(d.path, stateDir)
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		d.noState(r, dir)
		return nil
	case err != nil:
		return err
	}
	staged := bytesOf(filepath.Join(dir, stageDir))
	p := &StatePart{Directory: dir, Bytes: bytesOf(dir) - staged, StagedBytes: staged}
	d.checkManifest(r, dir)
	damaged := map[string]bool{}
	engine, err := pebblekv.OpenReadOnly(dir, pebblekv.Options{Damage: func(damage pebblekv.Damage) {
		if !damaged[damage.Path] && len(damaged) < maxProblems {
			r.problem(damage.Path, fmt.Sprintf("the table is damaged: keys from %x to %x may be affected: %v", damage.Lo, damage.Hi, damage.Err), d.doState())
		}
		damaged[damage.Path] = true
	}})
	if err != nil {
		r.problem(dir, fmt.Sprintf("the state cannot be opened: %v", err), d.doState())
		return nil
	}
	store, err := kv.Open(engine, kv.Options{Cluster: d.info.Cluster, CacheBytes: -1})
	if err != nil {
		d.stateUnread(r, dir, err)
		return nil
	}
	r.State = p
	d.fillState(p, store)
	if d.options.Verify {
		err = d.verifyState(r, p, store)
	}
	return errors.Join(err, store.Close())
}

// checkManifest looks whether the engine sees all that its manifest names: it takes damage for the end.
func (d *Directory) checkManifest(r *Report, dir string) {
	end, err := pebblekv.CheckManifest(dir, nil)
	switch {
	case err != nil:
		r.problem(dir, fmt.Sprintf("the manifest of the state cannot be read: %v", err), d.doState())
	case end == nil:
	case end.MayBeTorn:
		r.problem(fmt.Sprintf("%s, byte %d", end.Path, end.Offset),
			fmt.Sprintf("the last record of the state's manifest is not sound (%d bytes): a crash while it was written explains that, or damage; the state is as it was before", end.Bytes),
			"nothing after a crash: the next start goes on from there; without one suspect the disk, and "+d.doState())
	default:
		r.problem(fmt.Sprintf("%s, byte %d", end.Path, end.Offset),
			fmt.Sprintf("a record of the state's manifest is damaged, and %d bytes from there on are not seen: the state that shows is an older one", end.Bytes), d.doState())
	}
}

// noState reports that there is no state, which is made anew from a log that has everything.
func (d *Directory) noState(r *Report, dir string) {
	for _, g := range d.logged.Groups {
		if g.ID == clientGroup && g.Base.Index > 0 {
			r.problem(dir, fmt.Sprintf("the state is missing, and the log begins after entry %d: what was before is gone", g.Base.Index), doReplace)
			return
		}
	}
	r.note("there is no state: the next start makes it from the log")
}

// doState says what to do about a state that is no good: while the log can be read, and has everything, it is made anew; if it
// begins later, others have a state.
func (d *Directory) doState() string {
	for _, g := range d.logged.Groups {
		switch {
		case g.ID != clientGroup:
		case g.Base.Index == 0:
			return doState
		default:
			return doStart
		}
	}
	return doReplace
}

func (d *Directory) stateUnread(r *Report, dir string, err error) {
	do := d.doState()
	switch {
	case errors.Is(err, kv.ErrNewerFormat):
		do = doUpgrade
	case errors.Is(err, kv.ErrOtherCluster):
		do = "put the state and the log together that belong together"
	}
	r.problem(dir, fmt.Sprintf("the state cannot be read: %v", err), do)
}

func (d *Directory) fillState(p *StatePart, s *kv.Store) {
	digest, applied := s.Digest()
	p.Applied, p.Digest = applied, fmt.Sprintf("%x", digest)
	p.Revision, p.CompactRevision, p.LogTime = s.Revision(), s.CompactRevision(), s.Time()
	p.Installed = s.InstalledPosition() != nil
	p.Leases, p.Sessions = s.LeaseCount(), s.SessionCount()
	for _, a := range s.Alarms() {
		p.Alarms = append(p.Alarms, fmt.Sprintf("%s at %x", a.Type, a.Member))
	}
}

// verifyState reads all of the state. An error of the engine, as a rule a damaged table, is a problem.
func (d *Directory) verifyState(r *Report, p *StatePart, s *kv.Store) error {
	wrong := 0
	census, err := s.Verify(
		func(rows int64) { d.options.Progress("verifying the state", rows, 0) },
		func(err error) {
			if wrong++; wrong <= maxProblems {
				r.problem(p.Directory, err.Error(), d.doState())
			}
		})
	if wrong > maxProblems {
		r.note("%s: %d contradictions more", p.Directory, wrong-maxProblems)
	}
	if err != nil {
		r.problem(p.Directory, fmt.Sprintf("it cannot be read to its end: %v", err), d.doState())
		return nil
	}
	p.Census = &CensusPart{
		Keys: census.Keys, Versions: census.Versions, Tombstones: census.Tombstones, KeyBytes: census.KeyBytes, ValueBytes: census.ValueBytes,
		LeaseKeys: census.LeaseKeys, Answers: census.Answers, Tokens: census.Tokens, Rows: census.Rows,
	}
	if wrong > 0 {
		return nil // its hashes are of no use
	}
	d.options.Progress("hashing the state", 0, 0)
	whole, err := s.HashState()
	if err != nil {
		return err
	}
	keys, _, err := s.HashKV(0)
	p.Hash, p.KVHash = fmt.Sprintf("%x", whole.Hash), fmt.Sprintf("%x", keys.Hash)
	return err
}

// bytesOf adds up the files in a directory.
func bytesOf(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
