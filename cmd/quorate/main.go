package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

// Exit statuses. They are part of the interface: scripts rely on them, and "quorate --help" lists them.
const (
	exitDone    = 0
	exitFailed  = 1  // it certainly did not happen, or the answer is bad news
	exitUsage   = 2  // the command line, or the environment, is wrong
	exitUnknown = 3  // a write may have happened, or may still
	exitFatal   = 70 // a server's disk failed; "internal software error" of sysexits
)

// world is everything that a command may touch.
type world struct {
	in       io.Reader
	out, err io.Writer
	environ  []string // as os.Environ gives it
	// inTerminal and outTerminal say that a person types, or reads.
	inTerminal, outTerminal bool
}

func main() {
	w := &world{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(),
		inTerminal: isTerminal(os.Stdin), outTerminal: isTerminal(os.Stdout)}
	arguments := os.Args[1:]
	if filepath.Base(os.Args[0]) == "etcd" {
		arguments = asEtcd(arguments)
	}
	os.Exit(run(w, arguments))
}

// isTerminal is a guess without system calls of its own: devices of characters are terminals, or
// such as nobody reads.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// commands lists every command, in the order of the help.
func commands(w *world) []*cobra.Command {
	return []*cobra.Command{
		serveCommand(w), upCommand(w), keyCommand(w), inspectCommand(w),
		putCommand(w), getCommand(w), delCommand(w), txnCommand(w), watchCommand(w), leaseCommand(w), lockCommand(w), electCommand(w), compactCommand(w),
		statusCommand(w, show.Table), doctorCommand(w), endpointCommand(w), checkCommand(w, perfDuration), alarmCommand(w), snapshotCommand(w), memberCommand(w), moveLeaderCommand(w), tokenCommand(w), versionCommand(w),
		simCommand(w), labCommand(w),
	}
}

// Groups of commands in the help.
const (
	groupServers = "servers"
	groupKeys    = "keys"
	groupCluster = "cluster"
	groupProof   = "proof"
)

func rootCommand(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:   "quorate",
		Short: "A replicated key/value server that speaks the etcd v3 API",
		Long: `Quorate is a replicated key/value server that speaks the etcd v3 API.

Exit status of every command:
  0   done
  1   failed, and certainly did not happen; or bad news (status, doctor)
  2   the command line or the environment is wrong
  3   the outcome of a write is unknown: it may have happened
  70  a server stopped because its disk failed, or must not be used`,
		Example: `  quorate up                                   # three servers on this machine
  quorate put fruit/apple red                  # in another terminal
  quorate get --prefix fruit/
  quorate status --endpoints 127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379
  quorate doctor --cluster                     # what is wrong, and what to do`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}")
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	root.SetFlagErrorFunc(explainFlag(nil))
	root.AddGroup(&cobra.Group{ID: groupServers, Title: "Servers:"}, &cobra.Group{ID: groupKeys, Title: "Keys:"},
		&cobra.Group{ID: groupCluster, Title: "Cluster:"}, &cobra.Group{ID: groupProof, Title: "Proof:"})
	root.AddCommand(commands(w)...)
	return root
}

// run runs one command, says what went wrong, and returns the exit status.
func run(w *world, arguments []string) int {
	root := rootCommand(w)
	root.SetArgs(arguments)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitDone
	}
	// What is not one of ours comes from the parser of the command line.
	failed := &failure{status: exitUsage, err: err}
	errors.As(err, &failed)
	if failed.err != nil {
		fmt.Fprintf(w.err, "%s: %v\n", cmd.CommandPath(), failed.err)
	}
	if failed.status == exitUsage {
		fmt.Fprintf(w.err, "See %s --help.\n", cmd.CommandPath())
	}
	return failed.status
}

// failure is an error with the exit status that it deserves. Without an error, all has been said.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit status %d", f.status)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	return &failure{exitFailed, err}
}

// noWords refuses words behind a command that takes none.
func noWords(cmd *cobra.Command, words []string) error {
	if len(words) > 0 {
		return usage("%s takes no words, only flags: %q", cmd.Name(), words)
	}
	return nil
}
