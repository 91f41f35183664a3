// What steps, branches and replay cost.

package starlark_test

import (
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

func (h *instant) Now() time.Time      { return time.Unix(0, 0) }
func (h *instant) Log(l starlark.Line) {}
func (*instant) Publish([]byte)        {}

func benchmark(b *testing.B, text string, per int) {
	b.Helper()
	p := mustCompile(b, text)
	o := options
	o.MaxSteps = 1 << 50
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += per {
		if _, err := p.Run(&instant{value: []byte(`{"id":"a1","n":12}`)}, o); err != nil {
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
