// Deploying again and again while executions run on workers that are killed, and moving a mixed fleet.

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// shapeOf is the shape of a version.
func shapeOf(version int) int { return version / 3 % 2 }

// versionFlow is one version of a workflow. Versions of the two shapes ask for different things first.
func versionFlow(version, shape int) fstest.MapFS {
	return fstest.MapFS{"flow.star": {Data: fmt.Appendf(nil, `
add = activity("add", retry = retry_policy(initial_delay = "1ms"))

def main(n, waits):
    n = add(n, %d)
    for _ in range(3):
        n = add(n, 1)
    if waits:
        wait_signal("go")
    return [%d, n]
`, shape, version)}}
}

// underRace says that the race detector is in this binary, which slows down processes.
var underRace bool

// TestVersions deploys 200 versions while 500 executions run and their workers are killed. Each ends
// with the code that it began with; then those that wait are moved to the last version, where it fits.
func TestVersions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("processes are not killed the same way there")
	}
	if testing.Short() {
		t.Skip("it takes a while")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &soaking{t: t, random: rand.New(rand.NewPCG(seed, 2)), dir: t.TempDir()}
	s.open()
	versions, executions := 200, 500
	if underRace {
		versions, executions = 20, 60
	}
	begun := make(map[string]int) // id -> version
	for v := 1; v <= versions; v++ {
		deployed, err := s.engine.Deploy(t.Context(), versionFlow(v, shapeOf(v)), "flow.star")
		if err != nil || deployed[0].Version != v {
			t.Fatalf("version %d: %+v %v", v, deployed, err)
		}
		for len(begun) < v*executions/versions {
			id := fmt.Sprintf("v%d", len(begun))
			in := engine.Input{Args: []any{100, len(begun)%5 == 0}}
			if _, err := s.engine.Dispatch(t.Context(), "flow", in, engine.DispatchOptions{ID: id}); err != nil {
				t.Fatal(err)
			}
			begun[id] = v
		}
		if s.random.IntN(10) == 0 {
			s.killOne()
		}
		time.Sleep(time.Duration(s.random.IntN(10)) * time.Millisecond)
	}
	s.waitFor(len(begun)/5, len(begun)-len(begun)/5)
	for id, v := range begun {
		s.ended(id, v, shapeOf(v))
	}
	s.moveFleet(begun, versions+2)
	for _, err := range s.store.Check(t.Context()) {
		t.Error(err)
	}
	t.Logf("%d kills", s.kills)
}

func (s *soaking) killOne() {
	i := s.random.IntN(len(s.workers))
	_ = s.workers[i].Process.Kill()
	_ = s.workers[i].Wait()
	s.kills++
	s.start(i)
}

// waitFor waits until so many executions wait for their signal and so many have ended.
func (s *soaking) waitFor(waiting, ended int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	for {
		st, err := s.store.Stats(ctx, time.Time{})
		if err != nil {
			s.t.Fatal(err)
		}
		if st.States[backend.Completed] == int64(ended) && st.States[backend.Running] == int64(waiting) && s.rest(ctx) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			s.t.Fatalf("want %d ended and %d waiting, have %v", ended, waiting, st.States)
		}
	}
}

// rest reports whether every running execution waits for its signal.
func (s *soaking) rest(ctx context.Context) bool {
	running, err := s.engine.List(ctx, backend.Filter{States: []backend.State{backend.Running}, Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, x := range running {
		h, err := s.engine.History(ctx, x.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		if n := len(h.Steps); n == 0 || h.Steps[n-1].Kind != "wait_signal" {
			return false
		}
	}
	return true
}

// ended checks the result of an execution that has ended.
func (s *soaking) ended(id string, version, shape int) {
	s.t.Helper()
	x, err := s.engine.State(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	if want := fmt.Sprintf("[%d,%d]", version, 103+shape); x.State == backend.Completed && string(x.Result) != want {
		s.t.Errorf("%s came to %s, want %s", id, x.Result, want)
	}
}

// moveFleet moves what waits to a last version, with a process that is killed in the middle, and checks that exactly those moved that fit.
func (s *soaking) moveFleet(begun map[string]int, last int) {
	t, ctx := s.t, s.t.Context()
	shape := shapeOf(last)
	deployed, err := s.engine.Deploy(ctx, versionFlow(last, shape), "flow.star")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cut := exec.Command("mine", "upgrade", "flow")
		cut.Dir = s.dir
		if err := cut.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+s.random.IntN(60)) * time.Millisecond)
		_ = cut.Process.Kill()
		_ = cut.Wait()
		s.killOne()
	}
	whole := exec.Command("mine", "upgrade", "flow", "--json")
	whole.Dir = s.dir
	out, _ := whole.Output() // it exits with 1: some stay behind
	var report struct {
		Fit, Part, Moved int
		Verdicts         []engine.Verdict
	}
	if err := json.Unmarshal(out, &report); err != nil || report.Part == 0 || report.Fit == 0 {
		t.Errorf("%+v %v", report, err)
	}
	for _, v := range report.Verdicts {
		if v.Fits && !v.Moved && v.From != v.To { // those there already were moved before a kill
			t.Errorf("it fits and stays behind: %+v", v)
		}
	}
	running, err := s.engine.List(ctx, backend.Filter{States: []backend.State{backend.Running}, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(running) != report.Fit+report.Part {
		t.Errorf("%d run, the report has %d", len(running), report.Fit+report.Part)
	}
	for _, x := range running {
		fits := shapeOf(begun[x.ID]) == shape
		if moved := x.Digest == deployed[0].Digest; moved != fits {
			t.Errorf("%s of version %d: moved %v, fits %v", x.ID, begun[x.ID], moved, fits)
		}
		if err := s.engine.Signal(ctx, x.ID, "go", []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	s.waitFor(0, len(begun))
	for _, x := range running {
		if v := begun[x.ID]; shapeOf(v) == shape {
			s.ended(x.ID, last, shape)
		} else {
			s.ended(x.ID, v, shapeOf(v))
		}
		if v, err := s.engine.Replay(ctx, x.ID, ""); err != nil || !v.Fits {
			t.Errorf("%+v %v", v, err)
		}
	}
}
