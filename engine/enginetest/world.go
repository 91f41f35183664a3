// A world: a store in memory, a worker on it, and a clock.

package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// Options configure a [World]. FS is needed, the rest has defaults.
type Options struct {
	// FS holds the scripts; its root is what load("//...") is relative to.
	FS fs.FS
	// Registry has the activities that are real, or whose options and arguments doubles keep. It is not changed.
	Registry *activities.Registry
	// Replay runs every script again from its first line whenever it waits.
	Replay bool
	// Patience is how much virtual time an execution may take to end. Default: a year.
	Patience time.Duration
	// Logger is told what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
}

// World is a store in memory, a worker on it, and a clock. Its methods are for one goroutine
// at a time, and not for doubles.
type World struct {
	options  Options
	bubble   *bubble
	outside  *outside
	store    *memory.Store
	registry *activities.Registry
	client   *engine.Engine // looks and deploys; never works
	deaths   deaths
	changed  chan struct{} // capacity 1: something was committed
	names    map[string]int
	deployed map[string]bool
	closed   bool

	answering sync.WaitGroup // doubles

	mu      sync.Mutex // guards all below
	life    *life
	broken  error // no worker can be had
	doubles map[string]double
	calls   []Call
}

// NewWorld begins a world. t is the test that it is for, nil outside of go test.
func NewWorld(t *testing.T, o Options) (*World, error) {
	if o.FS == nil {
		return nil, errors.New("enginetest: Options.FS is missing: where are the scripts?")
	}
	if o.Patience == 0 {
		o.Patience = 366 * 24 * time.Hour
	}
	reg := o.Registry
	if reg == nil {
		reg = activities.NewRegistry()
	}
	w := &World{
		options: o, outside: newOutside(), bubble: newBubble(t),
		names: make(map[string]int), deployed: make(map[string]bool), doubles: make(map[string]double),
	}
	w.registry = reg.Wrap(w.around)
	err := w.do(func(context.Context) (err error) {
		w.store, w.changed = memory.New(), make(chan struct{}, 1)
		if w.client, err = engine.New(w.store, w.registry, w.engineOptions()); err != nil {
			return err
		}
		return w.begin()
	})
	if err != nil {
		w.bubble.end()
		w.outside.end()
		return nil, err
	}
	return w, nil
}

// engineOptions make an idle worker look around seldom: nobody else uses its store, and a year is to pass quickly.
func (w *World) engineOptions() engine.Options {
	return engine.Options{
		ReplayAlways: w.options.Replay,
		SessionLife:  30 * 24 * time.Hour,
		PollInterval: 12 * time.Hour,
		ReleaseAfter: time.Hour,
		Random:       func() float64 { return 0.5 }, // retries come exactly when the policy says
		Logger:       w.options.Logger,
	}
}

// do runs f in the bubble and lets the world come to rest.
func (w *World) do(f func(context.Context) error) (err error) {
	w.bubble.do(func() { err = f(context.Background()) })
	return err
}

// pulse says that something was committed.
func (w *World) pulse() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Start begins an execution of a script and lets it go as far as it can without time passing. It is
// named by its file, or as a workflow: the file of that name with .star. The scripts beside it are
// deployed too, so that children can be started by name. At most one DispatchOptions is taken.
func (w *World) Start(entry string, in engine.Input, opts ...engine.DispatchOptions) (id string, err error) {
	var o engine.DispatchOptions
	switch len(opts) {
	case 0:
	case 1:
		o = opts[0]
	default:
		return "", fmt.Errorf("one DispatchOptions at most, got %d", len(opts))
	}
	if !strings.HasSuffix(entry, ".star") {
		entry += ".star"
	}
	err = w.do(func(ctx context.Context) error {
		prog, err := w.client.Load(ctx, w.options.FS, entry)
		if err != nil {
			return withAdvice(err)
		}
		if err := w.deployBeside(ctx, entry); err != nil {
			return err
		}
		if err := w.client.Store(ctx, prog); err != nil {
			return err
		}
		if o.ID == "" {
			w.names[prog.Workflow]++
			o.ID = fmt.Sprintf("%s-%d", prog.Workflow, w.names[prog.Workflow])
		}
		o.Digest, o.Here = prog.Digest, true
		return w.with(func(e *engine.Engine) (err error) {
			id, err = e.Dispatch(ctx, prog.Workflow, in, o)
			return err
		})
	})
	return id, err
}

