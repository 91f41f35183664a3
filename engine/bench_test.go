package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/backend/sqlite"
)

// benchEngine runs a worker on a store for a benchmark.
func benchEngine(b *testing.B, store backend.Store, script string, o Options) *Engine {
	b.Helper()
	reg := activities.NewRegistry()
	reg.MustRegister("next", func(n int) (int, error) { return n + 1, nil })
	e, err := New(store, reg, o)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; _ = store.Close() })
	<-e.Ready()
	if _, err := e.Deploy(ctx, fstest.MapFS{"w.star": {Data: []byte(script)}}, "w.star"); err != nil {
		b.Fatal(err)
	}
	return e
}

const stepsScript = `
next = activity("next")
def main(steps):
    n = 0
    for _ in range(steps):
        n = next(n)
    return n
`

func runOne(b *testing.B, e *Engine, steps int) {
	id, err := e.Dispatch(context.Background(), "w", Input{Args: []any{steps}}, DispatchOptions{})
	if err == nil {
		var x Execution
		if x, err = e.Wait(context.Background(), id); err == nil && string(x.Result) != fmt.Sprint(steps) {
			err = fmt.Errorf("result %s, failure %s", x.Result, encodeFailure(x.Failure))
		}
	}
	if err != nil {
		b.Error(err)
	}
}

// BenchmarkSequentialStep is the engine's own cost of a step: nothing is written.
func BenchmarkSequentialStep(b *testing.B) {
	e := benchEngine(b, memory.New(), stepsScript, Options{})
	b.ReportAllocs()
	b.ResetTimer()
	runOne(b, e, b.N)
}

// BenchmarkThroughput keeps 1,000 executions of 5 steps under way, an operation being one of them.
func BenchmarkThroughput(b *testing.B) {
	store, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "b.db"))
	if err != nil {
		b.Fatal(err)
	}
	e := benchEngine(b, store, stepsScript, Options{MaxConcurrency: 1000})
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	under := make(chan struct{}, 1000)
	for range b.N {
		under <- struct{}{}
		wg.Go(func() { runOne(b, e, 5); <-under })
	}
	wg.Wait()
	b.ReportMetric(5*float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}

// BenchmarkParked keeps b.N executions in memory that wait for a signal: what each weighs, in bytes of the
// heap and of its goroutine's stack.
func BenchmarkParked(b *testing.B) {
	store, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "b.db"))
	if err != nil {
		b.Fatal(err)
	}
	e := benchEngine(b, store, "def main():\n    wait_signal(\"go\")\n", Options{MaxConcurrency: 1000, MaxParked: b.N, ReleaseAfter: time.Hour})
	before := memoryInUse()
	for range b.N {
		if _, err := e.Dispatch(context.Background(), "w", Input{}, DispatchOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	parked := func() int {
		p := &e.current().parking
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.order.Len()
	}
	for parked() < b.N {
		time.Sleep(time.Millisecond)
	}
	after := memoryInUse()
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "heap-B/op")
	b.ReportMetric(float64(after.StackInuse-before.StackInuse)/float64(b.N), "stack-B/op")
}

func memoryInUse() (m runtime.MemStats) {
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return m
}
