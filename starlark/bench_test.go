// What steps, branches and replay cost.

package starlark_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/senpuki/senpuki/starlark"
	"github.com/senpuki/senpuki/starlark/hosttest"
)

// instant answers every step at once, in order.
type instant struct {
	queue []string
	value []byte
}

func (h *instant) Issue(c starlark.Command) error {
	if c.Kind != starlark.CancelStep {
		h.queue = append(h.queue, c.Step)
	}
	return nil
}

func (h *instant) Wait() (starlark.Delivery, error) {
	step := h.queue[0]
	h.queue = h.queue[1:]
	if len(h.queue) == 0 {
		h.queue = nil
	}
	return starlark.Delivery{Kind: starlark.StepOutcome, Step: step, Value: h.value}, nil
}

func (h *instant) Now() time.Time           { return time.Unix(0, 0) }
func (h *instant) Log(l starlark.Line)      {}
func (*instant) ChildID(step string) string { return step }
func (*instant) Publish([]byte)             {}

func benchmark(b *testing.B, text string, per int) {
	b.Helper()
	p := mustCompile(b, text)
	o := options
	o.MaxSteps = 1 << 50
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += per {
		if _, err := p.Run(&instant{value: []byte(`{"id":"a1","n":12}`)}, &o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSequentialStep(b *testing.B) {
	benchmark(b, "def main():\n    for i in range(10000):\n        echo(i, \"text\")\n", 10000)
}

func BenchmarkFanOut(b *testing.B) {
	benchmark(b, "def main():\n    echo.map(range(10000))\n", 10000)
}

func BenchmarkBranch(b *testing.B) {
	benchmark(b, "def f(i):\n    return i\ndef main():\n    for _ in range(100):\n        parallel.map(f, range(100))\n", 10000)
}

func BenchmarkWideBranches(b *testing.B) {
	benchmark(b, "def f(i):\n    return i\ndef main():\n    parallel.map(f, range(10000))\n", 10000)
}

// BenchmarkMapTenThousand is one parallel.map over 10,000 functions: under 200 ms.
func BenchmarkMapTenThousand(b *testing.B) {
	benchmark(b, "def f(i):\n    return i\ndef main():\n    parallel.map(f, range(10000))\n", 1)
}

// BenchmarkSpawn is a branch started and joined: under 10 us.
func BenchmarkSpawn(b *testing.B) {
	benchmark(b, "def f(i):\n    return i\ndef main():\n    for i in range(10000):\n        spawn(f, i).result()\n", 10000)
}

func BenchmarkAsCompleted(b *testing.B) {
	benchmark(b, "def f(i):\n    return i\ndef main():\n    for r in as_completed([bind(f, i) for i in range(10000)]):\n        r.result()\n", 10000)
}

func BenchmarkSemaphore(b *testing.B) {
	benchmark(b, "def f(i):\n    null()\ndef main():\n    m = semaphore(10)\n    parallel.map(lambda i: m.run(f, i), range(10000))\n", 10000)
}

// weighing is a host that weighs the process when the script is first at rest.
type weighing struct {
	instant
	heap, stacks uint64
}

func (h *weighing) Wait() (starlark.Delivery, error) {
	if h.heap == 0 {
		h.heap, h.stacks = weigh()
	}
	return h.instant.Wait()
}

func weigh() (heap, stacks uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// BenchmarkWaitingBranch is what a branch costs that waits for a step: under 10 KB, stack and all.
func BenchmarkWaitingBranch(b *testing.B) {
	const n = 10000
	p := mustCompile(b, "def f(i):\n    null()\ndef main():\n    parallel.map(f, range(10000))\n")
	for range b.N {
		heap, stacks := weigh()
		h := &weighing{instant: instant{value: []byte("null")}}
		if _, err := p.Run(h, &options); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(h.heap-heap)/n, "heap-B/branch")
		b.ReportMetric(float64(h.stacks-stacks)/n, "stack-B/branch")
	}
}

func BenchmarkBuiltinCall(b *testing.B) {
	benchmark(b, "def main():\n    for i in range(10000):\n        isinstance(i, \"int\")\n", 10000)
}

func BenchmarkReplay(b *testing.B) {
	p := mustCompile(b, "def main():\n    for i in range(10000):\n        echo(i)\n")
	o := options
	o.MaxSteps = 1 << 50
	w := hosttest.New(hosttest.Standard())
	if _, err := w.Run(p, o); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += 10000 {
		if _, err := w.Replay(p, o); err != nil {
			b.Fatal(err)
		}
	}
}
