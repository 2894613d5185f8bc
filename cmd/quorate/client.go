package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

// clientFlags are the flags of every command that talks to servers: etcdctl's.
type clientFlags struct {
	endpoints      []string
	dialTimeout    time.Duration
	commandTimeout time.Duration
	hex            bool
	cluster        bool // ask all servers that the endpoints know of, one by one
	output         outputFlags
}

func (f *clientFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.endpoints, "endpoints", []string{"127.0.0.1:2379"}, "servers to talk to, separated by commas")
	flags.DurationVar(&f.dialTimeout, "dial-timeout", 2*time.Second, "how long to try to connect")
	flags.DurationVar(&f.commandTimeout, "command-timeout", 5*time.Second, "how long to wait for the answer")
	f.output.add(cmd)
	cmd.SetFlagErrorFunc(explainFlag(etcdctlFlags()))
}

func (f *clientFlags) addHex(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.hex, "hex", false, "print keys and values in hexadecimal")
}

func (f *clientFlags) addCluster(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.cluster, "cluster", false, "ask all servers of the cluster that the endpoints belong to")
}

// clientVariables are the flags that the environment may give to every client command.
func clientVariables() variables {
	return variables{prefixes: []string{"QUORATE_", "ETCDCTL_"}, foreign: etcdctlFlags(),
		flags: []string{"endpoints", "dial-timeout", "command-timeout", "write-out", "output"}}
}

// complete takes what is missing from the environment, and checks what there is.
func (f *clientFlags) complete(cmd *cobra.Command, w *world) error {
	if _, err := clientVariables().apply(cmd, w.environ); err != nil {
		return err
	}
	if f.dialTimeout <= 0 || f.commandTimeout <= 0 {
		return usage("--dial-timeout and --command-timeout must be above 0")
	}
	if len(f.endpoints) == 0 {
		return usage("--endpoints is empty")
	}
	for _, endpoint := range f.endpoints {
		if _, err := addressOf(endpoint); err != nil {
			return &failure{exitUsage, err}
		}
	}
	return nil
}

// printer returns where answers go, in the format asked for.
func (f *clientFlags) printer(w *world, otherwise show.Format) (*show.Printer, error) {
	format, err := f.output.format(otherwise)
	return &show.Printer{Out: w.out, Format: format, Hex: f.hex}, err
}

// outputFlags ask for a format: etcdctl's --write-out, and a name that is easier to guess.
type outputFlags struct{ writeOut, output string }

func (o *outputFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.writeOut, "write-out", "w", "", "format of the output: simple, json or table")
	cmd.Flags().StringVar(&o.output, "output", "", "the same as --write-out")
}

func (o *outputFlags) format(otherwise show.Format) (show.Format, error) {
	name := o.writeOut
	switch {
	case o.writeOut != "" && o.output != "" && o.writeOut != o.output:
		return "", usage("--write-out %s and --output %s mean the same and differ", o.writeOut, o.output)
	case o.output != "":
		name = o.output
	case name == "":
		return otherwise, nil
	}
	format, err := show.ParseFormat(name)
	if err != nil {
		return "", &failure{exitUsage, err}
	}
	return format, nil
}

// addressOf returns host and port of an endpoint, with or without http:// before it.
func addressOf(endpoint string) (string, error) {
	scheme, address, found := strings.Cut(endpoint, "://")
	if !found {
		scheme, address = "http", endpoint
	}
	switch scheme {
	case "http":
	case "https":
		return "", fmt.Errorf("endpoint %s: https is not supported yet; servers listen at http for now", endpoint)
	default:
		return "", fmt.Errorf("endpoint %s: want host:port or http://host:port", endpoint)
	}
	address = strings.TrimSuffix(address, "/")
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return "", fmt.Errorf("endpoint %s: want host:port or http://host:port, as in 127.0.0.1:2379", endpoint)
	}
	return address, nil
}

// connect returns a client, once one of the endpoints takes connections. gRPC by itself would go on
// trying until the command's time is over, and then say that time is over.
func (f *clientFlags) connect(ctx context.Context) (*clientv3.Client, error) {
	if err := reach(ctx, f.dialTimeout, f.endpoints); err != nil {
		return nil, failed(err)
	}
	client, err := newClient(f.endpoints, f.dialTimeout)
	return client, failed(err)
}

func newClient(endpoints []string, dialTimeout time.Duration) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:   endpoints,
		DialTimeout: dialTimeout,
		// The client's own warnings repeat in JSON what the command says in words.
		Logger: clientv3.NewCtxClient(context.Background()).GetLogger(), // one that is silent
	})
}

// reach waits until one of the endpoints takes a connection, or all have refused.
func reach(ctx context.Context, timeout time.Duration, endpoints []string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results := make(chan error, len(endpoints)) // Room for all: those that come too late block nobody.
	for _, endpoint := range endpoints {
		go func() { // Ends with ctx at the latest.
			err := dial(ctx, endpoint)
			if err != nil {
				err = fmt.Errorf("%s: %w", endpoint, err)
			}
			results <- err
		}()
	}
	var refused []error
	for range endpoints {
		err := <-results
		if err == nil {
			return nil
		}
		refused = append(refused, err)
	}
	return fmt.Errorf("no server can be reached: %w\nIs one running? \"quorate up\" starts three on this machine; --endpoints says where others are",
		errors.Join(refused...))
}

// dial makes sure that somebody takes connections at an endpoint.
func dial(ctx context.Context, endpoint string) error {
	address, err := addressOf(endpoint)
	if err != nil {
		return err
	}
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return plainDialError(err)
	}
	return connection.Close()
}

// plainDialError says in a few words why there is no connection.
func plainDialError(err error) error {
	var operation *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &operation) && operation.Timeout():
		return errors.New("nobody answers")
	case errors.As(err, &operation):
		return errors.Unwrap(operation)
	}
	return err
}
