// Suspects under random kills, cancels and stops: all end, and no slot is lost.

package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

const manySuspects = `
def main(seed):
    def ask(i):
        r = (seed * 31 + i * 17) % 101
        f = activity("nap", max_crashes = r % 4, start_timeout = "1h" if r % 5 else "20s", queue = "far" if r % 7 == 0 else None,
            max_concurrent = 3 if r % 11 == 0 else None, pure = r % 3 == 0,
            retry = retry_policy(initial_delay = 1 + r % 3, jitter = 0)).start(1000 * (1 + r))
        if r % 6 == 1:
            select([f, timer(1 + r)])
            f.cancel()
        a = f.attempt()
        return a.value if a.ok else a.error.kind
    out = parallel([bind(ask, i) for i in range(1 + seed % 9)], settle = True)
    if seed % 4 == 1:
        continue_as_new(seed + 1)
    return [r.value if r.ok else r.error.kind for r in out]
`

func TestRandomSuspects(t *testing.T) {
	t.Parallel()
	ofSeeds(t, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { randomSuspects(t, rand.New(rand.NewPCG(seed, 7))) })
	})
}

func randomSuspects(t *testing.T, r *rand.Rand) {
	w := wherever(t)
	near := func() Options {
		return Options{MaxConcurrency: oneOf(r, 2, 5, 256), ReleaseAfter: oneOf(r, time.Second, time.Minute), DrainTimeout: oneOf(r, time.Second, time.Minute)}
	}
	far := Options{Queues: []string{"far"}, MaxConcurrency: 2}
	e, stop := w.engine(near())
	e2, stop2 := w.engine(far)
	w.deployFiles(e, manySuspects, "")
	other := w.deployFiles(e, manySuspects, "# other\n")
	var ids []string
	for i := range 8 {
		do := DispatchOptions{ID: fmt.Sprint("x", i)}
		if r.IntN(4) == 0 {
			do.Expiry = time.Duration(1+r.IntN(300)) * time.Second
		}
		ids = append(ids, w.dispatch(e, Input{Args: []any{r.IntN(100)}}, do))
	}
	ctx := context.Background()
	for range 20 {
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
		id := ids[r.IntN(len(ids))]
		switch r.IntN(9) {
		case 0, 1, 2:
			e.Kill()
			stop()
			e, stop = w.engine(near())
		case 3:
			stop()
			e, stop = w.engine(near())
		case 4:
			e2.Kill()
			stop2()
			e2, stop2 = w.engine(far)
		case 5:
			_ = e.Cancel(ctx, id, "")
		case 6:
			_ = e.End(ctx, id, "")
		case 7:
			_, _ = e.Upgrade(ctx, id, other.Digest)
		case 8:
			_ = w.store.Revoke(ctx, e.current().session)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 12*time.Hour)
	defer cancel()
	for _, id := range ids {
		if _, err := e.Wait(ctx, id); err != nil {
			x, _ := e.State(context.Background(), id)
			h, _ := e.History(context.Background(), id)
			t.Errorf("%s: %v, %s, %+v", id, err, x.State, x.Stuck)
			for _, s := range h.Steps {
				if s.State != "done" && s.State != "failed" {
					t.Logf("%+v", s)
				}
			}
		}
	}
	time.Sleep(time.Minute) // bodies that were given up end
	for _, e := range []*Engine{e, e2} {
		w := e.current()
		w.slots.mu.Lock()
		if w.slots.free != w.options.MaxConcurrency {
			t.Errorf("%d slots are free of %d", w.slots.free, w.options.MaxConcurrency)
		}
		w.slots.mu.Unlock()
	}
	stop()
	stop2()
	w.check()
}
