package replica

import "github.com/quorate/quorate/raft"

// CatchUpOptions bound what those are sent who lag, while clients write. Sizes are bytes for each tick. The zero value
// of a field means its default.
type CatchUpOptions struct {
	// Lag is how many entries behind the commit index an append must begin to be held back at all. Default 1024.
	Lag int
	// Free is what may be appended here while nobody is held back, for the group is nearly idle. Default 256 KiB
	// in a second.
	Free int
	// Least is what all who lag together get at least. Default 8 MiB in a second.
	Least int
	// States is what of states may be sent to all, whether or not clients write: for links or disks that have other uses. Default: as
	// much as they ask for.
	States int
}

func (o *CatchUpOptions) setDefaults(ticksPerSecond int) {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.Lag, 1024},
		{&o.Free, 256 << 10 / ticksPerSecond},
		{&o.Least, 8 << 20 / ticksPerSecond},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

const (
	// catchUpFactor is how many times faster than the log grows those are fed who lag: they must come nearer.
	catchUpFactor = 3
	// catchUpTicks is over how many ticks it is measured how fast that is.
	catchUpTicks = 64
)

// catchUp holds back entries for those who lag. A server that is new, or was away, takes them in as fast as it can, and
// where servers share processors or disks, or the link is thin, clients' writes wait for that. It is in less of a hurry than
// they are. But when hardly anything is written, there is nobody to wait for, or it is this server that the
// others wait for to commit; then nothing is held back.
type catchUp struct {
	appended int // bytes since the last tick
	sum      int // of so many ticks, smoothed
	held     bool
	left     int // of what may be sent in this tick, if held
}

// tick begins the next tick.
func (c *catchUp) tick(o *Options) {
	c.sum += c.appended - c.sum/catchUpTicks
	c.appended = 0
	each := c.each(o)
	c.held = c.sum/catchUpTicks > o.CatchUp.Free
	c.left = min(c.left+each, each)
}

// each is what may be sent in a tick.
func (c *catchUp) each(o *Options) int {
	return max(catchUpFactor*c.sum/catchUpTicks, o.CatchUp.Least)
}

// limit bounds the append after an entry, if fewer entries are as welcome: it should not have to wait for much longer
// than a tick, for what is not answered within a heartbeat is asked for again.
func (c *catchUp) limit(r *Replica, after raft.Index) int {
	if !c.holds(r, after) {
		return r.options.MaxBatchBytes
	}
	return min(r.options.MaxBatchBytes, 2*c.each(&r.options))
}

// lets reports whether an append with the records after an entry may leave now. The last one of a tick may be larger than
// what is left.
func (c *catchUp) lets(r *Replica, after raft.Index, records [][]byte) bool {
	if len(records) == 0 || !c.holds(r, after) {
		return true
	}
	if c.left <= 0 {
		return false
	}
	for _, record := range records {
		c.left -= len(record)
	}
	return true
}

func (c *catchUp) holds(r *Replica, after raft.Index) bool {
	return c.held && after+raft.Index(r.options.CatchUp.Lag) < r.core.CommitIndex()
}
