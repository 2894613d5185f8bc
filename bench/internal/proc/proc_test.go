package proc

import (
	"os"
	"strings"
	"testing"
	"time"
)

const procStat = "4711 (quorate (n0) x) S 1 4711 4711 0 -1 4194560 9 0 0 0 250 31 7 8 20 0 11 0 5 1024 77\n"

const procStatus = `Name:	etcd
VmRSS:	   92160 kB
RssAnon:	   61440 kB
RssFile:	   30000 kB
RssShmem:	     720 kB
VmData:	  123456 kB
`

const machineStat = "cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n"

func TestCPUTimeIsCountedPastANameWithSpacesAndParentheses(t *testing.T) {
	got, err := ParseCPU([]byte(procStat))
	want := CPU{User: 2500 * time.Millisecond, System: 310 * time.Millisecond}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	if got.Total() != 2810*time.Millisecond {
		t.Fatalf("total: got %v, want 2.81s", got.Total())
	}
}

func TestSharedMemoryCountsAsFile(t *testing.T) {
	got, err := ParseMemory([]byte(procStatus))
	want := Memory{Anon: 61440 << 10, File: 30720 << 10}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestMachineIsTheSumOfAllCPUsInterruptsIncluded(t *testing.T) {
	got, err := ParseMachine([]byte(machineStat))
	want := Machine{Busy: 1630 * time.Millisecond, Steal: 80 * time.Millisecond}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestWhatDoesNotLookLikeProcIsRefused(t *testing.T) {
	tests := []struct {
		name string
		err  func() error
	}{
		{"stat without a name", func() error { _, err := ParseCPU([]byte("1 2 3")); return err }},
		{"stat cut short", func() error { _, err := ParseCPU([]byte(procStat[:50])); return err }},
		{"stat without numbers", func() error {
			_, err := ParseCPU([]byte(strings.ReplaceAll(procStat, "250", "-25")))
			return err
		}},
		{"io without the bytes stored", func() error { _, err := ParseIO([]byte("rchar: 1\nwchar: 2\n")); return err }},
		{"io with a unit", func() error { _, err := ParseIO([]byte(strings.ReplaceAll(procIO, "33", "33 kB"))); return err }},
		{"status with a peak in no unit", func() error { _, err := ParsePeak([]byte("VmHWM: 12\n")); return err }},
		{"status of a kernel thread", func() error { _, err := ParseMemory([]byte("Name:\tkworker\n")); return err }},
		{"status in pages", func() error {
			_, err := ParseMemory([]byte(strings.ReplaceAll(procStatus, "kB", "pages")))
			return err
		}},
		{"one CPU alone", func() error { _, err := ParseMachine([]byte("cpu0 1 2 3 4 5 6 7 8 0 0")); return err }},
		{"a kernel without steal", func() error { _, err := ParseMachine([]byte("cpu 1 2 3 4 5 6 7")); return err }},
		{"more ticks than time", func() error {
			_, err := ParseMachine([]byte("cpu 1 2 3 4 5 6 7 18446744073709551615"))
			return err
		}},
	}
	for _, test := range tests {
		if test.err() == nil {
			t.Errorf("%s: got no error", test.name)
		}
	}
}

func TestPeakAndIOAreRead(t *testing.T) {
	peak, err := ParsePeak([]byte("VmPeak:\t  999 kB\nVmHWM:\t   92160 kB\n" + procStatus))
	if err != nil || peak != 92160<<10 {
		t.Errorf("got a peak of %d, %v", peak, err)
	}
	io, err := ParseIO([]byte(procIO))
	if want := (IO{Read: 11, Written: 22, Stored: 33}); err != nil || io != want {
		t.Errorf("got %+v, %v, want %+v", io, err, want)
	}
}

const procIO = "rchar: 11\nwchar: 22\nsyscr: 1\nsyscw: 2\nread_bytes: 3\nwrite_bytes: 33\ncancelled_write_bytes: 4\n"

func TestThisProcessCanBeRead(t *testing.T) {
	if _, err := ReadCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	memory, err := ReadMemory(os.Getpid())
	if err != nil || memory.Anon <= 0 {
		t.Errorf("memory %+v, %v; want some", memory, err)
	}
	if peak, err := ReadPeak(os.Getpid()); err != nil || peak < memory.Anon {
		t.Errorf("a peak of %d, %v; now it is %+v", peak, err, memory)
	}
	if io, err := ReadIO(os.Getpid()); err != nil || io.Read <= 0 {
		t.Errorf("reads and writes %+v, %v; want some", io, err)
	}
	machine, err := ReadMachine()
	if err != nil || machine.Busy <= 0 {
		t.Errorf("machine %+v, %v; want some time", machine, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(procStat))
	f.Add([]byte(procStatus))
	f.Add([]byte(machineStat))
	f.Fuzz(func(t *testing.T, b []byte) {
		if cpu, err := ParseCPU(b); err == nil && cpu.Total() < 0 {
			t.Errorf("negative CPU time %v", cpu)
		}
		if memory, err := ParseMemory(b); err == nil && (memory.Anon < 0 || memory.File < 0) {
			t.Errorf("negative memory %v", memory)
		}
		if io, err := ParseIO(b); err == nil && min(io.Read, io.Written, io.Stored) < 0 {
			t.Errorf("negative bytes %v", io)
		}
		if peak, err := ParsePeak(b); err == nil && peak < 0 {
			t.Errorf("a negative peak %v", peak)
		}
		if machine, err := ParseMachine(b); err == nil && (machine.Busy < 0 || machine.Steal < 0) {
			t.Errorf("negative time %v", machine)
		}
	})
}
