// Engine: construction, the life of its worker, and the programs it has compiled.

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// editions are the editions of the language whose journals this release replays.
var editions = []int{starlark.Edition}

func editionList() string {
	words := make([]string, len(editions))
	for i, e := range editions {
		words[i] = strconv.Itoa(e)
	}
	return strings.Join(words, ", ")
}

// replays says whether this release replays the edition of an execution.
func replays(x *backend.Execution) error {
	if slices.Contains(editions, x.Edition) {
		return nil
	}
	return &EditionError{x.ID, x.Edition}
}

// openPatience is how long Run tries to reach the database at its start.
const openPatience = 110 * time.Second

// Engine is one process's view of a store. Its methods are safe for concurrent use.
type Engine struct {
	store     backend.Store
	registry  *activities.Registry
	options   Options
	clock     *clock
	born      time.Time
	cache     *starlark.Cache
	ready     chan struct{}
	wakeups   wakeups
	looks     merger[look, looked]
	makes     merger[backend.NewExecution, madeOne]
	sends     merger[backend.Message, sent]
	news      merger[string, newest]
	mailed    atomic.Bool  // the worker is to look at its inboxes and for tasks; see look
	heavy     sync.Map     // of what a large value was warned: see weigh
	waits     atomic.Int64 // how many have begun to wait for an execution
	elsewhere elsewhere    // how activities are registered in other processes

	mu       sync.Mutex // guards all below
	worker   *worker    // nil when Run does not run
	kill     func()     // ends the Run that runs; nil when none does
	opened   bool
	unopened error                    // why there is no session at the moment
	adopted  map[string]bool          // ids to be claimed whatever their queue; true: only when they are due
	waiters  map[string][]waiter      // told once when something became of an id
	newest   map[string]newest        // by workflow: what Dispatch found
	deploys  int                      // how often something was deployed here
	reading  map[string]chan struct{} // by digest: programs that are being read; closed when that is over
}

// New returns an engine on a store. A nil registry is for processes that only
// dispatch: programs are then not checked against activities.
func New(store backend.Store, registry *activities.Registry, o Options) (*Engine, error) {
	if store == nil {
		return nil, errors.New("engine: no store")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		store: store, registry: registry, options: o, clock: newClock(), born: time.Now(), cache: starlark.NewCache(1000),
		ready:     make(chan struct{}),
		elsewhere: elsewhere{looking: make(chan struct{}, 1)},
		adopted:   make(map[string]bool), waiters: make(map[string][]waiter), newest: make(map[string]newest),
		reading: make(map[string]chan struct{}),
	}
	e.looks.most, e.looks.call = maxLooks, e.lookAt
	e.makes.most, e.makes.size, e.makes.call = maxCreated, sizeOfNew, e.makeAll
	e.sends.most, e.sends.size, e.sends.call = maxBatch, sizeOfMessage, e.sendAll
	e.news.most, e.news.call = maxLooks, e.lookUp
	e.wakeups.notifier, e.wakeups.from = o.Notifier, newID()
	if e.wakeups.notifier == nil {
		e.wakeups.notifier, _ = store.(backend.Notifier)
	}
	return e, nil
}

// Ready is closed when Run has opened its first session.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Run is a worker: it takes work until ctx ends, then stops gracefully and
// returns nil. It may be called once at a time.
func (e *Engine) Run(ctx context.Context) error {
	life, kill := context.WithCancel(context.Background())
	defer kill()
	e.mu.Lock()
	switch {
	case e.kill != nil:
		e.mu.Unlock()
		return errors.New("engine: Run is running already")
	case e.registry == nil:
		e.mu.Unlock()
		return errors.New("engine: Run needs a registry of activities")
	}
	e.kill = kill
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.kill, e.worker = nil, nil
		e.mu.Unlock()
	}()
	for {
		w, err := e.open(ctx, life)
		if err != nil || w == nil {
			return err
		}
		stopped := w.run(ctx)
		if err := killed(life); err != nil {
			return err
		}
		if stopped {
			e.tell(anybodys)
			e.flush(context.WithoutCancel(ctx))
			return nil
		}
		e.mu.Lock()
		e.worker = nil
		e.mu.Unlock()
	}
}

// killed is what Run returns when its life has ended.
func killed(life context.Context) error {
	if life.Err() != nil {
		return ErrStopped
	}
	return nil
}

// clockAge is how long a program without a worker trusts what it knows of the database's time.
const clockAge = time.Minute

// now is the database's time, to which the heartbeats of a worker keep; a program without one asks.
func (e *Engine) now(ctx context.Context) (time.Time, error) {
	if e.clock.age() > clockAge {
		before := time.Now()
		at, err := e.store.Now(ctx)
		if err != nil {
			return time.Time{}, err
		}
		e.clock.set(at, before)
	}
	return fromMicro(e.clock.now()), nil
}

