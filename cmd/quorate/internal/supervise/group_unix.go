//go:build unix

package supervise

import "syscall"

// ownGroup starts a child in a process group of its own: Ctrl-C at a terminal goes to a whole group,
// and it is ours to pass it on.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
