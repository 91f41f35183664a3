// Package bench measures a database with the engine: how long steps take, how many there are in
// a second, and what share that is of what the database's raw driver can write.
//
// A [Config] says which database; [Run] measures one workload or all of them and
// reports a [Result] for each. The activities of the workloads do nothing, so what is
// measured is the engine and the database. Every workload runs in rounds;
// its figure is the median. All executions are in a queue of their own, so
// that a worker of the measured database leaves them alone, and the other way round.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Config says what is measured.
type Config struct {
	Backend string                                              // its name: "sqlite", "memory", ...
	Lasts   bool                                                // it outlives its process
	Raw     func(ctx context.Context, batch int) (Raw, error)   // its raw driver, to write so many rows a transaction; nil: none
	Open    func(ctx context.Context) (backend.Store, error)    // opens the database
	Child   func(ctx context.Context, args ...string) *exec.Cmd // this program's bench command on the same database
	Beside  func() (Beside, error)                              // makes another database beside it; nil: there is none
	Report  func(Result) error                                  // is told each result as it is known

	Profile string // directory for profiles of each workload; "": none are made

	// Notifier makes wake-ups beside those of the database; nil: there are none.
	Notifier func() (backend.Notifier, error)
	// Counters are what the server has counted since ever; nil: it does not count.
	Counters func(ctx context.Context) (Counters, error)

	// Sizes; zero means the default of the workload.
	Steps, Executions, Activities, Samples, Aged int
}

// Beside is an empty database of the same kind, on the same disk or server.
type Beside struct {
	Open func(ctx context.Context) (backend.Store, error)
	Drop func(ctx context.Context) error
}

// Counters are what a server counts: transactions, and versions of rows that it has made dead.
type Counters struct{ Commits, Dead int64 }

// Result is one figure.
type Result struct {
	Workload     string         `json:"workload"`
	Backend      string         `json:"backend"`
	N            int            `json:"n"`
	Value        float64        `json:"value"`
	Unit         string         `json:"unit"`
	ShareOfLimit *float64       `json:"share_of_limit,omitempty"`
	Detail       map[string]any `json:"detail,omitempty"`
}

// workload is one kind of measurement.
type workload struct {
	name    string
	run     func(ctx context.Context, c Config) (Result, error)
	batch   int                                           // rows a transaction of the limit that it is compared with; 0: none
	share   func(r Result, rowsPerSecond float64) float64 // of that limit
	lasting bool                                          // needs a database that outlives a process
	alone   bool                                          // a larger form of another; not a part of "all": it takes long
	extra   bool                                          // likewise, and of a name of its own
}

// workloads in the order of "all"; limit comes before them.
var workloads = []workload{
	{name: "sequential", run: sequential, batch: 1, share: byTime},
	{name: "throughput", run: throughput, batch: 256, share: byCount},
	{name: "fanout", run: fanout, batch: 256, share: byCount},
	{name: "latency", run: latency, batch: 1, share: byTime},
	{name: "sleepers", run: func(ctx context.Context, c Config) (Result, error) { return sleepers(ctx, c, or(c.Executions, 10_000)) }},
	{name: "sleepers", run: func(ctx context.Context, c Config) (Result, error) {
		return sleepers(ctx, c, or(c.Executions, 100_000))
	}, alone: true},
	{name: "recovery", run: recovery, batch: 256, share: byLength, lasting: true},
	{name: "remote", run: remote, lasting: true, extra: true},
	{name: "backlog", run: backlog, extra: true},
	{name: "workers", run: workers, lasting: true, extra: true},
	{name: "wakeup", run: wakeup, lasting: true, extra: true},
	{name: "aged", run: aged, lasting: true, extra: true},
}

// byTime compares milliseconds with rows a second, byCount a count a second, byLength the milliseconds that all of N take.
func byTime(r Result, rowsPerSecond float64) float64  { return 1000 / r.Value / rowsPerSecond }
func byCount(r Result, rowsPerSecond float64) float64 { return r.Value / rowsPerSecond }
func byLength(r Result, rowsPerSecond float64) float64 {
	return float64(r.N) * byTime(r, rowsPerSecond)
}

// WorkloadError says why a workload cannot be measured.
type WorkloadError struct {
	Workload string
	Why      string
}

