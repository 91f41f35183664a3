package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// What comes while a call is under way is asked in the next one, for whoever still waits.
func TestMergerMakesFewCallsOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		m := &merger[int, int]{most: 10, call: func(ctx context.Context, asked []int) ([]int, error) {
			calls++
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if asked[0] < 0 {
				return nil, errors.New("refused")
			}
			answers := make([]int, len(asked))
			for i, n := range asked {
				answers[i] = 2 * n
			}
			return answers, nil
		}}
		var wg sync.WaitGroup
		for n := range 21 {
			wg.Go(func() {
				if a, err := m.do(t.Context(), n); a != 2*n || err != nil {
					t.Errorf("%d: %d, %v", n, a, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if calls != 3 { // the first alone, then ten and ten
			t.Errorf("%d calls", calls)
		}
		if _, err := m.do(t.Context(), -1); err == nil || err.Error() != "refused" {
			t.Errorf("error %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := m.do(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if m.busy || time.Since(begun) > time.Millisecond {
			t.Error("the call goes on though nobody waits for it")
		}
	})
}

// What is large does not go together with more than one call should carry.
func TestMergerAsksForSomeBytesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls []int
		m := &merger[int, int]{most: 10, size: func(n int) int { return n }, call: func(_ context.Context, asked []int) ([]int, error) {
			time.Sleep(time.Second)
			calls = append(calls, len(asked))
			return asked, nil
		}}
		var wg sync.WaitGroup
		for _, n := range []int{1, maxBatchBytes / 2, maxBatchBytes / 2, 1, 2 * maxBatchBytes, 3, 4} {
			wg.Go(func() {
				if a, err := m.do(t.Context(), n); a != n || err != nil {
					t.Errorf("%d: %d, %v", n, a, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []int{1, 2, 1, 1, 2}; !slices.Equal(calls, want) {
			t.Errorf("calls for %d, not %d", calls, want)
		}
	})
}

// countedCommits is a store whose commits take a second; it notes how much each of them has.
type countedCommits struct {
	backend.Store
	sent, created []int
}

func (s *countedCommits) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	time.Sleep(time.Second)
	if len(b.Send) > 0 {
		s.sent = append(s.sent, len(b.Send))
	}
	if b.Session == 0 && len(b.Create) > 0 {
		s.created = append(s.created, len(b.Create))
	}
	return s.Store.Commit(ctx, b)
}

// Signals and cancels of many at once are few transactions, and each of them gets its own answer.
func TestMessagesOfManyGoTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main(n):\n    return [wait_signal(\"s\") for i in range(n)]\n")
		waits, ended := w.dispatch(e, Input{Args: []any{20}}, DispatchOptions{}), w.dispatch(e, Input{Args: []any{0}}, DispatchOptions{})
		w.finish(e, ended)
		store := &countedCommits{Store: w.store}
		client, err := New(store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := client.Signal(t.Context(), waits, "s", []byte("1")); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Go(func() {
			if err := client.Signal(t.Context(), "none", "s", nil); !errors.Is(err, backend.ErrNotFound) || !strings.Contains(err.Error(), "none") {
				t.Errorf("a signal for nobody: %v", err)
			}
		})
		wg.Go(func() {
			if err := client.Cancel(t.Context(), ended, ""); !errors.Is(err, backend.ErrClosed) || !strings.Contains(err.Error(), ended) {
				t.Errorf("a cancel of one that has ended: %v", err)
			}
		})
		wg.Wait()
		want(t, w.finish(e, waits), "["+strings.Repeat("1,", 19)+"1]")
		if want := []int{1, 21}; !slices.Equal(store.sent, want) {
			t.Errorf("transactions with %d messages, not %d", store.sent, want)
		}
		stop()
		w.check()
	})
}

// Large inputs are dispatched a few in a transaction: others wait for it.
func TestDispatchAllOfLargeInputs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &countedCommits{Store: w.store}
		client, err := New(store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, "def main(s):\n    return len(s)\n")
		jobs := make([]Job, 9)
		for i := range jobs {
			jobs[i].Input.Args = []any{strings.Repeat("x", 1<<20-100)}
		}
		ids, err := client.DispatchAll(t.Context(), "test", jobs)
		if err != nil || len(ids) != len(jobs) {
			t.Fatal(len(ids), err)
		}
		if want := []int{8, 1}; !slices.Equal(store.created, want) {
			t.Errorf("transactions with %d executions, not %d", store.created, want)
		}
		w.check()
	})
}

// watchedStore is a store that counts how executions are looked for, and hides them when they are gone.
type watchedStore struct {
	backend.Store
	whole, brief atomic.Int64
	gone         atomic.Bool
}

func (s *watchedStore) Execution(ctx context.Context, id string) (backend.Execution, error) {
	time.Sleep(time.Millisecond)
	s.whole.Add(1)
	if s.gone.Load() {
		return backend.Execution{}, backend.ErrNotFound
	}
	return s.Store.Execution(ctx, id)
}

func (s *watchedStore) List(ctx context.Context, f backend.Filter) ([]backend.Execution, error) {
	time.Sleep(time.Millisecond) // who asks meanwhile gathers
	if len(f.States) > 0 {
		s.brief.Add(1)
	} else {
		s.whole.Add(1)
	}
	if s.gone.Load() {
		return nil, nil
	}
	return s.Store.List(ctx, f)
}

// Who waits for what runs elsewhere mostly asks whether it has ended, and not for all that it has; when it is gone, he comes to know.
func TestWaitReadsLittle(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := &watchedStore{Store: w.store}
			client, err := New(store, nil, Options{})
			if err != nil {
				t.Fatal(err)
			}
			e, stop := w.engine(Options{})
			w.deploy(e, "def main(n):\n    sleep(60)\n    return n\n")
			id := w.dispatch(e, Input{Args: []any{1}}, DispatchOptions{})
			if gone {
				time.AfterFunc(30*time.Second, func() { store.gone.Store(true) })
				if _, err := client.Wait(t.Context(), id); !errors.Is(err, backend.ErrNotFound) {
					t.Errorf("it is gone: %v", err)
				}
			}
			store.gone.Store(false)
			var wg sync.WaitGroup
			for range 50 {
				time.Sleep(time.Millisecond)
				wg.Go(func() { want(t, w.finish(client, id), "1") })
			}
			wg.Wait()
			// Each has the result for itself and begins with ten looks of its own at most; then all look together, four times a second.
			whole, brief := store.whole.Load(), store.brief.Load()
			if whole+brief > 50*(10+3)+2*2*4*60 || whole > 50*(2+3)+brief/(briefLooks-1) {
				t.Errorf("%d looks at all that there is, %d whether it has ended", whole, brief)
			}
			stop()
			w.check()
		})
	}
}
