// Options of an engine, their defaults and validation.

package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Options configure an [Engine]. The zero value is useful.
type Options struct {
	// Queues that the worker serves. Default: "default".
	Queues []string
	// Tags that the worker has; it takes an execution only when it has all its tags.
	Tags []string
	// MaxConcurrency is how many attempts may run here at once. Default 256.
	MaxConcurrency int
	// MaxParked is how many waiting scripts are kept in memory. Default 10,000.
	MaxParked int
	// ReleaseAfter is how long a script may wait with nothing running here
	// before it is released, unless it is to run here and another worker might take it. Default 5s.
	ReleaseAfter time.Duration
	// SessionLife is how long a worker may be silent before its work is taken over. Default 10s, at least 10ms.
	SessionLife time.Duration
	// PollInterval is how often an idle worker looks for work. Default 1s, at least 1ms.
	PollInterval time.Duration
	// DrainTimeout bounds a graceful stop; attempts still running then are cut. Default 10s.
	DrainTimeout time.Duration
	// Retention is how long a worker keeps executions that have ended. Default: 7
	// days when completed, 30 days when not.
	Retention Retention
	// CleanupTimeout is how long a script that was cancelled or has expired may
	// still run; then it is cut. A worker that takes it over gives it that long anew. Default 30s.
	CleanupTimeout time.Duration
	// MaxSteps bounds the interpreter steps of one turn. Default 100 million.
	MaxSteps uint64
	// MaxValue bounds the size of one stored value in bytes. Default 1 MiB. The
	// logger is told, once for each activity and workflow, of values over a quarter of it.
	MaxValue int
	// MaxCrashes is how many times the process may die under a step's attempts, for activities that
	// do not say: the step fails with CrashLoop when it dies once more. Default 10.
	MaxCrashes int
	// ReplayAlways replays a script from its first line at every wait: a test mode.
	ReplayAlways bool
	// Random is where the jitter of retries comes from: numbers in [0, 1), asked for by many
	// goroutines. Default: random ones.
	Random func() float64
	// Hold makes Run claim nothing from queues: only executions that this
	// engine was told to run are run.
	Hold bool
	// Notifier wakes workers and waiters of other processes. Default: the store, when it is one.
	Notifier backend.Notifier
	// Logger is told what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
	// Observer is told what happens to the executions held here.
	Observer Observer
	// Metrics counts what the worker does. Default: nothing is counted.
	Metrics *Metrics
	// Tracer keeps spans. Default: nobody does.
	Tracer Tracer
}

// withDefaults returns o with defaults filled in, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	o.Retention = o.Retention.withDefaults()
	orDefault(&errs, "MaxConcurrency", &o.MaxConcurrency, 256)
	orDefault(&errs, "MaxParked", &o.MaxParked, 10_000)
	orDefault(&errs, "MaxValue", &o.MaxValue, 1<<20)
	orDefault(&errs, "MaxCrashes", &o.MaxCrashes, 10)
	orDefault(&errs, "ReleaseAfter", &o.ReleaseAfter, 5*time.Second)
	orDefault(&errs, "SessionLife", &o.SessionLife, 10*time.Second)
	orDefault(&errs, "PollInterval", &o.PollInterval, time.Second)
	orDefault(&errs, "CleanupTimeout", &o.CleanupTimeout, 30*time.Second)
	orDefault(&errs, "DrainTimeout", &o.DrainTimeout, 10*time.Second)
	atLeast(&errs, "SessionLife", o.SessionLife, 10*time.Millisecond)
	atLeast(&errs, "PollInterval", o.PollInterval, time.Millisecond)
	if o.MaxSteps == 0 {
		o.MaxSteps = 100_000_000
	}
	if len(o.Queues) == 0 {
		o.Queues = []string{"default"}
	}
	for _, q := range o.Queues {
		if q == "" {
			errs = append(errs, errors.New("engine options: a queue has no name"))
		}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(errs...)
}

// orDefault fills in a count or a duration that is not given.
func orDefault[N int | time.Duration](errs *[]error, name string, v *N, def N) {
	if *v < 0 {
		*errs = append(*errs, fmt.Errorf("engine options: %s is negative (%v)", name, *v))
	}
	if *v == 0 {
		*v = def
	}
}

// atLeast refuses what was meant to be another unit: a worker that beats or polls so often does nothing else.
func atLeast(errs *[]error, name string, v, least time.Duration) {
	if v > 0 && v < least {
		*errs = append(*errs, fmt.Errorf("engine options: %s is %v, the least is %v (a number without a unit is one of nanoseconds)", name, v, least))
	}
}
