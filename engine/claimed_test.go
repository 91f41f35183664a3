// Tasks that are claimed while a heartbeat looks for those that were withdrawn.

package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// slowTasks is a store that takes a second to say which tasks a session owns.
type slowTasks struct{ backend.Store }

func (s slowTasks) Tasks(ctx context.Context, f backend.TaskFilter) ([]backend.Task, error) {
	found, err := s.Store.Tasks(ctx, f)
	if f.Owner != 0 {
		time.Sleep(time.Second)
	}
	return found, err
}

func TestAHeartbeatLeavesATaskAloneThatWasJustClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
nap = activity("nap", queue = "far", retry = retry_policy(max_attempts = 1))
def main(ms):
    return nap(ms)
`)
		_, stopFar := w.engineOn(slowTasks{w.store}, Options{Queues: []string{"far"}})
		ids := []string{w.dispatch(e, Input{Args: []any{60_000}}, DispatchOptions{})}
		for range 20 { // each is claimed at another moment of a heartbeat
			ids = append(ids, w.dispatch(e, Input{Args: []any{5_000}}, DispatchOptions{}))
			time.Sleep(377 * time.Millisecond)
		}
		for i, id := range ids {
			if r := w.finish(e, id); r.Failure != nil {
				t.Errorf("execution %d: %+v", i, r.Failure)
			}
		}
		stop()
		stopFar()
		w.check()
	})
}
