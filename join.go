package quorate

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/quorate/quorate/internal/vfs"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// JoinOptions are what a server needs that is to join a cluster which exists.
type JoinOptions struct {
	// Dir is the server's data directory, as in Options.
	Dir string
	// Name is the server's name.
	Name string
	// PeerURLs are where the others will reach this server: those under which it was added, if it was added by
	// them.
	PeerURLs []string
	// Addresses are where servers of the cluster listen for each other: host:port, or URLs. They are asked in turn.
	Addresses []string
	// Keys are public keys of those servers. One with another key is believed only if both ends of the connection
	// are loopback addresses, or if Credential shows that it may be.
	Keys []transport.PublicKey
	// Credential is by what this server may join if it was not added before; nil: nothing.
	Credential Credential
	// Logger gets what an operator should know while he waits. Default: nothing is logged.
	Logger *slog.Logger
}

// Credential is what both sides of a connection know, and nobody else: a token, for example. Binding is the same at
// both ends and on no other connection.
type Credential interface {
	// Show returns what is sent to the other side, from which the secret cannot be told.
	Show(binding []byte) ([]byte, error)
	// Check tells whether the other side knows it too, by what Options.Admit has returned there.
	Check(binding, proof []byte) error
}

// JoinRequest is a server that wants to join.
type JoinRequest struct {
	// Key is its public key: it has proved to hold it.
	Key transport.PublicKey
	// Name and PeerURLs are what it says of itself.
	Name     string
	PeerURLs []string
	// Shown is what its Credential has shown, and Binding what that is bound to.
	Shown, Binding []byte
}

// ErrDenied: the cluster will not have this server, however often it asks.
var ErrDenied = errors.New("the cluster does not let this server join")

const (
	joinFormat   = 1
	joinPause    = 500 * time.Millisecond // between two rounds of asking
	joinPatience = 10 * time.Second       // with one address
)

// joinQuestion is what a server asks that is to join. Fields are only ever added; a change of meaning raises Format.
type joinQuestion struct {
	Format   int      `json:"format"`
	Name     string   `json:"name"`
	PeerURLs []string `json:"peerURLs"`
	Shown    []byte   `json:"shown,omitempty"`
}

// joinAnswer is what it is told.
type joinAnswer struct {
	Format  int           `json:"format"`
	Cluster uint64        `json:"cluster,string"`
	Server  uint64        `json:"server,string"`
	Groups  []joinedGroup `json:"groups"`
	Proof   []byte        `json:"proof,omitempty"`
}

// Join makes a new data directory that of a server of a cluster which exists: it asks the servers there who this one
// is, by its key, its addresses or its Credential, until it is told, ErrDenied or the end of ctx. It must have been
// added before (Group.Reconfigure), or have a Credential with which Options.Admit adds it. Then Open opens the
// directory, without Members. A directory that has been used stays as it is.
func Join(ctx context.Context, o JoinOptions) error { return joinOn(ctx, vfs.OS{}, o) }

func joinOn(ctx context.Context, files vfs.FS, o JoinOptions) (err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	j := joining{options: o}
	for _, a := range o.Addresses {
		address, err := hostPort(a)
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		j.addresses = append(j.addresses, address)
	}
	if len(j.addresses) == 0 || o.Dir == "" || len(o.PeerURLs) == 0 {
		return errors.New("join: Dir, PeerURLs, or Addresses of servers of the cluster are missing")
	}
	d, err := openDirectory(files, o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if !d.isNew() {
		return nil
	}
	if j.identity, _, err = transport.LoadOrCreateIdentity(d.files, d.name("identity"), nil); err != nil {
		return err
	}
	answer, err := j.askAll(ctx)
	if err != nil {
		return err
	}
	return d.writeServerFile(serverFile{
		Format: serverFormat, Cluster: answer.Cluster, Server: answer.Server, Name: o.Name, Joined: answer.Groups,
	})
}

// joining is a server that asks who it is.
type joining struct {
	options   JoinOptions
	addresses []string
	identity  *transport.Identity
}

// askAll asks until somebody knows.
func (j *joining) askAll(ctx context.Context) (*joinAnswer, error) {
	var last error // but for those that say only that time is over
	for {
		var all []error
		for _, address := range j.addresses {
			answer, err := j.ask(ctx, address)
			if err == nil || errors.Is(err, ErrDenied) {
				return answer, err
			}
			all = append(all, fmt.Errorf("%s: %w", address, err))
		}
		if err := errors.Join(all...); ctx.Err() == nil || last == nil {
			if last == nil || last.Error() != err.Error() {
				j.options.Logger.Info("waiting to be let into the cluster", "key", j.identity.Public().String(), "err", err)
			}
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("join the cluster: %w: %w", ctx.Err(), last)
		case <-time.After(joinPause):
		}
	}
}

func (j *joining) ask(ctx context.Context, address string) (*joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	got, err := transport.Ask(ctx, j.identity, conn, j.compose)
	var refusal *transport.Refusal
	if errors.As(err, &refusal) && refusal.Reason == transport.ReasonDenied {
		return nil, fmt.Errorf("%w: %s: %s", ErrDenied, address, refusal.Text)
	}
	var notTLS tls.RecordHeaderError
	if errors.As(err, &notTLS) {
		return nil, fmt.Errorf("is this where servers listen for each other, and not for clients? %w", err)
	}
	if err != nil {
		return nil, err
	}
	return j.read(&got)
}

// compose makes the question, if the other side may be asked.
func (j *joining) compose(q transport.Question) ([]byte, error) {
	o := &j.options
	m := joinQuestion{Format: joinFormat, Name: o.Name, PeerURLs: o.PeerURLs}
	if o.Credential != nil {
		shown, err := o.Credential.Show(q.Binding)
		if err != nil {
			return nil, err
		}
		m.Shown = shown
	} else if !slices.Contains(o.Keys, q.Key) && !q.IsLocal() {
		return nil, fmt.Errorf("it has key %s, and nothing says that this is a server of the cluster", q.Key)
	}
	return json.Marshal(m)
}

// read takes the answer, if the other side is to be believed.
func (j *joining) read(q *transport.Question) (*joinAnswer, error) {
	var a joinAnswer
	if err := json.Unmarshal(q.Body, &a); err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	if a.Format != joinFormat {
		return nil, fmt.Errorf("its answer has format %d, this version knows %d: %w", a.Format, joinFormat, ErrNewerFormat)
	}
	if j.options.Credential != nil {
		if err := j.options.Credential.Check(q.Binding, a.Proof); err != nil {
			return nil, err
		}
	}
	if a.Cluster == 0 || a.Server == 0 || len(a.Groups) == 0 {
		return nil, errors.New("its answer does not say which server of which cluster this is")
	}
	for _, g := range a.Groups {
		if _, err := wire.DecodeConfiguration(g.Initial); err != nil {
			return nil, fmt.Errorf("first configuration of group %d: %w", g.Group, err)
		}
		c, err := wire.DecodeConfiguration(g.Configuration)
		if err != nil {
			return nil, fmt.Errorf("configuration of group %d: %w", g.Group, err)
		}
		if self := c.Member(raft.ServerID(a.Server)); self == nil || len(self.Key) > 0 && !j.isOwn(self.Key) {
			return nil, fmt.Errorf("its answer makes this server %x of group %d, which is none, or another", a.Server, g.Group)
		}
	}
	return &a, nil
}

func (j *joining) isOwn(key []byte) bool {
	own := j.identity.Public()
	return slices.Equal(key, own[:])
}
