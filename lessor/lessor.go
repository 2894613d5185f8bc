package lessor

import "cmp"

// Options tune a Lessor. The zero value of a field means its default. Times are in nanoseconds.
type Options struct {
	// Grace is for how long a new leader ends nothing: clients that could not reach anybody meanwhile
	// shall have the time to renew. Default 3 s.
	Grace uint64
	// Slack is for how long a lease is left alone after its deadline: a client counts from when it was
	// answered, which is a little later than what the log says. Default 500 ms.
	Slack uint64
	// Mark is after how long without a command the leader writes an empty one, while there are leases, so
	// that the next leader knows how late it is. Default 5 s.
	Mark uint64
	// Batch is how many leases a step ends at most. With the time between steps it is how fast a storm
	// of them is. Default 100.
	Batch int
}

const second = 1_000_000_000

func (o Options) withDefaults() Options {
	o.Grace = cmp.Or(o.Grace, 3*second)
	o.Slack = cmp.Or(o.Slack, second/2)
	o.Mark = cmp.Or(o.Mark, 5*second)
	o.Batch = cmp.Or(o.Batch, 100)
	return o
}

// Lessor is what one server remembers of its own reign.
type Lessor struct {
	options Options
	term    uint64 // of the reign
	calm    uint64 // until then nothing is ended
}

// New returns a Lessor.
func New(o Options) *Lessor { return &Lessor{options: o.withDefaults()} }

// Now is what a server knows when it steps.
type Now struct {
	// Leads: this server leads, in Term.
	Leads bool
	Term  uint64
	// Time is the log time by this server's clock, and Written that of the last command applied here.
	Time, Written uint64
	// Leases is how many there are.
	Leases int
}

// Due returns up to limit leases whose deadline is at or before a log time; kv.Store.DueLeases is one.
type Due func(time uint64, limit int) []int64

// Step says whether to propose a command that ends leases, and which. It may be none of them: then the
// command is there for its time alone.
func (l *Lessor) Step(now Now, due Due) (end []int64, propose bool) {
	if !now.Leads {
		return nil, false
	}
	if now.Term != l.term {
		l.term, l.calm = now.Term, now.Time+l.options.Grace
	}
	if now.Time >= max(l.calm, l.options.Slack) {
		end = due(now.Time-l.options.Slack, l.options.Batch)
	}
	silent := now.Leases > 0 && now.Time > now.Written && now.Time-now.Written >= l.options.Mark
	return end, len(end) > 0 || silent
}
