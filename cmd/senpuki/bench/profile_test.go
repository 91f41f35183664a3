package bench

import (
	"os"
	"path/filepath"
	"testing"
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
	c.Profile = filepath.Join(c.Profile, "missing")
	if err := Run(t.Context(), "sequential", c); err == nil {
		t.Error("a directory that is not there passes for one")
	}
}
