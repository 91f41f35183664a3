package bench

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend/sqlite"
)

// The workloads that "all" leaves out end well and leave nothing that waits.
func TestWorkloadsOfTheirOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	remote := collect(t, "remote", onDisk(path))
	if r := remote[0]; len(remote) != 1 || r.Value <= 0 || r.Unit != "steps/s" || r.Detail["heartbeat_late_ms"].(float64) <= 0 {
		t.Errorf("%+v", remote)
	}
	c := onDisk(path)
	c.Executions = 300
	backlog := collect(t, "backlog", c)
	if r := backlog[0]; len(backlog) != 1 || r.Value <= 0 || r.N != 300 {
		t.Errorf("%+v", backlog)
	}
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := store.Stats(t.Context(), time.Time{})
	if err != nil || stats.States["pending"] != 0 || stats.States["running"] != 0 || len(stats.Queues) != 0 {
		t.Errorf("%+v %v", stats, err)
	}
	for _, err := range store.Check(t.Context()) {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
