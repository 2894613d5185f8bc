package main

import (
	"errors"
	"os"
	"time"

	"github.com/quorate/quorate/bench/internal/proc"
	"github.com/quorate/quorate/bench/internal/report"
)

// meter says how disturbed the machine was while servers came and went. What they use themselves it does
// not tell by roles: there is no leader for long.
type meter struct {
	bed   *bed
	began time.Time
	from  total
}

// total is what everybody has used since they started.
type total struct {
	ours    time.Duration // this process and all servers, those included that others have replaced
	machine proc.Machine
}

func (b *bed) startMeter() (*meter, error) {
	from, err := b.total()
	return &meter{bed: b, began: time.Now(), from: from}, err
}

// read fills in how long it has been, and what others have used since.
func (m *meter) read(r *report.Run) error {
	to, err := m.bed.total()
	r.Seconds = time.Since(m.began).Seconds()
	m.from.fill(r, to)
	return err
}

func (from total) fill(r *report.Run, to total) {
	r.StealCPUs = (to.machine.Steal - from.machine.Steal).Seconds() / r.Seconds
	other := to.machine.Busy - from.machine.Busy - (to.ours - from.ours)
	r.OtherCPUs = max(other, 0).Seconds() / r.Seconds
}

func (b *bed) total() (total, error) {
	machine, wrong := proc.ReadMachine()
	sum := total{ours: b.cluster.EndedCPU(), machine: machine}
	pids := []int{os.Getpid()}
	for _, server := range b.cluster.Servers {
		pids = append(pids, server.PID)
	}
	for _, pid := range pids {
		cpu, err := proc.ReadCPU(pid)
		wrong = errors.Join(wrong, err)
		sum.ours += cpu.Total()
	}
	return sum, wrong
}
