// The soak: several workers on one database, killed, cancelled, signalled and
// retried at random; at the end everything has ended and every invariant holds.

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/sqlite"
	"github.com/senpuki/senpuki/engine"
)

var (
	soak     = flag.Duration("soak", 0, "how long TestSoak disturbs the workers; 0 is a few seconds")
	soakSeed = flag.Uint64("soak-seed", 0, "seed of TestSoak; 0 takes one from the clock")
)

// soakFlow uses most of what executions can do.
const soakFlow = `
line = activity("append_line", retry = retry_policy(initial_delay = "1ms", max_attempts = 5))
far = activity("add", queue = "far")
narrow = activity("add", max_concurrent = 3)
once = activity("append_line", idempotent = True)
shared = activity("add", cached = True, cache_ttl = "1s")

def child(file, n):
    line(file, n)
    return far(n, n)

def main(file, n, round = 0):
    counter("rounds").add()
    defer(line, file + ".deferred", n)
    a = [workflow(child).start(file, i) for i in range(3)]
    b = parallel.map(lambda i: narrow(i, 1), range(4), limit = 2)
    c = shared(n % 7, 1)
    once(file + ".once", n)
    sleep("%dms" % (n % 50))
    go = wait_signal("go", timeout = "300ms", default = None)
    total = sum([f.result() for f in a]) + sum(b)
    if round < n % 3:
        continue_as_new(file, n, round + 1)
    if n % 11 == 0:
        error("Planned", "number %d" % n)
    return total
`

// TestSoak runs three worker processes on one file. What it disturbs is drawn from a seed, which it prints.
func TestSoak(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("processes are not killed the same way there")
	}
	if testing.Short() {
		t.Skip("it takes a while")
	}
	period, seed := *soak, *soakSeed
	if period == 0 {
		period = 4 * time.Second
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed: -args -soak %v -soak-seed %d", period, seed)
	s := &soaking{t: t, random: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir()}
	s.open()
	s.disturb(period)
	s.settle()
	s.verify()
}

// soaking is a campaign.
type soaking struct {
	t       *testing.T
	random  *rand.Rand
	dir     string
	store   backend.Store
	engine  *engine.Engine // a client
	workers []*exec.Cmd
	env     []string // of the workers
	ids     []string
	kills   int
	faults  []fault // that this campaign has besides
}

// fault is a disturbance, with how many of a thousand are it.
type fault struct {
	share int
	do    func()
}

