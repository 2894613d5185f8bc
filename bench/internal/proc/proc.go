package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tick is the unit of CPU time in /proc. The kernel shows programs 100 ticks a second (USER_HZ) on
// every architecture that Go runs on, whatever its own timer does.
const Tick = 10 * time.Millisecond

// maxTicks keeps a count of ticks, and the sum of five, within time.Duration.
const maxTicks = 1 << 36

// CPU is the processor time a process has used since it started, all its threads together.
type CPU struct {
	User   time.Duration
	System time.Duration
}

// Total returns user and system time together.
func (c CPU) Total() time.Duration { return c.User + c.System }

// Memory is what a process occupies in RAM, in bytes.
type Memory struct {
	Anon int64 // its own: heap, stacks
	File int64 // pages of mapped files and shared memory; the kernel can take most of these back
}

// IO is what a process has read and written since it started, in bytes.
type IO struct {
	Read    int64 // by calls, from wherever: disk, cache, sockets
	Written int64 // by calls
	Stored  int64 // sent towards the disk: pages that it made dirty, and direct writes
}

// Machine is the processor time of all CPUs since boot.
type Machine struct {
	Busy  time.Duration // everything but idling and waiting; interrupts too
	Steal time.Duration // taken by the hypervisor for somebody else while we wanted to run
}

// ReadCPU returns the CPU time of the process pid.
func ReadCPU(pid int) (CPU, error) {
	return read(fmt.Sprintf("/proc/%d/stat", pid), ParseCPU)
}

// ReadMemory returns the memory of the process pid.
func ReadMemory(pid int) (Memory, error) {
	return read(fmt.Sprintf("/proc/%d/status", pid), ParseMemory)
}

// ReadPeak returns the most that the process pid has occupied in RAM so far, mapped files included, in bytes.
func ReadPeak(pid int) (int64, error) {
	return read(fmt.Sprintf("/proc/%d/status", pid), ParsePeak)
}

// ReadIO returns what the process pid has read and written. It must be of the same user.
func ReadIO(pid int) (IO, error) { return read(fmt.Sprintf("/proc/%d/io", pid), ParseIO) }

// ReadMachine returns the CPU time of the whole machine.
func ReadMachine() (Machine, error) { return read("/proc/stat", ParseMachine) }

func read[T any](name string, parse func([]byte) (T, error)) (T, error) {
	var none T
	b, err := os.ReadFile(name)
	if err != nil {
		return none, err
	}
	v, err := parse(b)
	if err != nil {
		return none, fmt.Errorf("parse %s: %w", name, err)
	}
	return v, nil
}

// ParseCPU reads fields 14 and 15 of /proc/PID/stat.
func ParseCPU(stat []byte) (CPU, error) {
	// Field 2 is the program's name in parentheses. It may hold spaces and parentheses itself, so
	// counting starts after the last one.
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return CPU{}, errors.New("no program name in parentheses")
	}
	fields := bytes.Fields(stat[end+1:]) // the first is field 3
	if len(fields) < 13 {
		return CPU{}, fmt.Errorf("%d fields after the name, want at least 13", len(fields))
	}
	user, err := ticks(fields[14-3])
	if err != nil {
		return CPU{}, err
	}
	system, err := ticks(fields[15-3])
	return CPU{User: user, System: system}, err
}

// ParseMemory reads the lines RssAnon, RssFile and RssShmem of /proc/PID/status.
func ParseMemory(status []byte) (Memory, error) {
	var found int
	value := map[string]int64{"RssAnon": 0, "RssFile": 0, "RssShmem": 0}
	for line := range bytes.Lines(status) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		if _, wanted := value[string(name)]; !wanted {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return Memory{}, fmt.Errorf("line %q is not in kB", line)
		}
		kib, err := strconv.ParseUint(string(fields[0]), 10, 43)
		if err != nil {
			return Memory{}, fmt.Errorf("line %q: %w", line, err)
		}
		value[string(name)] = int64(kib) << 10
		found++
	}
	if found != len(value) {
		return Memory{}, fmt.Errorf("%d of %d Rss lines", found, len(value))
	}
	return Memory{Anon: value["RssAnon"], File: value["RssFile"] + value["RssShmem"]}, nil
}

// ParsePeak reads the line VmHWM of /proc/PID/status.
func ParsePeak(status []byte) (int64, error) {
	peak, err := numbers(status, " kB", "VmHWM")
	return peak["VmHWM"] << 10, err
}

// ParseIO reads the lines rchar, wchar and write_bytes of /proc/PID/io.
func ParseIO(io []byte) (IO, error) {
	n, err := numbers(io, "", "rchar", "wchar", "write_bytes")
	return IO{Read: n["rchar"], Written: n["wchar"], Stored: n["write_bytes"]}, err
}

// numbers reads the lines "name: number unit" of the names wanted, all of which must be there.
func numbers(file []byte, unit string, wanted ...string) (map[string]int64, error) {
	found := map[string]int64{}
	for line := range bytes.Lines(file) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		if !slices.Contains(wanted, string(name)) {
			continue
		}
		text, hasUnit := strings.CutSuffix(strings.TrimSpace(string(rest)), unit)
		n, err := strconv.ParseUint(text, 10, 53)
		if err != nil || !hasUnit {
			return nil, fmt.Errorf("line %q is not a number%s", line, unit)
		}
		found[string(name)] = int64(n)
	}
	if len(found) != len(wanted) {
		return nil, fmt.Errorf("%d of the lines %v", len(found), wanted)
	}
	return found, nil
}

// ParseMachine reads the first line of /proc/stat:
//
//	cpu  user nice system idle iowait irq softirq steal ...
//
// Interrupts are busy time: most kernels count them as time of the process they interrupt, too, so
// that leaving them out would make the processes' sum larger than the whole.
func ParseMachine(stat []byte) (Machine, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return Machine{}, fmt.Errorf("first line %q is not the sum of all CPUs", line)
	}
	var sums [9]time.Duration
	for i := 1; i < len(sums); i++ {
		var err error
		if sums[i], err = ticks(fields[i]); err != nil {
			return Machine{}, err
		}
	}
	return Machine{Busy: sums[1] + sums[2] + sums[3] + sums[6] + sums[7], Steal: sums[8]}, nil
}

func ticks(field []byte) (time.Duration, error) {
	n, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return 0, err
	}
	if n > maxTicks {
		return 0, fmt.Errorf("%d ticks are out of range", n)
	}
	return time.Duration(n) * Tick, nil
}
