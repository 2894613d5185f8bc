package crashdisk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/quorate/quorate/internal/choice"
)

// bytesOf returns all of a content, and a little beyond its end, where there must be zeros.
func bytesOf(c content) []byte {
	p := bytes.Repeat([]byte{0xff}, int(c.size)+3*blockBytes)
	c.read(p, 0)
	return p
}

func TestContentIsWhatASliceOfBytesWouldBe(t *testing.T) {
	const limit = 3 * chunkBytes
	for seed := range uint64(8) {
		source := choice.FromSeed(seed)
		var c content
		want := make([]byte, limit+4*blockBytes)
		size := 0
		for step := range 40 {
			before, shown := c, bytesOf(c)
			offset, n := source.Choose("offset", limit), 1+source.Choose("n", []int{10, blockBytes, chunkBytes}[source.Choose("scale", 3)])
			if source.Choose("align", 2) == 0 {
				offset, n = offset/blockBytes*blockBytes, (n+blockBytes-1)/blockBytes*blockBytes
			}
			n = min(n, limit-offset)
			switch source.Choose("what", 4) {
			case 0:
				clear(want[offset : offset+n])
				c = c.writeZeros(int64(offset), int64(n))
				size = max(size, offset+n)
			case 1:
				clear(want[min(size, offset):])
				size = offset
				c = c.truncate(int64(size))
			default:
				data := bytes.Repeat([]byte{byte(source.Choose("fill", 3))}, 1+source.Choose("zeros", n))
				clear(want[offset+copy(want[offset:], data) : offset+n])
				c = c.write(int64(offset), data, int64(n))
				size = max(size, offset+n)
			}
			if c.size != int64(size) || !bytes.Equal(bytesOf(c), want[:size+3*blockBytes]) {
				t.Fatalf("seed %d, step %d: the content differs (length %d, want %d)", seed, step, c.size, size)
			}
			if !bytes.Equal(bytesOf(before), shown) {
				t.Fatalf("seed %d, step %d: the content before changed", seed, step)
			}
			for at := int64(0); at < limit; at += blockBytes {
				if b := c.block(at); b != nil && (len(b) == 0 || len(b) > blockBytes || b[len(b)-1] == 0) {
					t.Fatalf("seed %d, step %d: the block at %d is kept in %d bytes, the last of them a zero", seed, step, at, len(b))
				}
			}
		}
	}
}

