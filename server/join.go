package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quorate/quorate"
)

// Join lets a server that is to join a cluster do so, if its directory is new; it waits until the cluster has taken
// it in, or ctx ends. Then, and for all others at once, Start may be called.
func Join(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o = o.withDefaults()
	used, err := o.used()
	if err != nil || used.cluster || !o.joins() {
		return err
	}
	for _, check := range []func() error{o.refuseEtcd, o.checkJoin} {
		if err := check(); err != nil {
			return err
		}
	}
	j := quorate.JoinOptions{
		Dir: o.DataDir, Name: o.Name, PeerURLs: o.InitialAdvertisePeerURLs, Addresses: o.toAsk(), Logger: o.Logger,
	}
	for _, name := range sortedNames(o.PeerKeys) {
		j.Keys = append(j.Keys, o.PeerKeys[name])
	}
	if o.Token != "" {
		token, err := parseToken(o.Token)
		if err != nil {
			return err // it has been validated
		}
		j.Credential = &token
	}
	o.Logger.Info("asking the cluster to be let in", "addresses", j.Addresses, "peer urls", j.PeerURLs)
	err = quorate.Join(ctx, j)
	switch {
	case err == nil:
		o.Logger.Info("the cluster has let this server in", "name", o.Name)
		return nil
	case errors.Is(err, quorate.ErrDenied), errors.Is(err, ctx.Err()):
		return err
	}
	return explain(err, &o)
}

// joins reports whether the operator wants this server to join a cluster.
func (o *Options) joins() bool { return len(o.Join) > 0 || o.InitialClusterState == stateExisting }

// toAsk are the servers that know who belongs to the cluster.
func (o *Options) toAsk() []string {
	if len(o.Join) > 0 {
		return o.Join
	}
	members, err := parseCluster(o.InitialCluster)
	if err != nil {
		return nil // it has been validated
	}
	var urls []string
	for _, m := range members {
		if m.name != o.Name {
			urls = append(urls, m.urls...)
		}
	}
	return urls
}

// validateJoin looks for contradictions in how a server is to join.
func (o *Options) validateJoin(w *wrong) {
	w.unless(len(o.Join) == 0 || o.InitialCluster == "",
		"--join and --initial-cluster: give one of them; --join needs no list of the servers")
	if o.Token != "" {
		w.unless(len(o.Join) > 0, "--token: say with --join which servers to ask, as --join 10.0.0.1:2380")
		_, err := parseToken(o.Token)
		w.unless(err == nil, "--token: %w", err)
	}
	for _, a := range o.Join {
		address, err := addressOf(withScheme(a), "http", "https")
		w.unless(err == nil, "--join: %w", err)
		if err != nil {
			continue
		}
		host, _ := splitPort(address)
		w.unless(isLoopback(host) || !o.advertisesLoopback(),
			"--join %s: that server cannot reach this one at %s: give --initial-advertise-peer-urls, where others find this server",
			a, strings.Join(o.InitialAdvertisePeerURLs, ","))
	}
}

// withScheme takes an address for a URL.
func withScheme(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	return "http://" + address
}

func (o *Options) advertisesLoopback() bool {
	for _, u := range o.InitialAdvertisePeerURLs {
		address, err := addressOf(u, "http", "https")
		if err != nil {
			return false // it is reported by itself
		}
		if host, _ := splitPort(address); !isLoopback(host) {
			return false
		}
	}
	return true
}

// checkJoin refuses a directory that is new where there is nobody to ask.
func (o *Options) checkJoin() error {
	if len(o.toAsk()) > 0 {
		return nil
	}
	return fmt.Errorf("--initial-cluster-state existing: --data-dir %s is new, and there is nobody to ask: --initial-cluster must name "+
		"the other servers, where this one was added (quorate member add), or give --join. "+
		"If this server has lost its directory, it must not come back without it: it has forgotten its votes", o.DataDir)
}
