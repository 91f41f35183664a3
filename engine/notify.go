// Wake-ups between processes: hints sent after commits, and what is done for those that come.

package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// wakeups is an engine's side of a notifier. While one hint is on its way the next one gathers.
type wakeups struct {
	notifier backend.Notifier // nil: there are none
	from     string
	hears    atomic.Bool // hints come in; see reliable
	deaf     atomic.Bool // the last one could not be sent

	mu        sync.Mutex // guards all below
	pending   *backend.Hint
	many      bool          // what gathers has more names than a hint has: it says nothing in particular
	sent      chan struct{} // closed when what gathers, or what is on its way, has been sent; nil: nothing is
	sending   bool
	listeners int
	stop      func()    // ends listening and waits for it
	awaited   time.Time // until when others are taken to wait for ends; see tellsEnds
	awaits    time.Time // when it was last told that somebody here waits for ends
	tried     time.Time // when there was last something to send
}

// reliable reports whether hints come in, so that polls may be rare. Who cannot send any does not count on those of
// others either, who most likely cannot for the same reason.
func (w *wakeups) reliable() bool { return w.hears.Load() && !w.deaf.Load() }

const (
	// maxHint and maxEnded are how many names of queues and executions, and of those that have ended, gather at most; a
	// hint of more says nothing in particular, and all who wait look at what they wait for.
	maxHint  = 200
	maxEnded = 4000
	// hintPatience is how long a hint may take.
	hintPatience = 5 * time.Second
	// unheardAfter is for how long no hints come in before somebody is told.
	unheardAfter = 10 * time.Second
)

// anybodys says that somebody is gone: executions may have lost their owner, and nobody may know when others are due.
var anybodys = backend.Hint{Executions: []string{"*"}, Queues: []string{backend.AnyQueue}}

// tellNow sends a hint. In a program without a worker it waits until the hint has
// left: the program may end at once, and workers that are woken look seldom by themselves.
func (e *Engine) tellNow(ctx context.Context, h backend.Hint) {
	e.tell(h)
	if e.current() == nil {
		e.flush(ctx)
	}
}

// flush waits until all hints have been sent, unless the last one could not be.
func (e *Engine) flush(ctx context.Context) {
	w := &e.wakeups
	w.mu.Lock()
	sent := w.sent
	w.mu.Unlock()
	if sent == nil || w.deaf.Load() {
		return
	}
	select {
	case <-sent:
	case <-ctx.Done():
	}
}

// tell sends a hint, soon and together with others.
func (e *Engine) tell(h backend.Hint) {
	w := &e.wakeups
	if w.notifier == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(h.Ended) > 0 && !w.tellsEnds() {
		h.Ended = nil
	}
	if h.Anything() {
		return
	}
	if w.tried = time.Now(); w.pending == nil {
		w.pending, w.sent = &backend.Hint{From: w.from}, make(chan struct{})
	}
	if !w.many { // else a server that hangs would cost each commit a look at all that have gathered
		w.pending.Merge(h)
		w.many = len(w.pending.Queues)+len(w.pending.Executions) > maxHint || len(w.pending.Ended) > maxEnded
	}
	if !w.sending {
		w.sending = true
		go e.sendHints()
	}
}

// tellAgain makes all others look when hints could not be sent: nobody knows any more what was lost. It finds out, too,
// whether they can be sent now.
func (e *Engine) tellAgain() {
	if e.wakeups.deaf.Load() && e.wakeups.hears.Load() {
		e.tell(anybodys)
	}
}

// sendHints sends what has gathered until nothing is left.
func (e *Engine) sendHints() {
	w := &e.wakeups
	for {
		w.mu.Lock()
		h, many, sent := w.pending, w.many, w.sent
		if w.pending, w.many = nil, false; h == nil {
			w.sending, w.sent = false, nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		if many {
			h = &backend.Hint{From: h.From}
		}
		ctx, cancel := context.WithTimeout(context.Background(), hintPatience)
		err := w.notifier.Notify(ctx, *h)
		cancel()
		if failed := err != nil; w.deaf.Swap(failed) != failed {
			if failed {
				e.options.Logger.Warn("wake-ups cannot be sent; polling until they can", "error", err)
				if worker := e.current(); worker != nil {
					worker.lookAround()
				}
			} else {
				e.options.Logger.Info("wake-ups are sent again")
			}
		}
		close(sent)
	}
}

// listen makes the engine hear hints until the returned function is called by all who have called it.
func (e *Engine) listen() (done func()) {
	w := &e.wakeups
	if w.notifier == nil {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listeners++; w.listeners == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			e.hearing(ctx)
		}()
		w.stop = func() { cancel(); <-ended }
	}
	return sync.OnceFunc(func() {
		w.mu.Lock()
		stop := func() {}
		if w.listeners--; w.listeners == 0 {
			stop = w.stop
		}
		w.mu.Unlock()
		stop()
	})
}

func (e *Engine) hearing(ctx context.Context) {
	q := quiet{log: e.options.Logger}
	defer q.end()
	err := e.wakeups.notifier.Listen(ctx, func(h backend.Hint) {
		if h.Lost {
			q.set(cmp.Or(h.Why, errUnheard))
			e.unheard()
			return
		}
		e.wakeups.hears.Store(true)
		if h.Anything() { // so it begins, each time
			q.set(nil)
			if h.From == "" && e.current() != nil {
				e.askWhoAwaits()
			}
		}
		if h.From == "" || h.From != e.wakeups.from {
			e.heard(&h)
		}
	})
	e.wakeups.hears.Store(false)
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		e.options.Logger.Warn("no wake-ups; polling instead", "error", err)
	}
}

