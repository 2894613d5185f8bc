package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/kv"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/watch"
	"github.com/quorate/quorate/wire"
)

// EtcdVersion is the version of etcd whose API this is. Clients switch features on by it, so it says
// what is spoken here, not what this program's own version is.
const EtcdVersion = "3.7.3"

// clusterVersion is what etcd calls the version that all members of a cluster agree on, and that of the
// storage's layout: the minor version's first release.
const clusterVersion = "3.7.0"

// Group replicates commands. *quorate.Group is one. Errors are those of package quorate.
type Group interface {
	// ProposeCommand replicates a command, applies it, and returns the state machine's answer: what
	// kv.Answer.Append makes.
	ProposeCommand(ctx context.Context, c wire.Command) (answer []byte, err error)
	// Read waits until a read of the store is linearizable.
	Read(ctx context.Context) error
	// Reconfigure changes who belongs to the group, and returns when that is done.
	Reconfigure(ctx context.Context, edits ...replica.Edit) error
	// TransferLeadership hands over to another voter, at the leader.
	TransferLeadership(ctx context.Context, to raft.ServerID) error
	// Status is a recent copy of what the group knows of itself.
	Status() replica.Status
}

// Store is what reads are answered from. *kv.Store is one.
type Store interface {
	// Check tells whether a request can be executed, by the operator's limits.
	Check(kind kv.Kind, request []byte) kv.Code
	// Range and ReadOnlyTxn answer from what is applied now. The error is the engine's.
	Range(request []byte) (kv.Answer, error)
	ReadOnlyTxn(request []byte) (kv.Answer, error)
	// RangeChunks answers a range in pieces.
	RangeChunks(request []byte) (*kv.Chunks, error)
	// HashKV hashes what is retained as of a revision.
	HashKV(revision int64) (kv.KVHash, kv.Code, error)
	// HashState hashes everything, and WriteSnapshot writes a copy of it. The error is the engine's, or the writer's.
	HashState() (kv.StateHash, error)
	WriteSnapshot(w io.Writer) (kv.SnapshotInfo, error)
	// Alarms are those that are on.
	Alarms() []kv.Alarm
	// Revision is that of the last change applied; CompactRevision that of the last compaction.
	Revision() int64
	CompactRevision() int64
	// Lease and Leases are those that live; LeaseKeys are a lease's keys.
	Lease(id int64) (kv.Lease, bool)
	Leases() []kv.Lease
	LeaseKeys(id int64) ([][]byte, error)
	// Changes reads what has changed; AddPrevious adds what was there before.
	Changes(q kv.ChangesQuery) (list kv.Changes, through int64, code kv.Code, err error)
	AddPrevious(list []kv.Change, wants func(*kv.Change) bool) error
}

