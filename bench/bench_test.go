package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each workload runs all its steps; what counts itself is no figure of steps that were left out.
func TestWorkloadsRunEveryStep(t *testing.T) {
	for _, p := range []peer{senpukiPeer, dbosPeer} {
		for _, w := range workloads {
			if len(w.kinds) > 0 || w.name == "W6" || strings.HasPrefix(w.name, "W5") {
				continue
			}
			t.Run(p.name+"/"+w.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c := &child{engine: p.make(), at: place{Kind: "sqlite normal", Dir: t.TempDir()}, job: job{Size: 0.01}}
				if err := c.engine.open(ctx, c.at, asBoth); err != nil {
					t.Fatal(err)
				}
				defer c.engine.close()
				before := calls.Load()
				v, err := w.run(ctx, c)
				if err != nil || v <= 0 {
					t.Fatalf("%v, %v", v, err)
				}
				want := map[string]int64{"W1": 10, "W2": 55, "W3": 10, "W3b": 100, "W4": 2, "W4b": 2, "W8": 55, "W8b": 10}[w.name]
				if got := calls.Load() - before - 25; got != want { // 25 are for warming up
					t.Errorf("%d steps ran, not %d", got, want)
				}
			})
		}
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{0.1234: "0.123", 1.239: "1.24", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 1234567: "1,234,567"} {
		if got := figure(v); got != want {
			t.Errorf("%v is %s, not %s", v, got, want)
		}
	}
	long := short(strings.Repeat("a | b\n", 100))
	if strings.ContainsAny(long, "|\n") || len(long) > 80 {
		t.Errorf("%q", long)
	}
	r := &tables{Cells: map[string]string{}, Value: map[string]float64{}}
	for i, name := range []string{senpukiPeer.name, dbosPeer.name} {
		k := key("postgres", name, "W2")
		r.Value[k], r.Cells[k] = float64(1000*(2-i)), fmt.Sprint(1000*(2-i))
	}
	if got := r.cell("postgres", dbosPeer.name, workload{name: "W2", more: true}); got != "1000 (2.00 x)" {
		t.Error(got)
	}
}
