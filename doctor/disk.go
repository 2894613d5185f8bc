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
	// Free is how many bytes are free; negative: not known. LowBytes is below how many it is nearly full, which is Low; Full: a write has found
	// no room just now. BallastBytes are set aside for that, and Held says whether they are still.
	Free, LowBytes, BallastBytes int64
	Low, Full, Held              bool
}

// DiskSlow is found where a write to the log takes, or took of late, very long.
const DiskSlow Code = "disk-slow"

// DiskLow is found where the disk is nearly full, and DiskFull where a write finds no room.
const (
	DiskLow  Code = "disk-low"
	DiskFull Code = "disk-full"
)

// slowWrite is how long is very long: a leader hands over sooner, but a disk that is busy for a moment is nothing to look at.
const slowWrite = time.Second

// findDisk finds what is wrong with the disk.
func (r *Report) findDisk(v *View) {
	d := v.Disk
	if d == nil {
		return
	}
	switch {
	case d.Full:
		r.Findings = append(r.Findings, Finding{
			Code: DiskFull, Severity: Warns, About: r.Name,
			Text: fmt.Sprintf("the disk of %s is full: it ends when it can write no more", r.Name),
			Todo: fmt.Sprintf("Make room on the disk, at least %d MiB; then quorate alarm disarm. No restart is needed.", mebibytes(d.LowBytes+d.BallastBytes)),
		})
	case d.Low:
		r.Findings = append(r.Findings, Finding{
			Code: DiskLow, Severity: Warns, About: r.Name,
			Text: fmt.Sprintf("the disk of %s is nearly full: %d MiB are free, and below %d MiB puts are refused everywhere", r.Name, d.Free>>20, mebibytes(d.LowBytes)),
			Todo: "Make room on the disk, or delete and compact; then quorate alarm disarm. No restart is needed.",
		})
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

// mebibytes rounds up.
func mebibytes(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }
