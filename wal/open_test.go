package wal

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wire"
)

// written returns a world with a sealed log of one group, closed.
func written(t testing.TB) *world {
	t.Helper()
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	w.append(w.entries(1, 5, 100))
	w.seal()
	w.close()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w
}

func TestLogOfOthersIsNotOpened(t *testing.T) {
	w := written(t)
	for _, c := range []struct {
		name   string
		change func(o *Options)
		want   error
	}{
		{"other cluster", func(o *Options) { o.Cluster++ }, ErrOtherCluster},
		{"other server", func(o *Options) { o.Server++ }, ErrOtherServer},
		{"earlier boot", func(o *Options) { o.Boot = 0 }, ErrOldBoot},
	} {
		options := w.options
		c.change(&options)
		if _, _, err := Open(options); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if w.open(); w.err != nil {
		t.Errorf("and its owner: %v", w.err)
	}
}

func TestNewerFormatIsNoDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []byte)
	}{
		{"segment", func(b []byte) {
			binary.LittleEndian.PutUint32(b[12:], formatVersion+1)
			binary.LittleEndian.PutUint32(b[8:], wire.Checksum(b[12:blockBytes]))
		}},
		{"frame flags", func(b []byte) {
			binary.LittleEndian.PutUint32(b[blockBytes+52:], 2)
			repair(b)
		}},
		{"record kind", func(b []byte) { b[blockBytes+frameHeaderBytes+12] = 77; repair(b) }},
		{"record layout", func(b []byte) { b[blockBytes+frameHeaderBytes+13] = 2; repair(b) }},
	} {
		w := written(t)
		b := contentOf(t, w.disk, segmentName(testDir, 1))
		c.change(b)
		setContent(t, w.disk, segmentName(testDir, 1), b)
		var damage *DamageError
		if _, _, err := Open(w.options); !errors.Is(err, ErrNewerFormat) || errors.As(err, &damage) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func contentOf(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	must(t, err)
	defer f.Close()
	bytes, err := f.Size()
	must(t, err)
	b := make([]byte, bytes)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		t.Fatal(err)
	}
	return b
}

func setContent(t testing.TB, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Create(name)
	}
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(int64(len(b))))
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Sync())
}

// repair gives a changed segment sound checksums: of its header, its frames and their records.
func repair(b []byte) {
	binary.LittleEndian.PutUint32(b[8:], wire.Checksum(b[12:blockBytes]))
	c := chain(b[56:72])
	seed := seedOf(c)
	for at := blockBytes; at+blockBytes <= len(b); {
		h := b[at:]
		bodyBytes := int(binary.LittleEndian.Uint32(h[8:]))
		if isZero(h[:frameHeaderBytes]) || bodyBytes > len(h)-frameHeaderBytes {
			return
		}
		body := h[frameHeaderBytes : frameHeaderBytes+bodyBytes]
		for r := body; len(r) >= wire.RecordHeaderBytes; {
			payload := int(binary.LittleEndian.Uint32(r[8:]))
			if payload > len(r)-wire.RecordHeaderBytes || wire.Size(payload) > len(r) {
				break
			}
			binary.LittleEndian.PutUint32(r[4:], wire.Checksum(r[wire.RecordHeaderBytes:wire.RecordHeaderBytes+payload]))
			binary.LittleEndian.PutUint32(r[0:], wire.Checksum(r[4:wire.RecordHeaderBytes]))
			r = r[wire.Size(payload):]
		}
		binary.LittleEndian.PutUint32(h[4:], wire.Checksum(body))
		c = nextChain(c, h)
		copy(h[56:], c[:])
		binary.LittleEndian.PutUint32(h[0:], headerChecksum(seed, h))
		at += frameBytes(bodyBytes)
	}
}

func TestTheDirectoryIsLocked(t *testing.T) {
	w := written(t)
	w.open()
	if _, _, err := Open(w.options); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("got %v, want %v", err, vfs.ErrLocked)
	}
	w.close()
	w.close() // which is harmless
	if w.open(); w.err != nil {
		t.Error(w.err)
	}
}

