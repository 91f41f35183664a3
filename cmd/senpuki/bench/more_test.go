package bench

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
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
	c.Executions, c.Aged = 100, 300
	dropped := 0
	c.Beside = func() (Beside, error) {
		return Beside{Open: onDisk(filepath.Join(t.TempDir(), "empty.db")).Open, Drop: func(context.Context) error { dropped++; return nil }}, nil
	}
	if r := collect(t, "aged", c)[0]; r.Value <= 0 || r.N != 300 || len(r.Detail["empty"].([]float64)) != 3 || len(r.Detail["aged"].([]float64)) != 3 || dropped != 1 {
		t.Errorf("%+v, dropped %d times", r, dropped)
	}
	c.Executions = 20
	r := collect(t, "workers", c)[0]
	for _, n := range []string{"1", "2", "4"} {
		if r.N != 20 || r.Detail["wall_ms_"+n].(float64) < r.Detail["no_overhead_ms_1"].(float64)/4 {
			t.Errorf("%+v", r)
		}
	}
	c.Notifier = func() (backend.Notifier, error) { return &party{}, nil }
	if r := collect(t, "wakeup", c)[0]; r.Value <= 0 || r.Detail["notifier_p50_ms"] != r.Value || r.Detail["polls_p50_ms"].(float64) <= 0 {
		t.Errorf("%+v", r)
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

// party is a notifier within a process: all of them hear what one says.
type party struct{ _ byte } // of a size, so that no two are the same

var guests struct {
	sync.Mutex
	hear map[*party]func(backend.Hint)
}

func (p *party) Notify(_ context.Context, h backend.Hint) error {
	guests.Lock()
	defer guests.Unlock()
	for _, heard := range guests.hear {
		heard(h)
	}
	return nil
}

func (p *party) Listen(ctx context.Context, heard func(backend.Hint)) error {
	guests.Lock()
	if guests.hear == nil {
		guests.hear = make(map[*party]func(backend.Hint))
	}
	guests.hear[p] = heard
	guests.Unlock()
	heard(backend.Hint{})
	<-ctx.Done()
	guests.Lock()
	delete(guests.hear, p)
	guests.Unlock()
	return ctx.Err()
}
