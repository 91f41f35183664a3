// The workload workers: the same work by one, two and four processes.

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
)

// ChildSleep is the mode of a child process whose activities take a while. It prints a line for every execution that ends.
const ChildSleep = "sleep"

const (
	stepTakes = 5 * time.Millisecond
	slotsEach = 8 // attempts at once of a process
)

// workers: executions whose steps take 5 ms, by 1, 2 and 4 processes with 8 attempts
// at once each. The figure is the speed-up of four over one, as a share of four.
func workers(ctx context.Context, c Config) (_ Result, err error) {
	n := or(c.Executions, 1600)
	l, err := newLab(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	detail := map[string]any{
		"steps_each": stepsEach, "step_ms": milliseconds(stepTakes), "slots_each": slotsEach,
		"no_overhead_ms_1": milliseconds(time.Duration(n*stepsEach) * stepTakes / slotsEach),
	}
	took := make(map[int]time.Duration)
	for _, processes := range []int{1, 2, 4} {
		if took[processes], err = l.shared(ctx, c, n, processes); err != nil {
			return Result{}, err
		}
		detail[fmt.Sprintf("wall_ms_%d", processes)] = milliseconds(took[processes])
		detail[fmt.Sprintf("share_of_ideal_%d", processes)] = round(float64(took[1])/float64(took[processes])/float64(processes), 3)
	}
	return Result{N: n, Unit: "of ideal", Value: detail["share_of_ideal_4"].(float64), Detail: detail}, nil
}

// shared is how long so many processes take for n executions.
func (l *lab) shared(ctx context.Context, c Config, n, processes int) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	name := fmt.Sprintf("%s-%d", queue(), processes)
	lines := make(chan string)
	for range processes {
		cmd := c.Child(ctx, ChildSleep, name)
		var complaints strings.Builder
		cmd.Stderr = &complaints
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			for s := bufio.NewScanner(stdout); s.Scan(); {
				select {
				case lines <- s.Text():
				case <-ctx.Done():
				}
			}
			select {
			case lines <- "gone: " + complaints.String():
			case <-ctx.Done():
			}
		}()
		defer func() {
			cancel() // kills it
			<-read
			_ = cmd.Wait()
		}()
	}
	wait := func(count int) error {
		for count > 0 {
			select {
			case line := <-lines:
				if strings.HasPrefix(line, "gone") {
					return errors.New("a process that was to work ended by itself: " + line)
				}
				count--
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	if err := wait(processes); err != nil { // they are ready
		return 0, err
	}
	jobs := make([]engine.Job, n)
	for i := range jobs {
		jobs[i] = engine.Job{Input: engine.Input{Args: []any{stepsEach}}, Options: engine.DispatchOptions{
			Digest: l.program.Digest, Function: "sequential", Queue: name,
		}}
	}
	begun := time.Now()
	if _, err := l.engine.DispatchAll(ctx, "bench", jobs); err != nil {
		return 0, err
	}
	err := wait(n)
	return time.Since(begun), err
}

// printer prints a line when an execution ends.
type printer struct{ out io.Writer }

func (p printer) Observe(ev engine.Event) {
	if ev.Kind == engine.ExecutionEnded {
		fmt.Fprintln(p.out, ev.Name)
	}
}

// sleepy is what the processes of workers do.
func sleepy(ctx context.Context, queue string, c Config, out io.Writer) error {
	reg := activities.NewRegistry()
	if err := reg.Register("bench.step", func(ctx context.Context, n int) (int, error) {
		select {
		case <-time.After(stepTakes):
			return n, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}); err != nil {
		return err
	}
	return serveWith(ctx, c, reg, engine.Options{Queues: []string{queue}, MaxConcurrency: slotsEach, Observer: printer{out}}, out)
}