func TestMissingSegmentIsNamed(t *testing.T) {
	for number := uint32(1); number <= 3; number++ {
		w := newWorld(crashdisk.New(crashdisk.Options{}))
		w.start(1)
		for range 12 {
			w.append(w.entries(1, 2, 2500))
			w.sync()
		}
		w.seal()
		w.close()
		must(t, w.disk.Remove(segmentName(testDir, number)))
		var damage *DamageError
		if _, _, err := Open(w.options); !errors.As(err, &damage) || damage.File != segmentName(testDir, number) || !strings.Contains(err.Error(), "missing") {
			t.Errorf("segment %d is missing: got %v", number, err)
		}
	}
}

func TestHeaderOfAnotherSegmentIsNone(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1)
	for range 12 {
		w.append(w.entries(1, 2, 2500))
		w.sync()
	}
	w.seal()
	must(t, w.log.Prepare())
	w.close()
	names, err := w.disk.List(testDir)
	must(t, err)
	var segments []string
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			segments = append(segments, filepath.Join(testDir, name))
		}
	}
	first := contentOf(t, w.disk, segments[0])[:blockBytes]
	// In a blank segment it is what a crash may leave of the first write; anywhere else it is damage.
	for i, name := range segments[1:] {
		image := w.disk.Clone()
		content := contentOf(t, image, name)
		setContent(t, image, name, slices.Concat(first, content[blockBytes:]))
		options := w.options
		options.FS = image
		_, recovered, err := Open(options)
		var damage *DamageError
		switch last := i == len(segments)-2; {
		case last && (err != nil || recovered.TornTail == nil || recovered.TornTail.File != name):
			t.Errorf("in the blank segment %s: got %v, torn tail %+v", name, err, recovered.TornTail)
		case !last && !errors.As(err, &damage):
			t.Errorf("in segment %s: got %v, want a DamageError", name, err)
		}
	}
}

func TestSealedLogIsOpenedWithoutAWrite(t *testing.T) {
	w := written(t)
	before := w.disk.Operation()
	w.open()
	w.seal()
	w.close()
	for _, op := range w.disk.Operations()[before:] {
		if op.Kind.Changes() && op.Kind != crashdisk.Lock {
			t.Errorf("unexpected: %v", op)
		}
	}
	if w.err != nil {
		t.Error(w.err)
	}
}

// The last segment may have a single frame, which only says that what is before it is durable: that the log is compacted,
// say. Segments are released because of that. A start that writes nothing must not forget it: it used to, and the next
// start missed them.
func TestWhatAllowedAReleaseIsRememberedByAStartThatWritesNothing(t *testing.T) {
	alone := 0
	for bytes := 0; bytes < 34<<10; bytes += blockBytes / 2 { // how full the segment before is
		w := newWorld(crashdisk.New(crashdisk.Options{}))
		w.start(1)
		for range 6 {
			w.append(w.entries(1, 2, 2500))
		}
		w.append(w.entries(1, 1, bytes))
		w.sync()
		w.append(w.compact(1, w.model.groups[1].last()))
		w.seal()
		if w.log.frames == 1 {
			alone++
		}
		w.release()
		for range 3 {
			w.kill()
		}
		if w.err != nil {
			t.Fatalf("an entry of %d bytes: %v", bytes, w.err)
		}
	}
	if alone == 0 {
		t.Error("the frame that seals the log was never the only one of its segment: this shows nothing")
	}
}

func TestTornTailIsCutAndRemembered(t *testing.T) {
	w := written(t)
	w.open()
	w.append(w.entries(1, 1, 100))
	w.sync()
	last := segmentName(testDir, 2)
	must(t, w.disk.Flip(last, blockBytes+200, 1)) // where a crash could have torn it
	w.close()
	w.history = w.history[:len(w.history)-1]
	w.synced = len(w.history) - 1

	for _, c := range []struct {
		name          string
		torn, suspect bool
		resolve       bool
	}{
		{"found", true, true, false}, {"remembered", false, true, false}, {"still remembered", false, true, true}, {"resolved", false, false, false},
	} {
		w.options.Boot++
		l, recovered, err := Open(w.options)
		must(t, err)
		if (recovered.TornTail != nil) != c.torn || recovered.Suspect != c.suspect {
			t.Fatalf("%s: torn tail %+v, suspect %v", c.name, recovered.TornTail, recovered.Suspect)
		}
		if c.torn && (recovered.TornTail.File != last || recovered.TornTail.Offset != blockBytes || recovered.TornTail.Bytes != blockBytes) {
			t.Errorf("got %+v", recovered.TornTail)
		}
		if found, err := modelOf(l, recovered.Groups); err != nil || found.fingerprint() != w.history[w.synced] {
			t.Fatalf("%s: the log is another one, %v", c.name, err)
		}
		if c.resolve {
			l.ResolveTornTail()
		}
		must(t, l.Seal())
		must(t, l.Close())
	}
}

