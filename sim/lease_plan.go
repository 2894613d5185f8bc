package sim

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/lessor"
)

// leasePlan is who holds leases in a world. In three of five worlds nobody does.
type leasePlan struct {
	holders  int // clients that hold leases; 0: nobody does
	ttl      int // the longest time, in seconds
	lessor   lessor.Options
	interval int64 // between two looks of a server's lessor
	attach   int   // of a million puts of others, those with a lease
	// drift is by how much clocks may be wrong, per million, while there are faults.
	drift int
}

// leased is how many of a million worlds have leases.
const leased = 400_000

// drawLeases draws who holds leases. The choices are of labels of their own.
func (p *plan) drawLeases(d dice) {
	if !d.chance("plan.lease", leased) {
		return
	}
	const ms = int64(time.Millisecond)
	p.lease = leasePlan{
		holders: d.between("plan.lease.holders", 1, 4),
		ttl:     d.between("plan.lease.ttl", 1, 4),
		lessor: lessor.Options{
			Grace: uint64(d.scale("plan.lease.grace", ms, 4000*ms)),
			Slack: uint64(d.scale("plan.lease.slack", ms, 1000*ms)),
			Mark:  uint64(d.scale("plan.lease.mark", 100*ms, 5000*ms)),
			Batch: int(d.scale("plan.lease.batch", 1, 64)),
		},
		interval: d.scale("plan.lease.interval", 20*ms, 200*ms),
		attach:   rarely(d, "lease.attach", 50_000, 400_000),
		drift:    p.drift,
	}
}

func (p *leasePlan) String() string {
	return fmt.Sprintf("%d clients hold leases of up to %d s", p.holders, p.ttl)
}
