package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// Servers with clocks of their own. The kernel gives a process a monotonic clock of its own when it starts (a time
// namespace), but there is one clock on the wall for all. So that one is moved in the program: it is built with a
// time.Now that adds what lies in a file that is mapped into memory. Nothing else of the program is different; timers
// and the monotonic clock are untouched, as they are where somebody sets a machine's clock.

// wallClockFile names the file to a server.
const wallClockFile = "TEST_WALL_CLOCK"

// wallClockSource is added to package time.
const wallClockSource = `package time

import (
	"syscall"
	"unsafe"
)

var wallPage = mapWallPage()

func mapWallPage() *int64 {
	name, ok := syscall.Getenv("` + wallClockFile + `")
	if !ok {
		return nil
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("the clock on the wall: " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("the clock on the wall: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}

// wallAhead is by how many seconds the clock on the wall is ahead.
func wallAhead() int64 {
	if wallPage == nil {
		return 0
	}
	return *wallPage
}
`

// The line of time.Now that reads the clocks, as it is and as it has to be.
const (
	readsClocks = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n\t\treturn Time{uint64(nsec), sec + unixToInternal, Local}"
	movesClock  = "sec, nsec, mono := runtimeNow()\n\tsec += wallAhead()\n"
)

var binaryWithWallClock = sync.OnceValues(func() (string, error) {
	if _, err := builtBinary(); err != nil { // makes the directory, too
		return "", err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(dir, "time.go"))
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), readsClocks) != 1 {
		return "", fmt.Errorf("time.Now of this Go is another than the one that is known here")
	}
	first, rest, _ := strings.Cut(readsClocks, "\n")
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	if *processOverlay != "" {
		planted, err := os.ReadFile(*processOverlay)
		if err == nil {
			err = json.Unmarshal(planted, &overlay)
		}
		if err != nil {
			return "", err
		}
	}
	for name, text := range map[string]string{
		"time.go":      strings.Replace(string(source), first+"\n"+rest, movesClock+rest, 1),
		"wallclock.go": wallClockSource,
	} {
		file := filepath.Join(binaryDir, name)
		overlay.Replace[filepath.Join(dir, name)] = file
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	listFile, program := filepath.Join(binaryDir, "wallclock.json"), filepath.Join(binaryDir, "quorate-with-wall-clock")
	if err := os.WriteFile(listFile, list, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-trimpath", "-overlay="+listFile, "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", buildFailed, err, out)
	}
	return program, nil
})

// wallClock is the clock on the wall of one server.
type wallClock struct{ file *os.File }

// giveWallClock lets a server that has not been started have one.
func giveWallClock(t *testing.T, s *serverProcess, program string) *wallClock {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "ahead"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() }) // It is read by others.
	c := &wallClock{file}
	c.set(t, 0)
	s.program, s.more = program, append(s.more, wallClockFile+"="+file.Name())
	return c
}

// set moves the clock to so far ahead of the right time, in whole seconds.
func (c *wallClock) set(t *testing.T, ahead time.Duration) {
	t.Helper()
	if _, err := c.file.WriteAt(nativeBytes(int64(ahead/time.Second)), 0); err != nil {
		t.Fatal(err)
	}
}

// nativeBytes are a number as it lies in memory.
func nativeBytes(n int64) []byte { return (*[8]byte)(unsafe.Pointer(&n))[:] }

// bootClock is a command that starts a program on a machine that seems to have been started at another time: its
// monotonic clock is ahead.
func bootClock(ahead time.Duration) []string {
	seconds := fmt.Sprint(int64(ahead / time.Second))
	return []string{"unshare", "--time", "--monotonic", seconds, "--boottime", seconds, "--"}
}

// canMoveBootClock says what is missing for it.
func canMoveBootClock() error {
	now, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return err
	}
	words := append(bootClock(1_000_000*time.Second), "cat", "/proc/uptime")
	moved, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, moved)
	}
	var before, after float64
	if _, err := fmt.Sscan(string(now), &before); err != nil {
		return err
	}
	if _, err := fmt.Sscan(string(moved), &after); err != nil {
		return err
	}
	if after < before+1_000_000 { // Old kernels move the children of the process only.
		return fmt.Errorf("the clock is at %.0f s, and at %.0f s in the namespace", before, after)
	}
	return nil
}

// A server says in its log what time it is, by its clock on the wall.
func TestProcessClockOnTheWallCanBeMoved(t *testing.T) {
	if !askedForByName() { // It takes long to build.
		t.Logf("only make process builds a program with such a clock")
		return
	}
	program, err := binaryWithWallClock()
	if err != nil {
		t.Fatal(err)
	}
	s := newServers(t, 1, quick...)[0]
	clock, ahead := giveWallClock(t, s, program), 20*365*24*time.Hour
	later, before := time.Now().Add(ahead), time.Now().Add(-ahead)
	clock.set(t, ahead)
	s.start(t)
	s.waitServing(t)
	clock.set(t, -ahead)
	status, said := s.terminate(t)
	for _, want := range []time.Time{later, before} {
		if text := want.UTC().Format("time=2006-01-02"); status != exitDone || !strings.Contains(said, text) {
			t.Errorf("exit status %d, and %q is not in\n%s", status, text, said)
		}
	}
}