func TestWhatWasTornIsNoDamageLater(t *testing.T) {
	w := written(t)
	for range 5 {
		w.open()
		w.append(w.entries(1, 1, 100))
		w.append(w.entries(1, 1, 100))
		w.disk.StopAt(w.disk.Operation() + 1)
		w.sync()
		w.err = nil
		images := 0
		for _, image := range w.disk.Images() {
			if images++; images%5 == 0 {
				w.disk = image
				w.options.FS = image
				break
			}
		}
	}
	w.open()
	if w.err != nil {
		t.Error(w.err)
	}
}

func TestRefusedWritesChangeNothing(t *testing.T) {
	w := newWorld(crashdisk.New(crashdisk.Options{}))
	w.start(1, 2)
	w.append(w.entries(1, 5, 100))
	w.append(w.compact(1, 2))
	w.sync()
	before := w.disk.Operation()
	sound := w.model.next(1, 2, wire.RecordCommand, []byte("sound"))
	other := w.model.next(2, 2, wire.RecordCommand, []byte("of group 2"))
	future := w.model.next(1, 3, wire.RecordCommand, []byte("of a term to come"))
	damaged := slices.Clone(sound)
	damaged[70] ^= 1
	noEntry := wire.AppendRecord(nil, &wire.Record{Kind: wire.RecordTruncate, Group: 1, Index: 6})
	copied := slices.Clone(sound)
	setCopyFlag(copied)
	state := raft.HardState{CurrentTerm: 2, VotedFor: 1}
	for name, write := range map[string]Write{
		"group 0":             {Group: 0, Base: &Base{}},
		"unknown group":       {Group: 9, HardState: &state},
		"gap":                 {Group: 1, First: 7, Records: [][]byte{sound}},
		"index":               {Group: 1, First: 5, Records: [][]byte{sound}},
		"other group":         {Group: 1, First: 6, Records: [][]byte{other}},
		"later term":          {Group: 1, First: 6, Records: [][]byte{future}},
		"damaged":             {Group: 1, First: 6, Records: [][]byte{damaged}},
		"cut short":           {Group: 1, First: 6, Records: [][]byte{sound[:64]}},
		"too long":            {Group: 1, First: 6, Records: [][]byte{append(slices.Clone(sound), 0)}},
		"no entry":            {Group: 1, First: 6, Records: [][]byte{noEntry}},
		"copy of nothing":     {Group: 1, First: 6, Records: [][]byte{copied}},
		"term goes back":      {Group: 1, HardState: &raft.HardState{CurrentTerm: 1}},
		"second vote":         {Group: 1, HardState: &raft.HardState{CurrentTerm: 2, VotedFor: 3}},
		"vote taken back":     {Group: 1, HardState: &raft.HardState{CurrentTerm: 2}},
		"truncate the base":   {Group: 1, TruncateFrom: 2},
		"base goes back":      {Group: 1, Base: &Base{EntryID: raft.EntryID{Index: 2, Term: 2}}},
		"base without term":   {Group: 1, Base: &Base{EntryID: raft.EntryID{Index: 4}}},
		"base of other hash":  {Group: 1, Base: &Base{EntryID: raft.EntryID{Index: 4, Term: 2}, Hash: wire.Hash{1}}},
		"large configuration": {Group: 3, Base: &Base{Configuration: make([]byte, wire.MaxPayloadBytes+1)}},
	} {
		first := Write{Group: 1, First: 6, Records: [][]byte{sound}, HardState: &raft.HardState{CurrentTerm: 2, VotedFor: 1, Commit: 5}}
		if write.Group == 1 {
			first = Write{Group: 2, First: 1, Records: [][]byte{other}}
		}
		if err := w.log.Append([]Write{first, write}); !errors.Is(err, ErrRefused) || errors.Is(err, ErrBroken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if now := w.disk.Operation(); now-before > 1 { // the hash of an entry was read
		t.Errorf("%d operations on the disk", now-before)
	}
	w.append(w.entries(1, 1, 100), w.entries(2, 1, 100))
	w.seal()
	w.close()
	w.open()
	if w.err != nil {
		t.Error(w.err)
	}
}
