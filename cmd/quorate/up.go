package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/cmd/quorate/internal/supervise"
)

func upCommand(w *world) *cobra.Command {
	var dir string
	basePort := 0
	cmd := &cobra.Command{
		Use:     "up [flags] [-- flags for each server]",
		GroupID: groupServers,
		Short:   "Run a cluster of three on this machine, and show how it is",
		Long: `Runs three servers, each a process of its own, until Ctrl-C, and shows how they are. A server that dies is
started again after about a second, unless it dies five times in a row. Their data stay, and the next
start in the same directory goes on with them.

Clients connect to ports 2379, 22379 and 32379; the servers use 2380, 22380 and 32380 among themselves.
--base-port chooses six others.`,
		Example: `  quorate up
  quorate up --dir /tmp/cluster --base-port 4001
  quorate up -- --log-level debug --enable-pprof`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if typed := cmd.ArgsLenAtDash(); typed > 0 || typed < 0 && len(words) > 0 {
				return usage("up takes no words but flags for the servers, behind --: %q", words)
			}
			return up(w, dir, basePort, words)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "data", "directory of the three servers")
	cmd.Flags().IntVar(&basePort, "base-port", 0, "use six ports in a row, from this one on (0: those of etcd's examples)")
	return cmd
}

// up runs three servers until it is told to stop, or all are given up.
func up(w *world, dir string, basePort int, more []string) error {
	told := make(chan os.Signal, 1) // Those that come while we stop are lost, and mean the same.
	signal.Notify(told, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(told)

	l, lock, err := openLayout(dir, basePort)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := l.checkPorts(); err != nil {
		l.remove()
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return failed(err)
	}
	children, err := l.children(program, w.environ, more)
	if err != nil {
		return err
	}
	fmt.Fprint(w.out, upGreeting(l, os.Args[0]))
	return watchChildren(l, children, told, &screen{out: w.out, live: w.outTerminal})
}

// refreshInterval is how often the servers are asked how they are.
const refreshInterval = time.Second

// watchChildren runs the children, and shows how they are until the last is gone.
func watchChildren(l *layout, children []supervise.Child, told <-chan os.Signal, s *screen) error {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()

	events := make(chan supervise.Event)
	running.Go(func() {
		supervise.Run(ctx, children, supervise.Options{}, events)
		close(events)
	})
	answers := make(chan []show.Endpoint)
	running.Go(func() { askAgainAndAgain(ctx, l.endpoints(), answers) })

	b := newBoard(l)
	for {
		select {
		case e, open := <-events:
			if !open {
				if ctx.Err() == nil {
					return failed(errors.New("all servers are dead; their logs say why"))
				}
				return nil
			}
			s.say(b.note(e))
		case states := <-answers:
			s.say(b.answer(states, time.Now())...)
		case reason := <-told:
			s.say(fmt.Sprintf("stopping (%v)", reason))
			stop()
			told = nil
		}
		s.draw(b.table())
	}
}

// askAgainAndAgain asks all servers how they are, about once a second, until ctx ends.
func askAgainAndAgain(ctx context.Context, endpoints []string, answers chan<- []show.Endpoint) {
	asks := clientFlags{endpoints: endpoints, dialTimeout: refreshInterval / 2, commandTimeout: refreshInterval / 2}
	next := time.NewTicker(refreshInterval)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case answers <- atEach(ctx, &asks, asks.probe):
		}
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
	}
}

// screen shows news line by line and, if somebody watches, a table below them that is drawn anew in
// place. Writing to a terminal that is gone fails, which must not stop the servers.
type screen struct {
	out   io.Writer
	live  bool
	drawn string // the table on the screen
}

const (
	clearDown   = "\r\x1b[J"
	noLineWrap  = "\x1b[?7l" // so that a line is a row of the screen
	useLineWrap = "\x1b[?7h"
)

// say adds lines above the table.
func (s *screen) say(lines ...string) {
	var text strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&text, "%s %s\n", time.Now().Format(time.TimeOnly), line)
	}
	if text.Len() > 0 {
		s.replace(text.String(), "")
	}
}

// draw shows the table, if somebody watches.
func (s *screen) draw(table string) {
	if s.live && "\n"+table != s.drawn {
		s.replace("", "\n"+table)
	}
}

// replace writes news where the table was, and the table below.
func (s *screen) replace(news, table string) {
	if !s.live {
		fmt.Fprint(s.out, news)
		return
	}
	back := ""
	if rows := strings.Count(s.drawn, "\n"); rows > 0 {
		back = fmt.Sprintf("\x1b[%dA", rows)
	}
	fmt.Fprint(s.out, noLineWrap+back+clearDown+news+table+useLineWrap)
	s.drawn = table
}
