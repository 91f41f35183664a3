package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/starlark"
)

const retraced = `
add = activity("add")

def twice(x):
    def inner(y):
        return add(x, y)
    return [inner(1), inner(2)]

def main(n):
    names = {"a": n}
    total = 0
    for i in twice(n):
        total += i
    sleep("1h")
    return parallel([bind(add, total, 1), lambda: add(total, 2)])
`

func TestRetraceShowsVariablesOfTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, retraced)
		id := w.dispatch(e, Input{Args: []any{10}}, DispatchOptions{})
		time.Sleep(time.Minute)
		stop()
		client, err := New(w.store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Retrace(t.Context(), id, RetraceOptions{Until: "2", Locals: true})
		if err != nil || !r.Fits || len(r.Steps) != 2 || string(r.Steps[0].Value) != "11" {
			t.Fatalf("%+v %v", r, err)
		}
		var text []string
		for _, f := range r.Frames {
			line := f.Function
			for _, v := range f.Variables {
				line += fmt.Sprintf(" %s=%s", v.Name, v.Value)
				if v.Captured {
					line += "^"
				}
			}
			text = append(text, line)
		}
		want := "inner y=2 x=10^|twice x=10 inner=<function inner>|main n=10 names={\"a\": 10} total=0"
		if got := strings.Join(text, "|"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		r, err = client.Retrace(t.Context(), id, RetraceOptions{Locals: true})
		if err != nil || !r.Fits || len(r.Steps) != 3 || len(r.Frames) != 1 || !strings.HasPrefix(r.Frames[0].Pos, "test.star:14:") {
			t.Errorf("to the end: %+v %v", r, err)
		}
		if _, err = client.Retrace(t.Context(), id, RetraceOptions{Until: "7"}); !errors.Is(err, ErrNoStep) {
			t.Error(err)
		}
		p, err := client.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(strings.Replace(retraced, "inner(2)", "inner(3)", 1))}}, "test.star")
		if err != nil {
			t.Fatal(err)
		}
		r, err = client.Retrace(t.Context(), id, RetraceOptions{Code: &p}) // not stored
		if err != nil || r.Fits || !strings.Contains(r.Asks, "add(10,3)") || !strings.HasPrefix(r.Pos, "test.star:6:") {
			t.Errorf("other code: %+v %v", r, err)
		}
		if _, err := w.store.Program(t.Context(), p.Digest); err == nil {
			t.Error("the code was stored")
		}
		w.check()
	})
}

// An incompatible deployment is refused, and nothing of it is stored.
func TestDeployRequiresCompatibleCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, retraced)
		w.dispatch(e, Input{Args: []any{1}}, DispatchOptions{})
		id := w.dispatch(e, Input{Args: []any{2}}, DispatchOptions{})
		time.Sleep(time.Minute)
		deploy := func(text string) error {
			_, err := e.DeployWith(t.Context(), fstest.MapFS{"test.star": {Data: []byte(text)}}, DeployOptions{RequireCompatible: true}, "test.star")
			return err
		}
		err := deploy(strings.Replace(retraced, "inner(2)", "inner(3)", 1))
		bad, ok := errors.AsType[*IncompatibleError](err)
		if !ok || bad.Fit != 0 || len(bad.Part) != 2 || !strings.Contains(err.Error(), "test.star:6:") {
			t.Errorf("%v", err)
		}
		before, err := w.store.Deployments(t.Context(), "test")
		if err != nil || len(before) != 1 {
			t.Errorf("%+v %v", before, err)
		}
		if err := deploy(strings.Replace(retraced, "total, 2", "total, 9", 1)); err != nil { // not reached yet
			t.Error(err)
		}
		verdicts := 0
		after, err := w.store.Deployments(t.Context(), "test")
		if err != nil || len(after) != 2 {
			t.Fatalf("%+v %v", after, err)
		}
		if err := e.ReplayRunning(t.Context(), "test", after[0].Digest, func(v Verdict) error {
			verdicts++
			if !v.Fits {
				t.Errorf("%+v", v)
			}
			return nil
		}); err != nil || verdicts != 2 {
			t.Error(verdicts, err)
		}
		if _, err := e.Upgrade(t.Context(), id, after[0].Digest); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour)
		x, err := e.State(t.Context(), id)
		if err != nil || string(x.Result) != "[8,16]" {
			t.Errorf("%s %v", x.Result, err)
		}
		stop()
		w.check()
	})
}

// BenchmarkProve replays a journal in memory, as an upgrade does; one operation is 10,000 entries.
func BenchmarkProve(b *testing.B) {
	var rows [][]byte
	start := entry{kind: []byte(entryStart), at: 1, version: journalVersion, edition: starlark.Edition}
	row := start.append(nil)
	const steps = 5000
	for i := range steps {
		id := []byte(fmt.Sprint(i + 1))
		if i > 0 {
			done := entry{kind: []byte(entryDone), at: int64(i + 2), step: []byte(fmt.Sprint(i)), value: []byte(fmt.Sprint(i))}
			row = done.append(row)
		}
		ask := entry{kind: []byte(entryAsk), at: int64(i + 2), step: id, command: []byte(starlark.CallActivity), name: []byte("next"), args: []byte(fmt.Sprintf("[%d]", i)), attempt: 1, pos: []byte("w.star:6:17")}
		rows = append(rows, append(ask.append(row), ']'))
		row = nil
	}
	src, err := starlark.Gather("w.star", func(string) (string, error) { return stepsScript, nil })
	if err != nil {
		b.Fatal(err)
	}
	prog, err := starlark.Compile(src)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		x := &execution{proof: true, prog: prog}
		x.rec.Function, x.rec.Input, x.rec.RunNumber = "main", []byte("[5000]"), 1
		err := x.open(slices.Clone(rows)) // it lets go of what it has read
		if err == nil {
			err = x.replayOn(prog, 1<<40, 1<<20)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(2*steps*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
