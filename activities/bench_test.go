// Benchmarks of what every step pays.

package activities

import (
	"context"
	"testing"
)

func benchmarkInvoke(b *testing.B, fn any, args string) {
	a, err := newActivity("x", fn, Options{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, raw := context.Background(), []byte(args)
	b.ReportAllocs()
	for b.Loop() {
		if _, f := a.Invoke(ctx, raw, nil); f != nil {
			b.Fatal(f)
		}
	}
}

func BenchmarkInvokeInt(b *testing.B) {
	benchmarkInvoke(b, func(_ context.Context, n int) (int, error) { return n + 1, nil }, "[41]")
}

func BenchmarkInvokeNothing(b *testing.B) {
	benchmarkInvoke(b, func() error { return nil }, "[]")
}

func BenchmarkInvokeStruct(b *testing.B) {
	type order struct {
		ID    string   `json:"id"`
		Cents int64    `json:"cents"`
		Tags  []string `json:"tags"`
	}
	benchmarkInvoke(b, func(_ context.Context, o order) (order, error) { return o, nil }, `[{"id": "a", "cents": 5, "tags": ["x", "y"]}]`)
}

func BenchmarkInvokeAny(b *testing.B) {
	benchmarkInvoke(b, func(v any) (any, error) { return v, nil }, `["some text"]`)
}

func BenchmarkCheckArgs(b *testing.B) {
	a, err := newActivity("x", func(context.Context, string, int64) error { return nil }, Options{Params: []string{"order", "cents"}})
	if err != nil {
		b.Fatal(err)
	}
	args, kwargs := []byte(`["a"]`), []byte(`{"cents": 5}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.CheckArgs(args, kwargs); err != nil {
			b.Fatal(err)
		}
	}
}