// withAdvice says what to do about an activity that nobody offers.
func withAdvice(err error) error {
	var problems starlark.Problems
	if errors.As(err, &problems) && slices.ContainsFunc(problems, func(p starlark.Problem) bool { return p.Activity != "" }) {
		return fmt.Errorf("%w\nan activity that is not registered needs a mock before the workflow starts", err)
	}
	return err
}

// deployBeside deploys a script, and of those beside it the ones that have no problem.
func (w *World) deployBeside(ctx context.Context, entry string) error {
	entry = path.Clean(entry)
	beside, err := fs.Glob(w.options.FS, path.Join(path.Dir(entry), "*.star"))
	if err != nil {
		return err
	}
	for _, name := range beside {
		if w.deployed[name] || strings.HasSuffix(name, "_test.star") {
			continue
		}
		_, err := w.client.Deploy(ctx, w.options.FS, name)
		var problems starlark.Problems
		switch {
		case err == nil:
			w.deployed[name] = true
		case name == entry || !errors.As(err, &problems):
			return err
		}
	}
	return nil
}

// Advance lets time pass.
func (w *World) Advance(d time.Duration) {
	w.bubble.do(func() { time.Sleep(d) })
}

// Now is the virtual time.
func (w *World) Now() (now time.Time) {
	w.bubble.do(func() { now = time.Now().UTC() })
	return now
}

// Do calls f in the world, with the worker that lives, which runs what f begins or has go on. It is called
// again when that dies meanwhile.
func (w *World) Do(f func(context.Context, *engine.Engine) error) error {
	return w.do(func(ctx context.Context) error {
		return w.with(func(e *engine.Engine) error {
			err := f(ctx, e)
			if unable := w.adoptAll(ctx, e); err == nil {
				err = unable
			}
			return err
		})
	})
}

// Signal sends a signal; payload is plain JSON.
func (w *World) Signal(id, name string, payload []byte) error {
	return w.Do(func(ctx context.Context, e *engine.Engine) error { return e.Signal(ctx, id, name, payload) })
}

// Crash kills the worker; another one takes over.
func (w *World) Crash() error {
	return w.do(func(context.Context) error {
		w.mu.Lock()
		l := w.life
		w.mu.Unlock()
		l.die()
		<-l.after
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.broken
	})
}

// CrashAt makes the worker die at its n-th commit from now, before it or, when landed is true, just
// after it, so that its reply is lost. Another one takes over.
func (w *World) CrashAt(n int, landed bool) { w.deaths.plan(n, landed) }

// Deaths is how many workers have died of CrashAt.
func (w *World) Deaths() int { return w.deaths.had() }

// Close ends the world and returns what is wrong with it: violated invariants of the store, and
// executions whose journal does not replay on their own code. Time passes until every double has returned. A world that
// is closed already is left alone.
func (w *World) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.do(func(ctx context.Context) error {
		w.mu.Lock()
		l := w.life
		w.mu.Unlock()
		l.stop()
		var errs []error
		if err := <-l.ended; err != nil && !errors.Is(err, engine.ErrStopped) {
			errs = append(errs, err)
		}
		w.answering.Wait()
		errs = append(errs, w.store.Check(ctx)...)
		return errors.Join(append(errs, w.replayAll(ctx)...)...)
	})
	w.bubble.end()
	w.outside.end()
	return err
}

// replayAll replays every journal.
func (w *World) replayAll(ctx context.Context) (errs []error) {
	all, err := w.store.List(ctx, backend.Filter{})
	if err != nil {
		return []error{err}
	}
	for _, x := range all {
		v, err := w.client.Replay(ctx, x.ID, "")
		if err == nil && !v.Fits {
			err = errors.New(v.Reason)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("execution %s does not replay: %w", x.ID, err))
		}
	}
	return errs
}
