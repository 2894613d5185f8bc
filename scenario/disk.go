package scenario

import (
	"github.com/quorate/quorate/internal/crashdisk"
	"github.com/quorate/quorate/internal/script"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/wal"
	"github.com/quorate/quorate/wire"
)

// crash takes the power from a server. What was not synced is lost; with tear, its first bytes are not.
func (s *server) crash(cmd script.Command) {
	if !cmd.Has("tear") {
		s.disk.Crash(nil, crashdisk.Strict)
		s.stop()
		return
	}
	if s.disk.Pending() == 0 {
		cmd.Failf("server %d is writing nothing", s.id)
	}
	s.disk.Crash(torn{bytes: int(cmd.Uint("tear"))}, crashdisk.Weak)
	s.stop()
}

// torn chooses that of each write that was under way only the first bytes have reached the disk.
type torn struct{ bytes int }

// Choose implements choice.Source with the labels of package crashdisk.
func (t torn) Choose(label string, n int) int {
	switch label {
	case "crash.write":
		return 2 // cut at a sector:
	case "crash.cut":
		return 0 // the first one,
	case "crash.sector":
		return 2 // which is torn
	case "crash.tear":
		return min(max(t.bytes, 1), n) - 1
	}
	return n - 1 // names and lengths are there
}

// flip damages the end of an entry in a server's log: so many of its last bytes are inverted, on the disk.
func (s *server) flip(cmd script.Command) {
	index, count := raft.Index(cmd.Uint("entry")), int64(cmd.UintOr("bytes", 1))
	var file string
	var end int64
	err := wal.Scan(s.disk, logDir, func(i wal.Item) error {
		if r := i.Record; r != nil && i.Wrong == "" && r.IsEntry() && r.Index == index {
			file, end = i.File, i.Offset+wire.RecordHeaderBytes+int64(len(r.Payload))
			count = min(count, int64(len(r.Payload)))
		}
		return nil
	})
	if err != nil || file == "" || count == 0 {
		cmd.Failf("there is no entry %d to be damaged in the log of server %d: %v", index, s.id, err)
	}
	for at := end - count; at < end; at++ {
		if err := s.disk.Flip(file, at, 0xff); err != nil {
			cmd.Failf("%v", err)
		}
	}
	if count == 1 {
		s.servers.tell("%d: byte %d of %s is another now", s.id, end-1, file)
		return
	}
	s.servers.tell("%d: bytes %d to %d of %s are others now", s.id, end-count, end-1, file)
}

// other is a file of somebody else, on the disk of a server.
const other = "other"

// fill lets somebody else take up all the room on a server's disk but so many bytes.
func (s *server) fill(cmd script.Command) {
	leave := int64(cmd.UintOr("leave", 0))
	file, err := s.disk.Create(other)
	if err != nil {
		cmd.Failf("%v", err)
	}
	block := make([]byte, 4096)
	taken := int64(0)
	for {
		n, err := file.WriteAt(block, taken)
		if taken += int64(n); err != nil {
			break
		}
		if taken > 1<<30 {
			cmd.Failf("the disk of server %d has no end", s.id)
		}
	}
	if taken < leave {
		cmd.Failf("the disk of server %d has room for %d bytes only", s.id, taken)
	}
	if err := file.Truncate(taken - leave); err != nil {
		cmd.Failf("%v", err)
	}
	if err := file.Close(); err != nil {
		cmd.Failf("%v", err)
	}
	s.servers.tell("%d: somebody else takes up %d bytes of its disk, and leaves %d", s.id, taken-leave, leave)
}

// free gives back what fill has taken up.
func (s *server) free(cmd script.Command) {
	if err := s.disk.Remove(other); err != nil {
		cmd.Failf("%v", err)
	}
	s.prepare()
}
