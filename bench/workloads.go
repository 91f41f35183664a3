// The workloads, each run in a child process that has an engine to itself.

package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// workload is a column of the tables.
type workload struct {
	name, title, unit string
	more              bool // higher is better
	kinds             []string
	run               func(ctx context.Context, c *child) (figure float64, err error)
}

// child is what a workload works with.
type child struct {
	engine engine
	at     place
	job    job
	begun  time.Time // of the engine's start
}

// scaled is n by the size that was asked for, at least one.
func (c *child) scaled(n int) int { return max(1, int(float64(n)*c.job.Size)) }

var workloads = []workload{
	{name: "W1", title: "1,000 steps, one after the other", unit: "ms a step", run: sequential},
	{name: "W2", title: "1,000 executions of 5 steps, begun together", unit: "steps/s", more: true, run: throughput(1000, 0)},
	{name: "W3", title: "1,000 steps side by side", unit: "s", run: fanout(1000)},
	{name: "W3b", title: "10,000 steps side by side", unit: "s", run: fanout(10_000)},
	{name: "W4", title: "start to result, one step, idle, p50", unit: "ms", run: latency(50)},
	{name: "W4b", title: "the same, p99", unit: "ms", run: latency(99)},
	{name: "W5", title: "memory of a waiting execution, of 1,000", unit: "bytes", run: memory},
	{name: "W5b", title: "share of a core while they wait", unit: "%", run: idle},
	{name: "W6", title: "engine's start to the last of 1,000 steps, after kill -9", unit: "ms", run: resume},
	{name: "W7", title: "W2, one worker process", unit: "steps/s", more: true, kinds: []string{"postgres"}, run: processes},
	{name: "W7b", title: "W2, two worker processes", unit: "steps/s", more: true, kinds: []string{"postgres"}, run: processes},
	{name: "W7c", title: "W2, four worker processes", unit: "steps/s", more: true, kinds: []string{"postgres"}, run: processes},
	{name: "W8", title: "W2 with payloads of 1 KB", unit: "steps/s", more: true, run: throughput(1000, 1<<10)},
	{name: "W8b", title: "100 executions of 5 steps, payloads of 64 KB", unit: "steps/s", more: true, run: throughput(100, 64<<10)},
}

// workersOf is how many worker processes a workload wants.
var workersOf = map[string]int{"W7": 1, "W7b": 2, "W7c": 4}

func sequential(ctx context.Context, c *child) (float64, error) {
	n := c.scaled(1000)
	return c.timed(ctx, n, func() (await, error) { return c.engine.sequence(ctx, "warm", n, "") }, func(d time.Duration) float64 {
		return d.Seconds() * 1000 / float64(n)
	})
}

// timed runs one execution for warming up, then one that counts, of n steps.
func (c *child) timed(ctx context.Context, n int, begin func() (await, error), figure func(time.Duration) float64) (float64, error) {
	if err := c.warm(ctx); err != nil {
		return 0, err
	}
	before, begun := calls.Load(), time.Now()
	wait, err := begin()
	if err == nil {
		err = wait(ctx)
	}
	took := time.Since(begun)
	if err == nil && calls.Load()-before != int64(n) {
		err = fmt.Errorf("%d steps ran, not %d", calls.Load()-before, n)
	}
	return figure(took), err
}

