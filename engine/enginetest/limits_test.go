// Doubles that outlast what they answer, and limits over all workers, with deaths.

package enginetest_test

import (
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/engine/enginetest"
)

// A double that ignores its context is waited for when the world ends, as no goroutine may be left in it.
func TestADoubleOutlastsItsExecution(t *testing.T) {
	t.Parallel()
	var returned atomic.Int32
	enginetest.Twice(t, enginetest.Options{FS: fstest.MapFS{"slow.star": {Data: []byte(`
slow = activity("slow", timeout = "1s", retry = retry_policy(max_attempts = 2, initial_delay = "1s"))
def main():
    return attempt(slow).error.kind
`)}}}, func(t *testing.T, env *enginetest.Env) {
		env.Mock("slow", func(enginetest.Call) (any, error) { time.Sleep(time.Hour); returned.Add(1); return 1, nil })
		if kind := enginetest.ResultAs[string](env.Start("slow.star", engine.Input{})); kind != "Timeout" {
			t.Error(kind)
		}
	})
	if n := returned.Load(); n != 4 {
		t.Errorf("%d doubles have returned", n)
	}
}

// What waits for a limit is looked for by the next worker, too.
func TestLimitsOutliveWorkers(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"max_concurrent = 1", `rate = "1/1s"`, `max_concurrent = 2, queue = "other"`} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			enginetest.CrashEverywhere(t, enginetest.Options{FS: fstest.MapFS{"limits.star": {Data: []byte(`
a = activity("a", ` + limit + `)
def main():
    return parallel.map(a, [1, 2, 3])
`)}}}, func(t *testing.T, env *enginetest.Env) {
				env.Mock("a", func(x int) (int, error) { time.Sleep(time.Second); return x, nil })
				begin := env.Now()
				enginetest.ResultAs[[]int](env.Start("limits.star", engine.Input{}))
				if took := env.Now().Sub(begin); took > time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