// Options are what a server needs, and what its operator sets. The zero value of what is not said to
// be needed means its default.
type Options struct {
	// Group and Store are needed.
	Group Group
	Store Store
	// ClusterID and MemberID go into the headers of responses. Needed.
	ClusterID, MemberID uint64

	// MaxRequestBytes is the limit that the store's Check applies to requests. gRPC takes messages of
	// up to 512 KiB more, so that etcd's own error can be given. Default 1.5 MiB.
	MaxRequestBytes int
	// RequestTimeout bounds every request that waits for the group, whatever time its caller gives it.
	// Default 7 s, which is etcd's: 5 s and twice the election timeout.
	RequestTimeout time.Duration
	// CloseGrace is how long Close lets calls under way finish. Default 1 s.
	CloseGrace time.Duration

	// Feed is where the store's changes come from, for those who watch. Nil: there is no Watch service.
	Feed *Feed
	// Watch bounds what is held for those who watch.
	Watch watch.Options
	// WatchProgressInterval is how often a watcher that asked for it is told of progress while nothing
	// happens. Default 10 min, at least 100 ms.
	WatchProgressInterval time.Duration
	// LeaderTimeout is after how long without a leader a stream ends that asked for one. Default 3 s,
	// which is etcd's: three times the election timeout.
	LeaderTimeout time.Duration

	// MinLeaseTTL is the shortest time, in seconds, for which a lease is granted; who asks for less gets
	// this. Default 2, which is etcd's: one and a half election timeouts, rounded up.
	MinLeaseTTL int64

	// Size returns how many bytes the store takes up on its disk, and how many of them are in use.
	// Nil: 0 is reported.
	Size func() (total, inUse int64)
	// QuotaBytes is up to which Size the store may grow; beyond it puts are refused, and the alarm NOSPACE
	// is raised. Default: there is no quota.
	QuotaBytes int64
	// Compacted waits until what the compaction at a revision has made superfluous is removed on this
	// server. Nil: a Compact that asks for it does not wait.
	Compacted func(ctx context.Context, revision int64) error

	// Defragment compacts the files of the state on this server, until that is done or ctx ends. Nil: Defragment is
	// refused.
	Defragment func(ctx context.Context) error

	// Report says how this server is, for GET /quorate/status, and for /health while it is not well. It
	// must not wait. Nil: there is no such page.
	Report func() *doctor.Report
	// NewToken makes what lets a server join within ttl, for POST /quorate/token. Nil: there is no such page.
	NewToken func(ctx context.Context, ttl time.Duration) (string, error)
	// Flush makes the state of this server durable, and returns up to which entry it is, for POST /quorate/flush. Nil:
	// there is no such page.
	Flush func(ctx context.Context) (index uint64, err error)
	// Unread is told of every error with which the store could not be read for a client. It must not wait. Nil: nobody is.
	Unread func(err error)
	// Metrics answers GET /metrics. Nil: there is no such page.
	Metrics http.Handler
	// Pprof serves Go's profiles under /debug/pprof.
	Pprof bool
	// Version is this program's own version, shown by GET /version beside etcd's.
	Version string

	// Logger gets what an operator should know. Nil: nothing is logged.
	Logger *slog.Logger
}

const (
	defaultMaxRequestBytes = 3 << 19
	defaultRequestTimeout  = 7 * time.Second
	defaultCloseGrace      = time.Second
	defaultWatchProgress   = 10 * time.Minute
	minWatchProgress       = 100 * time.Millisecond
	defaultLeaderTimeout   = 3 * time.Second
	defaultMinLeaseTTL     = 2

	// receiveRoomBytes is how much larger than MaxRequestBytes a message may be before gRPC itself
	// refuses it; etcd's number.
	receiveRoomBytes = 512 << 10
)

func (o Options) withDefaults() Options {
	if o.MaxRequestBytes == 0 {
		o.MaxRequestBytes = defaultMaxRequestBytes
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = defaultRequestTimeout
	}
	if o.CloseGrace == 0 {
		o.CloseGrace = defaultCloseGrace
	}
	if o.WatchProgressInterval == 0 {
		o.WatchProgressInterval = defaultWatchProgress
	}
	if o.LeaderTimeout == 0 {
		o.LeaderTimeout = defaultLeaderTimeout
	}
	if o.MinLeaseTTL == 0 {
		o.MinLeaseTTL = defaultMinLeaseTTL
	}
	if o.Size == nil {
		o.Size = func() (int64, int64) { return 0, 0 }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate reports everything that is wrong with the options at once, or nil.
func (o Options) Validate() error {
	var wrong []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	need(o.Group != nil, "Group is missing")
	need(o.Store != nil, "Store is missing")
	need(o.ClusterID != 0, "ClusterID is missing")
	need(o.MemberID != 0, "MemberID is missing")
	need(o.MaxRequestBytes >= 0 && o.MaxRequestBytes <= kv.MaxRequestBytes,
		"MaxRequestBytes is %d, must be from 0 to %d", o.MaxRequestBytes, kv.MaxRequestBytes)
	need(o.RequestTimeout >= 0, "RequestTimeout is %v, must not be negative", o.RequestTimeout)
	need(o.CloseGrace >= 0, "CloseGrace is %v, must not be negative", o.CloseGrace)
	need(o.WatchProgressInterval == 0 || o.WatchProgressInterval >= minWatchProgress,
		"WatchProgressInterval is %v, must be at least %v", o.WatchProgressInterval, minWatchProgress)
	need(o.LeaderTimeout >= 0, "LeaderTimeout is %v, must not be negative", o.LeaderTimeout)
	need(o.MinLeaseTTL >= 0 && o.MinLeaseTTL <= kv.MaxLeaseTTL,
		"MinLeaseTTL is %d, must be from 0 to %d", o.MinLeaseTTL, int64(kv.MaxLeaseTTL))
	return errors.Join(wrong...)
}
