package show

import (
	"fmt"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Health is whether a server at an address does what it is asked, and how long that took.
type Health struct {
	Address string
	Took    time.Duration
	Err     error // nil: it is well
}

// Healths prints who is well, in etcdctl's words.
func (p *Printer) Healths(healths []Health) error {
	g := p.page()
	switch p.Format {
	case JSON:
		list := make([]healthJSON, 0, len(healths))
		for _, h := range healths {
			list = append(list, healthJSON{h.Address, h.Err == nil, h.Took.String(), whyNot(h.Err)})
		}
		return p.json(list)
	case Simple:
		for _, h := range healths {
			if h.Err != nil {
				g.line("%s is unhealthy: failed to commit proposal: %v", h.Address, h.Err)
			} else {
				g.line("%s is healthy: successfully committed proposal: took = %v", h.Address, h.Took)
			}
		}
	default:
		rows := [][]string{{"endpoint", "health", "took", "error"}}
		for _, h := range healths {
			rows = append(rows, []string{h.Address, strconv.FormatBool(h.Err == nil), h.Took.Round(time.Microsecond).String(), whyNot(h.Err)})
		}
		g.table(rows)
	}
	return g.flush()
}

// healthJSON has etcdctl's names.
type healthJSON struct {
	Endpoint string `json:"endpoint"`
	Health   bool   `json:"health"`
	Took     string `json:"took"`
	Error    string `json:"error,omitempty"`
}

// Hash is the hash of what a server at an address holds, or why there is none.
type Hash struct {
	Address string
	Answer  *pb.HashKVResponse // nil if there is no answer
	Err     error              // why not
}

// Hashes prints the hashes of servers, in the order given.
func (p *Printer) Hashes(hashes []Hash) error {
	g := p.page()
	switch p.Format {
	case JSON:
		list := make([]hashJSON, 0, len(hashes))
		for _, h := range hashes {
			list = append(list, hashJSON{h.Address, h.Answer, whyNot(h.Err)})
		}
		return p.json(list)
	case Simple: // etcdctl's columns: endpoint, hash, hash revision
		for _, h := range hashes {
			if h.Err != nil {
				g.line("%s, no answer: %v", h.Address, h.Err)
			} else {
				g.line("%s, %d, %d", h.Address, h.Answer.Hash, h.Answer.HashRevision)
			}
		}
	default:
		rows := [][]string{{"endpoint", "hash", "of revision", "compacted at", "error"}}
		for _, h := range hashes {
			row := []string{h.Address, "", "", "", whyNot(h.Err)}
			if a := h.Answer; a != nil {
				row[1], row[2], row[3] = fmt.Sprintf("%08x", a.Hash), fmt.Sprint(a.HashRevision), fmt.Sprint(a.CompactRevision)
			}
			rows = append(rows, row)
		}
		g.table(rows)
	}
	return g.flush()
}

// hashJSON has etcdctl's names, and one more for what does not answer.
type hashJSON struct {
	Endpoint string             `json:"Endpoint"`
	HashKV   *pb.HashKVResponse `json:"HashKV,omitempty"`
	Error    string             `json:"Error,omitempty"`
}

func whyNot(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// JudgeHashes says whether servers hold the same. Only hashes of one revision and one compaction can be
// compared: if servers are not equally far, ask for a revision that all of them have.
func JudgeHashes(hashes []Hash) (verdict string, well bool) {
	type of struct{ revision, compact int64 }
	first := make(map[of]Hash)
	answers := 0
	for _, h := range hashes {
		if h.Answer == nil {
			continue
		}
		answers++
		key := of{h.Answer.HashRevision, h.Answer.CompactRevision}
		before, seen := first[key]
		if !seen {
			first[key] = h
		} else if before.Answer.Hash != h.Answer.Hash {
			return fmt.Sprintf("%s and %s DIFFER at revision %d: one of them holds what it should not. Keep both data directories, and stop writing.",
				before.Address, h.Address, key.revision), false
		}
	}
	switch {
	case answers < len(hashes):
		return fmt.Sprintf("%d of %d answer.", answers, len(hashes)), false
	case len(first) > 1:
		return "The servers are not equally far, so these hashes cannot be compared: ask again with --rev.", true
	case answers == 1:
		return "There is nothing to compare one server with: --cluster asks all.", true
	}
	return fmt.Sprintf("%d servers hold the same.", answers), true
}
