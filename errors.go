package quorate

import (
	"errors"
	"log/slog"
	"os"
)

// What certainly did not happen, and what may have: clients build exactly-once on the difference.
var (
	// ErrBusy: too much is waiting already. The request did not happen; try again later.
	ErrBusy = errors.New("too many requests are waiting")
	// ErrTooLarge: the command is larger than Options.MaxRequestBytes. It did not happen.
	ErrTooLarge = errors.New("request is too large")
	// ErrCanceled: the caller's context ended first, and the request did not happen and will not. It
	// wraps the context's error.
	ErrCanceled = errors.New("request was given up before it happened")
	// ErrOutcomeUnknown: the caller's context ended, or the host was closed, while a leader had the
	// command: it may still take effect. It wraps the context's error. Or a change of members had begun, or
	// leadership was being handed over, and this server cannot tell how that ends.
	ErrOutcomeUnknown = errors.New("outcome is unknown")
	// ErrNotLeader: leadership is handed over by the leader only. It did not happen.
	ErrNotLeader = errors.New("this server does not lead")
	// ErrNotReady: after the change no majority would answer, or somebody would vote who lags; or no other
	// voter answers that could take over. It did not happen.
	ErrNotReady = errors.New("too few of the servers that are needed answer, or they lag")
	// ErrNotAllowed: nobody would vote, the members do not fit into an entry, or their roles are none; or who is
	// to take over has no vote. It did not happen.
	ErrNotAllowed = errors.New("the group cannot have these members, or this leader")
	// ErrClosed: the host is closed. A read did not happen.
	ErrClosed = errors.New("host is closed")

	// ErrOtherCluster: the data directory belongs to another cluster than the members given.
	ErrOtherCluster = errors.New("data directory belongs to another cluster")
	// ErrNewerFormat: the data directory was written by a newer version.
	ErrNewerFormat = errors.New("data directory was written by a newer version")
	// ErrCopied: the data directory is a copy, or an older state, of one that has been used since. It must not be used.
	ErrCopied = errors.New("data directory is a copy of another one")
	// ErrOtherKey: the others know this server by another key than its directory has.
	ErrOtherKey = errors.New("the cluster knows this server by another key")
	// ErrStateLost: the log begins after what the state machine has, and nobody has what is missing.
	ErrStateLost = errors.New("the state is lost")
	// ErrGroupRunning: the group has been started on this host already.
	ErrGroupRunning = errors.New("group is running already")
)

// exitOnFatal is the default of Options.OnFatal. Status 70 is "internal software error" of sysexits.
func exitOnFatal(logger *slog.Logger) func(error) {
	return func(err error) {
		logger.Error("this server must not go on", "err", err)
		os.Exit(70)
	}
}