func (s *soaking) open() {
	store, err := sqlite.Open(s.t.Context(), filepath.Join(s.dir, "senpuki.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.begin(store, 3)
}

// begin deploys and starts the workers.
func (s *soaking) begin(store backend.Store, workers int) {
	t := s.t
	t.Cleanup(func() { _ = store.Close() })
	s.store, s.workers = store, make([]*exec.Cmd, workers)
	var err error
	if s.engine, err = engine.New(store, registry(), engine.Options{Hold: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.Deploy(t.Context(), fstest.MapFS{"soak.star": {Data: []byte(soakFlow)}}, "soak.star"); err != nil {
		t.Fatal(err)
	}
	for i := range s.workers {
		s.start(i)
	}
	t.Cleanup(func() {
		for _, w := range s.workers {
			_ = w.Process.Kill()
			_ = w.Wait()
		}
	})
}

// start begins worker number i; the last one serves the other queue alone.
func (s *soaking) start(i int) {
	args := []string{"worker", "--queue", "default", "--concurrency", "8"}
	if i != 0 {
		args = append(args, "--queue", "far")
	}
	w := exec.Command("mine", args...)
	w.Dir = s.dir
	w.Env = append(os.Environ(), s.env...)
	if err := w.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.workers[i] = w
}

// disturb dispatches executions and does something to them or to the workers, again and again.
func (s *soaking) disturb(period time.Duration) {
	ctx := s.t.Context()
	for end := time.Now().Add(period); time.Now().Before(end); time.Sleep(time.Duration(s.random.IntN(20)) * time.Millisecond) {
		if s.strike() {
			continue
		}
		switch what := s.random.IntN(100); {
		case what < 4:
			i := s.random.IntN(len(s.workers))
			_ = s.workers[i].Process.Kill()
			_ = s.workers[i].Wait()
			s.kills++
			s.start(i)
		case what < 40 && len(s.ids) < 4000:
			n := len(s.ids)
			id := fmt.Sprintf("e%d", n)
			o := engine.DispatchOptions{ID: id, Priority: s.random.IntN(3)}
			if s.random.IntN(20) == 0 {
				o.Expiry = time.Duration(1+s.random.IntN(500)) * time.Millisecond
			}
			in := engine.Input{Args: []any{filepath.Join(s.dir, id), n}}
			for { // the server may be away
				_, err := s.engine.Dispatch(ctx, "soak", in, o)
				if err == nil {
					break
				}
				if !errors.Is(err, backend.ErrTransient) {
					s.t.Fatal(err)
				}
			}
			s.ids = append(s.ids, id)
		case len(s.ids) == 0:
		case what < 70:
			s.told(s.engine.Signal(ctx, s.any(), "go", []byte("1")))
		case what < 75:
			s.told(s.engine.Cancel(ctx, s.any(), "soak"))
		case what < 77:
			s.told(s.engine.End(ctx, s.any(), "soak"))
		case what < 85:
			err := s.engine.Retry(ctx, s.any(), engine.RerunOptions{})
			if err != nil && !errors.Is(err, engine.ErrCannotRetry) && !errors.Is(err, backend.ErrConflict) && !errors.Is(err, backend.ErrTransient) {
				s.t.Fatal(err)
			}
		}
	}
}

// strike does one of the campaign's own faults, or none.
func (s *soaking) strike() bool {
	what := s.random.IntN(1000)
	for _, f := range s.faults {
		if what < f.share {
			f.do()
			return true
		}
		what -= f.share
	}
	return false
}

func (s *soaking) any() string { return s.ids[s.random.IntN(len(s.ids))] }

// told fails the test unless a message was taken or its addressee has ended.
func (s *soaking) told(err error) {
	s.t.Helper()
	if err != nil && !errors.Is(err, backend.ErrClosed) && !errors.Is(err, backend.ErrTransient) {
		s.t.Fatal(err)
	}
}

// settle waits until every execution has ended.
func (s *soaking) settle() {
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	f := backend.Filter{States: []backend.State{backend.Pending, backend.Running}, Limit: 5}
	for {
		left, err := s.engine.List(ctx, f)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			for _, x := range left {
				out, _ := json.Marshal(x)
				s.t.Errorf("not ended: %s", out)
				for _, command := range []string{"show " + x.ID + " --all", "history " + x.ID, "list --parent " + x.ID, "tasks list", "cache list", "workers"} {
					cmd := exec.Command("mine", strings.Fields(command)...)
					cmd.Dir = s.dir
					cmd.Env = append(os.Environ(), s.env...)
					text, _ := cmd.CombinedOutput()
					s.t.Logf("%s:\n%s", command, text)
				}
			}
			s.t.FailNow()
		}
	}
}

// verify checks the store and what the activities have left behind.
func (s *soaking) verify() {
	t, ctx := s.t, s.t.Context()
	for _, err := range s.store.Check(ctx) {
		t.Error(err)
	}
	if _, err := s.engine.Examine(ctx, func(p engine.Problem) error { t.Errorf("%+v", p); return nil }); err != nil {
		t.Error(err)
	}
	states := map[backend.State]int{}
	for n, id := range s.ids {
		x, err := s.engine.State(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		states[x.State]++
		switch {
		case x.State == backend.Completed && string(x.Result) != "16":
			t.Errorf("%s came to %s", id, x.Result)
		case x.State == backend.Failed && x.Failure.Kind != "Planned" && !strings.HasPrefix(x.Failure.Message, "soak"):
			t.Errorf("%s failed: %s: %s", id, x.Failure.Kind, x.Failure.Message)
		}
		v, err := s.engine.Replay(ctx, id, "")
		if err != nil || !v.Fits {
			t.Errorf("the journal of %s does not hold: %+v %v", id, v, err)
		}
		once, err := os.ReadFile(filepath.Join(s.dir, id+".once"))
		if err == nil && x.State == backend.Completed && s.kills == 0 && strings.Count(string(once), "\n") != 1 {
			t.Errorf("%s: the idempotent call number %d ran %d times", id, n, strings.Count(string(once), "\n"))
		}
	}
	if left, err := s.store.Tasks(ctx, backend.TaskFilter{}); err != nil || len(left) > 0 {
		t.Errorf("%d tasks are left, %v", len(left), err)
	}
	t.Logf("%d executions: %v; %d kills", len(s.ids), states, s.kills)
}