func (c *child) warm(ctx context.Context) error {
	for i := range 5 {
		wait, err := c.engine.sequence(ctx, fmt.Sprint("first", i), 5, "")
		if err == nil {
			err = wait(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func throughput(executions, payload int) func(context.Context, *child) (float64, error) {
	return func(ctx context.Context, c *child) (float64, error) {
		n, text := c.scaled(executions), strings.Repeat("x", payload)
		again := &child{engine: renamed{c.engine, "second-"}, at: c.at, job: c.job} // a tenth for warming up: connections, plans, caches
		wait, err := again.many(ctx, max(1, n/10), text)
		if err == nil {
			err = wait(ctx)
		}
		if err != nil {
			return 0, err
		}
		return c.timed(ctx, 5*n, func() (await, error) { return c.many(ctx, n, text) }, func(d time.Duration) float64 {
			return float64(5*n) / d.Seconds()
		})
	}
}

// many begins n executions of 5 steps, each from a goroutine of its own.
func (c *child) many(ctx context.Context, n int, payload string) (await, error) {
	failed := make(chan error, n)
	for i := range n {
		go func() {
			wait, err := c.engine.sequence(ctx, fmt.Sprint("x", i), 5, payload)
			if err == nil {
				err = wait(ctx)
			}
			failed <- err
		}()
	}
	return func(context.Context) error {
		for range n {
			if err := <-failed; err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func fanout(steps int) func(context.Context, *child) (float64, error) {
	return func(ctx context.Context, c *child) (float64, error) {
		n := c.scaled(steps)
		return c.timed(ctx, n, func() (await, error) { return c.engine.fan(ctx, "fan", n) }, time.Duration.Seconds)
	}
}

func latency(percentile int) func(context.Context, *child) (float64, error) {
	return func(ctx context.Context, c *child) (float64, error) {
		if err := c.warm(ctx); err != nil {
			return 0, err
		}
		var all []time.Duration
		for i := range c.scaled(200) {
			begun := time.Now()
			wait, err := c.engine.sequence(ctx, fmt.Sprint("one", i), 1, "")
			if err == nil {
				err = wait(ctx)
			}
			if err != nil {
				return 0, err
			}
			all = append(all, time.Since(begun))
			time.Sleep(2 * time.Millisecond) // idle in between
		}
		slices.Sort(all)
		return float64(all[(len(all)-1)*percentile/100].Microseconds()) / 1000, nil
	}
}

// inUse is what the process holds of the system's memory, garbage collected.
func inUse() float64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys - m.HeapReleased)
}

func (c *child) hold(ctx context.Context) (n int, before float64, err error) {
	if err := c.warm(ctx); err != nil {
		return 0, 0, err
	}
	n, before = c.scaled(1000), inUse()
	for i := range n {
		if err := c.engine.hold(ctx, fmt.Sprint("held", i)); err != nil {
			return n, before, err
		}
	}
	time.Sleep(5 * time.Second) // they come to rest
	return n, before, nil
}

func memory(ctx context.Context, c *child) (float64, error) {
	n, before, err := c.hold(ctx)
	return max(0, inUse()-before) / float64(n), err
}

func idle(ctx context.Context, c *child) (float64, error) {
	if _, _, err := c.hold(ctx); err != nil {
		return 0, err
	}
	const period = 5 * time.Second
	before := processor()
	time.Sleep(period)
	return 100 * (processor() - before).Seconds() / period.Seconds(), nil
}

// processor is the time that this process has had of the processors.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resume is run twice: the first process is killed in the last step, the second one comes to it again.
func resume(ctx context.Context, c *child) (float64, error) {
	if c.job.Phase == 1 {
		if _, err := c.engine.sequence(ctx, "killed", c.scaled(1000), ""); err != nil {
			return 0, err
		}
	}
	select {
	case <-stalled:
		return float64(time.Since(c.begun).Microseconds()) / 1000, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// processes is the client's side of W7: workers are processes of their own. It is the median of some rounds: in the
// first ones each of several processes compiles, connects and prepares. Where a round takes seconds that does not count, and one is enough.
func processes(ctx context.Context, c *child) (float64, error) {
	n := c.scaled(1000)
	var rounds []time.Duration
	for round := range 7 {
		begun := time.Now()
		again := &child{engine: renamed{c.engine, fmt.Sprintf("round-%d-", round)}, at: c.at, job: c.job}
		wait, err := again.many(ctx, n, "")
		if err == nil {
			err = wait(ctx)
		}
		if err != nil {
			return 0, err
		}
		took := time.Since(begun)
		if took > 2*time.Second {
			rounds = []time.Duration{took}
			break
		}
		if round >= 2 {
			rounds = append(rounds, took)
		}
	}
	slices.Sort(rounds)
	return float64(5*n) / rounds[len(rounds)/2].Seconds(), nil
}

// renamed gives executions other ids.
type renamed struct {
	engine
	prefix string
}

func (r renamed) sequence(ctx context.Context, id string, n int, payload string) (await, error) {
	return r.engine.sequence(ctx, r.prefix+id, n, payload)
}
