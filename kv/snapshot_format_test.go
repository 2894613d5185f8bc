package kv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func exampleState() state {
	return state{applied: 9, revision: 7, compact: 2, digest: Digest{1, 2, 15: 16}, time: 0x0102030405060708}
}

// exampleChunks are a chunk of each phase.
func exampleChunks() []snapshotChunk {
	version := func(key string, main int64) []byte { return appendVersionKey(nil, []byte(key), revision{main, 0}) }
	put := appendVersion(nil, &version3)
	var keys, changes, spaces rows
	first := version("aa", 7)
	keys = keys.append(first, put, nil).append(version("ab", 3), appendVersion(nil, &versionGone), first)
	changes = changes.append(version("b", 5), put, nil)
	spaces = spaces.append(appendLeaseKey(nil, 1), appendLease(nil, &Lease{TTL: 5, Deadline: 6}), nil)
	end := revision{main: 8}
	return []snapshotChunk{
		{cluster: 7, begin: true, full: true, view: exampleState(), from: position{phase: phaseKeys, next: end}, rows: keys},
		{cluster: 7, begin: true, view: exampleState(), from: position{phase: phaseChanges, next: revision{main: 4}}, rows: changes},
		{cluster: 7, done: true, view: exampleState(), keys: keyRange{[]byte("a"), []byte("c")},
			from: position{phase: phaseSpaces, next: end, key: []byte{spaceLeases}}, rows: spaces},
		{cluster: 7, done: true, view: exampleState(), from: position{phase: phaseEnd, next: end}},
	}
}

var (
	version3    = version{create: 3, version: 2, lease: 300, value: []byte("value")}
	versionGone = version{tombstone: true}
)

func exampleRequests() []snapshotRequest {
	return []snapshotRequest{
		{cluster: 7, have: initialState()},
		{cluster: 7, have: exampleState(), keys: keyRange{[]byte("a"), []byte("c")}, staged: true, view: viewID{5, Digest{3}},
			at: position{phase: phaseKeys, next: revision{6, 1}, key: []byte("key")}},
	}
}

func (c *snapshotChunk) encode() []byte { return checked(append(c.appendHead(nil), c.rows...), 0) }

func TestSnapshotFormatsArePinned(t *testing.T) {
	var b strings.Builder
	line := func(what string, bytes []byte) { fmt.Fprintf(&b, "%-24s %x\n", what, bytes) }
	for i, what := range []string{"request: first", "request: staged"} {
		line(what, exampleRequests()[i].append(nil))
	}
	for i, what := range []string{"chunk: full, keys", "chunk: delta, changes", "chunk: other records", "chunk: end"} {
		line(what, exampleChunks()[i].encode())
	}
	p := plan{full: true, base: 0, generation: 3, view: exampleState(), at: exampleRequests()[1].at}
	line("plan: full", p.append(nil))
	p = plan{base: 4, view: exampleState(), at: position{phase: phaseEnd, next: revision{8, 0}}}
	line("plan: delta", p.append(nil))
	line("key: plan", planKey())
	line("key: staged", append(appendGeneration(nil, 3), appendLeaseKey(nil, 1)...))
	line("key: position", positionKey())
	var file bytes.Buffer
	if _, err := snapshotOf(t).WriteSnapshot(&file); err != nil {
		t.Fatal(err)
	}
	line("file", file.Bytes())
	golden(t, "snapshot.golden", b.String())
}

