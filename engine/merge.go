// Merging: what many goroutines ask of the store at about the same time is asked in one call.

package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// merger makes few calls of many: while one is under way, what comes gathers for the next. Nothing waits for more to come.
type merger[Q, A any] struct {
	most int         // in one call
	size func(Q) int // in bytes, of which maxBatchBytes are asked in one call; nil: they do not count
	call func(ctx context.Context, asked []Q) ([]A, error)

	mu    sync.Mutex // guards all below
	queue []*merged[Q, A]
	busy  bool // a goroutine makes calls; it ends when nobody waits
}

// maxCall is how long one call may take: a connection on which nothing comes must not hold up all who ask later.
const maxCall = 30 * time.Second

// merged is one who asks.
type merged[Q, A any] struct {
	asked  Q
	answer A
	err    error
	done   chan struct{}
	leave  func() // tells the call under way that this one does not wait any more; nil: not yet called
}

// do asks and waits. When ctx ends first, the call may be made all the same; it is called off when nobody waits for it.
func (m *merger[Q, A]) do(ctx context.Context, asked Q) (a A, err error) {
	if err := ctx.Err(); err != nil {
		return a, err
	}
	one := &merged[Q, A]{asked: asked, done: make(chan struct{})}
	m.mu.Lock()
	m.queue = append(m.queue, one)
	if !m.busy {
		m.busy = true
		go m.run()
	}
	m.mu.Unlock()
	select {
	case <-one.done:
		return one.answer, one.err
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		if one.leave != nil {
			one.leave()
		} else {
			m.queue = slices.DeleteFunc(m.queue, func(o *merged[Q, A]) bool { return o == one })
		}
		return a, ctx.Err()
	}
}

func (m *merger[Q, A]) run() {
	for {
		m.mu.Lock()
		n := m.fit()
		if n == 0 {
			m.busy, m.queue = false, nil
			m.mu.Unlock()
			return
		}
		batch := slices.Clone(m.queue[:n])
		m.queue = slices.Delete(m.queue, 0, n)
		ctx, cancel := context.WithTimeout(context.Background(), maxCall)
		left := n
		asked := make([]Q, n)
		for i, one := range batch {
			asked[i] = one.asked
			one.leave = func() { // with mu held
				if left--; left == 0 {
					cancel()
				}
			}
		}
		m.mu.Unlock()
		answers, err := m.call(ctx, asked)
		cancel()
		for i, one := range batch {
			if one.err = err; err == nil {
				one.answer = answers[i]
			}
			close(one.done)
		}
	}
}

// fit is how many of those who wait are asked for in one call. With mu held.
func (m *merger[Q, A]) fit() int {
	n := min(len(m.queue), m.most)
	if m.size == nil {
		return n
	}
	return fit(n, func(i int) int { return m.size(m.queue[i].asked) })
}

// fit is how many of n items one transaction takes: one, and as many more as are together not too large.
func fit(n int, size func(i int) int) int {
	bytes := 0
	for i := range n {
		if bytes += size(i); bytes > maxBatchBytes && i > 0 {
			return i
		}
	}
	return n
}

// maxLooks is how many executions are looked at in one call.
const maxLooks = 500

// look is a look at an execution: a brief one finds it only when it has ended, and does not read what one that goes on has.
type look struct {
	id    string
	brief bool
}

// looked is what a look at an execution has found. Of one that goes on, a brief one says only that it is running.
type looked struct {
	execution backend.Execution
	err       error
}

// endStates are the states in which an execution has ended.
var endStates = slices.DeleteFunc(backend.States(), func(s backend.State) bool { return !s.Terminal() })

// lookAt looks for those who wait for executions that run elsewhere.
func (e *Engine) lookAt(ctx context.Context, looks []look) ([]looked, error) {
	found := make([]looked, len(looks))
	if len(looks) == 1 && !looks[0].brief {
		found[0].execution, found[0].err = e.store.Execution(ctx, looks[0].id)
		return found, nil
	}
	place := make(map[string]int, len(looks))
	var list []backend.Execution
	for _, f := range []struct {
		brief  bool
		states []backend.State
	}{{false, nil}, {true, endStates}} {
		var ids []string
		for _, l := range looks {
			if l.brief == f.brief {
				ids = append(ids, l.id)
			}
		}
		if len(ids) == 0 {
			continue
		}
		some, err := e.store.List(ctx, backend.Filter{IDs: ids, States: f.states, Limit: len(ids)})
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	for i := range list {
		place[list[i].ID] = i
	}
	for i, l := range looks {
		if n, ok := place[l.id]; ok {
			found[i].execution = list[n]
		} else if l.brief {
			found[i].execution.State = backend.Running
		} else {
			found[i].err = backend.ErrNotFound
		}
	}
	return found, nil
}

// madeOne is what became of a new execution.
type madeOne struct {
	created backend.Created
	err     error
}

// makeAll stores new executions of a process that has no worker. One whose program is missing does not cost the others theirs.
func (e *Engine) makeAll(ctx context.Context, list []backend.NewExecution) ([]madeOne, error) {
	made := make([]madeOne, len(list))
	reply, err := e.store.Commit(ctx, backend.Batch{Create: list})
	switch {
	case err == nil:
		for i := range list {
			made[i].created = reply.Created[i]
		}
	case len(list) == 1:
		made[0].err = err
	case errors.Is(err, backend.ErrNoProgram):
		for i := range list {
			one, _ := e.makeAll(ctx, list[i:i+1])
			made[i] = one[0]
		}
	default:
		return nil, err
	}
	return made, nil
}

// sent is what became of a message.
type sent struct {
	refused error
	woken   bool // it, or another one, has made an execution due that nobody owns
}

// sendAll sends messages.
func (e *Engine) sendAll(ctx context.Context, list []backend.Message) ([]sent, error) {
	reply, err := e.store.Commit(ctx, backend.Batch{Send: list})
	all := make([]sent, len(reply.Sent))
	for i, refused := range reply.Sent {
		all[i] = sent{refused, reply.Woken}
	}
	return all, err
}
