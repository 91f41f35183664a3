// How much a step allocates: a count that does not depend on the machine.

//go:build !race

package bench

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

// A sequential step allocates less than these. It is no parallel test: the process counts for all.
func TestAllocations(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		most   float64
	}{
		"memory":   {inMemory(), 22},
		"sqlite":   {onDisk(filepath.Join(t.TempDir(), "x.db")), 32},
		"postgres": {Config{Open: func(ctx context.Context) (backend.Store, error) { return postgres.Open(ctx, servertest.Postgres(t)) }}, 55},
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := allocations(t.Context(), test.config, 2000); err != nil || n > test.most {
				t.Errorf("%.1f allocations a step, at most %.0f are allowed; %v", n, test.most, err)
			} else {
				t.Logf("%.1f allocations a step", n)
			}
		})
	}
}

// An execution that waits and is not let go takes less than these, 8 KB of them the stack of its script. It is no parallel test, either.
func TestParkedMemory(t *testing.T) {
	for name, config := range map[string]Config{
		"sqlite":   onDisk(filepath.Join(t.TempDir(), "x.db")),
		"postgres": {Open: func(ctx context.Context) (backend.Store, error) { return postgres.Open(ctx, servertest.Postgres(t)) }},
	} {
		t.Run(name, func(t *testing.T) {
			const most = 12_000
			if n, err := parked(t.Context(), config, 3000); err != nil || n > most {
				t.Errorf("%.0f bytes an execution, at most %d are allowed; %v", n, most, err)
			} else {
				t.Logf("%.0f bytes an execution", n)
			}
		})
	}
}

// allocations is how many objects a step of n sequential ones allocates, in the whole process but for what the worker does now
// and then: of that there is the more the longer the steps take.
func allocations(ctx context.Context, c Config, n int) (_ float64, err error) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1
	l, err := newLab(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.work(ctx)
	if err := l.ready(ctx); err != nil {
		return 0, err
	}
	count := 0.0
	for range 2 { // the first warms up
		looked := looks()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := l.dispatch(ctx, "sequential", n, true); err != nil {
			return 0, err
		}
		if _, err := l.await(ctx, 1); err != nil {
			return 0, err
		}
		runtime.ReadMemStats(&after)
		count = float64(int64(after.Mallocs-before.Mallocs)-looks()+looked) / float64(n)
	}
	return count, nil
}

// now and then the worker looks for work, whether the database was changed, and what is old, and says that it is alive.
var periodic = regexp.MustCompile(`/engine\.\(\*worker\)\.(loop|watchVersion|retain|heartbeat)$`)

// looks is how many objects that has allocated so far, but for the smallest.
func looks() (objects int64) {
	for range 2 { // the profile is that of the last collection but one
		runtime.GC()
	}
	n, _ := runtime.MemProfile(nil, true)
	records := make([]runtime.MemProfileRecord, n+1000)
	n, _ = runtime.MemProfile(records, true)
	for _, r := range records[:n] {
		frames := runtime.CallersFrames(r.Stack())
		for more := true; more; {
			var f runtime.Frame
			if f, more = frames.Next(); periodic.MatchString(f.Function) {
				objects += r.AllocObjects
				break
			}
		}
	}
	return objects
}