// snapshotOf returns a store with two keys.
func snapshotOf(t testing.TB) *Store {
	t.Helper()
	s := &Store{engine: newMapEngine(), options: Options{Cluster: 7}}
	b := s.engine.NewBatch()
	now := exampleState()
	b.Set(appliedKey(), appendState(nil, &now))
	b.Set(formatKey(), appendFormat(nil, 7))
	set := func(key, value []byte) error {
		b.Set(key, value)
		return nil
	}
	for _, c := range exampleChunks() {
		if err := c.rows.each(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnapshotFormatsAreReadAsWritten(t *testing.T) {
	for _, want := range exampleRequests() {
		var got snapshotRequest
		if err := got.parse(want.append(nil)); err != nil || !bytes.Equal(got.append(nil), want.append(nil)) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	for _, want := range exampleChunks() {
		var got snapshotChunk
		if err := got.parse(want.encode()); err != nil || !bytes.Equal(got.encode(), want.encode()) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	want := plan{full: true, base: 4, generation: 3, view: exampleState(), at: exampleRequests()[1].at}
	var got plan
	if err := got.parse(want.append(nil)); err != nil || !bytes.Equal(got.append(nil), want.append(nil)) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestSnapshotFormatsAreReadWholeOrNotAtAll: with a right checksum, too, what is cut off, has something behind it, or says
// what nobody knows is refused.
func TestSnapshotFormatsAreReadWholeOrNotAtAll(t *testing.T) {
	request := func(b []byte) error { return new(snapshotRequest).parse(b) }
	chunk := func(b []byte) error { return new(snapshotChunk).parse(b) }
	staged := func(b []byte) error { return new(plan).parse(b) }
	refused := func(what string, parse func([]byte) error, b []byte) {
		t.Helper()
		if parse(resum(b)) == nil {
			t.Errorf("%s: %x", what, b)
		}
	}
	whole := func(parse func([]byte) error, b []byte) {
		t.Helper()
		for n := range b {
			refused("cut off", parse, b[:n])
		}
	}
	for _, r := range exampleRequests() {
		whole(request, r.append(nil))
		refused("something behind it", request, append(r.append(nil), 0))
	}
	for _, c := range exampleChunks() {
		whole(chunk, c.appendHead(nil)) // the rows are as long as they are
	}
	p := plan{view: exampleState(), at: exampleRequests()[1].at}
	whole(staged, p.append(nil))
	refused("something behind it", staged, append(p.append(nil), 0))
	for at, parse := range map[string]func([]byte) error{"plan": staged, "chunk": chunk} {
		b := p.append(nil)
		if at == "chunk" {
			b = exampleChunks()[0].encode()
		}
		b[checkedBytes] |= 1 << 3
		refused("an unknown flag of a "+at, parse, b)
	}
	nowhere := exampleRequests()[1]
	nowhere.at.next = revision{}
	refused("before the first revision", request, nowhere.append(nil))
	newer := exampleChunks()[0].encode()
	newer[checkedBytes+1]++ // the format's highest byte
	if err := chunk(resum(newer)); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("of a newer format: %v", err)
	}
}

// TestChunksThatDoNotFitAreRefused: of another cluster, of some keys only, where nothing can begin, out of order.
func TestChunksThatDoNotFitAreRefused(t *testing.T) {
	row := func(b rows, key, value []byte) rows { return b.append(key, value, nil) }
	later := exampleState()
	later.applied, later.revision = 20, 12
	compacted := later
	compacted.compact = 8
	for name, change := range map[string]func(c *snapshotChunk){
		"of another cluster":    func(c *snapshotChunk) { c.cluster++ },
		"of some keys only":     func(c *snapshotChunk) { c.keys.key = []byte("a") },
		"nothing in it":         func(c *snapshotChunk) { c.rows = nil },
		"not where it was":      func(c *snapshotChunk) { c.from.key = []byte("x") },
		"begins in the middle":  func(c *snapshotChunk) { c.begin, c.full = true, true },
		"of another phase":      func(c *snapshotChunk) { c.from.phase = phaseSpaces },
		"of an older view":      func(c *snapshotChunk) { c.view.applied-- },
		"of one that compacted": func(c *snapshotChunk) { c.view = compacted },
		"says that it is full":  func(c *snapshotChunk) { c.full = true },
		"keys out of order": func(c *snapshotChunk) {
			c.rows = row(c.rows, appendVersionKey(nil, []byte("a"), revision{2, 0}), appendVersion(nil, &version3))
		},
		"of the future": func(c *snapshotChunk) {
			c.rows = row(nil, appendVersionKey(nil, []byte("z"), revision{8, 0}), appendVersion(nil, &version3))
		},
		"no version's key": func(c *snapshotChunk) { c.rows = row(nil, []byte{spaceVersions, 'z'}, appendVersion(nil, &version3)) },
		"no version": func(c *snapshotChunk) {
			c.rows = row(nil, appendVersionKey(nil, []byte("z"), revision{7, 0}), []byte{9})
		},
		"of another space":          func(c *snapshotChunk) { c.rows = row(nil, appliedKey(), nil) },
		"no key":                    func(c *snapshotChunk) { c.rows = row(nil, nil, nil) },
		"more shared than there is": func(c *snapshotChunk) { c.rows = rows{1, 0, 0} },
		"rows cut off":              func(c *snapshotChunk) { c.rows = c.rows[:len(c.rows)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			s := &Store{engine: newMapEngine(), options: Options{Cluster: 7}}
			now := initialState()
			s.current.Store(&now)
			first := exampleChunks()[0]
			next := first
			next.begin, next.full = false, false
			version := appendVersion(nil, &version3)
			first.rows = rows(nil).append(appendVersionKey(nil, []byte("aa"), revision{7, 0}), version, nil)
			next.rows = rows(nil).append(appendVersionKey(nil, []byte("ab"), revision{3, 0}), version, nil)
			next.from.key = appendVersionKey(nil, []byte("aa"), revision{7, 0})
			if _, _, err := s.StageSnapshot(first.encode()); err != nil {
				t.Fatal(err)
			}
			before, err := s.SnapshotRequest()
			if err != nil {
				t.Fatal(err)
			}
			bad := next
			change(&bad)
			if _, _, err := s.StageSnapshot(bad.encode()); !errors.Is(err, ErrSnapshotChunk) {
				t.Errorf("taken: %v", err)
			}
			after, err := s.SnapshotRequest()
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the stage has changed: %v", err)
			}
			if _, _, err := s.StageSnapshot(next.encode()); err != nil {
				t.Errorf("the right one: %v", err)
			}
		})
	}
}

// TestOnlyRecordsThatAreKnownAreTaken: what this version cannot read it must not install.
func TestOnlyRecordsThatAreKnownAreTaken(t *testing.T) {
	good := exampleChunks()[2]
	good.from.key = nil
	if _, err := good.check(); err != nil {
		t.Fatal(err)
	}
	for _, space := range []byte{spaceMeta, spaceLocal, spaceVersions, spaceLeases, spaceLeaseKeys, spaceAuth, spaceAlarms, spaceSessions,
		spaceAnswers, spaceConfiguration, spaceTokens, 0x60, spaceStaged, spaceEnd} {
		bad := good
		bad.rows = rows(nil).append([]byte{space, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{9}, nil)
		if _, err := bad.check(); err == nil {
			t.Errorf("a record of space %02x is taken", space)
		}
	}
}

// TestRecordsAreTakenInOrderOnly: of the engine's keys, or of revisions.
func TestRecordsAreTakenInOrderOnly(t *testing.T) {
	put := appendVersion(nil, &version3)
	version := func(key string, main int64) [2][]byte {
		return [2][]byte{appendVersionKey(nil, []byte(key), revision{main, 0}), put}
	}
	lease := func(id int64) [2][]byte {
		return [2][]byte{appendLeaseKey(nil, id), appendLease(nil, &Lease{TTL: 5, Deadline: 6})}
	}
	type pairs [][2][]byte
	end := revision{main: 8}
	for name, c := range map[string]struct {
		from  position
		pairs pairs
		taken bool
	}{
		"keys":                      {position{phaseKeys, end, nil}, pairs{version("a", 7), version("a", 3), version("b", 7)}, true},
		"keys, newest last":         {position{phaseKeys, end, nil}, pairs{version("a", 3), version("a", 7)}, false},
		"a version that was there":  {position{phaseKeys, end, version("a", 7)[0]}, pairs{version("a", 7)}, false},
		"a version without key":     {position{phaseKeys, end, nil}, pairs{version("", 7)}, false},
		"a version of no revision":  {position{phaseKeys, end, nil}, pairs{version("a", 0)}, false},
		"changes":                   {position{phaseChanges, revision{4, 0}, nil}, pairs{version("z", 4), version("a", 5)}, true},
		"changes, oldest last":      {position{phaseChanges, revision{4, 0}, nil}, pairs{version("a", 5), version("z", 4)}, false},
		"a change that was there":   {position{phaseChanges, revision{4, 1}, nil}, pairs{version("a", 4)}, false},
		"a change twice":            {position{phaseChanges, revision{4, 0}, nil}, pairs{version("a", 4), version("a", 4)}, false},
		"leases":                    {position{phaseSpaces, end, lease(1)[0]}, pairs{lease(2), lease(3)}, true},
		"leases, first last":        {position{phaseSpaces, end, nil}, pairs{lease(2), lease(1)}, false},
		"a lease that was there":    {position{phaseSpaces, end, lease(1)[0]}, pairs{lease(1)}, false},
		"records behind everything": {position{phaseEnd, end, nil}, pairs{lease(1)}, false},
	} {
		chunk := snapshotChunk{cluster: 7, done: true, view: exampleState(), from: c.from}
		var previous []byte
		for _, pair := range c.pairs {
			chunk.rows = chunk.rows.append(pair[0], pair[1], previous)
			previous = pair[0]
		}
		if _, err := chunk.check(); (err == nil) != c.taken || err != nil && !errors.Is(err, errOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestADeltaBeginsWhereTheStateIs: not behind what the receiver has, nor the sender, and not where that has compacted.
func TestADeltaBeginsWhereTheStateIs(t *testing.T) {
	for _, delta := range []struct {
		base, revision int64 // what it is on top of, and what the receiver has
		ok             bool
	}{{1, 5, false}, {2, 5, true}, {4, 5, true}, {5, 5, true}, {6, 5, false}, {7, 9, true}, {8, 9, false}} {
		s := &Store{engine: newMapEngine(), options: Options{Cluster: 7}}
		now := initialState()
		now.applied, now.revision = 4, delta.revision
		s.current.Store(&now)
		c := exampleChunks()[1]
		c.from.next.main = delta.base + 1
		c.rows, c.done = nil, true
		if _, _, err := s.StageSnapshot(c.encode()); (err == nil) != delta.ok {
			t.Errorf("on top of revision %d, at %d: %v", delta.base, delta.revision, err)
		}
	}
}

// TestADialogueThatHasAllChangesGoesOnInALaterView: also where the newest of them is compacted, but not behind it, nor in a
// view that has less.
func TestADialogueThatHasAllChangesGoesOnInALaterView(t *testing.T) {
	view := exampleState()
	changing := position{phase: phaseChanges, next: revision{5, 3}} // the last change was then
	at := changing.phaseDone(&view)
	if at.phase != phaseSpaces || at.through() != view.revision {
		t.Fatalf("at %+v", at)
	}
	for _, later := range []struct {
		revision, compact int64
		want              bool
	}{{20, -1, true}, {20, 7, true}, {20, 8, false}, {7, 7, true}, {6, 2, false}} {
		if got := at.goesOn(&state{revision: later.revision, compact: later.compact}); got != later.want {
			t.Errorf("in %+v: %v", later, got)
		}
	}
	if end := at.phaseDone(&view); end.phase != phaseEnd || end.next != at.next {
		t.Errorf("ends at %+v", end)
	}
}

// resum makes the checksum right, so that a fuzzer gets behind it.
func resum(b []byte) []byte {
	if len(b) < checkedBytes {
		return b
	}
	b = bytes.Clone(b)
	b[0] = snapshotLayout
	return checked(b, 0)
}

func FuzzSnapshotChunk(f *testing.F) {
	for _, c := range exampleChunks() {
		f.Add(c.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = resum(b)
		s := &Store{engine: newMapEngine(), options: Options{Cluster: 7}}
		now := exampleState()
		now.applied, now.revision = 4, 5
		s.current.Store(&now)
		bounded(t, "chunk", len(b), recordFactor, func() {
			var c snapshotChunk
			if c.parse(b) == nil {
				_, _ = c.check()
			}
		})
		_, complete, err := s.StageSnapshot(b)
		if err == nil && complete {
			_ = s.InstallSnapshot(nil)
		}
	})
}

func FuzzSnapshotRequest(f *testing.F) {
	for _, r := range exampleRequests() {
		f.Add(r.append(nil))
	}
	s := snapshotOf(f)
	now := exampleState()
	s.current.Store(&now)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = resum(b)
		bounded(t, "request", len(b), recordFactor, func() {
			var r snapshotRequest
			_ = r.parse(b)
		})
		_, _, _ = s.ServeSnapshot(b, 1000)
	})
}

func FuzzSnapshotFile(f *testing.F) {
	var file bytes.Buffer
	if _, err := snapshotOf(f).WriteSnapshot(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, "file", len(b), recordFactor, func() { _, _ = ReadSnapshot(bytes.NewReader(b)) })
	})
}
