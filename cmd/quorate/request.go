package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/cmd/quorate/internal/request"
	"github.com/quorate/quorate/cmd/quorate/internal/show"
)

// explainer adds to an error of a request what to do about it.
type explainer func(err error, timeout time.Duration) error

// ask connects, has one question answered within the time for it, and prints the answer. What is
// wrong with the flags is said before anything is sent.
func (f *clientFlags) ask(cmd *cobra.Command, w *world, format show.Format, explain explainer,
	question func(context.Context, *clientv3.Client) (answer func(*show.Printer) error, err error)) error {
	client, printer, err := f.open(cmd, w, format)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), f.commandTimeout)
	defer cancel()
	answer, err := question(ctx, client)
	if err != nil {
		return explain(err, f.commandTimeout)
	}
	return failed(answer(printer))
}

// open returns a client, and where answers go.
func (f *clientFlags) open(cmd *cobra.Command, w *world, format show.Format) (*clientv3.Client, *show.Printer, error) {
	if err := f.complete(cmd, w); err != nil {
		return nil, nil, err
	}
	printer, err := f.printer(w, format)
	if err != nil {
		return nil, nil, err
	}
	client, err := f.connect(cmd.Context())
	return client, printer, err
}

// do asks for one operation on keys.
func (f *clientFlags) do(cmd *cobra.Command, w *world, op clientv3.Op, explain explainer,
	print func(*show.Printer, clientv3.OpResponse) error) error {
	return f.ask(cmd, w, show.Simple, explain, func(ctx context.Context, client *clientv3.Client) (func(*show.Printer) error, error) {
		answer, err := client.Do(ctx, op)
		return func(p *show.Printer) error { return print(p, answer) }, err
	})
}

// explainRequest tells what was typed wrongly from what could not be read.
func explainRequest(err error) error {
	var typed *request.Mistake
	if errors.As(err, &typed) {
		return &failure{exitUsage, err}
	}
	return failed(err)
}
