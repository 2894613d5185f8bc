package ops

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/quorate/quorate"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// Report says what is in the directory, and what is wrong with it. The error is that of a file system
// that cannot be read at all.
func (d *Directory) Report() (*Report, error) {
	r := &Report{Directory: d.path, Verified: d.options.Verify, Problems: []Problem{}, Notes: d.notes}
	d.addFiles(r)
	if err := d.addLog(r); err != nil {
		return nil, err
	}
	if err := d.addState(r); err != nil {
		return nil, err
	}
	d.compare(r)
	return r, nil
}

// addFiles reports the small files.
func (d *Directory) addFiles(r *Report) {
	i := &d.info
	switch {
	case errors.Is(i.ServerError, fs.ErrNotExist):
		r.problem(filepath.Join(d.path, serverFile), "it is missing, so nothing says which server of which cluster this is", doRestoreFile)
	case i.ServerError != nil:
		do := doRestoreFile
		if errors.Is(i.ServerError, quorate.ErrNewerFormat) {
			do = doUpgrade
		}
		r.problem(filepath.Join(d.path, serverFile), i.ServerError.Error(), do)
	default:
		r.Server = serverPart(i)
	}
	switch {
	case errors.Is(i.IdentityError, fs.ErrNotExist) && len(i.Groups) == 0:
		r.note("there is no identity yet: the first start makes one")
	case errors.Is(i.IdentityError, fs.ErrNotExist):
		r.problem(filepath.Join(d.path, identityFile), "it is missing, and with it this server's key", doRestoreFile)
	case i.IdentityError != nil:
		r.problem(filepath.Join(d.path, identityFile), i.IdentityError.Error(), doIfNewer(i.IdentityError, doRestoreFile))
	default:
		r.Identity = &IdentityPart{Key: i.Key.String(), Fingerprint: i.Key.Fingerprint()}
	}
	r.Boot = i.Boot
	switch {
	case errors.Is(i.BootError, fs.ErrNotExist) && len(i.Groups) == 0:
		r.note("there is no boot counter yet: the server has never started")
	case errors.Is(i.BootError, fs.ErrNotExist):
		r.problem(filepath.Join(d.path, bootFile), "it is missing: the server has started, and nobody knows how often", doReplace)
	case i.BootError != nil:
		r.problem(filepath.Join(d.path, bootFile), i.BootError.Error(), doIfNewer(i.BootError, doReplace))
	case i.BootDamage != nil:
		r.problem(filepath.Join(d.path, bootFile), i.BootDamage.Error(),
			"nothing: the other copy is sound, and the next start writes both anew; but the disk rots")
	}
}

func doIfNewer(err error, otherwise string) string {
	if errors.Is(err, transport.ErrTooNew) {
		return doUpgrade
	}
	return otherwise
}

func serverPart(i *quorate.DirectoryInfo) *ServerPart {
	p := &ServerPart{
		Format: i.Format, Cluster: fmt.Sprintf("%x", i.Cluster), Server: fmt.Sprintf("%x", i.Server),
		Name: i.Name, Token: i.Token, Joined: len(i.Joined) > 0, PeerKeys: map[string]string{},
	}
	for _, g := range i.Groups {
		p.Groups = append(p.Groups, uint64(g))
	}
	for id, key := range i.PeerKeys { //tidy:ordered it goes into a map again
		p.PeerKeys[fmt.Sprintf("%x", id)] = key.String()
	}
	return p
}

