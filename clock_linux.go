package quorate

import (
	"syscall"
	"time"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME: CLOCK_MONOTONIC with the time asleep.
const clockBoottime = 7

// bootTime is how long ago the machine was started, in nanoseconds; false if the kernel does not say.
func bootTime() (uint64, bool) {
	var t syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&t)), 0)
	return uint64(t.Sec)*uint64(time.Second) + uint64(t.Nsec), errno == 0
}
