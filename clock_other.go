//go:build !linux

package quorate

// bootTime is how long ago the machine was started; nobody has found out how to ask for that here.
func bootTime() (uint64, bool) { return 0, false }
