package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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
