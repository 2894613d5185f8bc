package doctor

import (
	"fmt"
	"time" //tidy:impure spans are arguments here: nobody asks a clock
)

// Disk is how a server's own disk is.
type Disk struct {
	// Writing is for how long the oldest write to the log has been under way, and Slowest the longest of the last half
	// minute or so. SlowAfter is how long is too long for a leader.
	Writing, Slowest, SlowAfter time.Duration
	// HandedOver is how often, since its start, the server has given up leadership for that.
	HandedOver uint64
}

// DiskSlow is found where a write to the log takes, or took of late, very long.
const DiskSlow Code = "disk-slow"

// slowWrite is how long is very long: a leader hands over sooner, but a disk that is busy for a moment is nothing to look at.
const slowWrite = time.Second

// findDisk finds what is wrong with the disk.
func (r *Report) findDisk(v *View) {
	d := v.Disk
	if d == nil {
		return
	}
	if slowest := max(d.Writing, d.Slowest); slowest >= max(slowWrite, d.SlowAfter) {
		r.Findings = append(r.Findings, Finding{
			Code: DiskSlow, Severity: Warns, About: r.Name,
			Text: fmt.Sprintf("the disk of %s is slow: of late a write to the log took %d ms. Clients of %s wait for it; it hands leadership over, if another is well.",
				r.Name, slowest.Milliseconds(), r.Name),
			Todo: "See what else writes to the disk, and whether it is failing. A write that is not done after 30 s ends the server.",
		})
	}
}
