package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// defaultSessionTTL is for how many seconds a lock outlives whoever holds it; etcdctl's number.
const defaultSessionTTL = 10

func lockCommand(w *world) *cobra.Command {
	var client clientFlags
	ttl := defaultSessionTTL
	cmd := &cobra.Command{
		Use:     "lock NAME [COMMAND ...]",
		GroupID: groupKeys,
		Short:   "Hold a lock, alone or while a command runs",
		Long: `Waits for a lock, prints the key that stands for it, and holds it until it is interrupted. With a command
behind the name, it runs that while it holds the lock, with ETCD_LOCK_KEY and ETCD_LOCK_REV in its environment,
and ends with its exit status. What begins with a dash goes behind --.

If this process dies, the lock is free again after --ttl seconds. If it cannot reach any server for so long, the
lock is lost, and the command is killed; what it does to others should check the key's revision, which only
grows (a fencing token).`,
		Example: `  quorate lock backup
  quorate lock backup -- tar -cf /mnt/backup.tar /srv`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) == 0 || words[0] == "" {
				return usage("lock takes a name")
			}
			return client.inSession(cmd, w, ttl, func(ctx context.Context, s *concurrency.Session) error {
				return holdLock(ctx, w, s, words[0], words[1:])
			})
		},
	}
	cmd.Flags().IntVar(&ttl, "ttl", ttl, "after how many seconds the lock is free if this process dies")
	client.add(cmd)
	return cmd
}

// inSession does something that a lease stands for, until it is done or the user interrupts it. ctx ends
// when the lease is lost, too.
func (f *clientFlags) inSession(cmd *cobra.Command, w *world, ttl int, do func(context.Context, *concurrency.Session) error) error {
	if err := f.complete(cmd, w); err != nil {
		return err
	}
	if ttl <= 0 {
		return usage("--ttl must be above 0")
	}
	client, err := f.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	interrupted, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	session, err := f.session(interrupted, client, ttl)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(interrupted)
	defer cancel()
	go func() {
		select {
		case <-session.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	err = do(ctx, session)
	select {
	case <-session.Done():
		return failed(fmt.Errorf("the lease %016x has ended: no server could be reached for %d s, or it was revoked", uint64(session.Lease()), ttl))
	default:
	}
	if interrupted.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // the user has had enough
	}
	if closing := session.Close(); err == nil && closing != nil {
		err = fmt.Errorf("give it back: %w; it is free within %d s", closing, ttl)
	}
	if exited := (*failure)(nil); errors.As(err, &exited) {
		return exited // with a status of its own
	}
	return failed(err)
}

// session grants the lease.
func (f *clientFlags) session(ctx context.Context, client *clientv3.Client, ttl int) (*concurrency.Session, error) {
	bounded, cancel := context.WithTimeout(ctx, f.commandTimeout)
	defer cancel()
	granted, err := client.Grant(bounded, int64(ttl))
	if err != nil {
		return nil, explainWrite(err, f.commandTimeout)
	}
	session, err := concurrency.NewSession(client, concurrency.WithTTL(ttl), concurrency.WithLease(granted.ID))
	return session, failed(err)
}

// holdLock holds a lock while a command runs, or until ctx ends.
func holdLock(ctx context.Context, w *world, s *concurrency.Session, name string, command []string) error {
	mutex := concurrency.NewMutex(s, name)
	if err := mutex.Lock(ctx); err != nil {
		return fmt.Errorf("wait for the lock: %w", err)
	}
	if len(command) > 0 {
		return runLocked(ctx, w, mutex, command)
	}
	if _, err := fmt.Fprintln(w.out, mutex.Key()); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func runLocked(ctx context.Context, w *world, mutex *concurrency.Mutex, words []string) error {
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.Stdin, command.Stdout, command.Stderr = w.in, w.out, w.err
	command.Env = append(w.environ[:len(w.environ):len(w.environ)],
		"ETCD_LOCK_KEY="+mutex.Key(), fmt.Sprintf("ETCD_LOCK_REV=%d", mutex.Header().Revision))
	err := command.Run()
	var exited *exec.ExitError
	if errors.As(err, &exited) && exited.Exited() {
		return &failure{status: exited.ExitCode()}
	}
	return err
}
