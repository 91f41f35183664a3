package bench

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

func TestProfilesAreWritten(t *testing.T) { // not parallel: a process has one profile of its processor time
	c := onDisk(filepath.Join(t.TempDir(), "bench.db"))
	c.Profile = t.TempDir()
	c.Report = func(Result) error { return nil }
	if err := Run(t.Context(), "sequential", c); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"cpu", "allocs", "mutex"} {
		if s, err := os.Stat(filepath.Join(c.Profile, "sequential."+kind+".pprof")); err != nil || s.Size() == 0 {
			t.Errorf("%s: %v, %v", kind, s, err)
		}
	}
	open, store := c.Open, backend.Store(nil)
	c.Open = func(ctx context.Context) (backend.Store, error) {
		if store != nil { // the second time is that of the workload, whose profile has begun
			if err := os.RemoveAll(c.Profile); err != nil {
				return nil, err
			}
		}
		var err error
		store, err = open(ctx)
		return store, err
	}
	if err := Run(t.Context(), "sequential", c); err == nil {
		t.Error("profiles that could not be written are not missed")
	}
	c.Open = open
	if err := Run(t.Context(), "sequential", c); err == nil { // it is gone
		t.Error("a directory that is not there passes for one")
	}
}
