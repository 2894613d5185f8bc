package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Child is a process to keep running.
type Child struct {
	Name string
	// Program, Arguments and Environment start it. A nil Environment is this process' own.
	Program     string
	Arguments   []string
	Environment []string
	// Log is the file to which it prints. An earlier one is continued.
	Log string
}

// Options are what Run may be told; the zero value is the defaults.
type Options struct {
	Policy Policy
	// Grace is how long a child may take to end after SIGTERM before SIGKILL. Default: 10 s.
	Grace time.Duration
	// MaxLogBytes is when a log is put aside as LOG.1 and begun anew. Default: 32 MiB.
	MaxLogBytes int64
}

// logCheckInterval is how often a running child's log is measured.
const logCheckInterval = 5 * time.Second

// Run starts the children and keeps them running until ctx ends; then it stops them. It returns when
// the last is gone, which is before ctx ends if all are given up. Events of one child come in order.
// While nobody receives events, nothing is started again.
func Run(ctx context.Context, children []Child, options Options, events chan<- Event) {
	options.Policy = options.Policy.withDefaults()
	if options.Grace == 0 {
		options.Grace = 10 * time.Second
	}
	if options.MaxLogBytes == 0 {
		options.MaxLogBytes = 32 << 20
	}
	var running sync.WaitGroup
	for _, c := range children {
		running.Go(func() {
			k := keeper{child: c, options: options, events: events}
			k.run(ctx)
		})
	}
	running.Wait()
}

// keeper keeps one child running. One goroutine owns it.
type keeper struct {
	child   Child
	options Options
	events  chan<- Event
	record  record
}

func (k *keeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		death, ended := k.live(ctx)
		if !ended {
			return
		}
		pause, giveUp := k.record.died(k.options.Policy, death.Age)
		if giveUp {
			k.events <- GivenUp{Name: k.child.Name, Death: death, Deaths: k.record.quick}
			return
		}
		k.events <- Died{Name: k.child.Name, Death: death, Pause: pause}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	k.events <- Stopped{Name: k.child.Name, How: "was not running"}
}

// live starts the child and stays until its process is gone. ended says that it went by itself;
// otherwise ctx ended, and Stopped has been told.
func (k *keeper) live(ctx context.Context) (death Death, ended bool) {
	started := time.Now()
	p, err := k.start()
	if err != nil {
		return Death{How: err.Error()}, true
	}
	k.events <- Started{Name: k.child.Name, PID: p.command.Process.Pid}

	measure := time.NewTicker(logCheckInterval)
	defer measure.Stop()
	for {
		select {
		case <-p.gone:
			return Death{How: p.how(), LastWords: lastWords(k.child.Log, p.logFrom), Age: time.Since(started)}, true
		case <-ctx.Done():
			killed := p.stop(k.options.Grace)
			k.events <- Stopped{Name: k.child.Name, How: p.how(), Killed: killed}
			return Death{}, false
		case <-measure.C:
			// A log that cannot be put aside goes on growing; the child matters more.
			_ = boundLog(k.child.Log, k.options.MaxLogBytes)
		}
	}
}

// process is one life of a child.
type process struct {
	command *exec.Cmd
	logFrom int64         // where in the log this life begins
	gone    chan struct{} // closed when the process is gone; command.ProcessState may be read after that
}

func (k *keeper) start() (*process, error) {
	if err := boundLog(k.child.Log, k.options.MaxLogBytes); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(k.child.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // The process has its own descriptor by then.
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	command := exec.Command(k.child.Program, k.child.Arguments...)
	command.Env = k.child.Environment
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = ownGroup()
	if _, err := command.StdinPipe(); err != nil { // Wait closes our end.
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", k.child.Name, err)
	}
	p := &process{command: command, logFrom: info.Size(), gone: make(chan struct{})}
	go func() { // Ends with the process, for which live waits.
		_ = command.Wait() // How it ended is in ProcessState.
		close(p.gone)
	}()
	return p, nil
}

func (p *process) how() string { return p.command.ProcessState.String() }

// stop ends the process and waits until it is gone. killed says that it had to be forced.
func (p *process) stop(grace time.Duration) (killed bool) {
	// Signals fail only if the process is gone; they never reach another one of the same number.
	_ = p.command.Process.Signal(syscall.SIGTERM)
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-p.gone:
		return false
	case <-patience.C:
	}
	_ = p.command.Process.Kill()
	<-p.gone
	return true
}
