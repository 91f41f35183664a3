// Tests of the workloads in small sizes.

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/backend/sqlite"
	"github.com/senpuki/senpuki/engine"
)

// A test binary with this variable is a child of recovery.
const childVariable = "SENPUKI_TEST_BENCH_CHILD"

func TestMain(m *testing.M) {
	child := os.Getenv(childVariable)
	if child == "" {
		os.Exit(m.Run())
	}
	var words []string
	err := json.Unmarshal([]byte(child), &words)
	if err == nil {
		err = Child(context.Background(), words[0], words[1], onDisk(words[2]), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// onDisk is a configuration for a database file.
func onDisk(path string) Config {
	return Config{
		Backend: "sqlite", Lasts: true,
		Raw: func(ctx context.Context, batch int) (Raw, error) {
			return RawSQLite(ctx, filepath.Dir(path), "FULL", batch)
		},
		Open: func(ctx context.Context) (backend.Store, error) { return sqlite.Open(ctx, path) },
		Child: func(ctx context.Context, args ...string) *exec.Cmd {
			words, _ := json.Marshal([]string{args[0], args[1], path})
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"="+string(words))
			return cmd
		},
		Steps: 20, Executions: 10, Activities: 50, Samples: 20,
	}
}

func inMemory() Config {
	return Config{
		Backend: "memory", Steps: 20, Executions: 10, Activities: 50, Samples: 20,
		Open: func(context.Context) (backend.Store, error) { return memory.New(), nil },
	}
}

func collect(t *testing.T, name string, c Config) []Result {
	t.Helper()
	var all []Result
	c.Report = func(r Result) error { all = append(all, r); return nil }
	if err := Run(t.Context(), name, c); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAll(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures for seconds")
	}
	units := map[string]string{
		"limit/1": "rows/s", "limit/16": "rows/s", "limit/256": "rows/s", "sequential": "ms/step",
		"throughput": "steps/s", "fanout": "activities/s", "latency": "ms", "sleepers": "bytes/execution", "recovery": "ms",
	}
	all := collect(t, "all", onDisk(filepath.Join(t.TempDir(), "x.db")))
	for _, r := range all {
		if r.Unit != units[r.Workload] || r.N < 1 || r.Value < 0 || r.Value == 0 && r.Workload != "sleepers" || // ten sleepers may weigh nothing
			r.Backend != "sqlite" {
			t.Errorf("%+v", r)
		}
		hasShare := !strings.HasPrefix(r.Workload, "limit/") && r.Workload != "sleepers"
		if hasShare != (r.ShareOfLimit != nil) {
			t.Errorf("%s: share %v", r.Workload, r.ShareOfLimit)
		}
		if r.Workload == "recovery" && r.N != 50 {
			t.Errorf("recovered %d steps of 50", r.N)
		}
		delete(units, r.Workload)
	}
	if len(units) > 0 {
		t.Errorf("not measured: %v", units)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	var names []string
	for _, r := range collect(t, "all", inMemory()) {
		names = append(names, r.Workload)
		if r.ShareOfLimit != nil {
			t.Errorf("%+v has a share of no limit", r)
		}
	}
	if got := strings.Join(names, " "); got != "sequential throughput fanout latency sleepers" {
		t.Error(got)
	}
	for _, name := range []string{"limit", "recovery", "quick"} {
		err := Run(t.Context(), name, inMemory())
		if e, ok := errors.AsType[*WorkloadError](err); !ok || e.Workload != name || e.Why == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimitLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := collect(t, "limit", onDisk(filepath.Join(dir, "x.db")))
	if len(all) != 3 {
		t.Errorf("%+v", all)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".senpuki-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	share := 0.414
	var b strings.Builder
	for _, r := range []Result{
		{Workload: "throughput", Value: 31250.4, Unit: "steps/s", ShareOfLimit: &share},
		{Workload: "latency", Value: 0.8123, Unit: "ms", Detail: map[string]any{"p99": 2.5}},
		{Workload: "limit/16", Value: 12.34, Unit: "rows/s"},
	} {
		if err := Text(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	want := "throughput         31250 steps/s      41 % of limit\n" +
		"latency            0.812 ms                            p99 2.5\n" +
		"limit/16            12.3 rows/s\n"
	if b.String() != want {
		t.Errorf("%q\nwant\n%q", b.String(), want)
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	var e ends
	end := engine.Event{Kind: engine.ExecutionEnded}
	e.Observe(end)
	if early := <-e.expect(1); early.err != nil || early.at.IsZero() {
		t.Errorf("%+v", early)
	}
	late := e.expect(2)
	e.Observe(end)
	e.Observe(engine.Event{Kind: engine.StepDone})
	e.Observe(end)
	if got := <-late; got.err != nil {
		t.Errorf("%+v", got)
	}
	wrong := e.expect(2)
	e.Observe(engine.Event{Kind: engine.ExecutionStuck, Execution: "x", Failure: &activities.Failure{Kind: "EvalError"}})
	if got := <-wrong; got.err == nil {
		t.Error("a stuck execution went unnoticed")
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if got := median([]time.Duration{1, 2, 9}); got != 2 {
		t.Error(got)
	}
	if got := round(math.Pi, 2); got != 3.14 {
		t.Error(got)
	}
}
