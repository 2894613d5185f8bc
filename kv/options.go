package kv

import (
	"errors"
	"fmt"
)

// Limits bound what one request may ask for. A zero field means its default.
type Limits struct {
	// TxnOps is how many compares, and how many operations in either branch, a transaction may
	// have; nested ones share what is left. Default 128, at most MaxTxnOps.
	TxnOps int
	// Depth is how deeply transactions may be nested; 1 is a transaction without nested ones.
	// Default and maximum MaxTxnDepth.
	Depth int
	// RequestBytes is the size of a request in bytes. Default 1.5 MiB, at most MaxRequestBytes.
	RequestBytes int
}

// The widest limits that any server may be set to. What has come through the log is held to these
// and to nothing narrower: if each server applied its own setting, a request that one lets in and
// another refuses would make their states differ. Raising them needs a feature level.
const (
	MaxTxnOps       = 1 << 16
	MaxTxnDepth     = 32
	MaxRequestBytes = 16 << 20
)

const (
	defaultTxnOps       = 128
	defaultRequestBytes = 3 << 19
	defaultCacheBytes   = 16 << 20
	defaultSumEvery     = 256

	// treeFactor bounds the operations and compares of a whole tree of nested transactions, at
	// treeFactor * Limits.TxnOps. The budget that nested transactions share bounds each path
	// through the tree, and so still admits trees as large as the request's bytes allow.
	treeFactor = 128
)

// appliedLimits are what a committed command is held to.
func appliedLimits() Limits {
	return Limits{TxnOps: MaxTxnOps, Depth: MaxTxnDepth, RequestBytes: MaxRequestBytes}
}

func (l Limits) withDefaults() Limits {
	if l.TxnOps == 0 {
		l.TxnOps = defaultTxnOps
	}
	if l.Depth == 0 {
		l.Depth = MaxTxnDepth
	}
	if l.RequestBytes == 0 {
		l.RequestBytes = defaultRequestBytes
	}
	return l
}

// Options is what a programmer or operator sets. The zero value works.
type Options struct {
	// Cluster identifies the cluster that the state belongs to. It is written into an empty engine;
	// an engine of another cluster is refused with ErrOtherCluster.
	Cluster uint64
	// Limits are what requests are held to where they come in (Store.Check).
	Limits Limits
	// CacheBytes bounds the memory for the newest metadata of keys that were lately written, which
	// spares their next put a look into the engine. Default 16 MiB; less than zero: no cache.
	CacheBytes int
	// SumEvery is at which indexes Store.Sums has the digest: at its multiples. The same on all servers. Default 256.
	SumEvery uint64
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.SumEvery == 0 {
		o.SumEvery = defaultSumEvery
	}
	return o
}

// Validate reports everything that is wrong with the options at once.
func (o Options) Validate() error {
	var errs []error
	within := func(name string, value, most int) {
		if value < 0 || value > most {
			errs = append(errs, fmt.Errorf("%s is %d, must be from 0 to %d", name, value, most))
		}
	}
	within("Limits.TxnOps", o.Limits.TxnOps, MaxTxnOps)
	within("Limits.Depth", o.Limits.Depth, MaxTxnDepth)
	within("Limits.RequestBytes", o.Limits.RequestBytes, MaxRequestBytes)
	return errors.Join(errs...)
}

var (
	// ErrOtherCluster: the engine holds the state of another cluster.
	ErrOtherCluster = errors.New("the state belongs to another cluster")
	// ErrNewerFormat: the engine was written by a version newer than this one.
	ErrNewerFormat = errors.New("the state was written by a newer version")
	// ErrCorrupt: a record of the engine is not as the store writes it.
	ErrCorrupt = errors.New("a record of the state is damaged")

	errNotReadOnly = errors.New("transaction is not read-only")
)
