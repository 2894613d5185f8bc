package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// endTimeout bounds how long a server may take to end after SIGTERM.
const endTimeout = 60 * time.Second

// Kill ends a server with SIGKILL and waits until it is gone. Restart starts it again.
func (c *Cluster) Kill(server int) { c.Servers[server].kill() }

// Pause stops a server with SIGSTOP: it answers nothing any more, and its connections stay open.
func (c *Cluster) Pause(server int) error { return c.Servers[server].signal(syscall.SIGSTOP) }

// Resume lets a server go on that was paused.
func (c *Cluster) Resume(server int) error { return c.Servers[server].signal(syscall.SIGCONT) }

// Terminate ends a server with SIGTERM and waits until it is gone.
func (c *Cluster) Terminate(ctx context.Context, server int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, endTimeout, errors.New("took too long"))
	defer cancel()
	s := c.Servers[server]
	s.ending.Store(true)
	if err := s.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s after SIGTERM: %w", s.Name, context.Cause(ctx))
	}
}

// Restart starts a server again that was killed or terminated, with the data that it left.
func (c *Cluster) Restart(server int) error {
	old := c.Servers[server]
	select {
	case <-old.ended:
	default:
		return fmt.Errorf("%s still runs", old.Name)
	}
	again, err := start(c.subject, c.dir, old.plan)
	if err != nil {
		return err
	}
	c.endedCPU += old.usedCPU()
	c.Servers[server] = again
	if c.watch != nil {
		c.watch(again)
	}
	return nil
}

// usedCPU is the CPU time of a process that has ended.
func (s *Server) usedCPU() time.Duration {
	return s.command.ProcessState.UserTime() + s.command.ProcessState.SystemTime()
}

// EndedCPU is the CPU time of all processes that Restart has replaced, or that Leave has ended.
func (c *Cluster) EndedCPU() time.Duration { return c.endedCPU }

func (s *Server) signal(signal syscall.Signal) error {
	if err := s.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("send %v to %s: %w", signal, s.Name, err)
	}
	return nil
}
