package cluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

// logTailBytes bounds how much of a dead server's log is shown.
const logTailBytes = 2000

// Server is one process of a cluster. When it is started again, that is another Server in its place.
type Server struct {
	Name    string
	URL     string // for clients
	PID     int
	plan    plan
	log     string // path
	command *exec.Cmd
	ended   chan struct{} // closed when the process is gone; its state may be read after that
	// ending is set before we end the process: it does not end by itself then.
	ending atomic.Bool
}

// plan is what it takes to start a server, again and again.
type plan struct {
	name      string
	address   address
	arguments []string // of the program
}

// startServer starts one of the servers that a new cluster begins with.
func startServer(s Subject, number int, dir string, addresses []address) (*Server, error) {
	return start(s, dir, plan{name(number), addresses[number], s.arguments(number, dir, filepath.Base(dir), addresses)})
}

// start starts one process, which prints to the end of its log. Its environment is empty but for what programs need to find their
// way: a variable such as ETCD_SNAPSHOT_COUNT or GOGC would make one subject a different one.
func start(s Subject, dir string, p plan) (*Server, error) {
	server := &Server{
		Name:  p.name,
		URL:   p.address.client,
		plan:  p,
		log:   filepath.Join(dir, p.name+".log"),
		ended: make(chan struct{}),
	}
	log, err := os.OpenFile(server.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own descriptor by then

	server.command = exec.Command(s.Binary, p.arguments...)
	server.command.Stdout, server.command.Stderr = log, log
	server.command.Dir = dir
	for _, variable := range []string{"PATH", "HOME", "TMPDIR"} {
		server.command.Env = append(server.command.Env, variable+"="+os.Getenv(variable))
	}
	server.command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // Ctrl-C at the terminal reaches us alone; we then end the servers
		Pdeathsig: syscall.SIGKILL, // and they end even if we are killed
	}
	if err := server.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s of %s: %w", server.Name, s.Name, err)
	}
	server.PID = server.command.Process.Pid
	go func() { // ends with the process; kill waits for it
		_ = server.command.Wait() // how it ended is in command.ProcessState
		close(server.ended)
	}()
	return server, nil
}

// kill ends the process, if it still runs, and waits until it is gone.
func (s *Server) kill() {
	s.ending.Store(true)
	_ = s.command.Process.Kill() // fails only if the process is gone already
	<-s.ended
}

// death returns nil while the process runs, then how it ended and its last words.
func (s *Server) death() error {
	select {
	case <-s.ended:
		return fmt.Errorf("server %s ended by itself: %v; the end of its log:\n%s",
			s.Name, s.command.ProcessState, s.logTail())
	default:
		return nil
	}
}

func (s *Server) logTail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > logTailBytes {
		b = b[len(b)-logTailBytes:]
		if _, rest, found := bytes.Cut(b, []byte("\n")); found {
			b = rest // from the first whole line on
		}
	}
	return strings.TrimSpace(string(b))
}
