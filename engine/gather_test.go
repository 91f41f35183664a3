// When transactions begin, and claims that go with them.

package engine

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
)

// busyStore is a store whose commits take a while, so that claims go with them.
type busyStore struct {
	backend.Store
	takes time.Duration
	lanes int
	ride  func(n int) (how backendtest.Fault, fails bool) // asked of the n-th claim with a batch that gives something; nil: none fails

	mu    sync.Mutex // guards all below
	rides int
	most  int // commits at once
	now   int
}

func (s *busyStore) Commits() int { return s.lanes }

func (s *busyStore) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	time.Sleep(s.takes)
	if b.Claim == nil {
		return s.Store.Commit(ctx, b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ride != nil {
		if how, fails := s.ride(s.rides + 1); fails && how == backendtest.NothingWritten {
			s.rides++
			return backend.Reply{}, backendtest.ErrInjected
		}
	}
	reply, err := s.Store.Commit(ctx, b)
	if len(reply.Claimed) > 0 {
		if s.rides++; s.ride != nil {
			if _, fails := s.ride(s.rides); fails {
				return backend.Reply{}, backendtest.ErrInjected
			}
		}
	}
	return reply, err
}

func (s *busyStore) ridden() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rides
}

const backlogScript = `
add, nap = activity("add"), activity("nap")
def main(n):
    nap(3 * (n % 5))
    return add(n, 1)
`

// backlog dispatches n executions of backlogScript by a client without a worker.
func (w *world) backlog(n int) (client *Engine, ids []string) {
	w.t.Helper()
	client, err := New(w.store, w.reg, Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.deploy(client, backlogScript)
	jobs := make([]Job, n)
	for i := range jobs {
		jobs[i].Input = Input{Args: []any{i}}
	}
	if ids, err = client.DispatchAll(context.Background(), "test", jobs); err != nil {
		w.t.Fatal(err)
	}
	return client, ids
}

// worked waits for a backlog and checks what came of it.
func (w *world) worked(e *Engine, ids []string) {
	w.t.Helper()
	for i, id := range ids {
		if r := w.finish(e, id); string(r.Value) != strconv.Itoa(i+1) {
			w.t.Errorf("%s: %s %+v", id, r.Value, r.Failure)
		}
		checkHistory(w.t, e, id)
	}
}

// As slots become free one by one, claims are no transactions of their own, nothing is claimed that has no slot, and whatever becomes of
// the batch that carries one nothing is left undone or done twice.
func TestClaimsGoWithBatches(t *testing.T) {
	t.Parallel()
	for _, lanes := range []int{1, 2} {
		for _, always := range []bool{false, true} {
			for name, ride := range map[string]func(n int) (backendtest.Fault, bool){
				"well": nil,
				"lost": func(n int) (backendtest.Fault, bool) { return backendtest.NothingWritten, n%3 == 1 },
				"told": func(n int) (backendtest.Fault, bool) { return backendtest.ReplyLost, n%3 == 1 },
			} {
				t.Run(fmt.Sprint(name, lanes, always), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						store := &busyStore{Store: w.store, takes: 5 * time.Millisecond, lanes: lanes, ride: ride}
						_, ids := w.backlog(60)
						e, stop := w.engineOn(store, Options{ReplayAlways: always, MaxConcurrency: 4})
						first := e.current().session
						w.worked(e, ids)
						sameSession(t, e, first)
						if n := w.called("add"); n != len(ids) {
							t.Errorf("%d steps for %d executions", n, len(ids))
						}
						if n := store.ridden(); n < len(ids)/6 {
							t.Errorf("%d claims went with batches", n)
						}
						stop()
						w.check()
					})
				})
			}
		}
	}
}

// The process dies at each batch that carries a claim, before it and after it.
func TestCrashAtEveryClaimWithABatch(t *testing.T) {
	t.Parallel()
	for _, how := range []backendtest.Fault{backendtest.NothingWritten, backendtest.ReplyLost} {
		for at := 1; at <= 8; at++ {
			t.Run(fmt.Sprint(how, " ", at), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					dead := make(chan struct{})
					store := &busyStore{Store: w.store, takes: 5 * time.Millisecond, lanes: 1}
					die := sync.OnceFunc(func() { close(dead) })
					store.ride = func(n int) (backendtest.Fault, bool) {
						if n >= at {
							die()
						}
						return how, n >= at
					}
					client, ids := w.backlog(60)
					e, stop := w.engineOn(store, Options{MaxConcurrency: 4})
					select {
					case <-dead:
					case <-time.After(time.Minute):
						t.Fatal("too few claims went with batches")
					}
					e.Kill()
					stop()
					_, stop = w.engine(Options{MaxConcurrency: 4})
					w.worked(client, ids)
					stop()
					w.check()
				})
			})
		}
	}
}

// breaking is a store whose commits fail while it is told so.
type breaking struct {
	busyStore
	fails chan struct{} // closed: they do
}

func (f *breaking) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	select {
	case <-f.fails:
		time.Sleep(f.takes)
		return backend.Reply{}, backend.ErrTransient
	default:
		return f.busyStore.Commit(ctx, b)
	}
}

