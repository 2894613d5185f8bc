package server

import (
	"time"

	"github.com/quorate/quorate/doctor"
	"github.com/quorate/quorate/replica"
)

// diskOf says how this server's disk is.
func (s *Server) diskOf(now *replica.Status) *doctor.Disk {
	room := s.host.Space()
	return &doctor.Disk{
		Free: room.Free, LowBytes: room.LowBytes, BallastBytes: room.Ballast, Low: room.Low, Full: room.Full, Held: room.Held,
		Writing: time.Duration(now.Writing), Slowest: time.Duration(now.Pace.Sync), SlowAfter: time.Duration(now.SlowAfter),
		HandedOver: now.SlowDisk.Count,
	}
}

// collectDisk tells how this server's disk is.
func (c *collector) collectDisk(gauge, counter emit) {
	now := c.server.forClients.Status()
	d := c.server.diskOf(&now)
	gauge(d.Writing.Seconds(), "quorate_log_write_under_way_seconds", "For how long the oldest write to the log has been under way; 0: there is none.")
	gauge(d.SlowAfter.Seconds(), "quorate_log_write_slow_after_seconds", "After how long a leader with such a write hands over.")
	if d.Free >= 0 {
		gauge(float64(d.Free), "quorate_disk_free_bytes", "What is free on the disk of the data directory.")
		gauge(float64(d.LowBytes), "quorate_disk_low_bytes", "Below how much of that the alarm NOSPACE is raised.")
		gauge(oneIf(d.Held), "quorate_disk_ballast_held", "Whether what was set aside for a full disk still is: 1, or 0.")
	}
	counter(float64(d.HandedOver), "quorate_slow_disk_handovers_total", "How often this server has handed leadership over because of its disk.")
}
