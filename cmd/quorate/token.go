package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/cmd/quorate/internal/show"
	"github.com/quorate/quorate/etcdapi"
	"github.com/quorate/quorate/wire"
)

func tokenCommand(w *world) *cobra.Command {
	return family(&cobra.Command{
		Use:     "token create",
		GroupID: groupCluster,
		Short:   "Make what lets a new server join",
		Long: `Makes a token, with which one new server joins the cluster: "quorate serve --join ADDRESS --token TOKEN". It
needs no list of the servers, and no keys: both sides prove to each other that they know the token, which
is never sent.`,
		Example: "  quorate token create",
	}, tokenCreateCommand(w))
}

func tokenCreateCommand(w *world) *cobra.Command {
	var client clientFlags
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token by which one new server joins",
		Long: `Makes a token, and prints the command that starts the new server with it. A token is good for one server, until
its time is over. Whoever has it can let a server into the cluster, which then has all keys and a vote: hand
it on as you would a password.

With -w simple the token is printed and nothing else.`,
		Example: `  quorate token create
  quorate token create --ttl 10m --endpoints 10.0.0.1:2379
  quorate token create -w simple`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			printer, err := client.prepare(cmd, w, show.Table)
			if err != nil {
				return err
			}
			made, err := client.makeToken(cmd.Context(), ttl)
			if err != nil {
				return failed(err)
			}
			return failed(printToken(printer, made))
		},
	}
	cmd.Flags().DurationVar(&ttl, "ttl", etcdapi.DefaultTokenTTL, "for how long the token is good")
	client.add(cmd)
	return cmd
}

func printToken(p *show.Printer, made *etcdapi.NewToken) error {
	switch p.Format {
	case show.JSON:
		return json.NewEncoder(p.Out).Encode(made)
	case show.Simple:
		_, err := fmt.Fprintln(p.Out, made.Token)
		return err
	}
	_, err := fmt.Fprintf(p.Out, `On the machine of the new server, within %v:

  %s

Give it --data-dir, and URLs at which others and clients reach it (--listen-peer-urls, --listen-client-urls),
where the defaults do not fit. The token is good for one server.
`, time.Duration(made.TTLSeconds)*time.Second, joinCommand(made))
	return err
}

// joinCommand is how a server is started with a token.
func joinCommand(made *etcdapi.NewToken) string {
	var addresses []string
	for _, u := range made.Join {
		addresses = append(addresses, wire.PeerAddress(u))
	}
	return fmt.Sprintf("quorate serve --name NAME --join %s --token %s", strings.Join(addresses, ","), made.Token)
}

const (
	tokenPath = "/quorate/token"
	// maxTokenBytes bounds what is read of the answer: it is far more than one of 256 servers has.
	maxTokenBytes = 4 << 20
)

// makeToken asks one server after the other for a token.
func (f *clientFlags) makeToken(ctx context.Context, ttl time.Duration) (*etcdapi.NewToken, error) {
	var all []error
	for _, endpoint := range f.endpoints {
		made, err := f.makeTokenAt(ctx, endpoint, ttl)
		if err == nil {
			return made, nil
		}
		all = append(all, fmt.Errorf("%s: %w", endpoint, f.silence(err)))
	}
	return nil, errors.Join(all...)
}

func (f *clientFlags) makeTokenAt(ctx context.Context, endpoint string, ttl time.Duration) (*etcdapi.NewToken, error) {
	b, err := f.page(ctx, endpoint, http.MethodPost, tokenPath+"?ttl="+url.QueryEscape(ttl.String()), maxTokenBytes)
	if err != nil {
		return nil, err
	}
	made := new(etcdapi.NewToken)
	if err := json.Unmarshal(b, made); err != nil || made.Token == "" {
		return nil, errors.New("what it answers is no token")
	}
	return made, nil
}