// A claim does not wait for a batch that fails: the loop, which waits for it, has to see that the worker is to stop.
func TestAWorkerWhoseCommitsFailStops(t *testing.T) {
	t.Parallel()
	for after := range 12 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := &breaking{busyStore: busyStore{Store: w.store, takes: 5 * time.Millisecond, lanes: 1}, fails: make(chan struct{})}
			_, ids := w.backlog(60)
			_, stop := w.engineOn(store, Options{MaxConcurrency: 4, DrainTimeout: time.Second})
			time.Sleep(50*time.Millisecond + time.Duration(after)*time.Millisecond)
			close(store.fails)
			time.Sleep(10 * time.Second)
			begun := time.Now()
			stop()
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("stopped after %v", took)
			}
			e, stop := w.engine(Options{})
			w.worked(e, ids)
			stop()
			w.check()
		})
	}
}

// A handful of writes waits for the transaction under way, for a moment: many do not, nor do few when it takes long.
func TestFewWritesWaitForATransactionUnderWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		takes time.Duration
		n     int // executions at once
		most  int // transactions at once
	}{
		{lull / 2, 3, 1},
		{10 * lull, 3, 2},
		{lull / 2, 40, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := &busyStore{Store: w.store, takes: c.takes, lanes: 2}
			_, ids := w.backlog(10 * c.n)
			e, stop := w.engineOn(store, Options{MaxConcurrency: c.n})
			w.worked(e, ids)
			stop()
			if store.most != c.most {
				t.Errorf("%d executions, commits of %v: %d at once, want %d", c.n, c.takes, store.most, c.most)
			}
			w.check()
		})
	}
}

// stuckStore is a store whose commits, from some point on, get no turn until their context ends, as behind another process that is suspended.
type stuckStore struct {
	busyStore
	stuck chan struct{} // closed: they do not
}

func (s *stuckStore) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	select {
	case <-s.stuck:
		<-ctx.Done()
		return backend.Reply{}, ctx.Err()
	default:
		return s.busyStore.Commit(ctx, b)
	}
}

// A worker stops in time although a transaction is under way that does not end, whether a claim waits for it or goes with it.
func TestAWorkerWhoseCommitsHangStops(t *testing.T) {
	t.Parallel()
	for _, lanes := range []int{1, 2} {
		for after := range 12 {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				store := &stuckStore{busyStore: busyStore{Store: w.store, takes: 5 * time.Millisecond, lanes: lanes}, stuck: make(chan struct{})}
				_, ids := w.backlog(3)
				e, stop := w.engineOn(store, Options{MaxConcurrency: 4, DrainTimeout: time.Second})
				time.Sleep(time.Duration(after) * time.Millisecond)
				close(store.stuck)
				time.Sleep(time.Second)
				e.current().hint()
				time.Sleep(time.Second)
				begun := time.Now()
				ended := make(chan struct{})
				go func() { stop(); close(ended) }()
				select {
				case <-ended:
				case <-time.After(10 * time.Minute):
					e.Kill()
					<-ended
				}
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("%d at once, %d: stopped after %v", lanes, after, took)
				}
				e, stop = w.engine(Options{})
				w.worked(e, ids)
				stop()
				w.check()
			})
		}
	}
}

// What waits in a queue does not wait for the next poll when a batch fails with which a claim went, or for which one waited.
func TestAClaimOutlivesABatchThatFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		rides bool // the claim goes with the batch
		how   backendtest.Fault
		times int
	}{
		{"lost", true, backendtest.NothingWritten, 1},
		{"told", true, backendtest.ReplyLost, 1},
		{"lost each time", true, backendtest.NothingWritten, 1000},
		{"told each time", true, backendtest.ReplyLost, 1000},
		{"waits", false, backendtest.NothingWritten, 1},
	} {
		for after := range 10 {
			t.Run(fmt.Sprint(c.name, after), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					store := &faltering{busyStore: busyStore{Store: w.store, takes: 50 * time.Millisecond, lanes: 1}}
					if c.rides {
						store.ride = func(n int) (backendtest.Fault, bool) {
							from := int(store.from.Load())
							return c.how, from > 0 && n >= from && n < from+c.times
						}
					}
					e, stop := w.engineOn(store, Options{PollInterval: time.Minute, MaxConcurrency: 8})
					client, err := New(w.store, w.reg, Options{})
					if err != nil {
						t.Fatal(err)
					}
					w.deploy(client, `
add, nap = activity("add"), activity("nap")
def main(n):
    for i in range(n):
        nap(17)
    return add(n, 1)
`)
					var long [4]string
					for i := range long { // some commit is under way at any time
						long[i] = w.dispatch(e, Input{Args: []any{100}}, DispatchOptions{})
						time.Sleep(20 * time.Millisecond)
					}
					first := e.current().session
					time.Sleep(time.Second + time.Duration(7*after)*time.Millisecond)
					store.from.Store(int32(store.ridden() + 1))
					for range 5 {
						begun := time.Now()
						id := w.dispatch(client, Input{Args: []any{0}}, DispatchOptions{})
						e.current().newWork()
						want(t, w.finish(client, id), "1")
						if took := time.Since(begun); took > time.Second {
							t.Errorf("took %v", took)
						}
					}
					for _, id := range long {
						want(t, w.finish(client, id), "101")
					}
					sameSession(t, e, first)
					stop()
					w.check()
				})
			})
		}
	}
}

// faltering is a busyStore of which claims with batches fail from one on that is told, or when it has no rule for these the next commit.
type faltering struct {
	busyStore
	from atomic.Int32
}

func (f *faltering) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	reply, err := f.busyStore.Commit(ctx, b)
	if err == nil && f.ride == nil && f.from.Swap(0) > 0 {
		return backend.Reply{}, backend.ErrTransient
	}
	return reply, err
}