func TestZerosAreNotStored(t *testing.T) {
	d := New(Options{})
	f, err := d.Create("log")
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for i := range int64(64) {
		if _, err := f.WriteAt(zeros, i<<20); err != nil {
			t.Fatal(err)
		}
	}
	s := &d.state.inodes[f.(*file).inode].file
	if s.current.size != 64<<20 || len(s.current.chunks) != 0 {
		t.Errorf("length %d in %d chunks", s.current.size, len(s.current.chunks))
	}
	for i := range s.writes {
		if s.writes[i].data != nil {
			t.Fatalf("write %d keeps its zeros", i)
		}
	}
	if _, err := f.WriteAt([]byte{1}, 5<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(zeros, 5<<20); err != nil {
		t.Fatal(err)
	}
	if b := s.current.block(5 << 20); b != nil {
		t.Error("a block of zeros is stored")
	}
	// Zeros among other bytes: of a whole block, and of a part of one that holds nothing yet.
	mixed := make([]byte, 2*blockBytes+100)
	mixed[0] = 1
	if _, err := f.WriteAt(mixed, 6<<20); err != nil {
		t.Fatal(err)
	}
	for number, stored := range []bool{true, false, false} {
		if b := s.current.block(6<<20 + int64(number)*blockBytes); (b != nil) != stored {
			t.Errorf("block %d of the mixed write: stored: %v", number, b != nil)
		}
	}
}

func TestWithoutZerosLooksAtEveryByte(t *testing.T) {
	for _, n := range []int{0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 3 * blockBytes} {
		p := make([]byte, n)
		if rest := withoutZeros(p); rest != nil {
			t.Errorf("of %d zeros, %d are left", n, len(rest))
		}
		for i := 0; i < n; i += max(1, min(n-1-i, 511)) {
			p[i] = 1
			if rest := withoutZeros(p); len(rest) != i+1 {
				t.Errorf("of %d bytes with only number %d not zero, %d are left", n, i, len(rest))
			}
			p[i] = 0
		}
	}
}

func TestClonesAndSyncsShareBlocks(t *testing.T) {
	d := New(Options{})
	f, err := d.Create("log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{1}, 10*blockBytes), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	c := d.Clone()
	if _, err := f.WriteAt([]byte{2}, 0); err != nil {
		t.Fatal(err)
	}
	now, then := d.state.inodes[1].file.current, c.state.inodes[1].file.current
	if &now.block(0)[0] == &then.block(0)[0] || &now.block(blockBytes)[0] != &then.block(blockBytes)[0] {
		t.Error("exactly the block that was written should differ")
	}
}

func TestInodesOfRemovedFilesAreUsedAgain(t *testing.T) {
	d := New(Options{})
	for i := range 10_000 {
		name := fmt.Sprint(i)
		f, err := d.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := d.SyncDir("."); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.state.inodes); n > 40 {
		t.Errorf("got %d inodes for no files", n)
	}
}

func TestNewFilesDoNotTakeInodesInUse(t *testing.T) {
	d := New(Options{})
	var open []*file
	for i := range 200 {
		name := fmt.Sprint(i)
		f, err := d.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(name), 0); err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0: // gone at once
			err = errors.Join(f.Close(), d.Remove(name))
		case 1: // without a name, but open
			open = append(open, f.(*file))
			err = d.Remove(name)
		case 2: // removed, but the name may come back
			err = errors.Join(f.Sync(), d.SyncDir("."), f.Close(), d.Remove(name))
		default:
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wantText := func(f *file, want string) {
		t.Helper()
		p := make([]byte, 10)
		if n, _ := f.ReadAt(p, 0); string(p[:n]) != want {
			t.Errorf("got %q, want %q", p[:n], want)
		}
	}
	for i, f := range open {
		wantText(f, fmt.Sprint(4*i+1))
	}
	for i := 3; i < 200; i += 4 {
		f, err := d.Open(fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		wantText(f.(*file), fmt.Sprint(i))
	}
	last, err := d.CrashNow().Open("198")
	if err != nil {
		t.Fatal(err)
	}
	wantText(last.(*file), "198")
}

func TestLockKeepsItsInode(t *testing.T) {
	d := New(Options{})
	lock, err := d.Lock("LOCK")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Remove("LOCK"), d.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	for i := range 100 { // files that must not be mistaken for the one that is locked
		name := fmt.Sprint(i)
		other, err := d.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(other.Close(), d.Remove(name), d.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	if err := lock.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed twice: got %v", err)
	}
}

func TestFileHasALargestLength(t *testing.T) {
	f, err := New(Options{}).Create("log")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxFileBytes); err != nil {
		t.Error(err)
	}
	for offset, want := range map[int64]error{maxFileBytes: syscall.EFBIG, 1<<63 - 1: syscall.EFBIG, -1: syscall.EINVAL} {
		if n, err := f.WriteAt([]byte{1}, offset); n != 0 || !errors.Is(err, want) {
			t.Errorf("write at %d: got %d, %v", offset, n, err)
		}
	}
	for size, want := range map[int64]error{maxFileBytes + 1: syscall.EFBIG, -1: syscall.EINVAL} {
		if err := f.Truncate(size); !errors.Is(err, want) {
			t.Errorf("truncate to %d: got %v", size, err)
		}
	}
}

func TestOldOperationsAreForgotten(t *testing.T) {
	d := New(Options{KeepOperations: 10})
	for range 1000 {
		if _, err := d.List("."); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.faults.latest); n > 20 {
		t.Errorf("%d operations are remembered", n)
	}
}