var errUnheard = errors.New("the connection is lost")

// quiet tells, once, that no hints come in for longer than it takes to start a server anew.
type quiet struct {
	log *slog.Logger

	mu   sync.Mutex // guards all below
	why  error      // nil: they come in
	told bool
	late *time.Timer
}

// set notes why no hints come in, nil when they do.
func (q *quiet) set(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.why = why
	switch {
	case why != nil && q.late == nil:
		q.late = time.AfterFunc(unheardAfter, q.tell)
	case why == nil && q.late != nil:
		q.late.Stop()
		q.late = nil
		if q.told {
			q.told = false
			q.log.Info("wake-ups come in again")
		}
	}
}

// end says nothing any more.
func (q *quiet) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.why = nil
	if q.late != nil {
		q.late.Stop()
	}
}

func (q *quiet) tell() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.why != nil && !q.told {
		q.told = true
		q.log.Warn("no wake-ups come in; polling until they do", "error", q.why)
	}
}

// unheard makes all who rely on hints look by themselves, now and often.
func (e *Engine) unheard() {
	if !e.wakeups.hears.Swap(false) {
		return
	}
	e.changedAll()
	if w := e.current(); w != nil {
		w.lookAround()
	}
}

// heard acts on a hint: it wakes those who wait for an execution, and the worker when it is concerned.
func (e *Engine) heard(h *backend.Hint) {
	for _, id := range h.Ended {
		e.changed(id, 0, nil)
	}
	w := e.current()
	if h.Anything() {
		e.changedAll()
	}
	if h.Awaits {
		e.wakeups.expectAwaited(awaitsFor)
	}
	if h.Asks && e.isWaiting() {
		e.tell(backend.Hint{Awaits: true})
	}
	if w != nil && (h.Recall || h.Anything()) {
		w.recall()
	}
	switch {
	case w == nil:
	case w.concerned(h):
		w.expect(h.Due)
		if h.Anything() || slices.Contains(h.Queues, backend.AnyQueue) {
			w.lookAround()
			return
		}
		w.newWork()
		w.look()
	case h.Owned && w.mayHold(h.Executions):
		w.look()
	}
}

// mayHold reports whether some of these executions may be this worker's: what it is claiming now nobody knows yet.
func (w *worker) mayHold(ids []string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.claiming || slices.ContainsFunc(ids, func(id string) bool { return w.held[id] != nil || w.creating[id] > 0 })
}

// concerned reports whether a hint is a reason to look for work.
func (w *worker) concerned(h *backend.Hint) bool {
	switch {
	case h.Anything(), len(h.Executions) > 0 && !h.Owned: // who has no owner is anybody's
		return true
	case slices.ContainsFunc(h.Queues, func(q string) bool { return q == backend.AnyQueue || contains(w.options.Queues, q) }):
		return !w.options.Hold
	}
	return len(h.Ended) > 0 && !h.Named
}

// changedAll wakes everybody who waits for an execution.
func (e *Engine) changedAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, list := range e.waiters {
		for _, one := range list {
			one.told <- nil
		}
		delete(e.waiters, id)
	}
}

// announce tells other processes what a batch that has landed means to them.
func (c *committer) announce(b *backend.Batch, reply *backend.Reply, writes []*write) {
	if c.tell == nil {
		return
	}
	var h backend.Hint
	for i := range b.Create {
		if !b.Create[i].Claim {
			h.Merge(backend.Hint{Queues: []string{b.Create[i].Queue}, Due: b.Create[i].Due})
		}
	}
	for i := range b.Turns {
		t := &b.Turns[i]
		for j := range t.Children {
			h.Merge(backend.Hint{Queues: []string{t.Children[j].Queue}})
		}
		for j := range t.Tasks {
			h.Merge(backend.Hint{Queues: []string{t.Tasks[j].Queue}})
		}
		for j := 0; j < len(t.Orders) && len(h.Executions) <= maxHint; j++ { // more are too many to be named
			h.Merge(backend.Hint{Executions: []string{t.Orders[j].Execution}, Owned: !reply.Woken})
		}
		h.Recall = h.Recall || len(t.Withdraw) > 0
		if t.Then == backend.Release && c.leaving.Load() && !t.Due.IsZero() { // others are to know, for we shall not look
			h.Merge(backend.Hint{Executions: []string{"*"}, Due: t.Due})
		}
		if len(t.Memos) > 0 {
			h.Merge(backend.Hint{Executions: []string{"*"}})
		}
		if t.Then == backend.Finish {
			h.Ended, h.Named = append(h.Ended, t.Execution), true
		}
	}
	for i := 0; i < len(reply.Told) && len(h.Executions) <= maxHint; i++ {
		h.Merge(backend.Hint{Executions: reply.Told[i : i+1], Owned: !reply.Woken})
	}
	h.Merge(settled(writes, reply.Woken))
	c.tell(h)
}

// maxSettled is how many executions are named when tasks of theirs have ended; of more, in one transaction, each worker has some, most likely.
const maxSettled = 16

// settled is what the ends of tasks mean to others.
func settled(writes []*write, woken bool) backend.Hint {
	var of []string
	for _, w := range writes {
		switch {
		case w.settle == nil || slices.Contains(of, w.of):
		case woken || w.of == "*" || len(of) == maxSettled:
			return backend.Hint{Executions: []string{"*"}}
		default:
			of = append(of, w.of)
		}
	}
	return backend.Hint{Executions: of, Owned: true}
}