func (e *WorkloadError) Error() string { return fmt.Sprintf("workload %q: %s", e.Workload, e.Why) }

// Workloads are the names that Run takes.
func Workloads() []string {
	var names []string
	for _, w := range workloads {
		if !w.alone {
			names = append(names, w.name)
		}
	}
	return append(names, "limit", "all")
}

// Check says whether Run takes the name, and why not.
func Check(name string) error {
	if !slices.Contains(Workloads(), name) {
		return &WorkloadError{name, "there is no such; there are " + strings.Join(Workloads(), ", ")}
	}
	return nil
}

// Run measures the named workload, or all.
func Run(ctx context.Context, name string, c Config) error {
	if err := Check(name); err != nil {
		return err
	}
	if name == "limit" && c.Raw == nil {
		return &WorkloadError{name, "there is no raw driver to compare " + c.Backend + " with"}
	}
	store, err := c.Open(ctx)
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	if (name == "limit" || name == "all") && c.Raw != nil {
		for _, batch := range limitBatches {
			r, err := measureLimit(ctx, c, batch)
			if err != nil {
				return err
			}
			if err := c.Report(r.result(c)); err != nil {
				return err
			}
		}
	}
	for _, w := range workloads {
		if name != w.name && (name != "all" || w.alone || w.extra) {
			continue
		}
		if w.lasting && !c.Lasts {
			if name == "all" {
				continue
			}
			return &WorkloadError{name, "a database in " + c.Backend + " does not outlive its process"}
		}
		r, err := w.measure(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if err := c.Report(r); err != nil {
			return err
		}
	}
	return nil
}

// measure runs a workload and compares it with its limit, measured just before:
// what else the machine does meanwhile shall slow down both.
func (w workload) measure(ctx context.Context, c Config) (Result, error) {
	var limit float64
	if w.batch > 0 && c.Raw != nil {
		l, err := measureLimit(ctx, c, w.batch)
		if err != nil {
			return Result{}, err
		}
		limit = l.perSecond()
	}
	r, err := w.profiled(ctx, c)
	if err != nil {
		return Result{}, err
	}
	r.Workload, r.Backend = w.name, c.Backend
	if limit > 0 {
		share := round(w.share(r, limit), 3)
		r.ShareOfLimit = &share
		r.Detail["limit"] = round(limit, 1)
	}
	return r, nil
}

// profiled runs the workload, with profiles where they are asked for.
func (w workload) profiled(ctx context.Context, c Config) (r Result, err error) {
	if c.Profile == "" {
		return w.run(ctx, c)
	}
	end, err := Profile(c.Profile, w.name)
	if err != nil {
		return Result{}, err
	}
	r, err = w.run(ctx, c)
	return r, errors.Join(err, end())
}

// Text writes a result as a line for people.
func Text(w io.Writer, r Result) error {
	share := ""
	if r.ShareOfLimit != nil {
		share = fmt.Sprintf("%.0f %% of limit", 100**r.ShareOfLimit)
	}
	var detail []string
	for _, key := range []string{"p99", "rows_per_commit", "resident_mb"} {
		if v, ok := r.Detail[key]; ok {
			detail = append(detail, fmt.Sprintf("%s %v", strings.ReplaceAll(key, "_", " "), v))
		}
	}
	line := fmt.Sprintf("%-11s %12s %-12s %-16s %s", r.Workload, number(r.Value), r.Unit, share, strings.Join(detail, ", "))
	_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
	return err
}

// number shows three digits at least and no more than help.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// or is n, or its default.
func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

const (
	// rounds of a workload, of which the median counts, unless they take
	// longer than patience.
	rounds   = 5
	patience = 6 * time.Second
)

// repeat measures in rounds and returns what they took, sorted.
func repeat(ctx context.Context, round func(ctx context.Context) (time.Duration, error)) ([]time.Duration, error) {
	var took []time.Duration
	for begun := time.Now(); len(took) < rounds && (len(took) == 0 || time.Since(begun) < patience); {
		settle()
		d, err := round(ctx)
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	slices.Sort(took)
	return took, nil
}

// median of sorted values.
func median(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

// milliseconds with what digits mean something.
func milliseconds(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 4) }

func inMilliseconds(all []time.Duration) []float64 {
	var out []float64
	for _, d := range all {
		out = append(out, milliseconds(d))
	}
	return out
}
