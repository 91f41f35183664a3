package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/senpuki/senpuki/activities"
)

// spans is a tracer that keeps what it is told.
type spans struct {
	mu   sync.Mutex
	list []Span
	ends map[int]string
}

type spanKey struct{}

func (s *spans) Begin(ctx context.Context, sp Span) (context.Context, func(*activities.Failure)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list)
	s.list = append(s.list, sp)
	return context.WithValue(ctx, spanKey{}, n), func(f *activities.Failure) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ends == nil {
			s.ends = make(map[int]string)
		}
		s.ends[n] = "ok"
		if f != nil {
			s.ends[n] = f.Kind
		}
	}
}

// told lists the spans of the kinds that are not turns, with their ends.
func (s *spans) told() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, sp := range s.list {
		if sp.Kind == SpanTurn {
			continue
		}
		line := fmt.Sprintf("%s %s %s/%d", sp.Kind, sp.Name, sp.Execution, sp.Run)
		if sp.Step != "" {
			line += fmt.Sprintf(" step %s attempt %d", sp.Step, sp.Attempt)
		}
		if sp.Parent.Execution != "" {
			line += fmt.Sprintf(" below %s/%d", sp.Parent.Execution, sp.Parent.Run)
		}
		out = append(out, line+" "+s.ends[i])
	}
	slices.Sort(out)
	return out
}

func TestTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var inside []any
		var mu sync.Mutex
		w.register("look", func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			inside = append(inside, ctx.Value(spanKey{}))
			return nil
		})
		w.reg.MustRegister("far", func() error { return nil }, activities.Options{MaxConcurrent: 1})
		tracer := &spans{}
		e, stop := w.engine(Options{Tracer: tracer})
		w.deploy(e, `
look = activity("look")
boom = activity("boom", retry=retry_policy(max_attempts=2))

def main(n=0):
    if n == 0:
        continue_as_new(1)
    look()
    attempt(workflow(child))
    sleep("1m")
    activity("far")()

def child():
    attempt(boom, "Oh")
    workflow(grandchild)()
    error("Sad")

def grandchild():
    look()
`)
		id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		want(t, w.finish(e, id), "null")
		stop()
		w.check()
		expect := []string{
			"attempt boom x.2.2/1 step 1 attempt 1 Oh",
			"attempt boom x.2.2/1 step 1 attempt 2 Oh",
			"attempt far x/2 step 4 attempt 1 ok",
			"attempt look x.2.2.1.2/1 step 1 attempt 1 ok",
			"attempt look x/2 step 1 attempt 1 ok",
			"dispatch test x/1 ok",
			"run test x.2.2.1.2/1 below x.2.2/1 ok",
			"run test x.2.2/1 below x/2 Sad",
			"run test x/1 ok",
			"run test x/2 ok",
		}
		if got := tracer.told(); !slices.Equal(got, expect) {
			t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(expect, "\n"))
		}
		for _, sp := range tracer.list {
			if sp.Trace != tracer.list[0].Trace || !strings.HasPrefix(sp.Trace, "x/") {
				t.Errorf("%+v is in another trace than %+v", sp, tracer.list[0])
			}
			if sp.Kind == SpanRun && (sp.End.Before(sp.Start) || sp.Start.Unix() < 1000) {
				t.Errorf("%+v ends before it begins", sp)
			}
		}
		if len(inside) != 2 || inside[0] == nil {
			t.Errorf("activities were called in spans %v", inside)
		}
	})
}

// Another process, after a crash, comes to the same names.
func TestTraceAfterCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		before, after := &spans{}, &spans{}
		first, stop := w.engine(Options{Tracer: before})
		w.deploy(first, "def main():\n    activity('block', timeout='1s', retry=retry_policy(max_attempts=1)).attempt()\n")
		id := w.dispatch(first, Input{}, DispatchOptions{})
		synctest.Wait()
		first.Kill()
		stop()
		second, stop := w.engine(Options{Tracer: after})
		want(t, w.finish(second, id), "null")
		stop()
		w.check()
		for _, sp := range after.list {
			if sp.Trace != before.list[0].Trace {
				t.Errorf("%+v is in another trace than %+v", sp, before.list[0])
			}
		}
		if got := after.told(); len(got) != 2 || !strings.HasPrefix(got[1], "run test "+id+"/1 ok") {
			t.Errorf("told %s", strings.Join(got, "\n"))
		}
	})
}

// An execution is traced before it is stored when its first step is a task.
func TestTraceOfATaskInTheFirstTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reg.MustRegister("far", func() error { return nil }, activities.Options{MaxConcurrent: 1})
		tracer := &spans{}
		e, stop := w.engine(Options{Tracer: tracer})
		w.deploy(e, "def main():\n    return activity(\"far\")()\n")
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{ID: "x"})), "null")
		stop()
		w.check()
		traces := make(map[string]bool)
		for _, s := range tracer.list {
			traces[s.Trace] = true
		}
		if len(traces) != 1 {
			t.Errorf("one execution is in the traces %v", traces)
		}
	})
}
