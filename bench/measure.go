package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate/quorate/bench/internal/load"
	"github.com/quorate/quorate/bench/internal/proc"
	"github.com/quorate/quorate/bench/internal/report"
)

// grace is how long the last operations may take when the window has ended.
const grace = 5 * time.Second

// closedLoop puts the servers under the load of r.Clients clients that each repeat one operation,
// fills in the figures of r, and returns how many operations were answered well in all.
func (b *bed) closedLoop(ctx context.Context, r *report.Run, operation func(*clientv3.Client) load.Operation) (int64, error) {
	operations, hangUp, err := b.operations(r.Clients, operation)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	result, err := b.measure(ctx, r, loop{operations: operations})
	if err != nil {
		return 0, err
	}
	return result.Total, b.inspect(ctx, r)
}

// operations returns an operation for each client, on connections that hangUp closes.
func (b *bed) operations(clients int, operation func(*clientv3.Client) load.Operation) (all []load.Operation, hangUp func(), err error) {
	connections, err := b.connect(clients)
	if err != nil {
		return nil, nil, err
	}
	for i := range clients {
		all = append(all, operation(connections[i%len(connections)]))
	}
	return all, func() { closeAll(connections) }, nil
}

// loop is a load, and who else is to know when its window begins and ends.
type loop struct {
	operations []load.Operation
	pace       float64 // operations per second, all clients together; 0: as many as can be
	edge       func()  // called at both ends of the window; nil: nobody
}

// measure puts the servers under a load and fills in the figures of r.
func (b *bed) measure(ctx context.Context, r *report.Run, l loop) (load.Result, error) {
	var samples []usage
	var sampleErrors error
	var profiling sync.WaitGroup
	defer profiling.Wait()
	sample := func() {
		now, err := b.sample()
		samples = append(samples, now)
		sampleErrors = errors.Join(sampleErrors, err)
	}
	tell := func() {
		if l.edge != nil {
			l.edge()
		}
	}
	edge := func() {
		if len(samples) > 0 {
			tell() // at once: taking a sample is no part of the window, and may take long on a busy machine
			sample()
			return
		}
		if b.profile != "" {
			profiling.Go(func() { b.takeProfile(ctx) })
		}
		sample()
		tell()
	}
	plan := load.Plan{
		Warmup: b.options.warmup,
		Window: b.options.window,
		Grace:  grace,
		MaxOps: b.options.maxOps,
		Seed:   b.seed,
		Pace:   l.pace,
	}
	result := load.Run(ctx, plan, l.operations, edge)
	if err := errors.Join(ctx.Err(), sampleErrors); err != nil {
		return result, err
	}
	fill(r, result, samples[0], samples[1])
	if result.Ops == 0 {
		return result, fmt.Errorf("no operation succeeded within the window; %d errors, one of them: %w", result.Errors, result.FirstError)
	}
	return result, nil
}

// usage is what everybody has used since they started.
type usage struct {
	leader    time.Duration
	followers time.Duration
	client    time.Duration // this process
	machine   proc.Machine
}

func (b *bed) sample() (usage, error) {
	var u usage
	machine, wrong := proc.ReadMachine()
	u.machine = machine
	read := func(pid int) time.Duration {
		cpu, err := proc.ReadCPU(pid)
		wrong = errors.Join(wrong, err)
		return cpu.Total()
	}
	u.client = read(os.Getpid())
	for i, server := range b.cluster.Servers {
		if i == b.cluster.Leader {
			u.leader = read(server.PID)
		} else {
			u.followers += read(server.PID)
		}
	}
	return u, wrong
}

// fill writes into r what the clients saw and what the window between two samples cost.
func fill(r *report.Run, result load.Result, from, to usage) {
	r.Seconds = result.Window.Seconds()
	r.Ops = result.Ops
	r.P50Micros = micros(result.Latency.Quantile(0.50))
	r.P99Micros = micros(result.Latency.Quantile(0.99))
	r.Errors = result.Errors
	if result.FirstError != nil {
		r.ErrorExample = result.FirstError.Error()
	}
	leader, followers, client := to.leader-from.leader, to.followers-from.followers, to.client-from.client
	r.LeaderCPUSeconds = leader.Seconds()
	r.FollowersCPUSeconds = followers.Seconds()
	r.ClientCPUSeconds = client.Seconds()
	r.StealCPUs = (to.machine.Steal - from.machine.Steal).Seconds() / r.Seconds
	// The readings of a sample are not of one instant, so that the rest may come out below zero.
	other := to.machine.Busy - from.machine.Busy - leader - followers - client
	r.OtherCPUs = max(other, 0).Seconds() / r.Seconds
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// inspect looks at the servers after the load: what they hold in memory, and who leads.
func (b *bed) inspect(ctx context.Context, r *report.Run) error {
	if err := b.weigh(r); err != nil {
		return err
	}
	leader, err := b.cluster.AgreedLeader(ctx)
	if err != nil {
		return fmt.Errorf("after the load: %w", err)
	}
	r.LeaderMoved = leader != b.cluster.Leader
	return nil
}

// weigh adds what the servers hold in memory.
func (b *bed) weigh(r *report.Run) error {
	for _, server := range b.cluster.Servers {
		memory, err := proc.ReadMemory(server.PID)
		if err != nil {
			return err
		}
		r.AnonBytes += memory.Anon
		r.FileBytes += memory.File
	}
	return nil
}
