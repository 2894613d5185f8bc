package pebblekv

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate/quorate/kv"
)

// oneFails is a file system of which one operation fails, by its number.
type oneFails struct {
	mu     sync.Mutex // guards what follows
	at     int
	count  int
	err    error
	struck bool
}

func (o *oneFails) fail(errorfs.Op) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count++; o.count != o.at {
		return nil
	}
	o.struck = true
	return o.err
}

func (o *oneFails) hasStruck() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.struck
}

// engineRun is what came of a life of an engine on such a file system.
type engineRun struct {
	told    chan error // by Fatal and Background; holds enough
	durable atomic.Uint64
	err     error // of the calls
}

// live opens a store, and puts and flushes until something fails.
func (r *engineRun) live(t *testing.T, fs vfs.FS) {
	tell := func(err error) {
		select {
		case r.told <- err:
		default:
		}
	}
	e, err := Open("state", Options{
		FS: fs, MemTableBytes: 64 << 10, DiskFull: func() {},
		Background: func(err error) {
			tell(err)
			if !IsDiskFull(err) {
				select {} // in a server the process ends here; this life never goes on
			}
		},
		Fatal: func(message string) {
			tell(errors.New(message))
			select {}
		},
	})
	if err != nil {
		r.err = err
		return
	}
	s, err := kv.Open(e, kv.Options{Cluster: 1})
	if err != nil {
		r.err = errors.Join(err, e.Close())
		return
	}
	for i := uint64(1); i <= 4; i++ {
		if _, err := s.Apply([]kv.Command{command(t, i, kv.KindPut, &pb.PutRequest{Key: []byte("key")})}); err != nil {
			r.err = err
			break
		}
		if r.err = s.Flush(); r.err != nil {
			break
		}
		if durable, err := s.DurableIndex(); err != nil {
			r.err = err
			break
		} else if r.durable.Store(durable); durable < i {
			r.err = fmt.Errorf("flushed %d, and %d is durable", i, durable)
			break
		}
	}
	if err := s.Close(); r.err == nil {
		r.err = err
	}
}

// TestEveryErrorOfTheDiskIsTold lets each operation of the engine's file system fail. Somebody is told, or it was tried once more because the disk
// was full; what was said to be durable is there if the power goes then; and nothing hangs.
func TestEveryErrorOfTheDiskIsTold(t *testing.T) {
	faults, told, borne := 0, 0, 0
	for n := 1; ; n++ {
		struck := false
		for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
			disk := vfs.NewCrashableMem()
			o := &oneFails{at: n, err: fault}
			r := &engineRun{told: make(chan error, 16)}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() {
					if p := recover(); p != nil { // Pebble's way to say that it does not know what is on the disk
						r.told <- fmt.Errorf("panic: %v", p)
					}
				}()
				r.live(t, errorfs.Wrap(disk, errorfs.InjectorFunc(o.fail)))
			}()
			select {
			case <-ended:
			case err := <-r.told: // in a server, that is the end: whoever still waits waits no more
				r.told <- err
			}
			if !o.hasStruck() {
				continue
			}
			struck = true
			faults++
			at := fmt.Sprintf("operation %d, %v", n, fault)
			hasEnded := true
			select {
			case <-ended:
			default:
				hasEnded = false
			}
			switch {
			case len(r.told) > 0 || hasEnded && r.err != nil:
				told++
			default:
				borne++
			}
			durable := r.durable.Load()
			mustReopen(t, at, durable, disk.CrashClone(vfs.CrashCloneCfg{}))
		}
		if !struck {
			break
		}
	}
	t.Logf("%d faults: %d are told, %d borne", faults, told, borne)
	if told == 0 || faults < 50 {
		t.Error("that is not all that there is")
	}
}

// mustReopen opens what a crash leaves, and looks for what was said to be durable.
func mustReopen(t *testing.T, at string, durable uint64, fs vfs.FS) {
	t.Helper()
	e, err := Open("state", Options{FS: fs})
	if err != nil {
		t.Errorf("%s: after a crash it does not open: %v", at, err)
		return
	}
	s, err := kv.Open(e, kv.Options{Cluster: 1})
	if err != nil {
		t.Errorf("%s: after a crash it does not open: %v", at, err)
		return
	}
	if got := s.AppliedIndex(); got < durable {
		t.Errorf("%s: %d was durable, and after a crash it is at %d", at, durable, got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("%s: %v", at, err)
	}
}
