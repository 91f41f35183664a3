// Lives of the worker: each has an engine of its own on the store that outlives it.

package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// errDead is what a dead process hears of its store.
var errDead = errors.New("the worker has died")

// life is one worker, from its start to its death or its graceful end.
type life struct {
	world   *World
	engine  *engine.Engine
	stop    context.CancelFunc
	ended   chan error    // what Run returned
	dead    chan struct{} // closed at its death
	after   chan struct{} // closed when another life has begun
	session backend.SessionID
	looks   atomic.Bool // it is going to look for tasks

	mu   sync.Mutex // guards gone
	gone bool
}

// mortal is the store as a worker sees it that may die at any commit.
type mortal struct {
	backend.Store
	life *life
}

// Open notes the session, which is revoked when the worker is dead.
func (m *mortal) Open(ctx context.Context, s backend.Session) (backend.SessionID, time.Time, error) {
	id, now, err := m.Store.Open(ctx, s)
	m.life.session = id
	return id, now, err
}

// Commit is where the worker dies: before the commit, or after it with the reply lost.
func (m *mortal) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	l, w := m.life, m.life.world
	if l.isGone() {
		return backend.Reply{}, errDead
	}
	if b.Session != 0 { // else a message from outside, which no worker sends
		switch w.deaths.at() {
		case before:
			l.die()
			return backend.Reply{}, errDead
		case landed:
			_, err := m.Store.Commit(ctx, b)
			l.die()
			w.pulse()
			return backend.Reply{}, errors.Join(errDead, err)
		}
	}
	reply, err := m.Store.Commit(ctx, b)
	w.pulse()
	return reply, err
}

// ClaimTasks has the worker look again soon when tasks are left that a rate holds back: it polls too seldom for that.
func (m *mortal) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	tasks, err := m.Store.ClaimTasks(ctx, r)
	if err != nil {
		return tasks, err
	}
	left, err := m.Store.Tasks(ctx, backend.TaskFilter{})
	next := time.Duration(-1)
	for _, k := range left {
		if wait := max(time.Until(k.Due), time.Second); k.Owner == 0 && (next < 0 || wait < next) {
			next = wait
		}
	}
	if next >= 0 && m.life.looks.CompareAndSwap(false, true) {
		time.AfterFunc(next, func() {
			m.life.looks.Store(false)
			m.life.engine.Look()
		})
	}
	return tasks, err
}

func (l *life) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// die makes the worker's process as good as killed.
func (l *life) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone {
		l.gone = true
		close(l.dead)
	}
}

// begin starts a worker, in the bubble.
func (w *World) begin() error {
	l := &life{world: w, ended: make(chan error, 1), dead: make(chan struct{}), after: make(chan struct{})}
	o := w.engineOptions()
	o.Hold = true // it is told what to run, whatever its queue and tags
	var err error
	if l.engine, err = engine.New(&mortal{w.store, l}, w.registry, o); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go func() { l.ended <- l.engine.Run(ctx) }()
	<-l.engine.Ready()
	unfinished, err := w.store.List(ctx, backend.Filter{States: []backend.State{backend.Pending, backend.Running}})
	if err != nil {
		return fmt.Errorf("look for what a dead worker has left: %w", err)
	}
	for _, x := range unfinished {
		if err := l.engine.Adopt(ctx, x.ID); err != nil && !errors.Is(err, backend.ErrClosed) {
			return fmt.Errorf("take over execution %s: %w", x.ID, err)
		}
	}
	w.mu.Lock()
	w.life = l
	w.mu.Unlock()
	go func() {
		select {
		case <-l.dead:
			w.takeOver(l)
		case <-ctx.Done():
		}
	}()
	return nil
}

// takeOver cleans up after a dead worker and begins another.
func (w *World) takeOver(l *life) {
	defer close(l.after)
	l.engine.Kill()
	err := <-l.ended
	l.stop()
	if errors.Is(err, engine.ErrStopped) { // it was killed
		err = w.store.Revoke(context.Background(), l.session)
	}
	if err == nil {
		err = w.begin()
	}
	if err != nil {
		w.mu.Lock()
		w.broken = err
		w.mu.Unlock()
	}
}

// with calls f with the worker that lives, again when it died meanwhile: f may be repeated.
func (w *World) with(f func(*engine.Engine) error) error {
	for {
		w.mu.Lock()
		l, broken := w.life, w.broken
		w.mu.Unlock()
		if broken != nil {
			return broken
		}
		err := f(l.engine)
		if !l.isGone() {
			return err
		}
		<-l.after
		if err == nil {
			return nil
		}
	}
}