// open begins a session; nil without an error when ctx ended before. Life ends when Run is killed.
func (e *Engine) open(ctx, life context.Context) (*worker, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	me := self()
	me.Info, _ = json.Marshal(e.introduction()) // plain fields: never fails
	begun, told := time.Now(), false
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		before := time.Now()
		id, now, err := e.store.Open(ctx, me)
		if err == nil {
			e.clock.set(now, before)
			w := newWorker(life, e, id, me)
			w.acknowledged(before)
			w.compare()
			e.options.Logger.Info("session opened", "session", id, "queues", e.options.Queues, "tags", e.options.Tags, "concurrency", e.options.MaxConcurrency)
			e.mu.Lock()
			e.worker, e.unopened = w, nil
			if !e.opened {
				e.opened = true
				close(e.ready)
			}
			e.mu.Unlock()
			return w, nil
		}
		e.mu.Lock()
		e.unopened = err
		opened := e.opened
		e.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return nil, killed(life)
		case !opened && (time.Since(begun) > openPatience || errors.Is(err, backend.ErrRefused)):
			return nil, fmt.Errorf("open a session: %w", err)
		}
		if !told { // once for all tries, as the other faults of the database
			told = true
			e.options.Logger.Warn("cannot open a session; trying again", "error", err)
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, killed(life)
		}
	}
}

// Kill ends Run without the grace of a drain: what runs is cut, and nothing more
// is written. Other workers, or the next Run, take over as after a crash. It does nothing while Run does not run.
func (e *Engine) Kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kill != nil {
		e.kill()
	}
}

// Look makes the worker look for work and messages now: a hint, for those who know that there are any.
func (e *Engine) Look() {
	e.mailed.Store(true)
	if w := e.current(); w != nil {
		w.hint()
	}
}

// current is the worker, when one works.
func (e *Engine) current() *worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.worker == nil || e.worker.ctx.Err() != nil || e.worker.stopping.Load() {
		return nil
	}
	return e.worker
}

// wanted lists the adopted executions that are not held: those to be claimed
// at once, and those that were let go here and are to be claimed when they are due.
func (e *Engine) wanted() (now, due []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.adopted) == 0 || e.worker == nil {
		return nil, nil
	}
	e.worker.mu.Lock()
	for id, rests := range e.adopted {
		switch {
		case e.worker.held[id] != nil:
		case rests:
			due = append(due, id)
		default:
			now = append(now, id)
		}
	}
	e.worker.mu.Unlock()
	slices.Sort(now)
	slices.Sort(due)
	return now, due
}

// waiter waits for an execution.
type waiter struct {
	told  chan *backend.Execution // capacity 1
	since int64                   // a number that grows with each who begins to wait
}

// changed wakes who waits for an execution; ended makes its record, nil unless it has ended, for those who began to wait before it did. Who came
// later may wait for a run that was begun since, and looks.
func (e *Engine) changed(id string, before int64, ended func() *backend.Execution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.waiters[id] {
		if one.since > before {
			one.told <- nil
		} else {
			one.told <- ended()
		}
	}
	delete(e.waiters, id)
}

// program returns the compiled program of a digest, from memory or the store.
func (e *Engine) program(ctx context.Context, digest string) (*starlark.Program, error) {
	return e.compiled(ctx, digest, func() (backend.Program, error) { return e.store.Program(ctx, digest) })
}

// compiled is the program of a digest, from memory or compiled from what read returns. While it is read, who asks for it, too,
// waits for that: all the executions that a worker has claimed are mostly of one.
func (e *Engine) compiled(ctx context.Context, digest string, read func() (backend.Program, error)) (*starlark.Program, error) {
	for {
		if p, ok := e.cache.Lookup(digest); ok {
			return p, nil
		}
		e.mu.Lock()
		other := e.reading[digest]
		if other == nil {
			over := make(chan struct{})
			e.reading[digest] = over
			e.mu.Unlock()
			defer func() {
				e.mu.Lock()
				delete(e.reading, digest)
				e.mu.Unlock()
				close(over)
			}()
			return e.compile(digest, read)
		}
		e.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// redeploy is what mends a source.
const redeploy = "deploy the same files again, or upgrade to other code"

// compile compiles what read returns.
func (e *Engine) compile(digest string, read func() (backend.Program, error)) (*starlark.Program, error) {
	rec, err := read()
	if err != nil {
		if errors.Is(err, backend.ErrNotFound) {
			return nil, fmt.Errorf("the source %.12s of this execution is not in the database; "+redeploy, digest)
		}
		return nil, err
	}
	src, err := starlark.ParseSources(rec.Sources)
	if err != nil {
		return nil, fmt.Errorf("the source %.12s of this execution is damaged: %w; "+redeploy, digest, err)
	}
	if got := src.Digest(); got != digest {
		return nil, fmt.Errorf("the source %.12s of this execution is damaged: its digest is %.12s; "+redeploy, digest, got)
	}
	return e.cache.Compile(src)
}

// encodeSources is how a program's sources are stored.
func encodeSources(s *starlark.Sources) ([]byte, error) { return json.Marshal(s) }
