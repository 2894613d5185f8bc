package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/quorate/quorate/bench/internal/report"
)

// describeMachine says where this runs. What cannot be read is called unknown: it is no reason to
// measure nothing.
func describeMachine(dir string) report.Machine {
	return report.Machine{
		CPU:         cpuModel(readFile("/proc/cpuinfo")),
		CPUs:        runtime.NumCPU(),
		MemoryBytes: memoryBytes(readFile("/proc/meminfo")),
		Kernel:      orUnknown(strings.TrimSpace(string(readFile("/proc/sys/kernel/osrelease")))),
		FileSystem:  fileSystem(dir),
		Go:          runtime.Version(),
	}
}

func readFile(name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// cpuModel returns the model of the first CPU, with family and model number: virtual machines often
// call very different processors by one name.
func cpuModel(cpuinfo []byte) string {
	field := map[string]string{}
	for line := range bytes.Lines(cpuinfo) {
		name, value, found := strings.Cut(string(line), ":")
		if name = strings.TrimSpace(name); found && field[name] == "" {
			field[name] = strings.TrimSpace(value)
		}
	}
	if field["model name"] == "" {
		return "unknown"
	}
	return fmt.Sprintf("%s, family %s, model %s", field["model name"], field["cpu family"], field["model"])
}

// memoryBytes returns 0 for unknown.
func memoryBytes(meminfo []byte) int64 {
	var kib int64
	if _, err := fmt.Sscanf(string(meminfo), "MemTotal: %d kB", &kib); err != nil {
		return 0
	}
	return kib << 10
}

// fileSystem names the file system of dir. The numbers are those of statfs(2).
func fileSystem(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "unknown"
	}
	switch s.Type {
	case 0xef53:
		return "ext4"
	case 0x58465342:
		return "xfs"
	case 0x9123683e:
		return "btrfs"
	case 0x2fc12fc1:
		return "zfs"
	case 0x794c7630:
		return "overlayfs"
	case 0x01021994:
		return "tmpfs (memory: a sync costs nothing here, so the figures say little)"
	default:
		return fmt.Sprintf("type %#x", s.Type)
	}
}

// commit returns the commit of the working directory.
func commit(ctx context.Context) string {
	revision, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(revision))
	changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain", ".").Output()
	if err != nil || len(changes) > 0 {
		name += " with changes"
	}
	return name
}