// addLog reports the log.
func (d *Directory) addLog(r *Report) error {
	dir := filepath.Join(d.path, logDir)
	var unread *fs.PathError
	switch {
	case errors.Is(d.logErr, fs.ErrNotExist):
		if len(d.info.Groups) == 0 {
			r.note("there is no log yet")
		} else {
			r.problem(dir, "the log is missing, and with it what this server has promised", doReplace)
		}
		return nil
	case errors.As(d.logErr, &unread):
		return d.logErr
	}
	p := &LogPart{Directory: dir, Segments: []SegmentPart{}, Groups: []GroupPart{}}
	r.Log = p
	odd, err := d.addSegments(p)
	if err != nil {
		return err
	}
	if d.logErr != nil {
		d.addDamage(r, odd)
		return nil
	}
	p.Frames, p.Synced, p.Boot, p.Suspect = d.logged.Frames, d.logged.Synced, d.logged.Boot, d.logged.Suspect
	if t := d.logged.TornTail; t != nil {
		p.TornTail = &TornPart{File: t.File, Offset: t.Offset, Bytes: t.Bytes}
		r.note("%s ends at byte %d in the middle of a write (%d bytes): nobody was told that it is durable, and the next start cuts it away",
			t.File, t.Offset, t.Bytes)
	}
	for _, h := range d.logged.Healed {
		what := "a header is damaged, and what it was is known"
		if h.Group != 0 {
			what = fmt.Sprintf("a record of group %d is damaged, and what it was is known", h.Group)
		}
		r.problem(fmt.Sprintf("%s, byte %d", h.File, h.Offset), what, "nothing now: the log is whole; but the disk rots, so replace it soon")
	}
	for i := range d.logged.Groups {
		for _, h := range d.logged.Groups[i].Holes {
			r.problem(fmt.Sprintf("%s, byte %d", h.File, h.Offset), fmt.Sprintf("entry %d of term %d of group %d is lost to damage", h.Index, h.Term, d.logged.Groups[i].ID),
				"start this server: it fetches the entry from the others, unless its state has it already; the disk rots, so replace it soon")
		}
	}
	for i := range d.logged.Groups {
		part, err := d.groupPart(r, &d.logged.Groups[i])
		if err != nil {
			return err
		}
		p.Groups = append(p.Groups, *part)
	}
	return nil
}

// addDamage reports why the log cannot be read, and what else is odd in it.
func (d *Directory) addDamage(r *Report, odd []Problem) {
	var damage *wal.DamageError
	switch {
	case errors.As(d.logErr, &damage):
		what := damage.Reason
		if damage.Frame != 0 {
			what += fmt.Sprintf(" (frame %d)", damage.Frame)
		}
		if damage.Index != 0 {
			what += fmt.Sprintf("; it held entry %d of term %d of group %d", damage.Index, damage.Term, damage.Group)
		}
		r.problem(fmt.Sprintf("%s, byte %d", damage.File, damage.Offset), what+"; it was written durably, so no crash explains it", doReplace)
		r.Problems = append(r.Problems, odd...)
	case errors.Is(d.logErr, wal.ErrNewerFormat):
		r.problem(r.Log.Directory, d.logErr.Error(), doUpgrade)
	case errors.Is(d.logErr, wal.ErrOtherCluster), errors.Is(d.logErr, wal.ErrOtherServer):
		r.problem(r.Log.Directory, d.logErr.Error(), "put the log and "+serverFile+" together that belong together")
	default:
		r.problem(r.Log.Directory, d.logErr.Error(), doReplace)
	}
}

// addSegments reports the files of the log, as they are. What is odd in them means nothing while the log
// as a whole is sound: it may be what a crash or an earlier use of the file has left.
func (d *Directory) addSegments(p *LogPart) (odd []Problem, err error) {
	var s *SegmentPart
	err = wal.Scan(vfs.ReadOnly{}, p.Directory, func(item wal.Item) error {
		switch {
		case item.Segment != nil:
			p.Segments = append(p.Segments, SegmentPart{
				File: filepath.Base(item.File), Bytes: item.Segment.Bytes, Blank: item.Segment.Blank,
				Number: item.Segment.Number, Previous: item.Segment.Previous, FirstFrame: item.Segment.FirstFrame,
			})
			s = &p.Segments[len(p.Segments)-1]
			p.Bytes += s.Bytes
			d.options.Progress("reading the files of the log", p.Bytes, 0)
		case item.Frame != nil && s != nil && item.Wrong == "":
			s.LastFrame = item.Frame.Sequence
			s.Records += item.Frame.Records
			s.Used = item.Offset + int64(item.Frame.BodyBytes)
		}
		if item.Wrong != "" && len(odd) < maxProblems {
			odd = append(odd, Problem{Where: fmt.Sprintf("%s, byte %d", item.File, item.Offset), What: item.Wrong, Do: doReplace})
		}
		return nil
	})
	var damage *wal.DamageError
	if errors.As(err, &damage) {
		return append(odd, Problem{Where: damage.File, What: damage.Reason, Do: doReplace}), nil
	}
	return odd, err
}

// groupPart reports one group's log, and reads all of it if everything is to be verified.
func (d *Directory) groupPart(r *Report, g *wal.Group) (*GroupPart, error) {
	p := &GroupPart{
		Group: uint64(g.ID), Term: uint64(g.HardState.CurrentTerm), Commit: uint64(g.HardState.Commit),
		Base:  EntryPart{Index: uint64(g.Base.Index), Term: uint64(g.Base.Term), Hash: hex.EncodeToString(g.BaseHash[:])},
		First: uint64(g.Base.Index) + 1, Last: uint64(g.Last), LastHash: hex.EncodeToString(g.LastHash[:]),
	}
	if g.HardState.VotedFor != 0 {
		p.VotedFor = fmt.Sprintf("%x", g.HardState.VotedFor)
	}
	for i, run := range g.Runs {
		last := g.Last
		if i+1 < len(g.Runs) {
			last = g.Runs[i+1].First - 1
		}
		p.Terms = append(p.Terms, TermPart{Term: uint64(run.Term), First: uint64(run.First), Last: uint64(last)})
	}
	where := fmt.Sprintf("log of group %d", g.ID)
	if n := len(g.Configurations); n > 0 {
		newest := &g.Configurations[n-1]
		p.ConfigurationIndex = uint64(newest.Index)
		if c, err := wire.DecodeConfiguration(newest.Bytes); err != nil {
			r.problem(where, fmt.Sprintf("the configuration at entry %d cannot be read: %v", newest.Index, err), doIfNewerLog(err))
		} else {
			p.Configuration = membersOf(c)
		}
	}
	if d.options.Verify && g.Last > g.Base.Index {
		return p, d.verifyGroup(r, p, where)
	}
	return p, nil
}

func doIfNewerLog(err error) string {
	if errors.Is(err, wire.ErrTooNew) {
		return doUpgrade
	}
	return doReplace
}

// verifyGroup reads all entries: each follows from the one before, and can be read.
func (d *Directory) verifyGroup(r *Report, p *GroupPart, where string) error {
	p.Kinds = map[string]int{}
	logTime, wrong := uint64(0), 0
	note := func(e *Entry, what string) {
		if wrong++; wrong <= maxProblems {
			r.problem(fmt.Sprintf("%s, entry %d", where, e.Index), what, doReplace)
		}
	}
	err := d.Entries(quorate.GroupID(p.Group), p.First, p.Last, false, func(e *Entry) error {
		kind := e.Kind
		if e.Command != "" {
			kind = e.Command
		}
		p.Kinds[kind]++
		if e.Wrong != "" {
			note(e, "it cannot be read: "+e.Wrong)
		}
		if e.LogTime != 0 && e.LogTime < logTime {
			note(e, fmt.Sprintf("its log time %d is before that of an earlier entry, %d", e.LogTime, logTime))
		}
		logTime = max(logTime, e.LogTime)
		d.options.Progress("verifying entries", int64(e.Index-p.Base.Index), int64(p.Last-p.Base.Index))
		return nil
	})
	var damage *wal.DamageError
	if errors.As(err, &damage) {
		r.problem(fmt.Sprintf("%s, byte %d", damage.File, damage.Offset), damage.Reason, doReplace)
		return nil
	}
	if wrong > maxProblems {
		r.note("%s: %d entries more have something wrong with them", where, wrong-maxProblems)
	}
	return err
}

// compare holds the parts against each other.
func (d *Directory) compare(r *Report) {
	if r.Log == nil || d.logErr != nil {
		return
	}
	if d.info.ServerError == nil {
		for _, id := range d.info.Groups {
			if _, _, err := d.group(id); err != nil {
				r.problem(r.Log.Directory, fmt.Sprintf("the log of group %d is gone, and with it what this server has promised", id), doReplace)
			}
		}
	}
	if r.Boot != 0 && r.Log.Boot > r.Boot {
		r.problem(filepath.Join(d.path, bootFile), fmt.Sprintf("this is boot %d, and boot %d has written the log: the file is from an older copy of the directory",
			r.Boot, r.Log.Boot), doReplace)
	}
	if r.State == nil {
		return
	}
	for i := range r.Log.Groups {
		g := &r.Log.Groups[i]
		if g.Group != clientGroup {
			continue
		}
		switch {
		case r.State.Applied < g.Base.Index:
			r.problem(r.State.Directory, fmt.Sprintf("the state is at entry %d, and the log begins after %d: what is between is gone", r.State.Applied, g.Base.Index), doReplace)
		case r.State.Applied > g.Last && r.State.Installed:
			r.note("the state is at entry %d, beyond the log's last: it was brought from another server, and the log goes on behind it", r.State.Applied)
		case r.State.Applied > g.Last:
			r.problem(r.State.Directory, fmt.Sprintf("the state is at entry %d, and the log ends at %d: the two are not of one moment", r.State.Applied, g.Last), doReplace)
		}
	}
}

// clientGroup is the group that holds the keys. There is one, so far.
const clientGroup = 1
